"""What a failure costs: the calls below its recovery point, and no other."""

from __future__ import annotations

import asyncio
import json
import re
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from llmorch import LimitReached, Orchestrator, function
from llmorch.testing import ScriptedModel
from tests.runtime.counted import MADE, number_in, scripted, search

if TYPE_CHECKING:
    from llmorch.models.model import ModelRequest

pytestmark = pytest.mark.anyio


@function(pure=True)
async def number(text: str, seconds: float = 0.0) -> int:
    """The number in a text; it comes late in it."""
    MADE[f"number {text}"] += 1
    await asyncio.sleep(seconds)
    return number_in(text)


@function(pure=True)
async def total(values: list[int]) -> int:
    MADE["total"] += 1
    return sum(values)


@function(kind="compute", pure=True)
def lookup(term: str) -> str:
    """Look a term up in the large dictionary."""
    return f"{term}, first 5000 words"


@function(writes=["account"])
async def pay(amount: int) -> str:
    MADE["pay"] += 1
    return f"paid {amount}"


FUNCTIONS = [search, number, total, lookup, pay]
TWO = """s1 = search(term="Utah")
s2 = search(term="Ohio", k=2000)
s3 = number(text=s1)
s4 = number(text=s2)
s5 = total(values=[s3, s4])"""


orchestrator = partial(scripted, FUNCTIONS)


async def test_a_failure_is_recovered_at_its_closest_parent_and_costs_its_cone_only() -> None:
    made, model = orchestrator(TWO, 's1 = search(term="Utah", k=1000)')
    async with made, asyncio.timeout(10):
        result = await made.run("How much?")
    assert result.answer == 3000
    assert MADE == {
        "search Utah 500": 1,
        "search Utah 1000": 1,
        "search Ohio 2000": 1,
        "number Utah, first 500 words": 1,
        "number Utah, first 1000 words": 1,
        "number Ohio, first 2000 words": 1,
        "total": 1,
    }
    (recovery,) = json.loads(json.dumps(result.as_json()))["recoveries"]
    assert recovery == {
        "kind": "recover",
        "why": "s3 (number) failed: ValueError: only 500 words were returned (k=500), and the number comes later",
        "failed": ["s3"],
        "changed": {"s1": 's1 = search(term="Utah", k=1000)'},
        "again": ["s1", "s3"],
    }
    assert [call.attempt for call in result.calls] == [2, 1, 2, 1, 1]
    asked = model.requests[1].messages[-1].text
    assert (
        "Failed: s3 = number(text=s1)\nwhere text was: Utah, first 500 words\nError: ValueError: only 500"
        in asked
    )
    assert asked.endswith('Repair: s1 = search(term="Utah")')


async def test_what_does_not_depend_on_it_runs_on_meanwhile() -> None:
    plan = (
        's1 = search(term="Utah")\ns2 = number(text=s1)\ns3 = number(text="x 2000 w", seconds=0.6)\n'
        "s4 = total(values=[s2, s3])"
    )
    made, _ = orchestrator(plan, 's1 = search(term="Utah", k=1000)')
    async with made, asyncio.timeout(10):
        began = time.monotonic()
        result = await made.run("How much?")
    assert result.answer == 3000
    assert time.monotonic() - began < 1.0
    assert MADE["number x 2000 w"] == 1
    s1, s3 = result.calls["s1"], result.calls["s3"]
    assert s1.attempt == 2
    assert s1.completed < s3.completed  # recovered while the other ran


async def test_the_repaired_call_may_be_another_function_of_another_kind() -> None:
    made, _ = orchestrator(TWO, 's1 = lookup(term="Utah")')
    async with made, asyncio.timeout(20):
        result = await made.run("How much?")
    assert result.answer == 7000
    assert result.calls["s1"].kind == "compute"
    assert result.calls["s1"].processor == 0


