"""What isn't made in the core: calls that are the same as another, and calls that nobody wants."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmorch import function, simulate
from llmorch.calls import Constant, FunctionCall, ListOf, Plan, Reference
from llmorch.declare.offered import as_functions
from llmorch.errors import EvaluationError
from llmorch.plan import check, evaluate, parse, render_call
from llmorch.relations import discover, unused
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
    PlanExtended,
    PlanRevised,
    Share,
    policy_named,
)
from tests.relations.verify import verify

if TYPE_CHECKING:
    from collections.abc import Collection


@function(pure=True)
async def get(x: Any, y: Any = 1) -> Any: ...


@function(kind="compute", pure=True)
def work(x: Any, y: Any = 1) -> Any: ...


@function
async def plain(x: Any, y: Any = 1) -> Any: ...


@function(reads=["thing:{x}"])
async def look(x: Any, y: Any = 1) -> Any: ...


@function(writes=["thing:{x}"])
async def change(x: Any, y: Any = 1) -> Any: ...


@function
async def tell(x: Any, y: Any = 1) -> None: ...


@function(effects="unknown")
async def shell(x: Any, y: Any = 1) -> Any: ...


FUNCTIONS = as_functions([get, work, plain, look, change, tell, shell])
PURE = ("get", "work")
policies = st.sampled_from(sorted(POLICIES))


@st.composite
def repeating_plans(draw: st.DrawFn, names: tuple[str, ...] = tuple(FUNCTIONS), most: int = 10) -> Plan:
    """Plans of few functions and few arguments, written in every form: most calls have been made before."""
    lines = []
    mostly_pure = [*PURE * 3, *(name for name in names if name not in PURE)]
    last = draw(st.integers(1, most))
    for at in range(1, last + 1):
        ids = [f"s{number}" for number in range(1, at)]
        value = draw(st.sampled_from(["1", "1", "1.0", "True", "'1'", *ids, *ids, *ids]))
        if at == last and draw(st.booleans()):
            value = f"[{', '.join(ids)}]"
        x = draw(st.sampled_from(["{x}", "{x}", "[{x}]", "'of {{{x}}}'" if value in ids else "'{{s}}'"]))
        x = x.format(x=value)
        form = draw(st.sampled_from(["x={x}", "{x}", "{x}, 1", "y=1, x={x}", "x={x}, y=1.0"]))
        lines.append(f"s{at} = {draw(st.sampled_from(mostly_pure))}({form.format(x=x)})")
    return check(parse("\n".join(lines)), FUNCTIONS)


def meant(plan: Plan) -> dict[str, str]:
    """What each call comes to, with every result spelled out: two that are the same have one text."""
    told: dict[str, str] = {}
    for call in plan:
        args = {"y": Constant(1), **call.args}
        text = render_call(FunctionCall("c", call.function, {name: args[name] for name in ("x", "y")}))
        text = re.sub(r"\bs\d+\b", lambda found: f"<{told[found.group()]}>", text)
        told[call.id] = text if call.function in PURE else f"{call.id} {text}"
    return told


def wanted_of(plan: Plan) -> set[str]:
    """The calls that have to be complete in the end: found from the answer, with the plan's text alone."""
    told = meant(plan)
    first = {told[call.id]: call.id for call in reversed(plan.calls)}
    wanted = {plan.answer}
    for call in reversed(plan.calls):
        if call.function not in PURE or call.id in wanted:
            wanted |= {call.id, first[told[call.id]], *call.uses}
    return wanted


