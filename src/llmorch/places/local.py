"""The places of this machine: the event loop, threads, and worker processes that are started once and kept.

Decides which of them is a call's, and how what it came to is handed on. It must not know of plans,
models or order.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from llmorch.declare.functions import Function
from llmorch.errors import CallError
from llmorch.places.arguments import Inputs, arguments
from llmorch.places.batches import Batch
from llmorch.places.forks import forgotten_in_children
from llmorch.places.handing import Held, opened
from llmorch.places.port import End, Here
from llmorch.places.showing import SECONDS, Shown, late, shown
from llmorch.places.stopping import PATIENCE, Awaited, cancelled, failed
from llmorch.places.threads import Threads, end_of
from llmorch.places.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from llmorch.places.port import Handle, Job, Work
    from llmorch.places.stopping import Done
    from llmorch.places.threads import Measured


class Local:
    """Where calls run on this machine: ``count`` processors, and GPUs by what they are called.

    An async function waits on the event loop of its job, a synchronous one on a thread. A call that has
    processors runs in their worker process, and one that must be stopped and could not be in any
    process. ``measured`` is called as ``Threads`` says.
    """

    def __init__(self, count: int, devices: Sequence[str] = (), measured: Measured | None = None) -> None:
        self._threads = Threads(measured)
        self._workers = Workers(count, devices)
        self._running: set[_Call] = set()
        self._closed = False
        forgotten_in_children(self)

    def forget(self) -> None:
        """Know of no call, in a forked child: those that run are its parent's."""
        self._running = set()

    def start(self, functions: Iterable[Function]) -> None:
        """Start the workers without waiting, if any of these functions needs one."""
        if any(item.kind == "compute" and not item.asks_model for item in functions):
            self._workers.start()

    def begin(self, job: Job, ended: Callable[[Sequence[End]], None]) -> Work:
        """Start a job."""
        function = job.function
        call = _Call(self._running, ended)
        results = Inputs(job.inputs)
        try:
            if self._closed:
                raise CallError(f"{function.name} can't be called: its processor is closed")
            if len(job.calls) > 1:
                call.batch = batch = Batch(function, job.calls, results)
                function, args = batch.function, batch.args
                if batch.is_empty:
                    call.loop.call_soon(call, None, None)
                    return call
            else:
                handed = results if job.processors or function.in_process else None
                args = arguments(job.calls[0], function, results, handed=handed)
            if job.processors or function.in_process:
                workers = self._workers
                place = workers.place(job.processors, job.device) if job.processors else workers
                call.work = _InProcess(function, place.hand(function, args), call)
            elif function.show is not None:
                call.work = showing = _Showing(self._threads, function, call)
                showing.work = self._begin_here(function, args, showing.made)
            else:
                call.work = self._begin_here(function, args, call)
        except CallError as error:
            call.loop.call_soon(call, None, error)
        return call

    def _begin_here(self, function: Function, args: Mapping[str, Any], done: Done) -> Work:
        """Start a call on the event loop or on a thread."""
        if function.is_async:
            return Awaited(function, None, args, done, self._threads.draw)
        return self._threads.begin(function, args, done)

    async def execute(self, function: Function, args: Mapping[str, Any]) -> Any:
        """Call a function on the event loop or on a thread, and what it returns. Raises ``CallError``."""
        result, error = await end_of(lambda done: self._begin_here(function, args, done))
        if error is not None:
            raise error
        return await self.shown(function, result)

    async def shown(self, function: Function, result: Any) -> Any:
        """What a function came to, as ``Shown`` if the function says how it is shown: on a thread, in bounded time."""
        if function.show is None:
            return result

        def begin(done: Done) -> Work:
            showing = _Showing(self._threads, function, done)
            showing.made(result, None)
            return showing

        made, error = await end_of(begin)
        if error is not None:
            raise error
        return made

    async def close(self) -> None:
        """Stop what runs, and end every process; a thread ends once its call has returned."""
        self._closed = True
        stopping = [asyncio.wrap_future(over) for call in tuple(self._running) if (over := call.stop())]
        if stopping:
            await asyncio.wait(stopping, timeout=2 * PATIENCE)
        await self._workers.close()
        self._threads.release()