async def test_failures_whose_cones_meet_are_one_recovery() -> None:
    made, _ = orchestrator(
        TWO.replace(", k=2000", ""), 's1 = search(term="Utah", k=1000)', 's2 = search(term="Ohio", k=1500)'
    )
    async with made, asyncio.timeout(10):
        result = await made.run("How much?")
    assert result.answer == 2500
    (recovery,) = result.recoveries
    assert recovery.failed == ("s3", "s4")
    assert set(recovery.changed) == {"s1", "s2"}


async def test_failures_whose_cones_do_not_meet_are_apart() -> None:
    plan = "\n".join(TWO.replace(", k=2000", "").split("\n")[:4]) + '\ns5 = search(term="last")'
    plan = plan.replace('s5 = search(term="last")', "s5 = pay(amount=1)")
    replies = (plan, plan, 's1 = search(term="Utah", k=1000)', 's2 = search(term="Ohio", k=1500)')
    made, _ = orchestrator(*replies, optimize=False)
    async with made, asyncio.timeout(10):
        result = await made.run("How much?")
    assert result.answer == "paid 1"
    assert [recovery.failed for recovery in result.recoveries[1:]] == [("s3",), ("s4",)]
    assert MADE["pay"] == 1


async def test_where_the_parents_do_not_help_the_next_attempt_goes_further_up() -> None:
    @function(pure=True)
    async def cut(text: str, words: int = 100) -> str:
        return text if words >= 100 else "short"

    plan = 's1 = search(term="Utah")\ns2 = cut(text=s1)\ns3 = number(text=s2)'
    model = ScriptedModel(
        [plan, "s2 = cut(text=s1, words=200)", 's1 = search(term="Utah", k=1000)'], chunk=10_000
    )
    async with Orchestrator([*FUNCTIONS, cut], model=model) as made, asyncio.timeout(10):
        result = await made.run("How much?")
    assert result.answer == 1000
    assert [tuple(recovery.changed) for recovery in result.recoveries] == [("s2",), ("s1",)]
    assert MADE["search Utah 500"] == 1


async def test_the_last_attempt_plans_the_rest_with_the_results_so_far() -> None:
    made, model = orchestrator(
        TWO,
        's1 = search(term="Utah", k=600)',
        's1 = search(term="Utah", k=700)',
        's6 = search(term="Utah state", k=3000)\ns7 = number(text=s6)\ns8 = total(values=[s7, s4])',
    )
    async with made, asyncio.timeout(10):
        result = await made.run("How much?")
    assert result.answer == 5000
    assert [recovery.kind for recovery in result.recoveries] == ["recover", "recover", "replan"]
    assert [call.id for call in result.calls] == ["s1", "s2", "s4", "s6", "s7", "s8"]
    assert MADE["number Ohio, first 2000 words"] == 1
    asked = model.requests[-1].messages[-1].text
    assert "s4 = number(text=s2)\nResult: 2000" in asked
    assert "s3 = number(text=s1)\nResult: Error: ValueError: only 700 words" in asked


async def test_a_failure_that_nothing_helps_leaves_the_rest_and_says_what_was_tried() -> None:
    made, _ = orchestrator(TWO, *['s1 = search(term="Utah", k=600)'] * 2, *["no plan"] * 2)
    async with made, asyncio.timeout(10):
        result = await made.run("How much?")
    assert result.status == "unresolved"
    assert "s3 (number) failed" in result.error
    assert result.calls["s4"].result == 2000
    assert [recovery.kind for recovery in result.recoveries] == ["recover", "recover", "replan"]
    assert result.recoveries[1].changed == {}  # what was tried is not tried again


async def test_without_recoveries_a_failure_is_left_as_it_is() -> None:
    made, model = orchestrator(TWO, max_recoveries=0)
    async with made, asyncio.timeout(10):
        result = await made.run("How much?")
    assert result.status == "unresolved"
    assert not result.recoveries
    assert len(model.requests) == 1


@pytest.mark.parametrize("other", ["s4", "text"])
async def test_a_repair_that_cannot_be_run_is_asked_for_once_more(other) -> None:
    wrong = {"s4": "s1 = search(term=s4)", "text": "I would search again."}[other]
    made, model = orchestrator(TWO, wrong, 's1 = search(term="Utah", k=1000)')
    async with made, asyncio.timeout(10):
        result = await made.run("How much?")
    assert result.answer == 3000
    assert "That has an error:" in model.requests[2].messages[-1].text