class Played:
    """A core with values: what each call returned, and what was made."""

    def __init__(self, *, optimize: bool, policy: str = "critical", failing: Collection[str] = ()) -> None:
        self.core = Alone(FUNCTIONS, processors=2, policy=policy_named(policy), optimize=optimize)
        self.failing = failing
        self.values: dict[str, Any] = {}
        self.attempts: dict[tuple[str, int], Any] = {}
        self.running: dict[tuple[str, int], tuple[str, dict[str, str] | None]] = {}
        """Function and arguments of each call that runs; no arguments where they have no value."""
        self.made: list[str] = []
        self.touched: Counter[str] = Counter()
        self.finished = False

    def handle(self, event: Any) -> None:
        for command in self.core.handle(event, at=1.0):
            match command:
                case Dispatch(call, attempt):
                    self.running[call, attempt] = self._begun(self.core.graph.call(call))
                    self.made.append(call)
                case Keep(call, attempt, before, before_attempt):
                    if (before, before_attempt) in self.attempts:
                        self.attempts[call, attempt] = self.attempts.pop((before, before_attempt))
                        self.values[call] = self.attempts[call, attempt]
                    if (before, before_attempt) in self.running:
                        self.running[call, attempt] = self.running.pop((before, before_attempt))
                case Share(call, same_as):
                    self.values[call] = self.values[same_as]
                case Cancel(call, attempt):
                    del self.running[call, attempt]
                case Finish():
                    self.finished = True

    def _begun(self, call: FunctionCall) -> tuple[str, dict[str, str] | None]:
        try:
            args = {name: repr(evaluate(value, self.values)) for name, value in call.args.items()}
        except EvaluationError:
            return call.function, None
        return call.function, {"y": "1", **args}

    def end(self, key: tuple[str, int], told: str = "") -> None:
        function, args = self.running.pop(key)
        if args is None or (told and told in self.failing):
            self.handle(CallFailed(*key, "broken"))
            return
        value = self.attempts[key] = self._returned(function, args["x"], args["y"])
        state = self.core.states.get(key[0])
        if state is not None and state.attempt == key[1]:
            self.values[key[0]] = value
        self.handle(CallCompleted(*key))

    def _returned(self, function: str, x: str, y: str) -> Any:
        if function in ("change", "shell"):
            self.touched["everything" if function == "shell" else x] += 1
        touched = (
            () if function in (*PURE, "plain", "tell") else (self.touched[x], self.touched["everything"])
        )
        return (function, x, y, *touched)


