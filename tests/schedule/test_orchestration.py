"""The core: properties that hold for all plans, and the paper's traps."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmorch.calls import Plan
from llmorch.declare.decorator import function
from llmorch.declare.offered import as_functions
from llmorch.errors import IllegalEvent
from llmorch.plan import parse, with_ids
from llmorch.runtime.simulate import simulate
from llmorch.schedule import (
    POLICIES,
    Alone,
    CallCancelled,
    CallCompleted,
    CallFailed,
    Cancel,
    CancelRequested,
    Dispatch,
    Finish,
    Keep,
    ModelOccupied,
    ModelReleased,
    Orchestration,
    PlanExtended,
    PlanRevised,
    policy_named,
)
from tests.relations.test_relations import OFFERED, SEO
from tests.strategies import FUNCTIONS, plans

policies = st.sampled_from(sorted(POLICIES))


def core_for(functions=FUNCTIONS, processors: int = 2, policy: str = "critical") -> Orchestration:
    return Alone(functions, processors=processors, policy=policy_named(policy))


class Watched:
    """A core that is asked after every event whether what must always hold, holds."""

    def __init__(self, plan: Plan, processors: int, policy: str) -> None:
        self.core = core_for(processors=processors, policy=policy)
        self.plan = plan
        self.processors = processors
        self.running: dict[str, Dispatch] = {}
        self.started: list[str] = []
        self.done: set[str] = set()
        self.commands: list = []
        self.events: list = []
        self.finished = False

    def handle(self, event) -> None:
        at = float(len(self.events))
        self.events.append(event)
        commands = self.core.handle(event, at=at)
        self.commands.append(commands)
        if isinstance(event, CallCompleted):
            self.done.add(event.call)
        for command in commands:
            if isinstance(command, Dispatch):
                call = self.plan[command.call]
                assert command.call not in self.started
                assert self.done >= set(call.uses)
                compute = FUNCTIONS[call.function].kind == "compute"
                assert (command.processor is not None) == compute
                self.started.append(command.call)
                self.running[command.call] = command
            elif isinstance(command, Finish):
                self.finished = True
        self.running = {call: item for call, item in self.running.items() if call not in _ended(event)}
        held = [item.processor for item in self.running.values() if item.processor is not None]
        assert len(held) == len(set(held))
        assert all(0 <= processor < self.processors for processor in held)
        asking = [call for call in self.running if FUNCTIONS[self.plan[call].function].asks_model]
        assert len(asking) <= 1


def _ended(event) -> set[str]:
    return {event.call} if isinstance(event, CallCompleted | CallFailed | CallCancelled) else set()


def play(
    plan: Plan,
    processors: int,
    policy: str,
    data: st.DataObject,
    *,
    failures: bool,
    cancelling: bool = False,
) -> Watched:
    """Stream the plan in random pieces, and end what runs in random order."""
    watched = Watched(plan, processors, policy)
    left = list(plan.calls)
    planning = data.draw(st.booleans())
    if planning:
        watched.handle(ModelOccupied())
    told = False
    while not watched.finished:
        choices = [*sorted(watched.running)] + ([None] if not told else [])
        assert choices, "a hang: nothing runs, and the plan is complete"
        if cancelling and watched.core.states and data.draw(st.integers(0, 3)) == 3:
            watched.handle(CallCancelled(data.draw(st.sampled_from(sorted(watched.core.states))), 1))
            continue
        chosen = data.draw(st.sampled_from(choices))
        if chosen is None:
            count = data.draw(st.integers(1, len(left))) if left else 0
            pieces, left = tuple(left[:count]), left[count:]
            told = not left and (not count or data.draw(st.booleans()))
            if planning and told:
                watched.handle(ModelReleased())
            watched.handle(PlanExtended(pieces, complete=told))
        elif failures and data.draw(st.integers(0, 4)) == 0:
            watched.handle(CallFailed(chosen, 1, "broken"))
        else:
            watched.handle(CallCompleted(chosen, 1))
    return watched


@given(plan=plans(arguments=False), processors=st.integers(1, 4), policy=policies, data=st.data())
@settings(max_examples=400)
def test_every_call_runs_once_after_what_it_uses(plan, processors, policy, data) -> None:
    watched = play(plan, processors, policy, data, failures=False)
    assert sorted(watched.started) == sorted(call.id for call in plan)
    assert {state.status for state in watched.core.states.values()} == {"completed"}


@given(plan=plans(arguments=False), processors=st.integers(1, 4), policy=policies, data=st.data())
@settings(max_examples=400)
def test_a_failed_call_stops_its_descendants_and_nothing_else(plan, processors, policy, data) -> None:
    watched = play(plan, processors, policy, data, failures=True)
    states, graph = watched.core.states, watched.core.graph
    failed = {call for call, state in states.items() if state.status == "failed"}
    stopped = {other for call in failed for other in graph.descendants(call)}
    assert {call for call, state in states.items() if state.status == "skipped"} == stopped - failed
    assert not stopped & set(watched.started)
    assert {call for call, state in states.items() if state.status == "completed"} == set(
        states
    ) - failed - stopped


@given(plan=plans(arguments=False), processors=st.integers(1, 4), policy=policies, data=st.data())
def test_replaying_the_events_gives_the_same_commands(plan, processors, policy, data) -> None:
    watched = play(plan, processors, policy, data, failures=True)
    again = core_for(processors=processors, policy=policy)
    assert [again.handle(event, at=float(at)) for at, event in enumerate(watched.events)] == watched.commands


@given(plan=plans(arguments=False), processors=st.integers(1, 4), policy=policies, data=st.data())
@settings(max_examples=400)
def test_a_cancelled_call_stops_its_descendants_and_nothing_else(plan, processors, policy, data) -> None:
    watched = play(plan, processors, policy, data, failures=False, cancelling=True)
    states, graph = watched.core.states, watched.core.graph
    cancelled = {call for call, state in states.items() if state.status == "cancelled"}
    stopped = {other for call in cancelled for other in graph.descendants(call)}
    assert {call for call, state in states.items() if state.status == "skipped"} == stopped - cancelled
    assert not stopped & set(watched.started)
    rest = set(states) - cancelled - stopped
    assert {call for call, state in states.items() if state.status == "completed"} == rest


@pytest.mark.parametrize("running", [True, False])
def test_a_call_that_was_cancelled_is_not_made_again_by_a_revised_plan(running) -> None:
    core = core_for(functions=OFFERED)
    first = parse(
        's1 = search(query="a")\ns2 = search(query=s1)\ns3 = search(query="a")\ns4 = search(query=s3)'
    )
    core.handle(PlanExtended(first.calls, complete=True), at=0)
    if running:
        core.handle(CallCompleted("s1", 1), at=1)
    core.handle(CallCancelled("s2", 1), at=2)
    core.handle(CallFailed("s3", 1, "broken"), at=3)
    core.handle(PlanRevised(), at=4)
    other = parse(
        's1 = search(query="b")\ns2 = search(query=s1)\ns3 = search(query="a")\ns5 = search(query=s1)\n'
        "s6 = search(query=s2)"
    )
    core.handle(PlanExtended(other.calls, complete=True), at=5)
    statuses = {call: (state.status, state.error) for call, state in core.states.items()}
    cancelled = ("cancelled", "cancelled by the caller")
    assert (statuses["s2"], statuses["s5"], statuses["s6"]) == (
        cancelled,
        cancelled,
        ("skipped", "s2 was cancelled"),
    )
    assert statuses["s1"] == ("running", None)


def test_a_call_that_comes_after_a_failure_is_skipped_for_the_call_that_failed() -> None:
    core = core_for(functions=OFFERED)
    plan = parse('s1 = search(query="a")\ns2 = search(query=s1)\ns3 = search(query=s2)')
    core.handle(PlanExtended(plan.calls[:1]), at=0)
    core.handle(CallFailed("s1", 1, "broken"), at=1)
    core.handle(PlanExtended(plan.calls[1:], complete=True), at=2)
    assert [state.error for state in core.states.values()] == ["broken", "s1 failed", "s1 failed"]


@pytest.mark.parametrize("status", ["planned", "submitted"])
def test_a_call_is_cancelled_before_it_runs(status) -> None:
    core = core_for(processors=1)
    plan = parse("s1 = train()\ns2 = train()\ns3 = train(x=s1)\ns4 = load(x=s2)\ns5 = load(x=s3)")
    core.handle(PlanExtended(plan.calls, complete=True), at=0)
    call = {"planned": "s3", "submitted": "s2"}[status]
    assert core.states[call].status == status
    assert core.handle(CallCancelled(call, 1), at=1) == []
    ended = [core.handle(CallCompleted("s1", 1), at=2)]
    if status == "planned":
        ended.append(core.handle(CallCompleted("s2", 1), at=3))
        ended.append(core.handle(CallCompleted("s4", 1), at=3))
        started = ["s2", "s4"]
    else:
        ended.append(core.handle(CallCompleted("s3", 1), at=3))
        ended.append(core.handle(CallCompleted("s5", 1), at=3))
        started = ["s3", "s5"]
    commands = [command for commands in ended for command in commands]
    assert [command.call for command in commands[:-1]] == started
    assert commands[-1] == Finish()


def test_cancelling_what_has_ended_changes_nothing() -> None:
    core = core_for()
    core.handle(PlanExtended(parse("s1 = load()\ns2 = load(x=s1)").calls, complete=True), at=0)
    core.handle(CallCompleted("s1", 1), at=1)
    before = copy.deepcopy(core.states)
    assert core.handle(CallCancelled("s1", 1), at=2) == []
    assert core.handle(CallCancelled("s9", 1), at=2) == []
    assert core.states == before


@given(plan=plans(arguments=False), processors=st.integers(1, 4), policy=policies, data=st.data())
def test_cancelling_stops_all_that_runs_and_ends_the_run(plan, processors, policy, data) -> None:
    core = core_for(processors=processors, policy=policy)
    commands = core.handle(PlanExtended(plan.calls, complete=True), at=0.0)
    running = [command.call for command in commands if isinstance(command, Dispatch)]
    ended = core.handle(CancelRequested(), at=1.0)
    assert ended == [*(Cancel(call, 1) for call in core.states if call in running), Finish()]
    assert {state.status for state in core.states.values()} == {"cancelled"}
    assert core.handle(CallCompleted(data.draw(st.sampled_from(running)), 1), at=2.0) == []


@given(plan=plans(arguments=False), new=plans(arguments=False), policy=policies, data=st.data())
@settings(max_examples=300)
def test_a_revised_plan_keeps_what_it_still_makes_and_cancels_the_rest(plan, new, policy, data) -> None:
    core = core_for(policy=policy)
    running: dict[tuple[str, int], bool] = {}
    starts: Counter[str] = Counter()
    current = plan

    def follow(commands) -> None:
        for command in commands:
            if isinstance(command, Dispatch):
                running[command.call, command.attempt] = True
                starts[_story(current, command.call)] += 1
            elif isinstance(command, Keep):
                was = running.pop((command.before, command.before_attempt), None)
                if was:
                    running[command.call, command.attempt] = was
            elif isinstance(command, Cancel):
                del running[command.call, command.attempt]

    def complete_one() -> None:
        call, attempt = data.draw(st.sampled_from(sorted(running)))
        del running[call, attempt]
        follow(core.handle(CallCompleted(call, attempt), at=0.0))

    follow(core.handle(PlanExtended(plan.calls), at=0.0))
    for _ in range(data.draw(st.integers(0, 6))):
        if running:
            complete_one()
    follow(core.handle(PlanRevised(), at=1.0))
    current = new
    for call in new.calls:
        if running and data.draw(st.booleans()):
            complete_one()
        follow(core.handle(PlanExtended((call,)), at=1.0))
    follow(core.handle(PlanExtended((), complete=True), at=1.0))
    while running:
        complete_one()
    assert [call.id for call in new] == list(core.states)
    assert {state.status for state in core.states.values()} == {"completed"}
    # A call that both plans make, from the same inputs, is never started twice.
    told = [Counter(_story(made, call.id) for call in made) for made in (plan, new)]
    for call in new:
        stories = {_story(new, used) for used in [call.id, *ancestors(new, call.id)]}
        if all(count[story] <= 1 for story in stories for count in told):
            assert starts[_story(new, call.id)] == 1


@given(plan=plans(arguments=False), policy=policies, data=st.data())
@settings(max_examples=200)
def test_calls_under_other_ids_go_on_and_their_late_events_are_theirs(plan, policy, data) -> None:
    names = [call.id for call in plan]
    ids = dict(zip(names, data.draw(st.permutations(names)), strict=True))
    core = core_for(policy=policy)
    running: set[tuple[str, int]] = set()
    started = 0

    def follow(commands) -> None:
        nonlocal started
        for command in commands:
            if isinstance(command, Dispatch):
                started += 1
                running.add((command.call, command.attempt))
        # All at once: a new id may be another call's old one.
        kept = [command for command in commands if isinstance(command, Keep)]
        running.difference_update((item.before, item.before_attempt) for item in kept if item in runs)
        running.update((item.call, item.attempt) for item in kept if item in runs)

    def complete_one() -> None:
        call = data.draw(st.sampled_from(sorted(running)))
        running.remove(call)
        follow(core.handle(CallCompleted(*call), at=0.0))

    runs: list[Keep] = []
    follow(core.handle(PlanExtended(plan.calls, complete=True), at=0.0))
    for _ in range(data.draw(st.integers(0, 6))):
        if running:
            complete_one()
    before = set(running)
    core.handle(PlanRevised(), at=1.0)
    commands = core.handle(PlanExtended(with_ids(plan, ids).calls, complete=True), at=1.0)
    assert not [command for command in commands if isinstance(command, Cancel)]
    runs = [
        item for item in commands if isinstance(item, Keep) and (item.before, item.before_attempt) in before
    ]
    assert len(runs) == len(before)
    follow(commands)
    while running:
        complete_one()
    assert started == len(plan)
    assert {state.status for state in core.states.values()} == {"completed"}


def ancestors(plan: Plan, call: str) -> set[str]:
    """The calls that one uses, directly or not."""
    return {other for used in plan[call].uses for other in (used, *ancestors(plan, used))}


def _story(plan: Plan, call: str) -> str:
    """What a call is and what it is made from, whatever its id."""
    made = plan[call]
    inputs = [_story(plan, used) for used in made.uses]
    nameless = with_ids(Plan((made,)), {used: f"x{at}" for at, used in enumerate(made.uses)}).calls[0]
    return f"{made.function} {nameless.args} {nameless.positional} {inputs}"


def test_a_call_waits_for_all_it_uses_whatever_their_ranks() -> None:
    """Read literally, the paper's Algorithm 2 submits s5 when s3 ends, before s2 has."""
    core = core_for(OFFERED, processors=3)
    core.handle(PlanExtended(parse(SEO).calls, complete=True), at=0.0)
    core.handle(CallCompleted("s1", 1), at=1.0)
    assert core.handle(CallCompleted("s3", 1), at=2.0) == []
    assert core.handle(CallCompleted("s4", 1), at=3.0) == []
    assert core.states["s5"].status == "planned"
    # Read with the prose, it never submits s5: the last to end, s2, is two ranks above.
    assert core.handle(CallCompleted("s2", 1), at=4.0) == [Dispatch("s5", 1, 0)]
    assert core.handle(CallCompleted("s5", 1), at=5.0) == [Finish()]


