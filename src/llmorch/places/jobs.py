"""The jobs of a place that run: each reports its end once, and all are stopped together from any thread.

Whoever writes a place has its ``begin`` and its ``close`` here.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from llmorch.declare.text import is_a
from llmorch.errors import CallError
from llmorch.places.failure import described, kinds_of
from llmorch.places.forks import forgotten_in_children
from llmorch.places.port import End

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from llmorch.places.port import Job, Work

    Ended = Callable[[Sequence[End]], None]

PATIENCE = 5.0
"""Seconds in which what was stopped has to end when a place is closed."""


class Begun:
    """A job that runs, on this event loop: whoever makes it sets ``work``, and tells its ends."""

    __slots__ = ("_closed", "_ended", "_over", "_running", "job", "loop", "work")

    def __init__(self, jobs: Jobs, job: Job, ended: Ended) -> None:
        self.job = job
        self.loop = asyncio.get_running_loop()
        self.work: Work | None = None
        self._ended = ended
        self._running = jobs.running
        self._over: Future[None] | None = None
        self._closed = False
        """Whether it is stopped because its place is closed."""
        self._running.add(self)

    def tell(self, ends: Sequence[End]) -> None:
        """It has ended."""
        self._running.discard(self)
        self.work = None
        if self._over is not None:
            self._set_over()
        if self._closed:
            why = CallError(f"{self.job.function.name} was stopped: its processors were closed")
            ends = [End(error=why) if end.value is None else end for end in ends]
        self._ended(ends)

    def fail(self, error: CallError) -> None:
        """All of its calls have failed."""
        self.tell([failure(error)] * len(self.job.calls))

    def cancel(self) -> bool:
        """Stop the work; false where that can't be done."""
        return self.work is None or self.work.cancel()

    def stop(self) -> Future[None] | None:
        """Stop it from any thread; what is returned is done once it is over, or can't be stopped."""
        over: Future[None] = Future()
        self._over = over
        if self not in self._running:  # it has just ended
            return None
        try:
            self.loop.call_soon_threadsafe(self._stop)
        except RuntimeError:  # its event loop is closed: nothing runs there
            return None
        return over

    def _stop(self) -> None:
        self._closed = True
        if not self.cancel():
            self._set_over()

    def _set_over(self) -> None:
        over, self._over = self._over, None
        if over is not None:
            over.set_result(None)


class Jobs:
    """Those of one place. After ``close`` each that is begun fails."""

    def __init__(self) -> None:
        self.running: set[Begun] = set()
        self.is_closed = False
        """Whether each job that is begun from now on fails."""
        forgotten_in_children(self)

    def forget(self) -> None:
        """Know of none, in a forked child: those that run are its parent's."""
        self.running = set()

    def begin(self, job: Job, made: Coroutine[Any, Any, Sequence[End]], ended: Ended) -> Work:
        """Run a coroutine that makes a job: what it returns are the ends, and a ``CallError`` fails all calls.

        It is cancelled to stop it, once, and may then take some time to undo what it did.
        """
        begun = Begun(self, job, ended)
        if self.is_closed:
            made.close()
            begun.loop.call_soon(begun.fail, closed(job.function.name))
        else:
            begun.work = Task(made, begun)
        return begun

    async def close(self) -> None:
        """Stop all that run, and return when they have ended; may be called twice."""
        self.is_closed = True
        stopping = [asyncio.wrap_future(over) for begun in tuple(self.running) if (over := begun.stop())]
        if stopping:
            await asyncio.wait(stopping, timeout=PATIENCE)


class Task:
    """A coroutine that makes a job, as its work."""

    __slots__ = ("_begun", "_cancelled", "_coroutine", "_task")

    def __init__(self, made: Coroutine[Any, Any, Sequence[End]], begun: Begun) -> None:
        self._begun = begun
        self._cancelled = False
        self._coroutine = made
        # An error leads to its frames, they lead here, and the task to the error: it is let go at the end.
        self._task: asyncio.Task[None] | None = begun.loop.create_task(self._made())
        self._task.add_done_callback(self._ended)

    async def _made(self) -> None:
        """Make it, and tell the ends at once: what comes next needn't wait for another round of the event loop."""
        try:
            ends = await self._coroutine
        except Exception as error:
            failed = _failed(error)
        else:
            self._leave()
            self._begun.tell(ends)
            return
        self._leave()
        self._begun.fail(failed)

    def _leave(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.remove_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """It was cancelled, perhaps before it began."""
        self._task = None
        self._coroutine.close()
        if task.cancelled():
            self._begun.fail(CallError(f"{self._begun.job.function.name} was cancelled"))
        elif (error := task.exception()) is not None:
            self._begun.fail(_failed(error))

    def cancel(self) -> bool:
        """Stop it, once: its end is waited for."""
        if not self._cancelled and self._task is not None:
            self._cancelled = True
            self._task.cancel()
        return True


def _failed(error: BaseException) -> CallError:
    if is_a(error, CallError):
        return error  # type: ignore[return-value]
    text, detail = described(error)
    return CallError(text, detail=detail, kinds=kinds_of(error))


def failure(error: CallError) -> End:
    """The end of a call that failed, without the frames that the error came through: they hold arguments."""
    error.__traceback__ = error.__context__ = None
    return End(error=error)


def closed(name: str) -> CallError:
    """The failure of a call of this function that was begun too late."""
    return CallError(f"{name} can't be called: its processors are closed")