class _Call:
    """One job that runs: it stands among the ``running`` until it has ended, and tells how."""

    __slots__ = ("_ended", "_over", "_running", "batch", "loop", "work")

    def __init__(self, running: set[_Call], ended: Callable[[Sequence[End]], None]) -> None:
        self._running = running
        self._ended = ended
        self._over: Future[None] | None = None
        self.loop = asyncio.get_running_loop()
        self.work: Work | None = None
        self.batch: Batch | None = None
        running.add(self)

    def __call__(self, result: Any, error: CallError | None) -> None:
        """Take how it ended."""
        self._running.discard(self)
        self.work = None
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
        if self.batch is None:
            self._ended((_end(result, error),))
            return
        try:
            result = opened(result)
        except CallError as failure:
            error = failure
        self._ended([_end(*outcome) for outcome in self.batch.outcomes(result, error)])

    def cancel(self) -> bool:
        """Stop the work; false where a thread is in it."""
        return self.work is None or self.work.cancel()

    def stop(self) -> Future[None] | None:
        """Stop it from any thread; what is returned is done once it is over, or can't be stopped."""
        self._over = Future()
        if self not in self._running:  # it has just ended
            return None
        try:
            self.loop.call_soon_threadsafe(self._stop)
        except RuntimeError:  # its event loop is closed: nothing runs there
            return None
        return self._over

    def _stop(self) -> None:
        if not self.cancel() and self._over is not None and not self._over.done():
            self._over.set_result(None)


def _end(result: Any, error: CallError | None) -> End:
    if error is not None:
        return End(error=error)
    if not isinstance(result, Held | Shown):
        return End(Here(result))
    text, why = None, ""
    if isinstance(result, Shown):
        result, text, why = result
    handle: Handle = result if isinstance(result, Held) else Here(result)
    handle.text, handle.why = text, why
    return End(handle)


class _InProcess:
    """A call in a process."""

    __slots__ = ("_cancelled", "_done", "_function", "_task")

    def __init__(self, function: Function, made: Coroutine[Any, Any, Any], done: Done) -> None:
        self._function = function
        self._done = done
        self._cancelled = False
        self._task = asyncio.get_running_loop().create_task(made)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self._done(None, cancelled(self._function))
        elif (error := task.exception()) is not None:
            self._done(None, error if isinstance(error, CallError) else failed(error))
        else:
            self._done(task.result(), None)

    def cancel(self) -> bool:
        """Stop the process, once: that it has ended is waited for."""
        if not self._cancelled:
            self._cancelled = True
            self._task.cancel()
        return True


class _Showing:
    """A call of a function that says how its result is shown: the call, then the text, on a thread in bounded time."""

    def __init__(self, threads: Threads, function: Function, done: Done) -> None:
        self._threads = threads
        self._function = function
        self._done: Done | None = done
        self._loop = asyncio.get_running_loop()
        self._cancelled = False
        self._result: Any = None
        self.work: Work | None = None

    def made(self, result: Any, error: CallError | None) -> None:
        """Take what the function came to."""
        function, show = self._function, self._function.show
        if error is not None or self._cancelled or show is None:
            self._tell(None, error or cancelled(function))
            return
        self._result = result
        batch = function.is_batch
        count = len(result) if batch and isinstance(result, list | tuple) else 1
        text = Function(function.name, partial(shown, result, show, batch=batch))
        try:
            self.work = self._threads.begin(text, {}, self._tell)
        except CallError as failure:
            self._tell(None, failure)
        else:
            self._loop.call_later(SECONDS * max(1, count), self._is_late)

    def _is_late(self) -> None:
        if self._done is not None and self.work is not None and not self._cancelled:
            self.work.cancel()  # whose end nobody hears any more
            self._tell(late(self._result, batch=self._function.is_batch), None)

    def _tell(self, result: Any, error: CallError | None) -> None:
        done, self._done, self._result = self._done, None, None
        if done is not None:
            done(result, error)

    def abandon(self) -> None:
        """The same as ``cancel``, where nobody hears any more of how it ended."""
        self._done = None
        self.cancel()

    def cancel(self) -> bool:
        """Stop it; false where a thread is in one of its functions."""
        self._cancelled = True
        return self.work is None or self.work.cancel()
