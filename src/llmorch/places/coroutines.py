"""Calls of async functions, which can be stopped: also when they won't hear of it.

Decides how a coroutine is run, cancelled, and in the end closed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

from llmorch.declare.text import is_a
from llmorch.errors import CallError
from llmorch.places.failure import described, kinds_of, late
from llmorch.places.iterators import PLAIN, awaited, draws, is_awaitable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping

    from llmorch.declare.functions import Function

    Done: TypeAlias = Callable[[Any, CallError | None], None]
    Draw: TypeAlias = Callable[[Function, Any], Awaitable[tuple[Any, CallError | None]]]

PATIENCE = 1.0
"""Seconds that a coroutine has to end once it is cancelled; then it is closed where it waits."""
BLOCKED = 0.02
"""Seconds by which a timer is late only if something blocked the event loop."""
TURNS = 2
"""Turns of the event loop that a call has to end if another one blocked it past the end of its time."""
_left: set[asyncio.Task[Any]] = set()
"""Tasks that could not even be closed: asyncio would complain about each if it were dropped."""


class Awaited:
    """One call of an async function, or what is ``left`` to wait for of a synchronous one.

    ``draw`` makes a list of a synchronous iterator, where a slow one doesn't block the event loop.
    ``done`` hears how it ended, once: at the latest when ``PATIENCE`` has passed since it
    was cancelled or its timeout passed. What it does or returns after that counts no more.
    """

    __slots__ = ("_done", "_draw", "_function", "_loop", "_reported", "_steps", "_stopped", "_task", "_timer")

    def __init__(
        self, function: Function, left: Any, args: Mapping[str, Any], done: Done, draw: Draw
    ) -> None:
        self._function = function
        self._done = done
        self._draw = draw
        self._reported = False
        self._stopped: CallError | None = None
        self._loop = loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._steps: _Steps | None = None
        self._task = loop.create_task(self._run(left, args))

    async def _run(self, left: Any, args: Mapping[str, Any]) -> None:
        function, result, error = self._function, None, None
        if function.timeout is not None:  # now that it begins: what ran before is no time of its own
            ends = self._loop.time() + function.timeout - function.elapsed
            self._steps = _Steps(self._called(left, args), self._loop.time, ends)
            self._timer = self._loop.call_at(ends, self._expire)
        try:
            result, error = await (self._called(left, args) if self._steps is None else self._steps)
        except BaseException as raised:
            if is_a(raised, GeneratorExit) and _current_task() is not self._task:
                raise  # it is closed from outside; the function didn't raise it
            if is_a(raised, asyncio.CancelledError) and self._task.cancelling():
                self._report(None, cancelled(function))
                raise
            error = failed(raised)
        if self._steps is not None and self._steps.blocked:
            error = late(function.name, function.timeout)
        self._report(result if error is None else None, error)

    async def _called(self, left: Any, args: Mapping[str, Any]) -> tuple[Any, CallError | None]:
        result = self._function.call(**args) if left is None else left
        if is_awaitable(result):
            result = await result
        if type(result) in PLAIN and self._function.batch is None:
            return result, None
        return await self._whole(result)

    async def _whole(self, result: Any) -> tuple[Any, CallError | None]:
        """What the function came to, as a list if it is an iterator."""
        batch = self._function.is_batch
        result, error = await awaited(result, batch=batch), None
        if draws(result, batch=batch) and not self._function.keeps_iterator:
            result, error = await self._draw(self._function, result)
        return (await awaited(result, batch=True) if batch else result), error

    def _report(self, result: Any, error: CallError | None) -> None:
        if self._reported:
            return
        self._reported = True
        if self._timer is not None:
            self._timer.cancel()
        if self._stopped is None:
            self._done(result, error)
        else:
            self._done(None, self._stopped)

    def _ended(self, task: asyncio.Task[None]) -> None:
        _left.discard(task)
        if self._stopped is not None and not task.cancelled():
            task.exception()  # of nobody's interest, which asyncio wants to be asked for
        self._report(None, cancelled(self._function))  # if it was cancelled before it began
        del self._task  # its frames lead here

    def cancel(self) -> bool:
        """Stop it; nobody wants what it returns."""
        self._stop(cancelled(self._function))
        return True

    def _expire(self, turns: int = TURNS) -> None:
        assert self._steps is not None
        if turns and self._steps.is_overdue and not self._steps.blocked:
            # Another one blocked the event loop: what this one waited for may be there since long.
            self._loop.call_soon(self._expire, turns - 1)
            return
        self._stop(late(self._function.name, self._function.timeout))

    def _stop(self, why: CallError) -> None:
        if self._reported or self._stopped is not None:
            return
        self._stopped = why
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(PATIENCE, self.abandon)
        self._task.add_done_callback(self._ended)
        self._task.cancel()

    def abandon(self) -> None:
        """Close the coroutine where it waits: it does nothing more, whatever it would like to."""
        if self._reported:
            return
        self._stopped = self._stopped or cancelled(self._function)
        coroutine: Any = self._task.get_coro()
        try:
            coroutine.close()
        except BaseException:  # it won't have that either: it may go on, and nobody waits for it
            leave(self._task)
        if not self._loop.is_closed():
            self._task.cancel()  # what it waits for has no one to wait for it
            self._report(None, None)


class _Steps:
    """Runs a coroutine step by step, and knows whether one of them blocked the event loop past the end of its time."""

    __slots__ = ("_clock", "_coroutine", "_ends", "blocked")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], clock: Callable[[], float], ends: float) -> None:
        self._coroutine = coroutine
        self._clock = clock
        self._ends = ends
        self.blocked = False

    @property
    def is_overdue(self) -> bool:
        """Whether its time ended so long ago that the event loop must have been blocked."""
        return self._clock() - self._ends > BLOCKED

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine = self._coroutine
        step, value = coroutine.send, None
        while True:
            began = self._clock()
            try:
                waited_for = step(value)
            except StopIteration as stop:
                return stop.value
            finally:
                value = None  # an error that leads here would be one that it leads to
                self.blocked = self.blocked or began <= self._ends < self._clock()
            try:
                step, value = coroutine.send, (yield waited_for)
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:
                step, value = coroutine.throw, error


async def end_tasks() -> None:
    """End every other task of this event loop, as ``asyncio.run`` does, but not waiting for ever.

    A function may have started tasks of its own that ignore their cancellation. What is
    still there after ``PATIENCE`` is left behind, and does nothing once the loop is closed.
    """
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=PATIENCE)
        for task in left:
            leave(task)


def leave(task: asyncio.Task[Any]) -> None:
    """Wait no longer for a task that won't end."""
    _left.add(task)
    asyncio._unregister_task(task)  # or the end of the event loop would wait for it


def cancelled(function: Function) -> CallError:
    """The failure of a call that was cancelled, for whoever still asks."""
    return CallError(f"{function.name} was cancelled")


def failed(error: BaseException) -> CallError:
    """What is known of an exception that a function raised."""
    message, detail = described(error)
    return CallError(message, detail=detail, kinds=kinds_of(error))


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs
        return None