def played(
    plan: Plan,
    data: st.DataObject,
    *,
    optimize: bool,
    policy: str = "critical",
    failing: Collection[str] = (),
) -> Played:
    run = Played(optimize=optimize, policy=policy, failing=failing)
    told = meant(plan)
    whole = data.draw(st.booleans()) if optimize else True
    if not whole:
        run.handle(PlanExtended(plan.calls[: len(plan) // 2]))
    rest = plan.calls if whole else plan.calls[len(plan) // 2 :]
    run.handle(PlanExtended(rest, complete=True, unused=unused(plan, FUNCTIONS) if optimize else frozenset()))
    while run.running:
        key = data.draw(st.sampled_from(sorted(run.running)))
        run.end(key, told[key[0]])
    assert run.finished, "a hang: nothing runs, and the plan is complete"
    return run


@given(plan=repeating_plans(), policy=policies, data=st.data())
def test_what_is_wanted_comes_to_the_same_and_is_made_once(plan, policy, data) -> None:
    plain = played(plan, data, optimize=False)
    run = played(plan, data, optimize=True, policy=policy)
    states = run.core.states
    wanted = wanted_of(plan)
    assert sorted(plain.made) == sorted(call.id for call in plan)
    assert {id_: plain.values.get(id_) for id_ in wanted} == {id_: run.values.get(id_) for id_ in wanted}
    assert all(plain.values.get(id_) == value for id_, value in run.values.items())
    told = meant(plan)
    made = Counter(told[id_] for id_ in run.made)
    assert set(made.values()) <= {1}
    acting = {told[call.id] for call in plan if call.function not in PURE}
    assert acting | {told[id_] for id_ in wanted if states[id_].status == "completed"} <= set(made)


@given(plan=repeating_plans(), data=st.data())
def test_a_call_is_made_if_it_acts_or_is_the_first_that_is_wanted_of_its_kind(plan, data) -> None:
    run = Played(optimize=True)
    run.handle(PlanExtended(plan.calls, complete=True, unused=unused(plan, FUNCTIONS)))
    while run.running:
        run.end(data.draw(st.sampled_from(sorted(run.running))))
    told, wanted = meant(plan), wanted_of(plan)
    first = {told[call.id]: call.id for call in reversed(plan.calls)}
    if all(state.status in ("completed", "unused") for state in run.core.states.values()):
        assert sorted(run.made) == sorted({first[told[id_]] for id_ in wanted})
    for id_, state in run.core.states.items():
        assert (state.status == "unused") == (id_ not in wanted)
        assert state.same_as == (None if first[told[id_]] == id_ else first[told[id_]])


@given(plan=repeating_plans(), policy=policies, data=st.data())
def test_a_call_that_fails_fails_for_all_that_are_the_same(plan, policy, data) -> None:
    failing = data.draw(st.sets(st.sampled_from(sorted(meant(plan).values())), min_size=1, max_size=3))
    failing = {
        told for told in failing if not told.startswith("s")
    }  # a pure call fails as often as it is made
    plain = played(plan, data, optimize=False, failing=failing)
    run = played(plan, data, optimize=True, policy=policy, failing=failing)
    for id_ in wanted_of(plan):
        ended = run.core.states[id_].status == "completed"
        assert ended == (plain.core.states[id_].status == "completed")
        assert run.values.get(id_) == plain.values.get(id_)
    told = meant(plan)
    assert max(Counter(told[id_] for id_ in run.made).values()) == 1


@given(
    plan=repeating_plans(PURE),
    new=repeating_plans(PURE),
    policy=policies,
    first=st.booleans(),
    data=st.data(),
)
def test_a_revised_plan_makes_nothing_again_whichever_of_the_same_calls_is_left(
    plan, new, policy, first, data
) -> None:
    run = Played(optimize=True, policy=policy)
    known = meant(plan)

    def end_some(most: int) -> None:
        for _ in range(data.draw(st.integers(0, most))):
            if run.running:
                run.end(data.draw(st.sampled_from(sorted(run.running))))

    made: Counter[str] = Counter()

    def extend(calls: tuple[FunctionCall, ...], *, complete: bool = False) -> None:
        run.handle(PlanExtended(calls, complete=complete))

    extend(plan.calls, complete=first)
    end_some(6)
    made += Counter(known[id_] for id_ in run.made)
    run.made.clear()
    run.handle(PlanRevised())
    run.values.clear()
    run.finished = False
    now = meant(new)
    for call in new.calls:
        extend((call,))
        end_some(1)
    extend((), complete=True)
    while run.running:
        run.end(data.draw(st.sampled_from(sorted(run.running))))
    assert run.finished
    plain = played(new, data, optimize=False)
    assert run.values == plain.values
    made += Counter(now[id_] for id_ in run.made)
    assert max(made.values()) == 1


@given(plan=repeating_plans(), new=repeating_plans(), policy=policies, data=st.data())
def test_whatever_is_cancelled_nothing_hangs_and_nothing_of_it_is_made_for_another(
    plan, new, policy, data
) -> None:
    run = Played(optimize=True, policy=policy)

    def go_on(most: int) -> None:
        for _ in range(most):
            states = run.core.states
            if states and data.draw(st.booleans()):
                call = data.draw(st.sampled_from(sorted(states)))
                run.running.pop((call, states[call].attempt), None)
                run.handle(CallCancelled(call, states[call].attempt))
            elif run.running:
                run.end(data.draw(st.sampled_from(sorted(run.running))))

    run.handle(PlanExtended(plan.calls, complete=True, unused=unused(plan, FUNCTIONS)))
    go_on(4)
    run.handle(PlanRevised())
    run.values.clear()
    run.finished = False
    run.handle(PlanExtended(new.calls[:3]))
    go_on(3)
    run.handle(PlanExtended(new.calls[3:], complete=True, unused=unused(new, FUNCTIONS)))
    while run.running:
        go_on(1)
    assert run.finished
    for state in run.core.states.values():
        assert state.status in ("completed", "failed", "skipped", "unused", "cancelled")
        if state.same_as is not None and state.status == "completed":
            assert run.core.states[state.same_as].status == "completed"


def test_an_effect_that_a_new_plan_is_refused_to_make_again_can_still_be_cancelled() -> None:
    run = Played(optimize=True)
    run.handle(PlanExtended(check(parse("s1 = get(x=1)\ns2 = change(x=s1)"), FUNCTIONS).calls, complete=True))
    run.end(("s1", 1))
    run.handle(PlanRevised())
    new = check(parse("s1 = get(x=2)\ns2 = change(x=s1)"), FUNCTIONS).calls
    run.handle(PlanExtended(new))
    assert ("s2", 1) in run.running
    assert run.core.states["s2"].status == "failed"
    del run.running["s2", 1]
    run.handle(CallCancelled("s2", 1))
    run.end(("s1", 2))
    run.handle(PlanExtended((), complete=True))  # it is not cancelled once more
    assert run.finished


@given(plan=repeating_plans(), data=st.data())
def test_at_a_sudden_end_in_the_middle_of_a_revision_what_had_finished_is_known(plan, data) -> None:
    run = Played(optimize=True)
    run.handle(PlanExtended(plan.calls, complete=True))
    for _ in range(data.draw(st.integers(0, 8))):
        if run.running:
            run.end(data.draw(st.sampled_from(sorted(run.running))))
    before = dict(run.values)
    run.handle(PlanRevised())
    run.values.clear()
    run.handle(CancelRequested())
    assert run.finished
    assert run.values == before
    assert set(run.core.graph) == set(run.core.states)


@given(plan=repeating_plans())
def test_every_graph_with_same_calls_agrees_with_itself(plan) -> None:
    graph = discover(plan, FUNCTIONS)
    verify(graph)
    told = meant(plan)
    for call in graph:
        assert set(graph.alike(call)) == {other for other in graph if told[other] == told[call]}
    assert unused(plan, FUNCTIONS) == set(plan.by_id) - wanted_of(plan)
    assert not any(discover(plan, FUNCTIONS, optimize=False).same_as(call) for call in graph)


@given(plan=repeating_plans(PURE), policy=policies, data=st.data())
def test_the_simulation_is_that_of_the_calls_that_are_made_alone(plan, policy, data) -> None:
    seconds = {call.id: float(data.draw(st.integers(1, 9))) for call in plan}
    graph, left = discover(plan, FUNCTIONS), unused(plan, FUNCTIONS)
    done = simulate(plan, FUNCTIONS, seconds, processors=2, policy=policy, left_out=left)
    firsts = {call: graph.same_as(call) or call for call in graph}

    made = [call for call in plan if firsts[call.id] == call.id and call.id not in left]
    bare = Plan(
        tuple(
            FunctionCall(
                call.id,
                call.function,
                {"x": Constant(call.id), "y": ListOf(tuple(Reference(firsts[used]) for used in call.uses))},
            )
            for call in made
        )
    )
    alone = simulate(bare, FUNCTIONS, seconds, processors=2, policy=policy, optimize=False)
    assert done.lower_bound == alone.lower_bound
    assert {call: done.states[call].dispatched for call in bare.by_id} == {
        call: state.dispatched for call, state in alone.states.items()
    }
    assert done.makespan == alone.makespan


def test_a_call_like_one_that_has_failed_is_a_new_attempt_unless_it_failed_with_it() -> None:
    run = Played(optimize=True)
    run.handle(PlanExtended(parse("s1 = get(x=1)\ns2 = get(x=1)").calls, complete=True))
    run.running.clear()
    run.handle(CallFailed("s1", 1, "broken"))
    assert {call: state.status for call, state in run.core.states.items()} == {
        "s1": "failed",
        "s2": "skipped",
    }
    run.handle(PlanExtended(parse("s3 = get(x=1)\ns4 = get(x=1)").calls, complete=True))
    assert [*run.running] == [("s3", 1)]
    assert (run.core.graph.same_as("s3"), run.core.graph.same_as("s4")) == (None, "s3")
    # A revision for another reason doesn't make a new attempt of what failed with s1.
    run.handle(PlanRevised())
    text = "s1 = get(x=1)\ns2 = get(x=1)\ns3 = get(x=1)\ns4 = get(x=1)\ns5 = get(x=s2)"
    run.handle(PlanExtended(parse(text).calls, complete=True))
    assert [*run.running] == [("s3", 1)]
    statuses = {call: state.status for call, state in run.core.states.items()}
    assert statuses == {"s1": "failed", "s2": "skipped", "s3": "running", "s4": "planned", "s5": "skipped"}


def test_a_copy_that_is_complete_at_once_ends_the_run_beside_what_is_left_out() -> None:
    run = Played(optimize=True)
    run.handle(PlanExtended(parse("s1 = get(x=1)").calls, complete=True))
    run.end(("s1", 1))
    more = parse("s1 = get(x=1)\ns2 = get(x=2)\ns3 = get(x=1)")
    run.finished = False
    run.handle(PlanExtended(more.calls[1:], complete=True, unused=frozenset({"s2"})))
    assert run.finished
    assert run.made == ["s1"]


def test_a_call_that_another_one_waits_for_is_made_whoever_calls_it_unused() -> None:
    run = Played(optimize=True)
    plan = parse("s1 = get(x=1)\ns2 = get(x=1)\ns3 = get(x=s2)")
    run.handle(PlanExtended(plan.calls, complete=True, unused=frozenset({"s1"})))
    while run.running:
        run.end(min(run.running))
    assert run.made == ["s1", "s3"]
    assert run.finished


def test_a_call_that_waits_for_a_processor_is_dropped_once_nobody_wants_it() -> None:
    for policy in sorted(POLICIES):
        run = Played(optimize=True, policy=policy)
        plan = parse("\n".join(f"s{at} = work(x={at})" for at in range(1, 6)))
        run.handle(PlanExtended(plan.calls))
        run.handle(PlanExtended((), complete=True, unused=unused(plan, FUNCTIONS)))
        begun = {"barrier": [], "sequential": ["s1"]}.get(policy, ["s1", "s2"])
        while run.running:
            run.end(min(run.running))
        assert run.made == [*begun, "s5"], policy
        assert run.finished


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("get(x=1)", "get(x=1)", True),
        ("get(x=1)", "get(1, 1)", True),
        ("get(x=1, y=2)", "get(y=2, x=1)", True),
        ("get(x={'a': [1]})", "get(x={'a': [1]})", True),
        ("get(x=1)", "get(x=1.0)", False),
        ("get(x=1)", "get(x=True)", False),
        ("get(x=1)", "get(x='1')", False),
        ("get(x=1)", "get(x=1, y=1.0)", False),
        ("get(x=0.0)", "get(x=-0.0)", False),
        ("get(x=1)", "work(x=1)", False),
        ("look(x=1)", "look(x=1)", False),
        ("tell(x=1)", "tell(x=1)", False),
        ("shell(x=1)", "shell(x=1)", False),
    ],
)
def test_calls_are_the_same_if_they_are_pure_and_their_arguments_are_alike(one, other, same) -> None:
    plan = check(parse(f"s1 = {one}\ns2 = {other}"), FUNCTIONS)
    assert discover(plan, FUNCTIONS).same_as("s2") == ("s1" if same else None)


def test_the_lower_bound_goes_by_way_of_the_call_that_is_made() -> None:
    plan = check(parse("s1 = get(x=1)\ns2 = get(x=1)\ns3 = get(x=s2)"), FUNCTIONS)
    done = simulate(plan, FUNCTIONS, {"s1": 5.0, "s2": 1.0, "s3": 3.0}, processors=2)
    assert (done.makespan, done.lower_bound) == (8.0, 8.0)
