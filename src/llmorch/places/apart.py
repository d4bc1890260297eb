"""What somebody's class may compute, done on a thread: the event loop, deadlines and Ctrl-C don't wait for it.

Decides how long it may take, and what comes of it if nobody waits any more. A thread can't be stopped: one that
hangs is left behind.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from llmorch.declare.functions import Function
from llmorch.errors import CallError
from llmorch.places.coroutines import cancelled
from llmorch.places.failure import late
from llmorch.places.threads import end_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmorch.places.coroutines import Done
    from llmorch.places.port import Work
    from llmorch.places.threads import Threads

T = TypeVar("T")


class Apart(Generic[T]):
    """One computation for a call of a function, on a thread, and then what it leads to.

    ``made`` is called on the event loop with what it came to and the seconds that it took of the function's timeout,
    and returns the work that follows; ``failed`` is called instead where it came to nothing: it raised, was
    cancelled, or took longer than the timeout.
    """

    def __init__(
        self,
        threads: Threads,
        function: Function,
        compute: Callable[[], T],
        made: Callable[[T, float], Work | None],
        failed: Callable[[CallError], None],
    ) -> None:
        self._function = function
        self._compute = compute
        self._made = made
        self._failed: Callable[[CallError], None] | None = failed
        self._value: list[T] = []
        self._error: CallError | None = None
        self._following: Work | None = None
        self._cancelled = False
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        timeout = function.timeout
        self._timer = (
            None if timeout is None else asyncio.get_running_loop().call_later(timeout, self._is_late)
        )
        self._thread: Work | None = threads.begin(Function(function.name, self._run), {}, self._ended)

    def _run(self) -> None:
        try:
            self._value.append(self._compute())
        except CallError as error:
            self._error = error

    def _ended(self, _: Any, error: CallError | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._thread = None
        failed, self._failed = self._failed, None
        if failed is None:  # it was late, and has been told so, or nobody hears of it
            return
        error = self._error or error or (cancelled(self._function) if self._cancelled else None)
        elapsed, timeout = self._clock() - self._began, self._function.timeout
        if error is None and timeout is not None and elapsed >= timeout:
            error = late(
                self._function.name, timeout
            )  # the timer could not say so: one operation held the loop
        if error is not None:
            failed(error)
        else:
            self._following = self._made(self._value.pop(), elapsed)

    def _is_late(self) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            if self._thread is not None:
                self._thread.cancel()
            failed(late(self._function.name, self._function.timeout))

    def cancel(self) -> bool:
        """Stop it; false where a thread is in somebody's code."""
        self._cancelled = True
        work = self._following if self._thread is None else self._thread
        return work is None or work.cancel()

    def abandon(self) -> None:
        """The same, where nobody hears any more of how it ended."""
        self._failed = None
        self.cancel()


async def apart(threads: Threads, function: Function, compute: Callable[[], T]) -> T:
    """What a computation for a call comes to. Raises ``CallError``."""

    def begin(done: Done) -> Apart[T]:
        return Apart(
            threads, function, compute, lambda value, _: done(value, None), lambda error: done(None, error)
        )

    value: T
    value, error = await end_of(begin)
    if error is not None:
        raise error
    return value
