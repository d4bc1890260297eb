"""The order relation in the core: calls that conflict keep the plan's order, and nothing else waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from llmorch import function, simulate
from llmorch.declare.offered import as_functions
from llmorch.plan import check, parse

if TYPE_CHECKING:
    from llmorch.calls import Plan


@function(writes=["thing:{name}"])
async def write(name: str) -> str: ...


@function(reads=["thing:{name}"])
async def read(name: str) -> str: ...


@function(reads=["thing:*"])
async def survey() -> str: ...


@function(effects="unknown")
async def shell() -> str: ...


@function
async def pure(text: str) -> str: ...


FUNCTIONS = as_functions([write, read, survey, shell, pure])


@st.composite
def ordered_plans(draw: st.DrawFn) -> Plan:
    """Plans of calls that touch a few things, by names that are known and by results."""
    lines: list[str] = []
    for at in range(1, draw(st.integers(1, 10)) + 1):
        earlier = [f"s{number}" for number in range(1, at)]
        name = draw(st.sampled_from(["'a'", "'b'", "'c'", *earlier]))
        call = draw(
            st.sampled_from(
                [f"write(name={name})", f"read(name={name})", f"pure(text={name})"] * 3
                + ["survey()", "shell()"]
            )
        )
        lines.append(f"s{at} = {call}")
    return check(parse("\n".join(lines)), FUNCTIONS)


@given(plan=ordered_plans(), data=st.data())
def test_each_call_begins_when_what_it_uses_and_what_it_must_not_overtake_has_ended(plan, data) -> None:
    durations = {call.id: float(data.draw(st.integers(0, 9))) for call in plan}
    done = simulate(plan, FUNCTIONS, durations, processors=1, optimize=False)
    for call in plan:
        before = [*call.uses, *done.graph.after(call.id)]
        ends = [done.states[other].completed for other in before]
        assert done.states[call.id].dispatched == max(ends, default=0.0)
    assert done.makespan == done.lower_bound


@given(plan=ordered_plans(), data=st.data())
def test_two_calls_that_conflict_never_run_at_once(plan, data) -> None:
    durations = {call.id: float(data.draw(st.integers(1, 9))) for call in plan}
    done = simulate(plan, FUNCTIONS, durations, processors=1, optimize=False)
    calls = list(plan)
    for at, later in enumerate(calls):
        for earlier in calls[:at]:
            if done.graph.touch(earlier.id).conflicts(done.graph.touch(later.id)):
                assert done.states[earlier.id].completed <= done.states[later.id].dispatched


@given(plan=ordered_plans(), data=st.data())
def test_what_comes_after_a_failed_writer_is_not_made_and_all_else_is(plan, data) -> None:
    failing = data.draw(st.sampled_from([call.id for call in plan]))
    done = simulate(plan, FUNCTIONS, {}, processors=1, failing=[failing], optimize=False)
    stopped = set(done.graph.descendants(failing))
    assert {id_ for id_, state in done.states.items() if state.status == "skipped"} == stopped
    for call in plan:
        graph = done.graph
        if call.id in stopped:
            continue
        assert call.id == failing or not set(call.uses) & {failing, *stopped}
        spoilt = [other for other in graph.after(call.id) if other in {failing, *stopped}]
        assert not any(graph.touch(other).spoils(graph.touch(call.id)) for other in spoilt)
