"""One plan's execution: scheduler and coordinator behind one ``handle``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

from llmorch.errors import IllegalEvent
from llmorch.relations import RelationGraph, remaining_path, touches
from llmorch.schedule.ahead import foreseen
from llmorch.schedule.coordinator import Coordinator
from llmorch.schedule.messages import (
    CallCompleted,
    CallFailed,
    Cancel,
    CancelRequested,
    Command,
    Dispatch,
    EffectsKnown,
    Finish,
    ModelOccupied,
    ModelReleased,
    PlanExtended,
    PlanRevised,
)
from llmorch.schedule.policy import CriticalPath, Needs, Waiting
from llmorch.schedule.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import CallId, FunctionCall
    from llmorch.functions import Function
    from llmorch.schedule.messages import Event
    from llmorch.schedule.policy import Policy

Status = Literal["planned", "submitted", "running", "completed", "failed", "skipped", "cancelled"]


@dataclass(slots=True)
class CallState:
    """What the core knows of one call; times are the driver's, in seconds.

    ``skipped`` is a call that can't run because one it depends on failed.
    """

    call: FunctionCall
    attempt: int = 1
    status: Status = "planned"
    processor: int | None = None
    submitted: float | None = None
    dispatched: float | None = None
    completed: float | None = None
    error: str | None = None


class Orchestration:
    """The state of one execution.

    ``functions`` are the declarations behind the plan's names; ``durations`` are
    expected seconds by call id or function name, for policies that look ahead.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        *,
        processors: int,
        policy: Policy,
        durations: Mapping[str, float] | None = None,
    ) -> None:
        self.states: dict[CallId, CallState] = {}
        self.graph = RelationGraph()
        self._functions = functions
        self._durations = durations or {}
        self._scheduler = Scheduler(self.graph)
        self._coordinator = Coordinator(processors, policy)
        self._processors = processors
        self._looks_ahead = policy.name == CriticalPath.name
        self._previous: dict[CallId, CallState] = {}
        self._kept: set[CallId] = set()
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
            if isinstance(event, CallCompleted | CallFailed | CancelRequested | ModelReleased):
                return []
            raise IllegalEvent(f"{event} after the end")
        commands: list[Command] = []
        finished = self._complete and self._open == 0
        match event:
            case CallCompleted(call, attempt):
                if not self._runs(event, call, attempt):
                    return []
                self._end(call, "completed", at)
                if call in self.graph:
                    self._submit(self._scheduler.complete(call), at)
            case CallFailed(call, attempt, error):
                if not self._runs(event, call, attempt):
                    return []
                self._end(call, "failed", at, error)
                if call in self.graph:
                    stopped = self._scheduler.fail(call)
                    for other in stopped:
                        self._skip(self.states[other], call)
                    self._submit(self._scheduler.passed([call, *stopped]), at)
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
                if self._complete and not finished:
                    raise IllegalEvent("a complete plan can't be revised while it runs")
                finished = self._complete = False
                self._revise()
            case ModelOccupied():
                self._coordinator.occupy()
            case ModelReleased():
                self._coordinator.vacate()
            case CancelRequested():
                return self._cancel_all(at)
            case _:
                assert_never(event)
        commands += self._dispatch(at)
        if self._complete and self._open == 0 and not finished:
            commands.append(Finish())
        return commands

    def _runs(self, event: Event, call: CallId, attempt: int) -> bool:
        """Whether an event is about a running attempt; false for one that was given up."""
        state = self.states.get(call) or self._previous.get(call)
        if state is None or attempt < state.attempt or state.status == "cancelled":
            if attempt <= self._attempts.get(call, 0):
                return False
            raise IllegalEvent(f"{event}: there is no such call")
        if state.status != "running" or attempt > state.attempt:
            raise IllegalEvent(f"{event}: the call's state is {state}")
        return True

    def _end(self, call: CallId, status: Status, at: float, error: str | None = None) -> None:
        state = self.states.get(call) or self._previous[call]
        state.status, state.completed, state.error = status, at, error
        self._coordinator.release(call)
        self._open -= call in self.states

    def _skip(self, state: CallState, cause: CallId) -> None:
        state.status, state.error = "skipped", f"{cause} failed"
        self._open -= 1

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
        for call, processor in self._coordinator.dispatch():
            state = self.states[call]
            state.status, state.dispatched, state.processor = "running", at, processor
            self._attempts[call] = state.attempt
            commands.append(Dispatch(call, state.attempt, processor))
        return commands

    def _needs(self, call: FunctionCall) -> Needs:
        function = self._functions[call.function]
        if function.kind == "inout":
            return Needs()
        return Needs(processors=1, model=int(function.asks_model))

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
        return dict(foreseen(self.graph, needs, expected, self._processors, paths))

    def _extend(self, calls: tuple[FunctionCall, ...], complete: bool, at: float) -> list[Command]:
        commands: list[Command] = []
        ready = []
        for call in calls:
            function = self._functions[call.function]
            self.graph.add(call, function.kind, touches(function, call))
            if self._keep(call):
                continue
            commands += self._drop(call.id, at)
            state = self.states[call.id] = CallState(call, self._attempts.get(call.id, 0) + 1)
            self._open += 1
            if self._scheduler.add(call.id):
                ready.append(call.id)
            elif self._scheduler.stopped(call.id):
                causes = (*call.uses, *self.graph.after(call.id))
                self._skip(state, next(cause for cause in causes if self._scheduler.stopped(cause)))
        if complete:
            for call_id in list(self._previous):
                commands += self._drop(call_id, at)
            self._complete = True
            self._paths = self._urgencies()
            self._coordinator.reorder(self._paths)
            ready, self._held = [*self._held, *ready], []
        self._submit(ready, at)
        return commands

    def _revise(self) -> None:
        # What runs keeps its processor until the new plan is known to make it or not.
        self._coordinator.withdraw()
        self._previous |= self.states
        self.states, self.graph = {}, RelationGraph()
        self._scheduler = Scheduler(self.graph)
        self._kept = set()
        self._held = []
        self._open = 0

    def _keep(self, call: FunctionCall) -> bool:
        """Take over a call of the plan before the revision, if it is the same call still."""
        state = self._previous.get(call.id)
        if (
            state is None
            or state.call != call
            or state.status not in ("running", "completed", "failed")
            or any(used not in self._kept for used in (*call.uses, *self.graph.after(call.id)))
        ):
            return False
        self.states[call.id] = self._previous.pop(call.id)
        self._kept.add(call.id)
        self._scheduler.add(call.id)
        if state.status == "completed":
            self._scheduler.complete(call.id)
        elif state.status == "failed":
            self._scheduler.fail(call.id)
        else:
            self._open += 1
        return True

    def _drop(self, call: CallId, at: float) -> list[Command]:
        """Give up a call of the plan before the revision."""
        state = self._previous.pop(call, None)
        if state is None or state.status != "running":
            return []
        state.status, state.completed = "cancelled", at
        self._coordinator.release(call)
        return [Cancel(call, state.attempt)]

    def _cancel_all(self, at: float) -> list[Command]:
        commands: list[Command] = []
        self._coordinator.withdraw()
        for call, state in (self._previous | self.states).items():
            if state.status == "running":
                commands.append(Cancel(call, state.attempt))
                state.completed = at
            if state.status in ("planned", "submitted", "running"):
                state.status = "cancelled"
        self._cancelled = True
        return [*commands, Finish()]
