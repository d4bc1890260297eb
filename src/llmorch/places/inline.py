"""The processor for calls that wait: coroutines on the event loop, the rest on threads.

Decides how a synchronous function leaves the loop and how its result comes back. It must
not know of processes, and it can't stop a thread: it stops waiting for it, and what the
thread returns later is dropped. How a coroutine is stopped is in ``stopping.py``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from queue import SimpleQueue
from threading import Thread
from time import perf_counter, process_time, thread_time
from typing import TYPE_CHECKING, Any

from llmorch.declare.functions import Function
from llmorch.errors import CallError
from llmorch.places.iterators import PLAIN, awaits, listed
from llmorch.places.showing import SECONDS, late, shown
from llmorch.places.stopping import Awaited, cancelled, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmorch.places.stopping import Done, Draw

    Measured = Callable[[Function, float, float], None]
    Leave = Callable[[Function], Callable[[], None]]

LIMIT = 256
"""The most threads; calls past it wait for one. A blocked thread costs memory, not time."""


class _Job:
    """One call of a synchronous function, and how it went."""

    __slots__ = (
        "args",
        "awaits",
        "call",
        "context",
        "cpu",
        "done",
        "draw",
        "dropped",
        "ended",
        "error",
        "function",
        "leave",
        "loop",
        "measured",
        "over",
        "rest",
        "result",
        "share",
    )

    def __init__(
        self,
        function: Function,
        call: Callable[..., Any],
        args: Mapping[str, Any],
        context: Context,
        done: Done,
        loop: asyncio.AbstractEventLoop,
        measured: Measured | None,
        leave: Leave | None,
        draw: Draw,
    ) -> None:
        self.function = function
        self.call = call
        self.args = args
        self.context = context
        self.done = done
        self.measured = measured
        self.dropped = False
        """Whether nobody waits for what comes of it any more."""
        self.leave = leave
        self.draw = draw
        self.awaits = False
        """Whether what the function came to takes an event loop."""
        self.ended = False
        self.over: Callable[[], None] | None = None
        """What to call on the thread when a call that was given up has ended."""
        self.loop = loop
        self.result: Any = None
        self.error: CallError | None = None
        self.rest: Awaited | None = None
        """What the function left to wait for."""
        self.cpu = self.share = 0.0

    def run(self) -> None:
        """Call the function; on a thread."""
        wall = perf_counter()
        process, cpu = process_time(), thread_time()
        try:
            self.context.run(self._make)
        except BaseException as error:
            self.error = failed(error)
        self.cpu = thread_time() - cpu
        wall = perf_counter() - wall
        # While another thread of this interpreter computes, this one could not have.
        self.share = max(wall - (process_time() - process - self.cpu), wall / 4)

    def _make(self) -> None:
        self.result = result = self.call(**self.args)
        if type(result) in PLAIN and self.function.batch is None:
            return
        batch = self.function.is_batch
        if not awaits(result) and not self.function.keeps_iterator:
            self.result = result = listed(result, batch=batch, wanted=lambda: not self.dropped)
        self.awaits = awaits(result, batch=batch)

    def finish(self) -> None:
        """Take note that the function has returned, or was never called; on the thread."""
        self.ended = True
        if self.over is not None:
            self.over()

    def cancel(self) -> None:
        """Nobody waits any more. What a thread does can't be stopped; its result is dropped."""
        if self.rest is not None:
            self.rest.cancel()
        elif not self.dropped:
            self._give_up()
            self.loop.call_soon(self.done, None, cancelled(self.function))

    def abandon(self) -> None:
        """The same, where nobody may be told any more."""
        if self.rest is not None:
            self.rest.abandon()
        elif not self.dropped:
            self._give_up()

    def _give_up(self) -> None:
        self.dropped = True
        if self.leave is not None and not self.ended:
            self.over = self.leave(self.function)
            if self.ended:  # meanwhile
                self.over()

    def settle(self) -> None:
        """Tell whoever waits, if somebody still does; on the loop."""
        if self.dropped:
            return
        self.dropped = True
        if self.measured is not None:
            self.measured(self.function, self.cpu, self.share)
        if self.error is None and self.awaits:
            self.rest = Awaited(self.function, self.result, {}, self.done, self.draw)
        else:
            self.done(self.result, self.error)