def test_compute_calls_of_different_ranks_do_not_share_a_processor() -> None:
    """The paper's Algorithm 3 puts a compute call without a partner of its rank in with the inout calls."""
    core = core_for(OFFERED, processors=1, policy="exclusive")
    assert core.handle(PlanExtended(parse(SEO).calls, complete=True), at=0.0) == [
        Dispatch("s1", 1, None),
        Dispatch("s2", 1, 0),
    ]
    assert core.handle(CallCompleted("s1", 1), at=1.0) == []
    assert core.handle(CallCompleted("s2", 1), at=2.0) == [Dispatch("s3", 1, 0)]


def test_a_processor_is_set_aside_while_a_local_model_writes_the_plan() -> None:
    core = core_for(OFFERED, processors=2)
    core.handle(ModelOccupied(), at=0.0)
    two = parse('s1 = python(file="a")\ns2 = python(file="b")')
    assert core.handle(PlanExtended(two.calls), at=0.0) == [Dispatch("s1", 1, 0)]
    assert core.handle(ModelReleased(), at=1.0) == [Dispatch("s2", 1, 1)]


def test_a_short_path_gives_way_to_the_critical_one() -> None:
    text = "\n".join(["s1 = python(file='a')", "s2 = python(file='b')", "s3 = python(file='c', args=[s2])"])
    functions = OFFERED
    seconds = {"s1": 1.0, "s2": 1.0, "s3": 5.0}
    ours = simulate(parse(text), functions, seconds, processors=1, policy="critical", optimize=False)
    assert [command.call for command in ours.commands if isinstance(command, Dispatch)] == ["s2", "s3", "s1"]
    first = simulate(parse(text), functions, seconds, processors=1, policy="greedy", optimize=False)
    assert [command.call for command in first.commands if isinstance(command, Dispatch)] == ["s1", "s2", "s3"]


