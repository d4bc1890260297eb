"""The real-time driver of the core: events from running calls, commands to them.

Every task is owned by one group, every function's exception becomes an event, and what
happens next is the core's to say. This module must not decide any order.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from llmorch.errors import CallError, ModelError
from llmorch.relations import touches
from llmorch.runtime.ahead import ReadingAhead
from llmorch.runtime.arguments import arguments
from llmorch.runtime.attempts import Attempt
from llmorch.runtime.batching import Part
from llmorch.runtime.direct import Direct
from llmorch.runtime.making import Making
from llmorch.runtime.outcomes import Outcomes
from llmorch.runtime.results import spent
from llmorch.runtime.sharing import Sharing, shares
from llmorch.schedule import (
    BatchEnded,
    CallCancelled,
    CallCompleted,
    CallFailed,
    CallStopped,
    Cancel,
    CancelRequested,
    Dispatch,
    EffectsKnown,
    Finish,
    Keep,
    ModelOccupied,
    ModelReleased,
    PlanExtended,
    PlanRevised,
    ReturnRate,
    Share,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.requests import Usage
    from llmorch.runtime.placing import OpenPlaces
    from llmorch.runtime.retrying import Retried
    from llmorch.schedule import Command, Event, Orchestration


class Observer(Protocol):
    """Sees every event and command of an execution, as it happens."""

    def __call__(self, message: Event | Command, at: float) -> None:
        """``at`` is in seconds from the start of execution."""


class Execution:
    """One plan's execution on real processors.

    Calls run in ``places``. ``ask`` sends a prompt to the model for the functions that ask
    it, and adds up what the call asked. ``ahead`` has an idle model read the beginning of a
    prompt that it will be asked, where it can. ``only`` says that nothing is planned in the
    light of this plan's results: they are freed after their last use.
    """

    def __init__(
        self,
        core: Orchestration,
        functions: Mapping[str, Function],
        *,
        places: OpenPlaces,
        ask: Callable[[str, Usage], Awaitable[str]],
        ahead: Callable[[str], Awaitable[None]] | None = None,
        observer: Observer | None = None,
        only: bool = False,
    ) -> None:
        self.core = core
        self.outcomes = Outcomes()
        self.makespan = 0.0
        self.held: tuple[FunctionCall, ...] = ()
        """Calls of the plan that a technique holds back while it asks."""
        self._functions = functions
        self._observer = observer
        self._only = only
        self._running: dict[tuple[CallId, int], Attempt] = {}
        self._group = asyncio.TaskGroup()
        self._direct = Direct(places.inline)
        self._finished = asyncio.Event()
        self._failed_lately = False
        self._news = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._began: float | None = None
        self._sharing = Sharing(core, functions, self._handle) if shares(functions) else None
        # These refer to nothing here, so that large results end with the last reference to this.
        self._ahead = ReadingAhead(
            ahead,
            core,
            functions,
            self.outcomes,
            running=self._running,
            finished=self._finished,
            group=self._group,
        )
        self._making = Making(core, functions, places=places, ask=ask, sharing=self._sharing)
        self.retried: Sequence[Retried] = self._making.retried
        """The attempts that failed and were followed by another, as that one began."""

    async def __aenter__(self) -> Execution:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            if not self._finished.is_set():
                self._handle(CancelRequested())
        except Exception as defect:  # of an observer's, mostly: what runs has to end all the same
            kind, error = type(defect), defect
        try:
            await self._direct.end()
        except asyncio.CancelledError as cancelled:
            kind, error = type(cancelled), cancelled
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            # A defect of ours, or the caller's own exception: no group around it.
            raise group.exceptions[0] from None
        finally:
            if self._sharing is not None:
                self._sharing.close()
            files = self.outcomes.settle(self.core)
            if files:
                await asyncio.to_thread(files.clear)

    def extend(
        self,
        calls: tuple[FunctionCall, ...],
        *,
        complete: bool = False,
        unused: frozenset[CallId] = frozenset(),
    ) -> None:
        """More of the plan is known; calls that are ready start before this returns."""
        self._finished.clear()
        self._handle(PlanExtended(calls, complete, unused))
        self._narrow(call.id for call in calls if call.uses)
        if complete:
            self.outcomes.drop_others(self.core)

    def revise(self) -> None:
        """The plan so far is void; ``extend`` tells the new one."""
        self._finished.clear()
        self.outcomes.forget()
        self._handle(PlanRevised())

    def occupy(self) -> None:
        """The model works on the plan from now on, on one of these processors."""
        self._ahead.planning = True
        self._handle(ModelOccupied())

    def vacate(self) -> None:
        """The model is free for the plan's own calls."""
        self._ahead.planning = False
        self._handle(ModelReleased())
        self._ahead.look()

    async def finished(self, *, or_failure: bool = False) -> bool:
        """Wait until nothing runs and nothing more can, unless the plan goes on.

        With ``or_failure`` also until a call fails, or has failed since the last time that
        this was asked; then this returns false.
        """
        while not (or_failure and self._failed_lately):
            if self._finished.is_set():
                return True
            self._news.clear()
            await self._news.wait()
        self._failed_lately = False
        return False

    def cancel(self, call: CallId) -> None:
        """Stop one call of the plan; nothing happens if it has ended.

        It counts as cancelled as soon as nothing of it runs any more.
        """
        state = self.core.states[call]
        attempt = self._running.get(state.key)
        if attempt is None:
            if state.status in ("planned", "submitted"):
                self._handle(CallCancelled(*state.key))
        elif not attempt.unwanted and attempt.work is not None:
            attempt.unwanted = True
            attempt.stop(partial(self._guarded, self._stopped, attempt))

    def _stopped(self, attempt: Attempt) -> None:
        if self._running.pop(attempt.key, None) is not None:
            self._handle(CallCancelled(*attempt.key))

    def _guarded(self, step: Callable[..., None], *args: Any) -> None:
        """Take a step in a callback of the event loop, where nobody would hear of a defect."""
        try:
            step(*args)
        except Exception as defect:
            self._group.create_task(_raised(defect))

    def _now(self) -> float:
        """Seconds from the start of execution, which the first call of the plan begins."""
        return 0.0 if self._began is None else self._clock() - self._began

    def _handle(self, event: Event | None) -> None:
        """Put an event to the core and do what it says; ``None`` if only others' holdings changed."""
        if self._began is None and isinstance(event, PlanExtended) and event.calls:
            self._began = self._clock()
        at = self._now()
        if self._sharing is not None:
            heard = self._sharing.handle(event, at)
        else:
            heard = [] if event is None else [(event, self.core.handle(event, at=at))]
        for known, commands in heard:
            if self._observer is not None:
                for message in (known, *commands):
                    self._observer(message, at)
            for command in commands:
                self._follow(command, at)

    def _follow(self, command: Command, at: float) -> None:
        match command:
            case Dispatch():
                # Read here: by the task's first step the plan may have been revised.
                made = ((command.call, command.attempt), *command.together)
                attempts = [Attempt(self.core.graph.call(id_), number, command) for id_, number in made]
                if command.together:
                    self._start_together(attempts)
                else:
                    self._start(attempts[0])
            case Keep():
                self._keep(command)
            case Share(call, same_as):
                self.outcomes.share(call, same_as)
            case Cancel():
                self._cancel(command)
            case ReturnRate():
                pass  # its time is the ledger's
            case Finish():
                self.makespan = at
                self._finished.set()
                self._news.set()
                self._ahead.stop()
            case _:
                assert_never(command)

    def _cancel(self, cancelled: Cancel) -> None:
        key = (cancelled.call, cancelled.attempt)
        attempt = self._running.pop(key, None)
        if attempt is None or attempt.work is None:  # its start raised: a defect
            return
        attempt.given_up = True
        attempt.stop(partial(self._guarded, self._handle, CallStopped(*key)))

    def _keep(self, kept: Keep) -> None:
        self.outcomes.keep(kept)
        attempt = self._running.pop((kept.before, kept.before_attempt), None)
        if attempt is not None:
            attempt.call, attempt.number = self.core.graph.call(kept.call), kept.attempt
            self._running[attempt.key] = attempt

    def _start(self, attempt: Attempt) -> None:
        """Start a call: directly where it is only called once, anything else as a task."""
        self._running[attempt.key] = attempt
        call = attempt.call
        function = self._functions[call.function]
        if (
            attempt.processors
            or function.in_process
            or function.asks_model
            or function.retries
            or function.show is not None
        ):
            # As they are now: a plan that is revised meanwhile may make other calls of these ids.
            given = self.outcomes.results.as_they_are(call.uses)
            attempt.shown = {id_: self.outcomes.shown[id_] for id_ in call.uses if id_ in self.outcomes.shown}
            attempt.work = self._group.create_task(
                self._run(attempt, partial(self._making.one, attempt, call, given))
            )
            return
        try:
            args = arguments(call, function, self.outcomes.results)
        except Exception:
            given = self.outcomes.results.as_they_are()
            made = partial(self._making.one, attempt, call, given)  # where errors become events
            attempt.work = self._group.create_task(self._run(attempt, made))
            return
        self._direct.begin(attempt, function, args, partial(self._guarded, self._ended_directly, attempt))

    def _ended_directly(self, attempt: Attempt, result: Any, error: CallError | None) -> None:
        if attempt.given_up:  # what a thread goes on using is in the ledger by now
            self._handle(CallStopped(*attempt.key))
        elif attempt.unwanted:
            self._stopped(attempt)
        else:
            self._ended([(attempt, result, error)])

    def _start_together(self, attempts: list[Attempt]) -> None:
        """Start calls that are made as one, in one task."""
        given = self.outcomes.results.as_they_are(used for attempt in attempts for used in attempt.call.uses)
        task = self._group.create_task(self._making.together(attempts, given, self._ended, self._wanted))
        part = Part(task, lambda: any(map(self._wanted, attempts)))
        for attempt in attempts:
            self._running[attempt.key] = attempt
            attempt.work = part

    def _wanted(self, attempt: Attempt) -> bool:
        return self._running.get(attempt.key) is attempt and not attempt.unwanted

    async def _run(self, attempt: Attempt, work: Callable[[], Awaitable[Any]]) -> None:
        """One call, from its work to its event."""
        try:
            result = await work()
        except (CallError, ModelError) as error:
            self._ended([(attempt, None, error)])
        else:
            self._ended([(attempt, result, None)])

    def _free(self, calls: Iterable[CallId]) -> None:
        """Free large results that every call which uses them is done with."""
        files = self.outcomes.results.release(spent(calls, self.core))
        if files:  # on a thread: giving much memory back takes long
            self._group.create_task(asyncio.to_thread(files.clear))

    def _ended(self, ended: Iterable[tuple[Attempt, Any, Exception | None]]) -> None:
        """Tell the core of calls that ended at once, and what is known now of those that use their results."""
        events: list[CallCompleted | CallFailed] = []
        known: list[CallId] = []
        for attempt, result, error in ended:
            if attempt.unwanted:  # ``_stopped`` comes
                continue
            if self._running.pop(attempt.key, None) is None:  # cancelled, and it would not hear of it
                continue
            if error is not None:
                events.append(CallFailed(*attempt.key, str(error)))
                self.outcomes.fail(attempt, error)
                continue
            events.append(CallCompleted(*attempt.key))
            state = self.core.states.get(attempt.call.id)
            current = state is not None and state.attempt == attempt.number
            self.outcomes.take(attempt, self._functions[attempt.call.function], result, current=current)
            if current:
                known.append(attempt.call.id)
        if events:
            self._handle(events[0] if len(events) == 1 else BatchEnded(tuple(events)))
        if known and self._only and self.core.complete:
            self._free(used for call in known for used in self.core.graph.call(call).uses)
        if any(isinstance(event, CallFailed) for event in events):
            self._failed_lately = True
            self._news.set()
        if known:
            graph = self.core.graph
            self._narrow([user for call in known for same in graph.alike(call) for user in graph.users(same)])
            self._ahead.look()

    def _narrow(self, calls: Iterable[CallId]) -> None:
        """Tell the core what calls touch, where results that came in say more than the plan did."""
        for id_ in calls:
            call = self.core.graph.call(id_)
            function = self._functions[call.function]
            if function.reads or function.writes:
                touch = touches(function, call, self.outcomes.results)
                if touch != self.core.graph.touch(id_):
                    self._handle(EffectsKnown(id_, touch))


async def _raised(defect: Exception) -> None:
    raise defect
