"""Threads for calls of synchronous functions that wait.

Decides how such a call leaves the event loop and how its end comes back. It can't stop a
thread: a call that has begun ends when the function returns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context, ContextVar, copy_context
from queue import SimpleQueue
from threading import Lock, Thread
from time import perf_counter, process_time, thread_time
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from llmorch.errors import CallError, shortage
from llmorch.places.coroutines import Awaited, cancelled, failed
from llmorch.places.forks import forgotten_in_children
from llmorch.places.iterators import PLAIN, awaits, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmorch.declare.functions import Function
    from llmorch.places.coroutines import Done

    Measured = Callable[[Function, float, float], None]

LIMIT = 256
"""The most threads; calls past it wait for one. A blocked thread costs memory, not time."""
_within: ContextVar[bool] = ContextVar("llmorch_within_a_call", default=False)
"""Whether this is a call on a thread. What it begins may not wait for a thread: it holds one itself."""

_WAITING, _RUNNING, _STOPPED, _OVER = range(4)


class ThreadCall:
    """One call of a synchronous function: ``done`` hears on the event loop how it ended, once.

    Only of one that was stopped while a thread was in it, ``done`` hears on that thread.
    """

    __slots__ = (
        "_args",
        "_awaits",
        "_context",
        "_cpu",
        "_done",
        "_error",
        "_function",
        "_lock",
        "_loop",
        "_rest",
        "_result",
        "_share",
        "_state",
        "_target",
        "_threads",
    )

    def __init__(
        self,
        threads: Threads,
        function: Function,
        target: Callable[..., Any],
        args: Mapping[str, Any],
        done: Done,
    ) -> None:
        self._threads = threads
        self._function = function
        self._target = target
        self._args = args
        self._done = done
        self._context: Context = copy_context()
        self._loop = asyncio.get_running_loop()
        self._lock = Lock()
        self._state = _WAITING
        self._result: Any = None
        self._error: CallError | None = None
        self._awaits = False
        """Whether what the function came to takes an event loop."""
        self._rest: Awaited | None = None
        """What the function left to wait for."""
        self._cpu = self._share = 0.0

    def cancel(self) -> bool:
        """Stop it; false where a thread is in the function, which nobody can stop."""
        if self._rest is not None:
            return self._rest.cancel()
        before = self._stop()
        if before == _WAITING:
            self._loop.call_soon(self._done, None, cancelled(self._function))
        return before in (_WAITING, _OVER)

    def abandon(self) -> None:
        """The same, where nobody hears any more of how it ended."""
        self._stop()
        if self._rest is not None:
            self._rest.abandon()

    def _stop(self) -> int:
        """Whatever it was before, it is wanted no more."""
        with self._lock:
            before = self._state
            self._state = _STOPPED if before in (_RUNNING, _STOPPED) else _OVER
            return before

    def run(self) -> bool:
        """Call the function, on a thread; false if it was stopped before it began."""
        with self._lock:
            if self._state != _WAITING:
                return False
            self._state = _RUNNING
        wall = perf_counter()
        process, cpu = process_time(), thread_time()
        try:
            self._context.run(self._make)
        except BaseException as error:
            self._error = failed(error)
        self._cpu = thread_time() - cpu
        wall = perf_counter() - wall
        # While another thread of this interpreter computes, this one could not have.
        self._share = max(wall - (process_time() - process - self._cpu), wall / 4)
        return True

    def _make(self) -> None:
        _within.set(True)
        self._result = result = self._target(**self._args)
        if type(result) in PLAIN and self._function.batch is None:
            return
        batch = self._function.is_batch
        if not awaits(result) and not self._function.keeps_iterator:
            self._result = result = listed(result, batch=batch, wanted=self._is_wanted)
        self._awaits = awaits(result, batch=batch)

    def _is_wanted(self) -> bool:
        return self._state != _STOPPED

    def end(self) -> None:
        """Tell how it ended; on the thread."""
        with self._lock:
            before, self._state = self._state, _OVER
        if before == _RUNNING:
            try:
                self._loop.call_soon_threadsafe(self._tell)
            except RuntimeError:  # the event loop was closed meanwhile
                before = _STOPPED
        if before == _STOPPED:
            if type(self._result) is CoroutineType:
                self._result.close()  # nobody will await it
            self._done(None, cancelled(self._function))

    def _tell(self) -> None:
        measured = self._threads.measured
        if measured is not None:
            measured(self._function, self._cpu, self._share)
        if self._error is None and self._awaits:
            self._rest = Awaited(self._function, self._result, {}, self._done, self._threads.draw)
        else:
            self._done(self._result, self._error)


class Threads:
    """Runs calls of synchronous functions, each on a thread, as many at a time as there are calls, up to a limit.

    ``measured``, if given, is called on the event loop after each call, with the function, its CPU
    time, and the time in which it could have had the CPU: who spends most of that on the CPU should be
    declared compute.
    """

    def __init__(self, measured: Measured | None = None) -> None:
        self.measured = measured
        self.forget()
        forgotten_in_children(self)

    def forget(self) -> None:
        """Begin anew: also in a forked child, where none of its parent's threads is."""
        self._calls: SimpleQueue[ThreadCall | None] = SimpleQueue()
        # One mark for each idle thread; appending and popping are atomic, so no lock.
        self._idle: deque[None] = deque()
        self._owed: deque[None] = deque()
        """One mark for each call that waits for a thread which is busy now: that one isn't idle when it is done."""
        self._count = 0
        self._lock = Lock()

    def begin(
        self,
        function: Function,
        args: Mapping[str, Any],
        done: Done,
        target: Callable[..., Any] | None = None,
    ) -> ThreadCall:
        """Start a call of a function, or of something else for it. Raises ``CallError`` if no thread can be had."""
        made = ThreadCall(self, function, function.call if target is None else target, args, done)
        try:
            self._idle.pop()
        except IndexError:
            self._add(nested=_within.get())
        self._calls.put(made)
        return made

    def _add(self, *, nested: bool) -> None:
        with self._lock:
            if self._count >= LIMIT and not nested:
                self._wait_for_one()
                return
            # A daemon: a function that sleeps for an hour doesn't keep the program alive.
            thread = Thread(
                target=_work,
                args=(self._calls, self._idle, self._owed, self._lock),
                name="llmorch-thread",
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError as error:
                if nested or not self._count:  # else the call waits for one of those
                    raise CallError(
                        f"no thread can be started to run it: {shortage(error) or error}"
                    ) from error
                self._wait_for_one()
            else:
                self._count += 1

    def _wait_for_one(self) -> None:
        try:
            self._idle.pop()  # one is by now
        except IndexError:
            self._owed.append(None)

    async def draw(self, function: Function, result: Any) -> tuple[Any, CallError | None]:
        """What an async function came to, with lists for the iterators in it."""
        return await end_of(lambda done: self.begin(function, {}, done, lambda: result))

    def release(self) -> None:
        """Let the threads end, each once its call has returned."""
        with self._lock:
            count, self._count = self._count, 0
        for _ in range(count):
            self._calls.put(None)

    def __del__(self) -> None:
        self.release()


async def end_of(begin: Callable[[Done], Any]) -> tuple[Any, CallError | None]:
    """Begin a call, and how it ended. One that is cancelled is no longer waited for."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    came: list[
        tuple[Any, CallError | None]
    ] = []  # beside the future, which asyncio may ask for the repr of its result

    def done(result: Any, error: CallError | None) -> None:
        if not ended.done():
            came.append((result, error))
            ended.set_result(None)

    call = begin(done)
    try:
        await ended
        return came[0]
    except GeneratorExit:  # it is closed from outside, perhaps after its event loop
        call.abandon()
        raise
    except BaseException:
        call.cancel()
        raise


def _work(calls: SimpleQueue[ThreadCall | None], idle: deque[None], owed: deque[None], lock: Lock) -> None:
    """Run calls until asked to end. Refers to no ``Threads``, so that those can be dropped."""
    while (call := calls.get()) is not None:
        begun = call.run()
        # Before anybody hears of it: the next call of a chain finds this thread idle.
        with lock:
            if owed:
                owed.pop()
            else:
                idle.append(None)
        if begun:
            call.end()
        del call