async def test_a_call_with_effects_is_not_made_again() -> None:
    @function(writes=["account"])
    async def charge(text: str) -> str:
        MADE["charge"] += 1
        raise ConnectionError("the line broke")

    model = ScriptedModel(['s1 = search(term="Utah")\ns2 = charge(text=s1)'], chunk=10_000)
    async with Orchestrator([*FUNCTIONS, charge], model=model) as made, asyncio.timeout(10):
        result = await made.run("Charge it.")
    assert result.status == "unresolved"
    assert MADE["charge"] == 1
    assert "s2 (charge) has effects and is not declared idempotent" in result.error
    assert len(model.requests) == 1


async def test_a_call_with_effects_that_may_be_made_again_is() -> None:
    @function(writes=["account"], idempotent=True)
    async def charge(text: str) -> str:
        MADE["charge"] += 1
        if MADE["charge"] == 1:
            raise ConnectionError("the line broke")
        return "done"

    model = ScriptedModel(
        ['s1 = search(term="Utah")\ns2 = charge(text=s1)', 's1 = search(term="Utah", k=9)'], chunk=10_000
    )
    async with Orchestrator([*FUNCTIONS, charge], model=model) as made, asyncio.timeout(10):
        result = await made.run("Charge it.")
    assert result.answer == "done"
    assert MADE["charge"] == 2


@pytest.mark.parametrize("technique", ["rewoo", "llmcompiler"])
async def test_other_techniques_with_plans_recover_where_they_are_told_to(technique) -> None:
    repaired = ("E" if technique == "rewoo" else "s") + '1 = search(term="Utah", k=1000)'
    plan = TWO if technique != "rewoo" else re.sub(r"\bs(\d)", r"E\1", TWO)
    made, _ = orchestrator(
        plan, repaired, "Thought: enough\nAnswer: 3000", technique=technique, max_recoveries=2
    )
    async with made, asyncio.timeout(10):
        result = await made.run("How much?")
    assert "3000" in result.answer
    assert [recovery.kind for recovery in result.recoveries] == ["recover"]
    assert MADE["total"] == 1


async def test_results_that_are_not_enough_lead_to_more_calls() -> None:
    """A query with a condition: what is called next depends on what came first."""
    made, model = orchestrator(
        's1 = search(term="weather in Paris")',
        "Thought: it rains\nReplan: search for museums",
        's2 = search(term="museums near {s1}", k=2000)',
        "Thought: there they are\nAnswer: the Louvre",
        replan=True,
    )
    async with made, asyncio.timeout(10):
        result = await made.run("If it rains in Paris, search for museums, else for parks.")
    assert result.answer == "the Louvre"
    assert [call.id for call in result.calls] == ["s1", "s2"]
    assert [recovery.kind for recovery in result.recoveries] == ["replan"]
    assert MADE["search weather in Paris 500"] == 1
    assert 's1 = search(term="weather in Paris")\nResult: weather' in model.requests[2].messages[-1].text


async def test_judging_and_recovering_go_together() -> None:
    made, _ = orchestrator(
        TWO, 's1 = search(term="Utah", k=1000)', "Thought: fine\nAnswer: 3000", replan=True
    )
    async with made, asyncio.timeout(10):
        result = await made.run("How much?")
    assert result.answer == "3000"
    assert [recovery.kind for recovery in result.recoveries] == ["recover"]


async def test_a_run_past_its_deadline_ends_and_keeps_what_had_finished() -> None:
    made, _ = orchestrator('s1 = search(term="Utah", k=2000)\ns2 = number(text=s1, seconds=30)')
    async with made:
        began = time.monotonic()
        with pytest.raises(LimitReached, match=r"longer than its deadline of 0\.3 s") as raised:
            await made.run("How much?", deadline=0.3)
        assert time.monotonic() - began < 2
        assert raised.value.result.calls["s1"].status == "completed"
        assert raised.value.result.calls["s2"].status == "cancelled"


