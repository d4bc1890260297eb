"""Of calls that are equally urgent, those that compute work waits for go first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from llmorch import function
from llmorch.declare.offered import as_functions
from llmorch.declare.resources import supply_of
from llmorch.plan import check, parse
from llmorch.relations import remaining_path
from llmorch.schedule import Alone, CallCompleted, Dispatch, PlanExtended, policy_named

if TYPE_CHECKING:
    from llmorch.calls import Plan


@function(resources={"camera": 1}, pure=True)
async def look(after: list[int]) -> int: ...


@function(kind="compute", resources={"camera": 1}, pure=True)
def film(after: list[int]) -> int: ...


FUNCTIONS = as_functions([look, film])


def core_with_one_camera(plan: Plan, *, pieces: bool = False) -> list[str]:
    """The order in which calls start that all need the same one thing, of unknown durations."""
    core = Alone(FUNCTIONS, processors=2, policy=policy_named("critical"), supply=supply_of({"camera": 1}))
    started: list[str] = []
    known = list(plan.calls)
    parts = [(call,) for call in known] if pieces else [tuple(known)]
    commands = [core.handle(PlanExtended(part, complete=part[-1] is known[-1]), at=0.0) for part in parts]
    coming = [command for some in commands for command in some]
    while coming:
        begun = [command for command in coming if isinstance(command, Dispatch)]
        started += [command.call for command in begun]
        coming = [later for command in begun for later in core.handle(CallCompleted(command.call, 1), at=0.0)]
    return started


@st.composite
def plans_of_one_camera(draw: st.DrawFn) -> Plan:
    lines = []
    for at in range(1, draw(st.integers(2, 8)) + 1):
        earlier = [f"s{number}" for number in range(1, at)]
        used = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=2)) if earlier else []
        lines.append(f"s{at} = {draw(st.sampled_from(['look', 'film']))}(after=[{', '.join(used)}])")
    return check(parse("\n".join(lines)), FUNCTIONS)


@given(plan=plans_of_one_camera())
def test_equally_urgent_calls_start_in_the_order_of_what_they_unlock_then_of_the_plan(plan: Plan) -> None:
    started = core_with_one_camera(plan)
    assert sorted(started) == sorted(call.id for call in plan)
    graph = Alone(FUNCTIONS, processors=2, policy=policy_named("critical")).graph
    for call in plan:
        graph.add(call, FUNCTIONS[call.function].kind)
    paths = remaining_path(graph, {call.id: 1.0 for call in plan})

    def unlocks(call: str) -> bool:
        behind = graph.descendants(call)
        return graph.kind(call) == "inout" and any(graph.kind(later) == "compute" for later in behind)

    for at, call in enumerate(started):
        ready = [id_ for id_ in started[at:] if set(graph.uses(id_)) <= set(started[:at])]
        assert call == min(ready, key=lambda id_: (-paths[id_], not unlocks(id_), graph.order(id_)))


def test_a_call_that_waited_while_the_plan_was_written_goes_first_once_it_is_seen_to_unlock_work() -> None:
    plan = check(
        parse(
            "s1 = look(after=[])\ns2 = film(after=[])\ns3 = look(after=[])\n"
            "s4 = film(after=[s3])\ns5 = look(after=[s2])"
        ),
        FUNCTIONS,
    )
    assert core_with_one_camera(plan, pieces=True) == ["s1", "s3", "s2", "s4", "s5"]
