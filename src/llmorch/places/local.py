"""The places of this machine: the event loop, threads, and worker processes that are started once and kept.

Decides which of them is a call's, and how what it came to is handed on.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from llmorch.declare.functions import Function
from llmorch.declare.text import is_a
from llmorch.errors import CallError
from llmorch.places.apart import Apart, apart
from llmorch.places.arguments import Inputs, arguments
from llmorch.places.as_one import AsOne, end
from llmorch.places.coroutines import Awaited, cancelled
from llmorch.places.iterators import items_of
from llmorch.places.jobs import Begun, Jobs, Task, closed
from llmorch.places.shown import SECONDS, late, shown
from llmorch.places.threads import Threads, end_of
from llmorch.places.workers import Workers
from llmorch.plan.budget import Budget, Uncounted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

    from llmorch.places.coroutines import Done
    from llmorch.places.port import End, Job, Work
    from llmorch.places.threads import Measured

T = TypeVar("T")


class Local:
    """Where calls run on this machine: ``count`` processors, and GPUs by what they are called.

    An async function waits on the event loop of its job, a synchronous one on a thread. A call that has
    processors runs in their worker process, and one that must be stopped and could not be in any
    process. ``measured`` is called as ``Threads`` says, and ``only`` is as ``Workers`` says.
    """

    def __init__(
        self,
        count: int,
        devices: Sequence[str] = (),
        measured: Measured | None = None,
        *,
        only: Collection[str] | None = None,
    ) -> None:
        self._threads = Threads(measured)
        self._workers = Workers(count, devices, only=only)
        self._jobs = Jobs()

    def start(self, functions: Iterable[Function]) -> None:
        """Start the workers without waiting, if any of these functions needs one."""
        if any(item.kind == "compute" and not item.asks_model for item in functions):
            self._workers.start()

    def begin(self, job: Job, ended: Callable[[Sequence[End]], None]) -> Work:
        """Start a job."""
        begun = _Begun(self._jobs, job, ended)
        begun.as_one = None
        try:
            if self._jobs.is_closed:
                raise closed(job.function.name)
            try:
                begun.work = self._begin(begun, _given(job))
            except Uncounted:
                compute = partial(_given, job, apart=True)
                begun.work = Apart(
                    self._threads, job.function, compute, partial(self._begin_or_fail, begun), begun.fail
                )
        except CallError as error:
            begun.loop.call_soon(begun.fail, error)
        return begun

    def _begin_or_fail(self, begun: _Begun, given: Mapping[str, Any] | AsOne, elapsed: float) -> Work | None:
        try:
            return self._begin(begun, given, elapsed)
        except CallError as error:
            begun.fail(error)
            return None

    def _begin(self, begun: _Begun, given: Mapping[str, Any] | AsOne, elapsed: float = 0.0) -> Work | None:
        """Start a job whose arguments are known, after so many seconds; no work is left where nothing is to call."""
        job, function, args = begun.job, begun.job.function, given
        if isinstance(given, AsOne):
            begun.as_one = given
            function, args = given.function, given.args
            if given.is_empty:
                begun.loop.call_soon(begun, None, None)
                return None
        assert not isinstance(args, AsOne)
        if elapsed and function.timeout is not None:
            function = replace(function, elapsed=elapsed)
        if job.processors or function.in_process:
            workers = self._workers
            worker = workers.worker_for(job.processors, job.device) if job.processors else workers
            return Task(begun.made(worker.hand, function, args), begun)
        if function.show is None:
            return self._begin_here(function, args, begun)
        showing = _Showing(self._threads, function, begun)
        showing.work = self._begin_here(function, args, showing.made)
        return showing

    async def apart(self, function: Function, compute: Callable[[], T]) -> T:
        """What a computation for a call comes to, on a thread. Raises ``CallError``."""
        return await apart(self._threads, function, compute)

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
        await self._jobs.close()
        await self._workers.close()
        self._threads.release()


def _given(job: Job, *, apart: bool = False) -> Mapping[str, Any] | AsOne:
    """What a job's function is called with. Raises ``CallError``, and ``Uncounted`` unless ``apart``."""
    elsewhere = bool(job.processors) or job.function.in_process
    if len(job.calls) > 1:
        return AsOne(job, apart=apart, handed=elsewhere)
    results = Inputs(job.inputs, apart=apart)
    return arguments(job.calls[0], job.function, results, Budget(apart=apart), handed=elsewhere)


class _Begun(Begun):
    """A job that hears how the function ended that was called for it."""

    __slots__ = ("as_one",)

    as_one: AsOne | None

    def __call__(self, result: Any, error: CallError | None) -> None:
        """Take how it ended."""
        self.tell((end(result, error),) if self.as_one is None else self.as_one.ends(result, error))

    def fail(self, error: CallError) -> None:
        """It has failed."""
        self(None, error)

    async def made(
        self,
        hand: Callable[[Function, Mapping[str, Any]], Awaitable[Any]],
        function: Function,
        args: Mapping[str, Any],
    ) -> Sequence[End]:
        """What came of it in a process."""
        result = await hand(function, args)
        return (end(result),) if self.as_one is None else self.as_one.ends(result)


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
        count = sum(1 for _ in items_of(result)) if batch and is_a(result, (list, tuple)) else 1
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