async def test_a_run_past_its_tokens_asks_no_more() -> None:
    made, model = orchestrator(TWO, 's1 = search(term="Utah", k=1000)')
    async with made:
        with pytest.raises(LimitReached, match="max_tokens is 10") as raised:
            await made.run("How much?", max_tokens=10)
    assert len(model.requests) == 1
    assert raised.value.result.calls["s2"].status == "completed"


@pytest.mark.parametrize("limits", [{"deadline": 0}, {"max_tokens": 0}])
async def test_a_limit_that_cannot_be_is_told(limits) -> None:
    made, _ = orchestrator(TWO)
    async with made:
        with pytest.raises(ValueError, match=next(iter(limits))):
            await made.run("How much?", **limits)


@function(pure=True)
async def nap(seconds: float, name: str = "b") -> str:
    await asyncio.sleep(seconds)
    return name


@function(pure=True)
async def glue(parts: list[str]) -> str:
    return " ".join(parts)


@function(reads=["account"])
async def balance(day: str) -> str:
    if day == "bad":
        raise ValueError("there is no such day")
    return "5"


@function(writes=["file:{name}"])
async def write(name: str, text: str) -> str:
    MADE[f"write {name}"] += 1
    return f"{name} written"


@function(writes=["file:{name}"], idempotent=True)
async def rewrite(name: str, text: str) -> str:
    if text == "bad":
        raise ValueError("it is bad")
    return f"{name} written"


@function(reads=["file:{name}"])
async def read(name: str) -> str:
    return f"content of {name}"


@function(writes=["account"], idempotent=True)
async def audit(term: str) -> str:
    return f"{term}, first 2000 words"


EFFECTS = [nap, glue, balance, write, rewrite, read, audit]


async def ran(*replies: str, **settings) -> tuple:
    model = ScriptedModel(replies, chunk=10_000)
    async with Orchestrator([*FUNCTIONS, *EFFECTS], model=model, **settings) as made, asyncio.timeout(10):
        return await made.run("Do it."), model


async def test_a_later_writer_that_has_completed_is_not_made_again_for_a_reader_that_failed() -> None:
    plan = 's1 = balance(day="bad")\ns2 = pay(amount=1)\ns3 = glue(parts=["{s1}", s2])'
    result, _ = await ran(plan, 's1 = balance(day="good")')
    assert result.answer == "5 paid 1"
    assert MADE["pay"] == 1


async def test_a_write_whose_name_was_known_late_is_not_made_again() -> None:
    plan = (
        's1 = nap(seconds=0.01)\ns2 = nap(seconds=0.3, name="x")\ns3 = write(name="a", text=s2)\n'
        's4 = write(name=s1, text="t")\ns5 = number(text="x 5 x", seconds=0.1)\ns6 = glue(parts=[s3, s4, "{s5}"])'
    )
    result, _ = await ran(plan, 's5 = number(text="x 5000 x")')
    assert result.answer == "a written b written 5000"
    assert (MADE["write a"], MADE["write b"]) == (1, 1)


PAYING = """s1 = search(term="Utah")
s2 = number(text=s1, seconds=0.1)
s3 = pay(amount=1)
s4 = glue(parts=["{s2}", s3])"""


async def test_a_repair_that_would_have_an_effect_made_again_is_given_back() -> None:
    plan = PAYING
    result, model = await ran(plan, 's1 = audit(term="x")', 's1 = search(term="Utah", k=1000)')
    assert result.answer == "1000 paid 1"
    assert MADE["pay"] == 1
    assert "s3 would be made again" in model.requests[2].messages[-1].text


