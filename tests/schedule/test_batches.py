"""Calls that are made as one, in the core: who goes together, and when their processors are free again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmorch import function, simulate
from llmorch.declare.offered import as_functions
from llmorch.declare.resources import supply_of
from llmorch.errors import IllegalEvent
from llmorch.plan import check, parse
from llmorch.schedule import (
    POLICIES,
    Alone,
    BatchEnded,
    CallCompleted,
    CallFailed,
    CallStopped,
    Cancel,
    Dispatch,
    Finish,
    Keep,
    Orchestration,
    PlanExtended,
    PlanRevised,
    TimePassed,
    Wake,
    policy_named,
)

if TYPE_CHECKING:
    from llmorch.calls import Plan
    from llmorch.declare.functions import Function

policies = st.sampled_from(sorted(POLICIES))


@function
def look(name: str, after: object = None) -> str: ...


@look.batch(size=3)
def look_many(calls: list[dict[str, Any]]) -> list[str]: ...


@function(writes=["thing:{name}"])
def put(name: str, after: object = None) -> str: ...


@put.batch
def put_many(calls: list[dict[str, Any]]) -> list[str]: ...


@function(kind="compute")
def crunch(name: str, after: object = None) -> str: ...


@crunch.batch(size=2)
def crunch_many(calls: list[dict[str, Any]]) -> list[str]: ...


@function(resources={"camera": 1}, max_concurrency=1)
def film(name: str, after: object = None) -> str: ...


@film.batch
def film_many(calls: list[dict[str, Any]]) -> list[str]: ...


@function(kind="compute")
def alone(name: str, after: object = None) -> str: ...


FUNCTIONS = as_functions([look, put, crunch, film, alone])
THERE = {"camera": 1}


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    lines: list[str] = []
    for at in range(1, draw(st.integers(1, 14)) + 1):
        name = draw(st.sampled_from(["look", "put", "crunch", "film", "alone"]))
        after = draw(st.sampled_from(["", "", *(f", after=s{number}" for number in range(1, at))]))
        lines.append(f"s{at} = {name}(name={draw(st.sampled_from(['a', 'b']))!r}{after})")
    return check(parse("\n".join(lines)), FUNCTIONS)


class Played:
    """A core with random ends of what runs, and what must hold after every event."""

    def __init__(self, plan: Plan, data: st.DataObject, policy: str, *, failing: bool = False) -> None:
        self.plan, self.data, self.failing = plan, data, failing
        self.core = Alone(FUNCTIONS, processors=2, policy=policy_named(policy), supply=supply_of(THERE))
        self.running: list[list[tuple[str, int]]] = []
        self.batches: list[list[str]] = []
        self.stopping: list[tuple[str, int]] = []
        self.now = 0.0
        self.finished = False

    def handle(self, event: Any) -> None:
        self.now += 1
        for command in self.core.handle(event, at=self.now):
            match command:
                case Dispatch(call, attempt, together=together):
                    made = [(call, attempt), *together]
                    self.running.append(made)
                    self.batches.append([id_ for id_, _ in made])
                    self.check_batch(self.batches[-1])
                case Keep(call, attempt, before, before_attempt):
                    for made in self.running:
                        made[:] = [
                            (call, attempt) if key == (before, before_attempt) else key for key in made
                        ]
                case Cancel(call, attempt):
                    self.stopping.append((call, attempt))
                case Finish():
                    self.finished = True

    def check_batch(self, calls: list[str]) -> None:
        graph, states = self.core.graph, self.core.states
        functions = {graph.call(call).function for call in calls}
        assert len(functions) == 1
        declared = FUNCTIONS[functions.pop()]
        size = declared.batch.size if declared.batch else 1
        assert len(calls) <= size
        assert calls == sorted(calls, key=graph.order)
        for at, later in enumerate(calls):
            for earlier in calls[:at]:
                assert not graph.touch(earlier).conflicts(graph.touch(later))
        waiting = [
            id_
            for id_, state in states.items()
            if state.status == "submitted" and state.call.function == declared.name
        ]
        assert not waiting or len(calls) == size

    def end_one(self) -> None:
        made = self.running.pop(self.data.draw(st.integers(0, len(self.running) - 1)))
        events = tuple(
            CallFailed(call, attempt, "no")
            if self.failing and self.data.draw(st.booleans())
            else CallCompleted(call, attempt)
            for call, attempt in made
        )
        if self.data.draw(st.booleans()):
            self.handle(BatchEnded(events))
        else:
            for event in self.data.draw(st.permutations(events)):
                self.handle(event)

    def check_place(self) -> None:
        states = self.core.states.values()
        running = [state for state in states if state.status == "running"]
        jobs = {(id(state.shared) if state.shared else state.call.id): state for state in running}
        taken = [number for state in jobs.values() for number in state.lease.processors]
        assert len(taken) == len(set(taken)) <= 2
        assert sum(state.call.function == "film" for state in jobs.values()) <= 1


@given(plan=plans(), data=st.data(), policy=policies, failing=st.booleans())
def test_every_call_is_made_once_in_batches_that_are_bounded_and_of_calls_that_dont_conflict(
    plan, data, policy, failing
) -> None:
    played = Played(plan, data, policy, failing=failing)
    if data.draw(st.booleans()):
        for call in plan:
            played.handle(PlanExtended((call,)))
        played.handle(PlanExtended((), complete=True))
    else:
        played.handle(PlanExtended(plan.calls, complete=True))
    while played.running:
        played.check_place()
        played.end_one()
    made = [call for batch in played.batches for call in batch]
    assert len(made) == len(set(made))
    assert played.finished
    ended = {state.status for state in played.core.states.values()}
    assert ended <= ({"completed", "failed", "skipped"} if failing else {"completed"})
    if not failing:
        assert sorted(made) == sorted(call.id for call in plan)


@given(plan=plans(), data=st.data(), policy=policies)
def test_a_plan_that_is_revised_gives_every_place_back(plan, data, policy) -> None:
    played = Played(plan, data, policy)
    played.handle(PlanExtended(plan.calls, complete=True))
    for _ in range(data.draw(st.integers(0, 3))):
        if played.running:
            played.end_one()
    left = data.draw(st.sets(st.sampled_from([call.id for call in plan])))
    while lost := {call.id for call in plan if call.id not in left and left & set(call.uses)}:
        left |= lost
    played.handle(PlanRevised())
    played.handle(PlanExtended(tuple(call for call in plan if call.id not in left), complete=True))
    while played.running or played.stopping:
        if played.stopping and (not played.running or data.draw(st.booleans())):
            played.handle(CallStopped(*played.stopping.pop()))
        else:
            played.end_one()
    assert played.finished
    assert played.core.core.coordinator.held == {}
    assert played.core.core.coordinator.idle == 2


def core_of(plan: str, policy: str = "critical", **functions: Function) -> Orchestration:
    known = functions or FUNCTIONS
    core = Alone(known, processors=1, policy=policy_named(policy), supply=supply_of(THERE))
    core.handle(PlanExtended(check(parse(plan), known).calls, complete=True), at=0.0)
    return core


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_what_a_batch_makes_ready_is_the_next_batch(policy) -> None:
    lines = [f's{at} = look(name="a")' for at in (1, 2, 3)]
    lines += [f's{at} = crunch(name="a", after=s{at - 3})' for at in (4, 5)]
    core = core_of("\n".join(lines), policy)
    ended = BatchEnded(tuple(CallCompleted(f"s{at}", 1) for at in (1, 2, 3)))
    assert core.handle(ended, at=1.0) == [Dispatch("s4", 1, 0, together=(("s5", 1),))]


def test_a_call_that_may_change_something_waits_for_the_whole_plan_and_goes_with_the_others() -> None:
    core = Alone(FUNCTIONS, processors=1, policy=policy_named("critical"), supply=supply_of(THERE))
    calls = check(parse('s1 = put(name="a")\ns2 = put(name="b")\ns3 = put(name="a")'), FUNCTIONS).calls
    assert [core.handle(PlanExtended((call,)), at=0.0) for call in calls] == [[], [], []]
    assert core.handle(PlanExtended((), complete=True), at=0.0) == [
        Dispatch("s1", 1, None, together=(("s2", 1),))
    ]


def test_a_place_is_free_when_the_last_of_a_batch_has_ended() -> None:
    core = core_of('s1 = crunch(name="a")\ns2 = crunch(name="b")\ns3 = alone(name="c")')
    assert core.handle(CallFailed("s2", 1, "no"), at=1.0) == []
    assert core.handle(CallCompleted("s1", 1), at=2.0) == [Dispatch("s3", 1, 0)]


def test_an_end_that_cannot_be_changes_nothing_of_the_others() -> None:
    core = core_of('s1 = crunch(name="a")\ns2 = crunch(name="b")\ns3 = alone(name="c")')
    with pytest.raises(IllegalEvent, match="s3"):
        core.handle(BatchEnded((CallCompleted("s1", 1), CallCompleted("s3", 1))), at=1.0)
    assert core.states["s1"].status == "running"


def test_a_batch_counts_once_to_a_rate() -> None:
    @function(rate="2/s")
    def ask(name: str) -> str: ...

    @ask.batch(size=2)
    def ask_many(calls: list[dict[str, Any]]) -> list[str]: ...

    functions = as_functions([ask])
    core = Alone(functions, processors=1, policy=policy_named("critical"))
    plan = "\n".join(f's{at} = ask(name="a")' for at in range(1, 7))
    commands = core.handle(PlanExtended(check(parse(plan), functions).calls, complete=True), at=0.0)
    assert [type(command) for command in commands] == [Dispatch, Dispatch, Wake]
    (last,) = core.handle(TimePassed(), at=1.0)
    assert (last.call, last.together) == ("s5", (("s6", 1),))


@given(plan=plans(), data=st.data(), policy=policies)
def test_a_simulated_batch_takes_as_long_as_its_longest_call_and_never_less_than_the_bound(
    plan, data, policy
) -> None:
    durations = {call.id: float(data.draw(st.integers(0, 9))) for call in plan}
    done = simulate(plan, FUNCTIONS, durations, processors=2, policy=policy, resources=THERE)
    for command in done.commands:
        if isinstance(command, Dispatch):
            calls = [command.call, *(call for call, _ in command.together)]
            longest = max(durations[call] for call in calls)
            for call in calls:
                state = done.states[call]
                assert state.completed == state.dispatched + longest
    assert done.makespan >= done.lower_bound
