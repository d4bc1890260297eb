"""What a plan will probably take: by what earlier calls took, and plainly where nothing is known."""

from __future__ import annotations

import asyncio
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from llmorch import Orchestrator, PlanError, function
from llmorch.learned import Sample, known_as
from llmorch.machine import cache_folder
from llmorch.requests import Usage
from llmorch.runtime.samples import FILE, Learning
from llmorch.testing import ScriptedModel

PLAN = (
    's1 = load(name="a")\ns2 = count(text=s1)\ns3 = count(text="b")\ns4 = train(after=[s2, s3])\n'
    's5 = self(prompt="{s4}?")'
)


@function(pure=True)
async def load(name: str) -> str:
    return name


@function(kind="compute", pure=True)
def count(text: str) -> int:
    return len(text)


@function(kind="compute", pure=True)
def train(after: list[int]) -> int:
    return sum(after)


def orchestrator(*replies: str, known: dict[str, list[Sample]] | None = None, **options: Any) -> Orchestrator:
    """One that has learned these samples, by function name."""
    it = Orchestrator(
        [load, count, train], model=options.pop("model", ScriptedModel(replies)), processors=2, **options
    )
    learning = Learning(cache_folder() / FILE)
    learning.learn(
        {known_as(it.functions[name], it.model.name): samples for name, samples in (known or {}).items()}
    )
    learning.write()
    return it


KNOWN = {
    "load": [Sample(1.0), Sample(3.0), Sample(2.0)],
    "count": [Sample(4.0)],
    "train": [Sample(10.0)],
    "self": [Sample(0.5, 1, 100, 10), Sample(1.5, 1, 300, 30)],
}


def test_each_call_is_expected_to_take_what_its_function_took() -> None:
    found = orchestrator(known=KNOWN).forecast(PLAN)
    assert [(call.id, call.seconds, call.samples) for call in found.calls] == [
        ("s1", 2.0, 3),
        ("s2", 4.0, 1),
        ("s3", 4.0, 1),
        ("s4", 10.0, 1),
        ("s5", 1.0, 2),
    ]
    assert (found.makespan, found.lower_bound) == (17.0, 17.0)
    assert (found.unknown, found.unknown_usage, found.processors) == ((), (), 2)
    assert found.calls[4].input_tokens == 200
    assert (found.usage.requests, found.usage.input_tokens, found.usage.output_tokens) == (1, 200, 20)


def test_the_order_that_is_foretold_is_the_one_that_the_policy_makes() -> None:
    plan = "s1 = count(text='a')\ns2 = count(text='b')\ns3 = train(after=[])"
    known = {"count": [Sample(5.0)], "train": [Sample(10.0)]}
    assert orchestrator(known=known, optimize=False).forecast(plan).makespan == 10.0
    assert orchestrator(known=known, optimize=False, policy="greedy").forecast(plan).makespan == 15.0


def test_calls_that_are_not_executed_take_nothing() -> None:
    plan = (
        's1 = count(text="a")\ns2 = count(text="a")\ns3 = self(prompt="b")\ns4 = self(prompt="b")\n'
        "s5 = train(after=[s1, s2])"
    )
    it = orchestrator(known=KNOWN)
    found = it.forecast(plan, planning=Usage())
    assert [(call.same_as, call.unused, call.seconds) for call in found.calls] == [
        (None, False, 4.0),
        ("s1", False, 0.0),
        (None, True, 0.0),
        ("s3", True, 0.0),
        (None, False, 10.0),
    ]
    assert (found.makespan, found.usage.requests) == (14.0, 0)
    looking = orchestrator(known=KNOWN, technique="rewoo").forecast(plan, planning=Usage())
    for every in (looking, it.forecast(plan)):  # a plan of one's own is made as it is written
        assert (every.usage.requests, [call.unused for call in every.calls]) == (1, [False] * 5)


def test_what_was_never_measured_is_named_and_counts_as_nothing() -> None:
    known = {name: samples for name, samples in KNOWN.items() if name not in ("count", "self")}
    found = orchestrator(known=known).forecast(PLAN)
    assert (found.unknown, found.unknown_usage) == (("s2", "s3", "s5"), ("s5",))
    assert found.makespan == 12.0
    assert found.calls[1].seconds is None
    assert orchestrator(learn=False).forecast(PLAN).unknown == ("s1", "s2", "s3", "s4", "s5")


def test_money_is_said_only_where_prices_are_or_the_model_runs_here() -> None:
    made = Usage(1, 1_000, 100, 2.0)
    it = orchestrator(known=KNOWN)
    assert it.forecast(PLAN, planning=made).cost is None
    assert it.forecast(PLAN, planning=made, prices=(10.0, 50.0)).cost == pytest.approx(0.012 + 0.006)
    local = orchestrator(model=ScriptedModel([], kind="compute"))
    assert local.forecast(PLAN, planning=made).cost == 0.0
    for prices in ((-1.0, 0.0), (0.0, float("inf")), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="a million tokens"):
            it.forecast(PLAN, prices=prices)


def test_what_a_technique_asks_after_its_plan_is_expected_too() -> None:
    plan = 's1 = load(name="a")'

    async def run() -> tuple[Any, Any]:
        replies = [plan, "the answer"]
        async with orchestrator(*replies, technique="rewoo") as it:
            before = it.forecast(plan)
            await it.run("What is a?")
            return before, it.forecast(plan, planning=Usage(1, 50, 5, 0.1))

    before, later = asyncio.run(run())
    assert before.after is None
    assert later.after is not None
    assert later.after.requests == 1
    assert later.usage.requests == 2
    assert later.usage.input_tokens == 50 + later.after.input_tokens


def test_a_forecast_runs_nothing_and_is_a_value() -> None:
    it = orchestrator()
    with pytest.raises(PlanError):
        it.forecast("s1 = unknown()")
    found = it.forecast(PLAN)
    with pytest.raises(FrozenInstanceError):
        found.makespan = 1.0  # type: ignore[misc]
    assert it.model.requests == []
    assert list(found.as_json()) == [
        "plan", "policy", "processors", "makespan", "lower_bound", "unknown", "unknown_usage", "planning",
        "after", "usage", "cost", "calls",
    ]  # fmt: skip