@pytest.mark.parametrize("again", ["pay(amount=1)", "pay(amount=1.0)", 'pay(amount=1, currency="EUR")'])
async def test_a_plan_for_the_rest_cannot_make_an_effect_again(again) -> None:
    @function(name="pay", writes=["account"])
    async def paying(amount: float, currency: str = "EUR") -> str:
        MADE["pay"] += 1
        return "paid"

    plan = PAYING
    model = ScriptedModel(
        [
            plan,
            's1 = search(term="Utah", k=600)',
            f's5 = {again}\ns6 = glue(parts=["x", s5])',
            's5 = glue(parts=["x", s3])',
        ],
        chunk=10_000,
    )
    functions = [*FUNCTIONS[:4], paying, *EFFECTS]
    async with Orchestrator(functions, model=model, max_recoveries=2) as made, asyncio.timeout(10):
        result = await made.run("Do it.")
    assert result.answer == "x paid"
    assert MADE["pay"] == 1


class Unshowable:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize("again", ["pay_to(who=s1)", "pay_to(who=s2)"])
async def test_an_effect_of_a_value_that_cant_be_shown_is_not_made_again(again) -> None:
    @function(pure=True)
    async def person(name: str) -> object:
        return Unshowable(name)

    @function(writes=["account"])
    async def pay_to(who: object) -> str:
        MADE["pay"] += 1
        return "paid"

    plan = (
        's1 = person(name="Ann")\ns2 = person(name="Ann")\ns3 = pay_to(who=s1)\ns4 = search(term="Utah")\n'
        's5 = number(text=s4, seconds=0.1)\ns6 = same(one=s1, other=s2)\ns7 = glue(parts=["{s5}", s3, "{s6}"])'
    )

    @function(pure=True)
    async def same(one: object, other: object) -> bool:
        return one.name == other.name

    replies = [
        plan,
        's4 = search(term="Utah", k=600)',
        f's8 = {again}\ns9 = glue(parts=[s8, "{{s6}}"])',
        's8 = glue(parts=["x", s3, "{s6}"])',
    ]
    model = ScriptedModel(replies, chunk=10_000)
    functions = [*FUNCTIONS, *EFFECTS, person, pay_to, same]
    async with Orchestrator(functions, model=model, max_recoveries=2) as made, asyncio.timeout(10):
        result = await made.run("Do it.")
    assert result.answer == "x paid True"
    assert MADE["pay"] == 1
    assert "this call of it was made already" in model.requests[-1].messages[-1].text


async def test_a_second_plan_that_uses_the_first_one_recovers_as_well() -> None:
    result, _ = await ran(
        's1 = search(term="Utah", k=2000)',
        "Thought: x\nReplan: count",
        's2 = search(term="Ohio")\ns3 = number(text=s2)\ns4 = glue(parts=[s1, "{s3}"])',
        's2 = search(term="Ohio", k=3000)',
        "Thought: x\nAnswer: done",
        technique="llmcompiler",
        max_recoveries=2,
    )
    assert result.answer == "done"
    assert result.calls["s4"].result == "Utah, first 2000 words 3000"
    assert MADE["search Utah 2000"] == 1


async def test_a_failure_that_was_given_up_does_not_trouble_the_next_plan() -> None:
    useless = 's1 = search(term="Utah", k=600)'
    result, _ = await ran(
        's1 = search(term="Utah")\ns2 = number(text=s1)',
        useless,
        "Thought: x\nReplan: another way",
        's3 = search(term="Ohio", k=2000)\ns4 = number(text=s3)',
        "Thought: x\nAnswer: 2000",
        max_recoveries=1,
        replan=True,
    )
    assert result.answer == "2000"
    assert result.calls["s4"].result == 2000


async def test_the_answer_stays_the_answer_when_something_else_is_planned_anew() -> None:
    plan = 's1 = search(term="Utah")\ns2 = number(text=s1)\ns3 = pay(amount=1)'
    result, _ = await ran(
        plan,
        plan,
        's1 = search(term="Utah", k=600)',
        's4 = search(term="x", k=2000)\ns5 = number(text=s4)',
        max_recoveries=2,
        optimize=False,
    )
    assert result.answer == "paid 1"
    assert result.calls["s5"].result == 2000