def test_a_barrier_holds_the_next_batch_until_the_last_call_of_this_one() -> None:
    text = "s1 = search(query='a')\ns2 = search(query='b')\ns3 = search(query='{s1}')"
    run = simulate(
        parse(text),
        OFFERED,
        {"s1": 1.0, "s2": 9.0, "s3": 1.0},
        processors=2,
        policy="barrier",
        optimize=False,
    )
    assert run.makespan == 10.0
    ours = simulate(parse(text), OFFERED, {"s1": 1.0, "s2": 9.0, "s3": 1.0}, processors=2, optimize=False)
    assert ours.makespan == 9.0


@pytest.mark.parametrize(
    "event",
    [
        CallCompleted("s2", 1),
        CallCompleted("s9", 1),
        CallCompleted("s1", 2),
        CallFailed("s3", 1, ""),
        PlanExtended(parse("s9 = search(query='')").calls),
    ],
)
def test_an_event_that_the_state_rules_out_raises_and_nothing_happened(event) -> None:
    core = core_for(OFFERED, processors=1)
    core.handle(PlanExtended(parse(SEO).calls[:1] + parse(SEO).calls[2:3], complete=True), at=0.0)
    before = copy.deepcopy(core.states)
    with pytest.raises(IllegalEvent):
        core.handle(event, at=1.0)
    assert core.states == before
    assert core.handle(CallCompleted("s1", 1), at=2.0) == [Dispatch("s3", 1, 0)]