class Inline:
    """Runs inout calls in this process, any number at a time.

    ``measured``, if given, is called on the event loop after each call of a synchronous
    function, with the function, its CPU time, and the time in which it could have had
    the CPU: who spends most of that on the CPU should be declared compute. ``leave``, if
    given, is called with the function of a call that is given up while a thread may be in
    it, and answers with what to call when the thread is out of it.
    """

    def __init__(self, *, measured: Measured | None = None, leave: Leave | None = None) -> None:
        self.measured = measured
        self._leave = leave
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        # One mark for each idle thread; appending and popping are atomic, so no lock.
        self._idle: deque[None] = deque()
        self._threads = 0
        self._closed = False

    async def execute(self, function: Function, args: Mapping[str, Any]) -> Any:
        """Call ``function`` with ``args`` and return what it returns."""
        if self._closed:
            raise CallError(f"{function.name} can't be called: its processor is closed")
        result, error = await _end_of(lambda done: self.begin(function, args, done))
        if error is not None:
            raise error
        return await self.shown(function, result)

    async def shown(self, function: Function, result: Any) -> Any:
        """The result, and if the function says how it is shown, its text with it: on a thread, in bounded time."""
        if function.show is None:
            return result
        batch = function.is_batch
        show = Function(function.name, partial(shown, result, function.show, batch=batch))
        count = len(result) if batch and isinstance(result, list | tuple) else 1
        ended: asyncio.Future[tuple[Any, CallError | None]] = asyncio.get_running_loop().create_future()
        call = self.begin(show, {}, lambda *came: None if ended.done() else ended.set_result(came))
        try:
            await asyncio.wait((ended,), timeout=SECONDS * max(1, count))
        finally:
            if not ended.done():
                call.abandon()
        if not ended.done():
            return late(result, batch=batch)
        made, error = ended.result()
        if error is not None:
            raise error
        return made

    async def _draw(self, function: Function, result: Any) -> tuple[Any, CallError | None]:
        """What an async function came to, with lists for the iterators in it: on a thread."""
        return await _end_of(lambda done: self._on_thread(function, lambda: result, {}, done))

    def begin(self, function: Function, args: Mapping[str, Any], done: Done) -> Awaited | _Job:
        """Start a call; ``done`` hears on the event loop how it ended, once.

        This is ``execute`` without a task around it, which takes two turns of the event
        loop more. What is returned can be cancelled, and then ends soon. Raises ``CallError``
        if the call can't be started.
        """
        if function.is_async:
            return Awaited(function, None, args, done, self._draw)
        return self._on_thread(function, function.call, args, done)

    def _on_thread(
        self, function: Function, call: Callable[..., Any], args: Mapping[str, Any], done: Done
    ) -> _Job:
        loop = asyncio.get_running_loop()
        job = _Job(function, call, args, copy_context(), done, loop, self.measured, self._leave, self._draw)
        self._submit(job)
        return job

    def _submit(self, job: _Job) -> None:
        try:
            self._idle.pop()
        except IndexError:
            if self._threads < LIMIT:
                self._add_thread()
        self._jobs.put(job)

    def _add_thread(self) -> None:
        # A daemon: a function that sleeps for an hour doesn't keep the program alive.
        thread = Thread(target=_work, args=(self._jobs, self._idle), name="llmorch-inline", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not self._threads:  # else the call waits for one of those
                raise CallError(f"no thread can be started to run it: {error}") from error
        else:
            self._threads += 1

    async def close(self) -> None:
        """Let the threads end, each once its call has returned."""
        self._closed = True
        self._release()

    def _release(self) -> None:
        threads, self._threads = self._threads, 0
        for _ in range(threads):
            self._jobs.put(None)

    def __del__(self) -> None:
        self._release()


async def _end_of(begin: Callable[[Done], Awaited | _Job]) -> tuple[Any, CallError | None]:
    """Begin a call, and how it ended: one that is cancelled has ended before this is."""
    ended: asyncio.Future[tuple[Any, CallError | None]] = asyncio.get_running_loop().create_future()

    def done(result: Any, error: CallError | None) -> None:
        if not ended.done():
            ended.set_result((result, error))

    call = begin(done)
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        call.cancel()
        await ended  # which it has soon, whatever it does
        raise
    except GeneratorExit:
        call.abandon()
        raise


def _work(jobs: SimpleQueue[_Job | None], idle: deque[None]) -> None:
    """Run jobs until told to end. Refers to no ``Inline``, so that one can be dropped."""
    while (job := jobs.get()) is not None:
        if not job.dropped:
            job.run()
        job.finish()
        # Before the loop hears of it: the next call of a chain finds this thread idle.
        idle.append(None)
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
            job.loop.call_soon_threadsafe(job.settle)
        del job
