"""What idle processors waited for: every idle second has one reason, and the right one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmorch import Orchestrator, function
from llmorch.explain import Explanation, explain
from llmorch.records import Run
from llmorch.runtime.simulate import simulate
from llmorch.story import simulated
from llmorch.testing import ScriptedModel
from tests.strategies import FUNCTIONS, plans

if TYPE_CHECKING:
    from llmorch import Simulation
    from llmorch.calls import Plan


def call(
    id_: str, function: str, began: float | None, ended: float | None, *processors: int, **more: Any
) -> dict[str, Any]:
    """A call as ``--json`` prints it, as far as it is read."""
    return {
        "id": id_,
        "function": function,
        "kind": "compute" if processors else "inout",
        "rank": 1,
        "uses": [],
        "excludes": [],
        "after": [],
        "same_as": None,
        "status": "running" if ended is None else "completed",
        "attempt": 1,
        "processor": processors[0] if processors else None,
        "batch": None,
        "processors": list(processors),
        "resources": {},
        "limits": [],
        "known": 0.0,
        "submitted": began,
        "dispatched": began,
        "completed": ended,
        "result": None,
        "error": None,
    } | more


def run(makespan: float, *calls: dict[str, Any], processors: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "query": None,
        "technique": None,
        "status": "answered",
        "answer": None,
        "error": None,
        "plan": None,
        "processors": processors,
        "makespan": makespan,
        "lower_bound": makespan,
        "planning": [],
        "calls": list(calls),
    } | more


def causes(data: dict[str, Any], processor: int) -> list[tuple[Any, ...]]:
    """Began, ended, reason, and of which calls and what, of one processor."""
    found = explain(Run.from_json(data))
    return [
        (cause.began, cause.ended, cause.reason, *filter(None, (cause.call, cause.on, cause.what)))
        for stretch in found.stretches
        if stretch.processor == processor
        for cause in stretch.causes
    ]


def test_a_call_that_needs_results_waits_for_the_one_that_ends_last_and_what_that_waited_for() -> None:
    data = run(
        9.0,
        call("s1", "search", 0.0, 2.0),
        call("s2", "open", 2.0, 5.0, uses=["s1"]),
        call("s3", "search", 0.0, 4.0),
        call("s4", "train", 5.0, 9.0, 0, uses=["s2", "s3"]),
    )
    assert causes(data, 0) == [(0.0, 2.0, "result", "s2", "s1"), (2.0, 5.0, "result", "s4", "s2")]
    assert causes(data, 1) == [(0.0, 5.0, "fewer"), (5.0, 9.0, "nothing", "s4")]


def test_a_call_is_not_made_before_it_is_in_the_plan_or_before_the_plan_is_whole() -> None:
    data = run(
        6.0,
        call("s1", "train", 1.5, 3.0, 0, known=1.5),
        call("s2", "write", 4.0, 6.0, 1, known=2.0, submitted=4.0),
    )
    assert causes(data, 0) == [(0.0, 1.5, "plan", "s1"), (3.0, 4.0, "fewer"), (4.0, 6.0, "nothing", "s2")]
    assert causes(data, 1) == [(0.0, 2.0, "plan", "s2"), (2.0, 4.0, "plan", "s2")]


def test_where_the_model_works_on_the_plan_is_told_of_that_processor_alone() -> None:
    data = run(
        4.0,
        call("s1", "train", 1.0, 3.0, 0, known=1.0),
        call("s2", "train", 2.0, 4.0, 1, known=1.5),
        planning=[{"began": 0.0, "ended": 2.0, "processors": [1]}],
    )
    assert causes(data, 0)[0] == (0.0, 1.0, "plan", "s1")
    assert causes(data, 1) == [(0.0, 1.5, "plan", "model"), (1.5, 2.0, "plan", "model")]


def test_what_waits_for_a_copy_of_a_call_waits_for_that_call() -> None:
    data = run(
        5.0,
        call("s1", "search", 0.0, 2.0),
        call("s2", "search", None, 2.0, same_as="s1"),
        call("s3", "train", 2.0, 5.0, 0, uses=["s2"]),
    )
    assert causes(data, 0) == [(0.0, 2.0, "result", "s3", "s1")]
    assert explain(Run.from_json(data)).chain == ("s1", "s3")


def test_calls_that_were_made_as_one_are_one_piece_of_work() -> None:
    data = run(
        4.0,
        call("s1", "train", 0.0, 3.0, 0, batch="s1"),
        call("s2", "train", 0.0, 2.0, 0, batch="s1"),
        call("s3", "train", 3.0, 4.0, 0),
        processors=1,
    )
    assert explain(Run.from_json(data)).work_seconds == 4.0


def test_a_call_that_was_never_made_is_in_no_chain() -> None:
    data = run(
        3.0,
        call("s1", "search", 0.0, 3.0),
        call("s2", "read", None, None, uses=["s1"]),
        call("s3", "write", 0.0, 1.0, after=["s2"]),
    )
    found = explain(Run.from_json(data))
    assert (found.chain, found.chain_seconds) == (("s1",), 3.0)


def test_effects_limits_resources_and_processors_are_told_apart() -> None:
    data = run(
        20.0,
        call("s1", "write", 0.0, 2.0, 0),
        call("s2", "read", 2.0, 3.0, 0, after=["s1"]),
        call("s3", "ask", 0.0, 5.0, 1, limits=["ask()"]),
        call("s4", "ask", 5.0, 6.0, 0, limits=["ask()"], submitted=0.0),
        call("s5", "film", 0.0, 8.0, resources={"camera": 1}),
        call("s6", "film", 8.0, 9.0, 0, resources={"camera": 1}, submitted=6.0),
        call("s7", "render", 12.0, 15.0, 0, 1, resources={"cpu": 2}, submitted=9.0),
        call("s8", "train", 9.0, 12.0, 1),
        call("s9", "look", 17.0, 20.0, 1, limits=["look() 1/s"], submitted=15.0),
    )
    assert causes(data, 0) == [
        (3.0, 5.0, "limit", "s4", "s3", "ask()"),
        (6.0, 8.0, "limit", "s6", "s5", "camera"),
        (9.0, 12.0, "limit", "s7", "s8", "cpu"),
        (15.0, 17.0, "fewer"),
        (17.0, 20.0, "nothing", "s9"),
    ]
    assert causes(data, 1)[-1] == (15.0, 17.0, "limit", "s9", "look() 1/s")
    ordered = run(3.0, call("s1", "write", 0.0, 2.0), call("s2", "read", 2.0, 3.0, 0, after=["s1"]))
    assert causes(ordered, 0) == [(0.0, 2.0, "order", "s2", "s1")]


def test_a_call_that_waits_for_its_turn_waits_for_each_that_has_it_before() -> None:
    turns = {"limits": ["model"], "submitted": 0.0}
    data = run(
        9.0,
        call("s1", "ask", 0.0, 2.0, **turns),
        call("s2", "ask", 2.0, 5.0, **turns),
        call("s3", "ask", 5.0, 5.0, **turns),
        call("s4", "ask", 5.0, 9.0, 0, **turns),
    )
    assert causes(data, 0) == [
        (0.0, 2.0, "limit", "s4", "s1", "model"),
        (2.0, 5.0, "limit", "s4", "s2", "model"),
    ]


def test_calls_that_failed_or_were_never_made_are_part_of_the_story() -> None:
    data = run(
        4.0,
        call("s1", "train", 0.0, 2.0, 0),
        call("s2", "train", None, None, uses=["s1"], submitted=None),
        call("s3", "train", 0.0, None, 1),
    )
    assert causes(data, 0) == [(2.0, 4.0, "nothing", "s3")]
    assert causes(data, 1) == []
    assert explain(Run.from_json(run(0.0))).stretches == ()


def explained(plan: Plan, done: Simulation) -> Explanation:
    return explain(simulated(plan, FUNCTIONS, done))


@settings(max_examples=300)
@given(plan=plans(arguments=False, max_calls=12), processors=st.integers(1, 4), data=st.data())
def test_every_idle_second_has_one_reason_that_is_true(plan, processors, data) -> None:
    seconds = {item.id: float(data.draw(st.integers(0, 9))) for item in plan}
    done = simulate(plan, FUNCTIONS, seconds, processors=processors)
    found = explained(plan, done)
    states = done.states
    made = [item for item in plan if states[item.id].dispatched is not None]
    busy = sum(seconds[item.id] for item in made if FUNCTIONS[item.function].kind == "compute")
    assert found.idle() == pytest.approx(done.makespan * processors - busy)
    assert sum(found.by_reason.values()) == pytest.approx(found.idle())
    assert found.chain_seconds <= done.lower_bound + 1e-9
    assert max(found.chain_seconds, found.work_seconds) <= done.makespan + 1e-9
    for stretch in found.stretches:
        ends = [stretch.began, *(cause.ended for cause in stretch.causes)]
        assert [cause.began for cause in stretch.causes] == ends[:-1]
        assert ends[-1] == stretch.ended
        for cause in stretch.causes:
            assert cause.reason in ("result", "limit", "fewer", "nothing")
            if cause.reason == "result":
                assert cause.on in {states[used].same_as or used for used in plan[cause.call].uses}
            if cause.reason in ("result", "limit"):
                on = states[cause.on]
                assert on.dispatched <= cause.began < cause.ended <= on.completed
                assert on.completed <= states[cause.call].dispatched
            if cause.reason == "limit":
                assert states[cause.call].submitted <= cause.began
                assert cause.what == "model"
            if cause.reason == "fewer":
                later = [item for item in states.values() if item.place.processors]
                assert any(item.dispatched >= cause.ended for item in later)
            if cause.reason == "nothing":
                starts = [item.dispatched for item in states.values() if item.place.processors]
                assert max(starts, default=0.0) <= cause.began


def test_ten_thousand_calls_are_explained_in_a_few_seconds() -> None:
    lines = [call("s0", "search", 0.0, 1.0)]
    for number in range(1, 10_000):
        lines.append(
            call(
                f"s{number}", "train", number, number + 1.0, number % 2, uses=[f"s{number - 1}"], limits=["m"]
            )
        )
    data = run(10_000.0, *lines)
    began = time.process_time()
    found = explain(Run.from_json(data))
    assert time.process_time() - began < 5
    assert found.idle() == pytest.approx(10_001.0)
    assert len(found.chain) == 10_000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ([], "it is no run"),
        ({"runs": []}, "it is no run"),
        ({"makespan": "long"}, "makespan: Input should be a valid number"),
        ({"makespan": float("nan")}, "makespan: Input should be a finite number"),
        ({"processors": 0}, "processors: Input should be greater than or equal to 1"),
        ({"planning": None}, "planning: Input should be a valid tuple"),
        ({"calls": [{"id": "s1"}]}, "calls.0.function is missing: the run was saved by another version"),
        ({"calls": [call("s1", "f", 0.0, -1.0)]}, "calls.0.completed: "),
    ],
)
def test_what_is_no_run_is_told_in_one_line(change, says) -> None:
    data = run(1.0) | change if isinstance(change, dict) and "runs" not in change else change
    with pytest.raises(ValueError, match="^") as caught:
        Run.from_json(data)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_calls_that_use_one_another_in_a_circle_are_no_hang() -> None:
    data = run(
        3.0,
        call("s1", "f", 1.0, 2.0, 0, uses=["s2"]),
        call("s2", "f", 1.0, 1.0, uses=["s1"]),
        call("s3", "f", 2.5, 3.0, 0, uses=["s3"]),
    )
    assert explain(Run.from_json(data)).idle(0) == pytest.approx(1.5)


@function(kind="compute")
def square(n: int) -> int:
    return n * n


@pytest.mark.anyio
async def test_a_run_whose_plan_a_local_model_writes_tells_when_and_where_that_was() -> None:
    pieces = ["s1 = square(n=2)\n", "s2 = square(n=3)\n", "s3 = square(n=s1 + s2)"]
    model = ScriptedModel([pieces], delay=0.1, kind="compute")
    async with Orchestrator([square], model=model, processors=2) as orchestrator:
        result = await orchestrator.run("Add them.")
    (planning,) = result.planning
    assert (planning.began, planning.processors) == (0.0, (1,))
    assert planning.ended is not None
    assert 0.1 <= planning.ended <= result.makespan
    assert result.calls["s1"].known == pytest.approx(0.0, abs=0.01)
    assert result.calls["s2"].known >= 0.09
    found = explain(Run.from_json(result.as_json()))
    there = [cause for stretch in found.stretches for cause in stretch.causes if cause.what == "model"]
    assert {cause.reason for cause in there} == {"plan"}
    assert sum(cause.seconds for cause in there) == pytest.approx(planning.ended, abs=1e-4)