def test_completing_a_call_twice_is_a_defect() -> None:
    core = core_for(OFFERED)
    core.handle(PlanExtended(parse(SEO).calls, complete=True), at=0.0)
    core.handle(CallCompleted("s1", 1), at=1.0)
    with pytest.raises(IllegalEvent, match="completed"):
        core.handle(CallCompleted("s1", 1), at=2.0)


@given(plan=plans(arguments=False), processors=st.integers(1, 8), policy=policies, data=st.data())
def test_no_schedule_beats_the_lower_bound(plan, processors, policy, data) -> None:
    seconds = {call.id: data.draw(st.floats(0, 100)) for call in plan}
    optimize = data.draw(st.booleans())
    run = simulate(plan, FUNCTIONS, seconds, processors=processors, policy=policy, optimize=optimize)
    assert run.makespan >= run.lower_bound * (1 - 1e-9)
    # Ours never leaves a processor idle that something could use.
    work = sum(seconds.values())
    assert run.makespan <= work * (1 + 1e-9)


def test_at_the_end_what_had_completed_before_a_revision_is_known() -> None:
    core = core_for(OFFERED)
    before = parse('s1 = search("a")\ns2 = search("b")\ns3 = chatbot("{s1}")\ns4 = chatbot("{s2}")')
    core.handle(PlanExtended(before.calls), at=0.0)
    for call in ("s1", "s2", "s3"):
        core.handle(CallCompleted(call, 1), at=1.0)
    core.handle(PlanRevised(), at=2.0)
    core.handle(PlanExtended(parse('s2 = search("c")').calls), at=2.0)
    commands = core.handle(CancelRequested(), at=3.0)
    # s4 used the old s2, which another call has replaced.
    assert [command for command in commands if isinstance(command, Keep)] == [
        Keep("s1", 1, "s1", 1),
        Keep("s3", 1, "s3", 1),
    ]
    statuses = {call: state.status for call, state in core.states.items()}
    assert statuses == {"s2": "cancelled", "s1": "completed", "s3": "completed"}
    assert set(core.graph) == set(core.states)