async def test_a_kept_call_behind_a_failed_one_has_not_failed() -> None:
    plan = (
        's1 = nap(seconds=0.01)\ns2 = rewrite(name=s1, text="bad")\ns3 = read(name="a")\n'
        's4 = nap(seconds=0.4, name="x")\ns5 = glue(parts=[s3, s4])\ns6 = search(term="Utah")\n'
        's7 = number(text=s6)\ns8 = glue(parts=[s5, "{s7}"])'
    )
    unused = plan  # s2 is used by nothing, which the model is asked about once
    result, _ = await ran(
        plan,
        unused,
        's2 = rewrite(name=s1, text="bad ")',
        's6 = search(term="Utah", k=2000)',
        max_recoveries=2,
    )
    assert result.answer == "content of a x 2000"


async def test_what_was_tried_is_told_also_of_a_run_that_was_cut_short() -> None:
    plan = (
        's1 = search(term="Utah")\ns2 = number(text=s1)\ns3 = nap(seconds=9)\ns4 = glue(parts=["{s2}", s3])'
    )
    model = ScriptedModel([plan, 's1 = search(term="Utah", k=1000)'], chunk=10_000)
    async with Orchestrator([*FUNCTIONS, *EFFECTS], model=model) as made:
        with pytest.raises(LimitReached) as raised:
            await made.run("Do it.", deadline=0.5)
    assert [recovery.kind for recovery in raised.value.result.recoveries] == ["recover"]


async def test_a_default_written_out_is_no_other_call() -> None:
    result, _ = await ran(TWO, 's1 = search(term="Utah", k=500)', 's1 = search(term="Utah", k=1000)')
    assert result.answer == 3000
    assert [dict(recovery.changed) != {} for recovery in result.recoveries] == [False, True]
    assert MADE["search Utah 500"] == 1


async def test_an_observer_that_raises_leaves_nothing_running() -> None:
    def observe(message: object, at: float) -> None:
        if type(message).__name__ == "CancelRequested":
            raise KeyError("mine")

    model = ScriptedModel(["s1 = nap(seconds=30)\ns2 = glue(parts=[s1])"], chunk=10_000)
    before = asyncio.all_tasks()
    async with Orchestrator(EFFECTS, model=model) as made, asyncio.timeout(5):
        with pytest.raises((KeyError, LimitReached)):
            await made.run("Do it.", deadline=0.2, observer=observe)
        assert asyncio.all_tasks() == before


@pytest.mark.parametrize("most", [1, 2, 3, 5])
async def test_a_run_has_no_more_attempts_than_were_granted(most: int) -> None:
    """Calls of a new plan were counted from the beginning again."""
    again = iter(range(600, 999))

    def reply(request: ModelRequest) -> str:
        asked = request.messages[-1].text
        if "Repair: " in asked:
            return f'{asked.rsplit("Repair: ", 1)[1].split(" = ")[0]} = search(term="Utah", k={next(again)})'
        if len(model.requests) == 1:
            return 's1 = search(term="Utah")\ns2 = number(text=s1)\ns3 = total(values=[s2])'
        return f's7 = search(term="Utah", k={next(again)})\ns8 = number(text=s7)'

    model = ScriptedModel(reply, chunk=10_000)
    async with (
        Orchestrator(FUNCTIONS, model=model, processors=1, max_recoveries=most) as made,
        asyncio.timeout(10),
    ):
        result = await made.run("How much?")
    assert result.status == "unresolved"
    assert [one.kind for one in result.recoveries] == ["recover"] * (most - 1) + (
        ["replan"] if most > 1 else ["recover"]
    )


async def test_a_run_that_comes_to_its_deadline_stops_no_other() -> None:
    model = ScriptedModel(lambda _: "s1 = nap(seconds=0.6)", chunk=10_000)
    async with Orchestrator(EFFECTS, model=model, processors=1) as made:
        first = asyncio.create_task(made.run("Do it."))
        await asyncio.sleep(0.05)
        with pytest.raises(LimitReached) as raised:
            await made.run("Do it.", deadline=0.2)
        assert not first.done()
        assert [call.status for call in raised.value.result.calls] == ["cancelled"]
        assert (await first).answer == "b"
