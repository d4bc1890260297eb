"""What is known of one run: its graph, the states of its calls, what they need and how urgent they are.

Decides nothing about what happens next.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmorch.errors import IllegalEvent
from llmorch.relations import RelationGraph, named_by, remaining_path, touches, unlocking
from llmorch.schedule.revision import Earlier
from llmorch.schedule.room import MODEL
from llmorch.schedule.state import OPEN, CallState, Planning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.records import Status
    from llmorch.schedule.coordinator import Coordinator
    from llmorch.schedule.messages import Event
    from llmorch.schedule.nested import Caller
    from llmorch.schedule.policy import Policy, Urgency
    from llmorch.schedule.room import Lease, Needs
    from llmorch.schedule.state import Attempt


class RunState:
    """The state of one run.

    ``functions`` are the declarations behind the plan's names, whose calls have to fit what the
    coordinator gives; ``durations`` are expected seconds by call id or function name, for
    policies that look ahead. ``began`` is when the run did, in the driver's time: all times in it are from then on.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        *,
        coordinator: Coordinator,
        policy: Policy,
        priority: float = 1.0,
        durations: Mapping[str, float] | None = None,
    ) -> None:
        self.above: Sequence[Caller] = ()
        """The calls that wait for this run, the one that began it last: what they hold never becomes free for it."""
        self.within: dict[CallId, Sequence[Caller]] = {}
        """The same for a call that is added, as its driver knows."""
        self.states: dict[CallId, CallState] = {}
        self.graph = RelationGraph()
        self.planning: list[Planning] = []
        self.began = 0.0
        self.complete = False
        """Whether all of the plan is known."""
        self.cancelled = False
        """Whether all of it was cancelled."""
        self.capacity = coordinator.capacity
        self.account = coordinator.open(policy, priority=priority)
        self._coordinator = coordinator
        self._functions = functions
        self._durations = durations or {}
        self._known_needs = {
            name: coordinator.needs(self.account, function) for name, function in functions.items()
        }
        self._earlier = Earlier(functions)
        self._added: dict[CallId, bool] = {}
        """Calls that are no part of a plan, and whether each is made alone."""
        self._attempts: dict[CallId, int] = {}
        self._urgencies: Mapping[CallId, Urgency] = {}
        self._open = 0

    def abandon(self, calls: Iterable[FunctionCall]) -> None:
        """Know, after the end, of calls of the plan that were withheld: they count as cancelled."""
        for call in calls:
            if call.id not in self.graph and all(used in self.graph for used in call.uses):
                function = self._functions[call.function]
                touch = touches(function, call)
                self.graph.add(call, function.kind, touch, untrusted=function.untrusted)
                self.states[call.id] = CallState(call, status="cancelled")

    @property
    def open(self) -> int:
        """How many calls of the plan have not ended, as it is counted."""
        return self._open

    def adds(self, call: CallId) -> bool:
        """Whether a call was added by itself, and is no part of a plan."""
        return call in self._added

    def keeps(self, call: CallId) -> bool:
        """Whether a call had begun in a plan before this one."""
        return self._earlier.kept(call)

    def leases(self) -> Iterator[tuple[Needs, Lease]]:
        """What each call holds that runs; one for those that are made as one."""
        batches = set()
        for state in (*self._earlier, *self.states.values()):
            if state.status == "running" and (state.shared is None or id(state.shared) not in batches):
                batches.add(id(state.shared))
                yield self._needs(state.call), state.lease

    def function(self, call: CallId) -> Function:
        """The declaration of the function that a call makes."""
        return self._functions[self.graph.call(call).function]

    def makes(self, call: CallId) -> bool:
        """Whether a call is one to be made: not the same as another, and not unused."""
        state = self.states[call]
        return state.same_as is None and state.status != "unused"

    def parts(self, call: CallId) -> dict[str, tuple[int, int]]:
        """How much a call takes of each thing it needs, and how much there is in all."""
        return self.capacity.parts(self._needs(self.graph.call(call)))

    def limits(self, call: CallId) -> tuple[str, ...]:
        """What a call waits for beside processors and resources: its function's limits, and the model."""
        needs = self._needs(self.graph.call(call))
        return (*(limit.name for limit in needs.limits), *([MODEL] if needs.model else []))

    def needs(self, function: Function) -> Needs:
        """What a call of a function takes."""
        return self._known_needs[function.name]

    def _needs(self, call: FunctionCall) -> Needs:
        needs = self._known_needs[call.function]
        return replace(needs, batch="", size=1) if needs.batch and self._added.get(call.id) else needs

    def expected(self, call: CallId) -> float | None:
        """The seconds that a call is expected to take, if anything is known of that."""
        return self._durations.get(call, self._durations.get(self.graph.call(call).function))

    def _expected(self, call: CallId) -> float:
        seconds = self.expected(call)
        return 1.0 if seconds is None else seconds

    def _urgency(self, call: CallId) -> Urgency:
        """How urgent a call is, as far as the plan is known."""
        known = self._urgencies.get(call) if self.complete else None
        return (self._expected(call), False) if known is None else known

    def _ordered(self) -> Mapping[CallId, Urgency]:
        expected = {
            call: self._expected(call) if state.same_as is None else 0.0
            for call, state in self.states.items()
            if state.status != "unused"
        }
        unlocks = unlocking(self.graph)
        return {call: (path, call in unlocks) for call, path in remaining_path(self.graph, expected).items()}

    def _known(self, call: CallId, attempt: int) -> list[CallState]:
        """What stands for an attempt, now or in a plan before.

        A call that was refused stands for the attempt that it would make again, so it can be both.
        """
        both = (self.states.get(call), self._earlier.find((call, attempt)))
        return [state for state in both if state is not None and state.attempt == attempt]

    def _running(self, event: Event, call: CallId, attempt: int) -> CallState | None:
        """The running attempt that an event is about; ``None`` for one that was given up."""
        current = self.states.get(call)
        if current is not None and current.attempt == attempt and current.status == "running":
            return current
        known = self._known(call, attempt)
        for state in known:
            if state.status == "running":
                return state
        if attempt > self._attempts.get(call, 0):
            raise IllegalEvent(f"{event}: there is no such call")
        for state in known:
            if state.status != "cancelled":
                raise IllegalEvent(f"{event}: the call's state is {state}")
        return None

    def _lacks(self, call: CallId, needs: Needs) -> str:
        """Why a call would wait for ever, for what calls hold that wait for it; empty where it would not."""
        above = (*self.above, *self.within.get(call, ()))
        held = [caller.needs for caller in above if not caller.over]
        return self.capacity.lacks(needs, held) if held else ""

    def _add(self, call: CallId, state: CallState) -> None:
        """Make this the state of a call of the plan."""
        self.states[call] = state
        self._open += state.status in OPEN

    def _close(
        self, state: CallState, status: Status, at: float | None = None, error: str | None = None
    ) -> None:
        """Have a call come to an end, and count it."""
        state.become(status, at, error)
        if state is self.states.get(state.call.id):
            self._open -= 1

    def _keys(self, calls: Iterable[CallId]) -> tuple[Attempt, ...]:
        """The attempts whose results are those of these calls."""
        states = self.states
        return tuple([states[states[call].same_as or call].key for call in calls])

    def _named_by(self, call: FunctionCall) -> tuple[Attempt, ...]:
        """The attempts whose results decide what a call touches."""
        return self._keys(named_by(self._functions[call.function], call))

    def _skip(self, state: CallState, cause: CallId) -> None:
        before = self.states[cause]
        how = "was cancelled" if before.status == "cancelled" else "failed"
        error = before.error if before.status == "skipped" else f"{cause} {how}"
        self._close(state, "skipped", error=error)

    def _spoilt(self, call: CallId) -> bool:
        """Whether something that is made anew changes what a call of the plan before has found."""
        return not all(map(self._earlier.kept, self.graph.spoilers(call)))

    def _handed_out(self, call: CallId) -> CallState:
        """The state of a call that the policy has handed out, which waited."""
        state = self.states[call]
        if state.status != "submitted":
            name = self.account.policy.name
            raise IllegalEvent(f"the policy {name} handed out {call}, which is {state.status}")
        return state

    def close(self) -> None:
        """Take no part any more."""
        self._coordinator.close(self.account)
