"""A run from outside: how long it may take, and how it is cancelled while it goes on.

Decides who may stop what, and when.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from llmorch.arguments import text
from llmorch.declare.text import one_line
from llmorch.errors import LimitReached, LLMOrchError, WrongArgument, shortage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
    from typing import TypeVar

    from llmorch.calls import CallId, FunctionCall, Plan
    from llmorch.result import Result
    from llmorch.runtime.driver import Execution

    T = TypeVar("T")


class Run:
    """A query or a plan that is run in the background.

    ``await run`` gives its ``Result``, or raises what ``Orchestrator.run`` raises; to cancel
    the task that waits for it cancels the run too.
    """

    def __init__(self, play: Callable[[Run], Coroutine[Any, Any, Result]], plan: Plan | None = None) -> None:
        self.plan = plan
        """The plan, where it is known from the beginning."""
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise LLMOrchError(
                "no event loop runs here; use run_sync, execute_sync, or an async function"
            ) from None
        self._planned = {call.id: call for call in plan or ()}
        self._early: dict[CallId, FunctionCall] = {}
        """Calls that were cancelled before they were begun."""
        self._execution: Execution | None = None
        self.cancelled = False
        """Whether all of it was cancelled."""
        self._task = self._loop.create_task(play(self))

    def __await__(self) -> Generator[Any, None, Result]:
        return self._task.__await__()

    def cancel(self, call: CallId | None = None) -> None:
        """Cancel the run, or one call of it; from any thread.

        A cancelled run has a result all the same: it says what had finished. A cancelled
        call, such as ``"s4"``, is stopped as a timeout would stop it; what depends on it is
        skipped, all else goes on, and no later plan of the model makes it again. What has
        ended already stays as it is. Raises ``WrongArgument`` for a call that the run doesn't
        have (yet).
        """
        if call is not None:
            text("call", call, "the id of a call, such as s4")
            known = {} if self._execution is None else self._execution.core.states
            if call not in known and call not in self._planned:
                listed = ", ".join(known) or "none yet"
                raise WrongArgument(f"the run has no call {one_line(call)}; it has {listed}")
        if asyncio._get_running_loop() is self._loop:
            self._cancel(call)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel, call)

    def _cancel(self, call: CallId | None) -> None:
        if self._task.done() or self.cancelled:
            return
        if call is None:
            self.cancelled = True
            self._loop.call_soon(self._task.cancel)  # a task that hasn't taken its first step has no result
        else:
            self._loop.call_soon(self._stop, call)  # an observer may ask before what it hears of is done

    def _stop(self, call: CallId) -> None:
        if self._task.done():
            return
        if self._execution is not None and call in self._execution.core.states:
            self._execution.cancel(call)
        elif call in self._planned:
            self._early[call] = self._planned[call]
            if self._execution is not None:
                self.attach(self._execution)

    def attach(self, execution: Execution) -> None:
        """Know where the calls run."""
        self._execution = execution
        for call in self._early.values():
            execution.core.unwant(call)


class Limit:
    """A run's deadline in seconds, which begins when the run is asked for."""

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline
        self._ends = None if deadline is None else asyncio.get_running_loop().time() + deadline

    async def within(self, work: Awaitable[T]) -> T:
        """What comes of ``work``. Raises ``LimitReached`` once the deadline has passed."""
        async with self._stopped():
            try:
                came = await work
            except LLMOrchError as error:
                if self._passed():
                    raise self._reached() from error
                raise
        if self._passed():  # what it called blocked the event loop, so that no timer could stop it
            raise self._reached()
        return came

    @asynccontextmanager
    async def _stopped(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(self._ends) as limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise self._reached() from None

    def _passed(self) -> bool:
        return self._ends is not None and asyncio.get_running_loop().time() > self._ends

    def _reached(self) -> LimitReached:
        return LimitReached(f"the run took longer than its deadline of {self._deadline:g} s")


def outside_loop(work: Coroutine[Any, Any, T], name: str) -> T:
    """Run a coroutine of an orchestrator where no event loop runs. Raises ``LLMOrchError`` where one does."""
    if _in_loop():
        work.close()
        raise LLMOrchError(f"an event loop runs already; write: await orchestrator.{name}(...)")

    came: list[T] = []
    begun = False

    async def alone() -> None:
        from llmorch.places.coroutines import end_tasks

        nonlocal begun
        begun = True
        try:
            came.append(await work)
        finally:
            await end_tasks()

    running = alone()
    try:
        asyncio.run(running)
    except (OSError, RuntimeError) as error:
        lacking = shortage(error)
        if begun:
            if came and lacking:  # only the end of the event loop lacked something
                return came[0]
            raise
        _forget_half_made(error)
        running.close()
        work.close()
        if not lacking:
            raise
        raise LLMOrchError(f"there is no event loop to run it: {lacking}") from None
    return came[0]


def _forget_half_made(error: BaseException) -> None:
    """Let an event loop go that found no descriptors: CPython would print a traceback when it closes that."""
    for frame, _ in walk_tb(error.__traceback__):
        loop = frame.f_locals.get("self")
        if isinstance(loop, asyncio.BaseEventLoop) and not hasattr(loop, "_ssock"):
            loop._closed = True  # type: ignore[attr-defined]


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
