"""One plan's execution: scheduler and coordinator behind one ``handle``."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from llmorch.errors import IllegalEvent
from llmorch.relations import RelationGraph, named_by, remaining_path, touches
from llmorch.resources import Supply
from llmorch.schedule.ahead import foreseen
from llmorch.schedule.coordinator import Coordinator
from llmorch.schedule.messages import (
    CallCancelled,
    CallCompleted,
    CallFailed,
    CallStopped,
    Cancel,
    CancelRequested,
    Command,
    Dispatch,
    EffectsKnown,
    Finish,
    Keep,
    ModelOccupied,
    ModelReleased,
    OthersHold,
    PlanExtended,
    PlanRevised,
    RateReturned,
    ReturnRate,
)
from llmorch.schedule.policy import CriticalPath, Waiting
from llmorch.schedule.room import Capacity, Needs
from llmorch.schedule.scheduler import Scheduler
from llmorch.schedule.state import CallState, Earlier, Unwanted, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmorch.calls import CallId, FunctionCall
    from llmorch.functions import Function
    from llmorch.relations import Touch
    from llmorch.schedule.messages import Event
    from llmorch.schedule.policy import Policy
    from llmorch.schedule.room import Place
    from llmorch.schedule.state import Attempt, Status


CANCELLED = "cancelled by the caller"
"""Why a call ended that the caller cancelled; a model that plans on reads it."""


class Orchestration:
    """The state of one execution.

    ``functions`` are the declarations behind the plan's names; ``supply`` is what there is
    of what their calls share, and every call has to fit it; ``durations`` are expected
    seconds by call id or function name, for policies that look ahead.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        *,
        processors: int,
        policy: Policy,
        supply: Supply | None = None,
        durations: Mapping[str, float] | None = None,
    ) -> None:
        self.states: dict[CallId, CallState] = {}
        self.graph = RelationGraph()
        self._functions = functions
        self._durations = durations or {}
        self._scheduler = Scheduler(self.graph)
        self.capacity = Capacity.of(functions, processors, supply or Supply())
        self._coordinator = Coordinator(self.capacity, policy)
        self._stopping: dict[Attempt, tuple[Needs, Place]] = {}
        """What attempts that were cancelled hold until nothing of them runs any more."""
        self._known_needs = {name: Needs.of(function) for name, function in functions.items()}
        self._looks_ahead = policy.name == CriticalPath.name
        self._earlier = Earlier(functions)
        self._spent: dict[str, CallState] = {}
        """Calls of plans before a revision that were started and may not be made again."""
        self._touches: dict[tuple[str, tuple[Attempt, ...]], Touch] = {}
        """What calls of plans before a revision touch, as far as results had told."""
        self._unwanted = Unwanted(functions)
        self._held: list[CallId] = []
        """Calls that may change something, ready before the whole plan is known."""
        self._attempts: dict[CallId, int] = {}
        self._paths: dict[CallId, float] = {}
        self._open = 0
        self._complete = False
        self._cancelled = False

    def handle(self, event: Event, *, at: float) -> list[Command]:
        """Account for one event and say what to do about it.

        ``at`` is the driver's time in seconds; the core only copies it into the story.
        An event that the state rules out changes nothing and raises ``IllegalEvent``;
        one about an attempt that was given up is dropped.
        """
        if self._cancelled:
            if not isinstance(event, PlanExtended | PlanRevised | ModelOccupied | EffectsKnown):
                return []
            raise IllegalEvent(f"{event} after the end")
        commands: list[Command] = []
        finished = self._complete and self._open == 0
        match event:
            case CallCompleted(call, attempt):
                state = self._running(event, call, attempt)
                if state is None:
                    return []
                self._end(state, "completed", at)
                if state is self.states.get(call):
                    self._submit(self._scheduler.complete(call), at)
            case CallFailed(call, attempt, error):
                state = self._running(event, call, attempt)
                if state is None:
                    return []
                self._end(state, "failed", at, error)
                if state is self.states.get(call):
                    self._stop_descendants(call, at)
            case CallCancelled(call, attempt):
                self._give_up(call, attempt, at)
            case EffectsKnown(call, touch):
                if call in self.graph:
                    self._submit(self._scheduler.narrowed(self.graph.narrow(call, touch)), at)
            case PlanExtended(calls, complete):
                if (self._complete and not finished) or any(call.id in self.graph for call in calls):
                    raise IllegalEvent(
                        f"{', '.join(call.id for call in calls)}: there already, or after the end"
                    )
                finished = self._complete = False
                commands += self._extend(calls, complete, at)
            case PlanRevised():
                finished = self._complete = False
                self._revise()
            case ModelOccupied():
                self._coordinator.occupy()
            case ModelReleased():
                self._coordinator.vacate()
            case CallStopped(call, attempt):
                if (held := self._stopping.pop((call, attempt), None)) is not None:
                    self._coordinator.release(*held)
            case RateReturned(limit):
                self._coordinator.returned(limit)
            case OthersHold(amounts):
                self._coordinator.others(amounts)
            case CancelRequested():
                return self._cancel_all(at)
            case _:
                assert_never(event)
        commands += self._dispatch(at)
        if self._complete and self._open == 0 and not finished:
            commands.append(Finish())
        return commands

    def abandon(self, calls: Iterable[FunctionCall]) -> None:
        """Know, after the end, of calls of the plan that were held back: they count as cancelled."""
        for call in calls:
            if call.id not in self.graph and all(used in self.graph for used in call.uses):
                function = self._functions[call.function]
                self.graph.add(call, function.kind, touches(function, call))
                self.states[call.id] = CallState(call, status="cancelled")

    def _running(self, event: Event, call: CallId, attempt: int) -> CallState | None:
        """The running attempt that an event is about; ``None`` for one that was given up."""
        known = [self.states.get(call), self._earlier.find((call, attempt))]
        for state in known:
            if state is not None and state.attempt == attempt and state.status == "running":
                return state
        if attempt > self._attempts.get(call, 0):
            raise IllegalEvent(f"{event}: there is no such call")
        for state in known:
            if state is not None and state.attempt == attempt and state.status != "cancelled":
                raise IllegalEvent(f"{event}: the call's state is {state}")
        return None

    def _end(self, state: CallState, status: Status, at: float, error: str | None = None) -> None:
        state.status, state.completed, state.error = status, at, error
        self._coordinator.release(self._needs(state.call), state.place)
        self._open -= state is self.states.get(state.call.id)

    def _stop_descendants(self, call: CallId, at: float) -> None:
        stopped = self._scheduler.fail(call)
        for other in stopped:
            self._skip(self.states[other], call)
        self._submit(self._scheduler.passed([call, *stopped]), at)

    def _skip(self, state: CallState, cause: CallId) -> None:
        how = "was cancelled" if self.states[cause].status == "cancelled" else "failed"
        state.status, state.error = "skipped", f"{cause} {how}"
        self._open -= 1

    def _give_up(self, call: CallId, attempt: int, at: float) -> None:
        """Account for a call that the caller doesn't want; one that has ended stays as it is."""
        current = self.states.get(call)
        state = current if current is not None and current.attempt == attempt else None
        state = state or self._earlier.find((call, attempt))
        if state is None or state.status not in ("planned", "submitted", "running"):
            return
        self._unwanted.add(state.call)
        if state.status == "running":
            self._end(state, "cancelled", at, CANCELLED)
        else:
            if call in self._held:
                self._held.remove(call)
            elif state.status == "submitted":
                self._coordinator.drop(call)
            state.status, state.error = "cancelled", CANCELLED
            self._open -= 1
        if state is current:
            self._scheduler.begun(call)
            self._stop_descendants(call, at)

    def _submit(self, calls: list[CallId], at: float) -> None:
        waiting = []
        for call in calls:
            state = self.states[call]
            if not self._complete and self.graph.touch(call).changes:
                self._held.append(call)
                continue
            state.status, state.submitted = "submitted", at
            waiting.append(
                Waiting(call, self.graph.order(call), self._needs(state.call), self._urgency(call))
            )
        self._coordinator.submit(waiting)

    def _dispatch(self, at: float) -> list[Command]:
        commands: list[Command] = []
        for call, place in self._coordinator.dispatch():
            state = self.states[call]
            state.status, state.dispatched, state.place = "running", at, place
            self._attempts[call] = state.attempt
            commands.append(
                Dispatch(call, state.attempt, state.processor, place.processors[1:], place.device)
            )
            if periods := self.capacity.periods:
                limits = self._needs(state.call).limits
                commands += [ReturnRate(limit, periods[limit]) for limit in limits if limit in periods]
        return commands

    @property
    def complete(self) -> bool:
        """Whether all of the plan is known."""
        return self._complete

    @property
    def held(self) -> Mapping[str, int]:
        """What calls hold of what is shared with other runs, by name; rates aren't among it."""
        return self._coordinator.held

    @property
    def wanted(self) -> Mapping[str, int]:
        """What other runs should leave for a call here that was overtaken too often."""
        return self._coordinator.wanted

    def function(self, call: CallId) -> Function:
        """The declaration of the function that a call makes."""
        return self._functions[self.graph.call(call).function]

    def parts(self, call: CallId) -> dict[str, tuple[int, int]]:
        """How much a call takes of each thing it needs, and how much there is in all."""
        return self.capacity.parts(self._needs(self.graph.call(call)))

    def _needs(self, call: FunctionCall) -> Needs:
        return self._known_needs[call.function]

    def _expected(self, call: CallId) -> float:
        return self._durations.get(call, self._durations.get(self.graph.call(call).function, 1.0))

    def _urgency(self, call: CallId) -> float:
        """The chain of work that begins with a call, as far as the plan is known."""
        return self._paths[call] if self._complete else self._expected(call)

    def _urgencies(self) -> dict[CallId, float]:
        expected = {call: self._expected(call) for call in self.graph}
        paths = remaining_path(self.graph, expected)
        if not self._looks_ahead or any(
            state.status != "planned"
            or (call not in self._durations and state.call.function not in self._durations)
            for call, state in self.states.items()
        ):
            return paths
        needs = {call: self._needs(state.call) for call, state in self.states.items()}
        return dict(foreseen(self.graph, needs, expected, self.capacity, paths))

    def _extend(self, calls: tuple[FunctionCall, ...], complete: bool, at: float) -> list[Command]:
        commands: list[Command] = []
        ready = []
        for call in calls:
            function = self._functions[call.function]
            unwanted = call in self._unwanted
            same = None if unwanted else self._earlier.match(call)
            touch = self._touches.get(self._touch_key(call)) if same is None else same.touch
            self.graph.add(call, function.kind, touches(function, call) if touch is None else touch)
            if same is not None and (not function.repeatable or not self._spoilt(call.id)):
                commands.append(self._keep(call, same))
                continue
            inputs = tuple(self.states[used].key for used in call.uses)
            state = self.states[call.id] = CallState(call, self._attempts.get(call.id, 0) + 1, inputs)
            if spent := self._spent.get(written(call, function)):
                self._refuse(state, spent)
                continue
            if unwanted:
                state.status, state.error = "cancelled", CANCELLED
                self._scheduler.add(call.id)
                self._scheduler.begun(call.id)
                self._scheduler.fail(call.id)
                continue
            self._open += 1
            if self._scheduler.add(call.id):
                ready.append(call.id)
            elif self._scheduler.stopped(call.id):
                causes = (*call.uses, *self.graph.after(call.id))
                self._skip(state, next(cause for cause in causes if self._scheduler.stopped(cause)))
        if complete:
            commands += [
                self._cancel(state, at) for state in self._earlier.drop() if state.status == "running"
            ]
            self._complete = True
            self._paths = self._urgencies()
            self._coordinator.reorder(self._paths)
            ready, self._held = [*self._held, *ready], []
        self._submit(ready, at)
        return commands

    def _refuse(self, state: CallState, spent: CallState) -> None:
        """Fail a call whose effect is made already: on other inputs it would be made again."""
        state.status, state.attempt = "failed", spent.attempt
        state.dispatched, state.completed = spent.dispatched, spent.completed
        state.error = f"{state.call.function} was made already, has effects and is not declared idempotent"
        self._scheduler.add(state.call.id)
        self._scheduler.begun(state.call.id)
        self._scheduler.fail(state.call.id)

    def _touch_key(self, call: FunctionCall) -> tuple[str, tuple[Attempt, ...]]:
        """What decides what a call touches: its text, and the results that name it."""
        function = self._functions[call.function]
        return written(call, function), tuple(self.states[used].key for used in named_by(function, call))

    def _spoilt(self, call: CallId) -> bool:
        """Whether something that is made anew changes what a call of the plan before has found."""
        touch = self.graph.touch(call)
        return any(
            not self._earlier.kept(earlier) and self.graph.touch(earlier).spoils(touch)
            for earlier in self.graph.after(call)
        )

    def _revise(self) -> None:
        self._unwanted.revised(self.states)
        # What runs keeps its processor until the new plan is known to make it or not.
        self._coordinator.withdraw()
        for call, state in self.states.items():
            state.touch = self.graph.touch(call)
            self._touches[self._touch_key(state.call)] = state.touch
            function = self._functions[state.call.function]
            if state.dispatched is not None and not function.repeatable:
                self._spent[written(state.call, function)] = state
        self._earlier.add(self.states.values())
        self.states, self.graph = {}, RelationGraph()
        self._scheduler = Scheduler(self.graph)
        self._held = []
        self._open = 0

    def _keep(self, call: FunctionCall, state: CallState) -> Keep:
        """Take over a call of the plan before the revision, which the new one makes as ``call``."""
        self._earlier.keep(state, call)
        before, before_attempt = state.key
        if before != call.id:  # an attempt's number is never used again under one id
            state.attempt = self._attempts[call.id] = self._attempts.get(call.id, 0) + 1
        state.call = call
        state.inputs = tuple(self.states[used].key for used in call.uses)
        self.states[call.id] = state
        self._scheduler.add(call.id)
        self._scheduler.begun(call.id)
        if state.status == "completed":
            self._scheduler.complete(call.id)
        elif state.status == "failed":
            self._scheduler.fail(call.id)
        else:
            self._open += 1
        return Keep(call.id, state.attempt, before, before_attempt)

    def _keep_finished(self, state: CallState) -> list[Keep]:
        """At the end, what had ended before a revision, if nothing has taken its place."""
        call = state.call
        current = [self.states[used].key for used in call.uses if used in self.states]
        if state.status == "running" or call.id in self.graph or current != list(state.inputs):
            return []
        self.graph.add(call, self._functions[call.function].kind, state.touch)
        return [self._keep(call, state)]

    def _cancel(self, state: CallState, at: float) -> Cancel:
        """Give up a call that runs. What others could miss is free only once it has stopped."""
        state.status, state.completed = "cancelled", at
        needs = self._needs(state.call)
        if needs.simple and not needs.limits:
            self._coordinator.release(needs, state.place)
        else:
            self._stopping[state.key] = (needs, state.place)
        return Cancel(*state.key)

    def _cancel_all(self, at: float) -> list[Command]:
        self._coordinator.withdraw()
        commands: list[Command] = []
        for state in list(self._earlier):
            commands += self._keep_finished(state)
        for state in (*self._earlier, *self.states.values()):
            if state.status == "running":
                commands.append(self._cancel(state, at))
            elif state.status in ("planned", "submitted"):
                state.status = "cancelled"
        self._cancelled = True
        return [*commands, Finish()]