def test_a_cancelled_call_does_not_stop_what_a_revised_plan_has_from_the_one_before() -> None:
    @function(effects="unknown")
    def shell(x: list[int]) -> list[int]:
        return x

    @function(pure=True)
    def get(x: int) -> int:
        return x

    core = core_for(as_functions([shell, get]))
    core.handle(PlanExtended(parse("s1 = shell(x=[1])").calls, complete=True), at=0)
    core.handle(CallCompleted("s1", 1), at=1)
    core.handle(PlanRevised(), at=2)
    revised = parse("s1 = get(x=1)\ns2 = shell(x=[2])\ns3 = shell(x=[1])")
    core.handle(PlanExtended(revised.calls, complete=True), at=2)
    core.handle(CallCompleted("s1", 2), at=3)
    assert core.handle(CallCancelled("s2", 1), at=4) == [Finish()]
    assert [state.status for state in core.states.values()] == ["completed", "cancelled", "completed"]


def test_a_refused_call_whose_input_never_ended_is_no_part_of_the_next_plan() -> None:
    @function(pure=True)
    def look(x: int) -> int:
        return x

    @function(writes=["it"])
    def write(x: int) -> int:
        return x

    core = core_for(as_functions([look, write]))
    first, second = "s1 = look(x=1)\ns2 = write(x=s1)", "s0 = look(x=9)\ns1 = look(x=s0)\ns2 = write(x=s1)"
    core.handle(PlanExtended(parse(first).calls, complete=True), at=0)
    core.handle(CallCompleted("s1", 1), at=1)
    core.handle(CallCompleted("s2", 1), at=2)
    for at in (3, 4):
        core.handle(PlanRevised(), at=at)
        core.handle(PlanExtended(parse(second).calls, complete=True), at=at)
        assert [state.status for state in core.states.values()] == ["running", "planned", "failed"]
        assert "was made already" in (core.states["s2"].error or "")
