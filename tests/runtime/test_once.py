"""Nothing done twice, nothing done for nobody: on the real runtime, with every way to run a call."""

from __future__ import annotations

import asyncio
import json
import random
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from llmorch import Orchestrator, function, simulate
from llmorch.testing import ScriptedModel
from tests.runtime.counted import MADE, number_in, scripted, search

VIRTUAL = True
pytestmark = pytest.mark.anyio


@function(pure=True)
def number(text: str) -> int:
    """The number in a text; it comes late in it."""
    MADE[f"number {text}"] += 1
    return number_in(text)


@function(pure=True)
def first(text: str) -> str:
    """The first word of a text."""
    MADE[f"first {text}"] += 1
    return text.split(",", maxsplit=1)[0]


@function(pure=True)
async def total(values: list[Any]) -> str:
    MADE["total"] += 1
    return " ".join(map(str, values))


@function(reads=["clock"])
async def now() -> int:
    MADE["now"] += 1
    return MADE["now"]


@function(writes=["mail:{to}"])
async def send(to: str) -> str:
    MADE[f"send {to}"] += 1
    return f"sent to {to}"


@function
async def notify(text: str) -> None:
    MADE[f"notify {text}"] += 1


@function(kind="compute", pure=True)
def count_letters(text: str, log: str) -> int:
    with Path(log).open("a", encoding="utf-8") as file:
        file.write("made\n")
    return len(text)


FUNCTIONS = [search, number, first, total, now, send, notify, count_letters]


orchestrator = partial(scripted, FUNCTIONS)


async def executed(plan: str, *replies: str, **settings: Any):
    made, _ = orchestrator(*replies, **settings)
    async with made, asyncio.timeout(20):
        return await made.execute(plan)


async def ran(plan: str, **settings: Any):
    """The plan as a model writes it, also when it is asked whether a result is to be used."""
    made, _ = orchestrator(plan, plan, **settings)
    async with made, asyncio.timeout(20):
        return await made.run("Do it.")


PLAN = """s1 = search(term="Utah")
s2 = search("Utah", k=500)
s3 = first(text=s1)
s4 = first(text=s2)
s5 = total(values=[s3, s4, s2])"""


async def test_calls_that_are_the_same_are_executed_once_and_have_one_result() -> None:
    result = await executed(PLAN)
    assert result.answer == "Utah Utah Utah, first 500 words"
    assert MADE == {"search Utah 500": 1, "first Utah, first 500 words": 1, "total": 1}
    records = {call["id"]: call for call in json.loads(json.dumps(result.as_json()))["calls"]}
    assert [call["same_as"] for call in records.values()] == [None, "s1", None, "s3", None]
    assert {call["status"] for call in records.values()} == {"completed"}
    copy, original = records["s2"], records["s1"]
    assert copy["result"] == original["result"]
    assert copy["completed"] == original["completed"]
    assert (copy["processor"], copy["submitted"], copy["dispatched"]) == (None, None, None)
    assert result.calls["s2"].result is result.calls["s1"].result
    assert result.notes == ()


async def test_without_optimizing_every_call_is_executed() -> None:
    plan = f"s0 = search(term='Ohio')\n{PLAN}"
    result = await executed(plan, optimize=False)
    assert result.answer == "Utah Utah Utah, first 500 words"
    assert MADE["search Utah 500"] == MADE["first Utah, first 500 words"] == 2
    assert MADE["search Ohio 500"] == 1
    assert [call.same_as for call in result.calls] == [None] * 6


async def test_a_compute_call_that_is_the_same_takes_no_processor(tmp_path) -> None:
    log = tmp_path / "log"
    calls = [f's{at} = count_letters(text="abc", log="{log}")' for at in range(1, 5)]
    result = await executed("\n".join([*calls, "s5 = total(values=[s1, s2, s3, s4])"]))
    assert result.answer == "3 3 3 3"
    assert log.read_text() == "made\n"
    assert [call.processor for call in result.calls] == [0, None, None, None, None]


async def test_the_model_is_asked_once_for_one_prompt() -> None:
    plan = 's1 = self(prompt="Which?")\ns2 = self(prompt="Which?")\ns3 = total(values=[s1, s2])'
    result = await executed(plan, "this one")
    assert result.answer == "this one this one"
    assert result.usage.requests == 1


async def test_what_touches_anything_is_executed_as_often_as_it_is_written() -> None:
    plan = """s1 = now()
s2 = now()
s3 = send(to="Ann")
s4 = send(to="Ann")
s5 = notify(text="a")
s6 = notify(text="a")
s7 = total(values=[s1, s2])"""
    result = await executed(plan)
    assert MADE == {"now": 2, "send Ann": 2, "notify a": 2, "total": 1}
    assert result.calls["s7"].result in ("1 2", "2 1")


async def test_what_is_pure_and_nothing_uses_is_not_executed_for_a_query_and_somebody_is_told() -> None:
    plan = """s1 = search(term="Utah")
s2 = first(text=s1)
s3 = now()
s4 = send(to="Ann")
s5 = search(term="Ohio")
s6 = first(text=s5)"""
    result = await ran(plan, policy="sequential")
    assert (result.status, result.answer) == ("answered", "Ohio")
    # The first had begun while the plan was written; what only reads is made as it is written.
    made = {"search Utah 500": 1, "search Ohio 500": 1, "first Ohio, first 500 words": 1}
    assert made | {"now": 1, "send Ann": 1} == MADE
    statuses = [call.status for call in result.calls]
    assert statuses == ["completed", "unused", "completed", "completed", "completed", "completed"]
    assert result.notes == (
        "s2 is not executed: nothing uses its result (--no-optimize, or optimize=False, executes all calls)",
    )
    unused = result.as_json()["calls"][1]
    assert [unused[name] for name in ("submitted", "dispatched", "completed", "result", "error")] == [
        None
    ] * 5
    MADE.clear()
    everything = await ran(plan, optimize=False)
    assert MADE["first Utah, first 500 words"] == 1
    assert everything.notes == ()
    MADE.clear()
    as_written = await executed(plan)
    assert [call.status for call in as_written.calls] == ["completed"] * 6
    assert MADE.total() == 6


async def test_what_is_not_executed_keeps_no_call_waiting_and_is_in_no_bound() -> None:
    @function(pure=True)
    async def slow(text: str) -> str:
        await asyncio.sleep(0.2)
        return text

    @function(pure=True)
    async def read(name: str) -> str:
        return name

    @function(writes=["page:{name}"])
    async def write(name: str) -> str:
        await asyncio.sleep(0.2)
        return name

    plan = 's1 = slow(text="a")\ns2 = read(name=s1)\ns3 = write(name="b")\ns4 = slow(text="{s1} {s3}")'
    orchestrator = Orchestrator([slow, read, write], model=ScriptedModel([plan] * 2), learn=False)
    result = await orchestrator.run("Do it.")
    assert result.calls["s2"].status == "unused"
    assert result.lower_bound <= result.makespan
    seconds = {"slow": 2.0, "write": 2.0, "s2": 9.0}
    checked = orchestrator.check(plan)
    run = simulate(checked, orchestrator.functions, seconds, processors=1, left_out=["s2"])
    assert (run.makespan, run.lower_bound) == (4.0, 4.0)


async def test_one_that_nothing_uses_is_executed_for_another_that_is_the_same() -> None:
    plan = 's1 = search(term="Utah")\ns2 = search(term="Utah")\ns3 = search(term="Utah")\ns4 = first(text=s3)'
    result = await ran(plan)
    assert [call.status for call in result.calls] == ["completed", "unused", "completed", "completed"]
    assert MADE["search Utah 500"] == 1


async def test_a_call_that_fails_fails_for_all_that_are_the_same_and_no_other() -> None:
    plan = """s1 = search(term="nowhere")
s2 = search(term="nowhere")
s3 = search(term="Utah")
s4 = total(values=[s1])
s5 = total(values=[s2])
s6 = total(values=[s3, s4, s5])"""
    result = await executed(plan)
    assert result.status == "unresolved"
    assert result.error == "s1 (search) failed: ValueError: there is no such page"
    statuses = [call.status for call in result.calls]
    assert statuses == ["failed", "skipped", "completed", "skipped", "skipped", "skipped"]
    assert result.calls["s2"].error == "s1 failed"
    assert MADE["search nowhere 500"] == 1


async def test_what_a_call_touches_is_known_from_the_result_of_another_that_is_the_same() -> None:
    plan = """s1 = first(text="Ann,")
s2 = first(text="Ann,")
s3 = send(to=s2)
s4 = send(to="Ben")
s5 = total(values=[s3, s4])"""
    result = await executed(plan)
    assert result.answer == "sent to Ann sent to Ben"
    assert result.calls["s4"].after == ()


@pytest.mark.parametrize("seed", range(12))
async def test_any_plan_comes_to_the_same_with_and_without_optimizing(seed) -> None:
    chance = random.Random(seed)
    lines = []
    for at in range(1, 16):
        texts = [
            '"Utah, a"',
            '"Ohio, b"',
            *(f'"{{s{other}}}"' for other in range(1, at) if chance.random() < 0.5),
        ]
        text = chance.choice(texts)
        name = chance.choice(
            ["first(text={})", "first({})", "search(term={})", "search({}, k=500)", "send(to={})"]
        )
        lines.append(f"s{at} = {name.format(text)}")
    ids = ", ".join(f"s{at}" for at in range(1, 16) if chance.random() < 0.7)
    plan = "\n".join([*lines, f"s16 = total(values=[{ids}])"])
    plain = await executed(plan, optimize=False)
    made = MADE.copy()
    MADE.clear()
    result = await executed(plan)
    assert result.answer == plain.answer
    for call in result.calls:
        assert call.status in ("completed", "unused")
        if call.status == "completed":
            assert call.result == plain.calls[call.id].result
    told: dict[str, str] = {}
    for line in lines:
        id_, text = line.replace(", k=500", "").replace("term=", "").replace("text=", "").split(" = ")
        told[id_] = re.sub(r"\{(s\d+)\}", lambda found: told[found.group(1)], text)
    wanted = [call for call in result.calls[:-1] if call.status == "completed"]
    pure = {told[call.id] for call in wanted if call.function != "send"}
    sent = sum(call.function == "send" for call in wanted)
    assert MADE.total() == len(pure) + sent + 1
    assert sum(times for name, times in made.items() if name.startswith("send")) == sent


async def test_a_call_that_began_while_the_model_wrote_goes_on_though_nothing_uses_it() -> None:
    pieces = ['s1 = search(term="Utah")\n', 's2 = now()\ns3 = first(text="Ohio,")']
    model = ScriptedModel([pieces, pieces], delay=0.1)
    async with Orchestrator(FUNCTIONS, model=model, policy="sequential") as made, asyncio.timeout(20):
        result = await made.run("Which?")
    assert result.answer == "Ohio"
    # The model is asked once to use it, and writes the same again.
    assert result.calls["s1"].status == "completed"
    assert MADE["search Utah 500"] == 1


async def test_a_call_that_waits_when_the_plan_is_complete_and_that_nothing_uses_is_not_executed() -> None:
    plan = 's1 = search(term="Utah")\ns2 = search(term="Ohio")\ns3 = first(text="Ohio,")'
    made, _ = orchestrator(plan, plan, policy="sequential")
    async with made, asyncio.timeout(20):
        result = await made.run("Which?")
    assert [call.status for call in result.calls] == ["completed", "unused", "completed"]
    assert result.notes[0].startswith("s2 is not executed: nothing uses its result")


SHOWN = 's1 = search(term="Utah")\ns2 = search(term="Utah")\ns3 = first(text="Ohio,")'


@pytest.mark.parametrize(
    ("technique", "replies", "settings"),
    [
        ("rewoo", [re.sub(r"\bs(\d)", r"E\1", SHOWN), "Utah"], {}),
        ("llmcompiler", [SHOWN, "Thought: seen\nAnswer: Utah"], {}),
        ("llmorch", [SHOWN, SHOWN, "Thought: seen\nAnswer: Utah"], {"replan": True}),
        ("parallel", ['search(term="Utah")\nsearch(term="Utah")\nfirst(text="Ohio,")', "Answer: Utah"], {}),
    ],
)
async def test_where_a_model_looks_at_results_all_are_there(technique, replies, settings) -> None:
    made, model = orchestrator(*replies, technique=technique, **settings)
    async with made, asyncio.timeout(20):
        result = await made.run("Which?")
    assert result.answer == "Utah"
    assert {call.status for call in result.calls} == {"completed"}
    assert MADE == {"search Utah 500": 1, "first Ohio,": 1}
    assert "first 500 words" in model.requests[-1].messages[-1].text


async def test_a_call_that_failed_in_an_earlier_turn_is_a_new_attempt() -> None:
    made, _ = orchestrator(
        'Action: search(term="nowhere")',
        'Action: search(term="nowhere")',
        "Answer: nothing",
        technique="react",
    )
    async with made, asyncio.timeout(20):
        result = await made.run("Which?")
    assert result.answer == "nothing"
    assert MADE["search nowhere 500"] == 2
    assert [(call.status, call.same_as) for call in result.calls] == [("failed", None)] * 2


@pytest.mark.parametrize("optimize", [True, False])
async def test_in_turns_too_a_function_that_returns_nothing_is_called_as_often_as_it_is_written(
    optimize: bool,
) -> None:
    made, _ = orchestrator(
        'notify(text="a")\nnotify(text="a")\nfirst(text="b,")\nfirst(text="b,")',
        'notify(text="a")\nfirst(text="b,")',
        "Answer: told",
        technique="parallel",
        optimize=optimize,
    )
    async with made, asyncio.timeout(20):
        await made.run("Tell.")
    assert MADE == {"notify a": 3, "first b,": 1}


async def test_a_model_that_repeats_an_action_is_still_stopped() -> None:
    made, _ = orchestrator(*['Action: search(term="Utah")'] * 3, technique="react")
    async with made, asyncio.timeout(20):
        result = await made.run("Which?")
    assert result.status == "unresolved"
    assert "the model repeated" in result.error
    assert MADE["search Utah 500"] == 1


async def test_a_later_plan_has_the_result_of_an_earlier_one() -> None:
    made, _ = orchestrator(
        's1 = search(term="Utah")',
        "Thought: more\nReplan: its first word",
        's2 = search(term="Utah")\ns3 = first(text=s2)',
        "Thought: seen\nAnswer: Utah",
        replan=True,
    )
    async with made, asyncio.timeout(20):
        result = await made.run("Which?")
    assert result.answer == "Utah"
    assert result.calls["s2"].same_as == "s1"
    assert MADE["search Utah 500"] == 1


@function(pure=True)
async def wait(seconds: float) -> float:
    MADE["wait"] += 1
    await asyncio.sleep(seconds)
    return seconds


@pytest.mark.parametrize(
    ("cancelled", "statuses"),
    [
        ("s1", ["cancelled", "skipped", "skipped", "skipped", "completed", "skipped"]),
        ("s2", ["completed", "cancelled", "completed", "skipped", "completed", "skipped"]),
    ],
)
async def test_cancelling_one_of_the_same_calls_stops_the_others_if_it_is_made_for_them(
    cancelled, statuses
) -> None:
    plan = """s1 = wait(seconds=1)
s2 = wait(seconds=1)
s3 = wait(seconds=1)
s4 = total(values=[s2])
s5 = wait(seconds=0)
s6 = total(values=[s1, s3, s4, s5])"""
    async with Orchestrator([wait, total], model=ScriptedModel([])) as made, asyncio.timeout(10):
        dispatched = asyncio.Event()
        run = made.start_plan(plan, observer=lambda message, at: dispatched.set())
        await dispatched.wait()
        await asyncio.sleep(0.05)
        run.cancel(cancelled)
        result = await run
    assert [call.status for call in result.calls] == statuses
    assert MADE["wait"] == 2


# Recovery: what is the same is mended as one.

TWICE = """s1 = search(term="Utah")
s2 = search(term="Utah")
s3 = number(text=s1)
s4 = number(text=s2)
s5 = total(values=[s3, s4])"""


async def test_a_repaired_call_is_repaired_for_all_that_failed_with_it() -> None:
    made, model = orchestrator(TWICE, 's1 = search(term="Utah", k=1000)')
    async with made, asyncio.timeout(20):
        result = await made.run("How much?")
    assert result.answer == "1000 1000"
    assert len(model.requests) == 2
    assert MADE == {
        "search Utah 500": 1,
        "number Utah, first 500 words": 1,
        "search Utah 1000": 1,
        "number Utah, first 1000 words": 1,
        "total": 1,
    }
    (recovery,) = result.recoveries
    assert recovery.failed == ("s3",)
    assert recovery.changed == {
        "s1": 's1 = search(term="Utah", k=1000)',
        "s2": 's2 = search(term="Utah", k=1000)',
    }
    assert recovery.again == ("s1", "s3")
    assert [call.same_as for call in result.calls] == [None, "s1", None, "s3", None]


async def test_a_call_without_parents_is_repaired_for_all_that_are_the_same() -> None:
    plan = 's1 = search(term="nowhere")\ns2 = search(term="nowhere")\ns3 = total(values=[s1, s2])'
    made, _ = orchestrator(plan, 's1 = search(term="Utah")')
    async with made, asyncio.timeout(20):
        result = await made.run("How much?")
    assert result.answer == "Utah, first 500 words Utah, first 500 words"
    assert MADE == {"search nowhere 500": 1, "search Utah 500": 1, "total": 1}


async def test_a_call_that_is_the_same_and_was_enough_for_others_keeps_its_result() -> None:
    plan = """s1 = search(term="Utah")
s2 = search(term="Utah")
s3 = number(text=s1)
s4 = first(text=s2)
s5 = total(values=[s3, s4, s2])"""
    made, _ = orchestrator(plan, 's1 = search(term="Utah", k=1000)')
    async with made, asyncio.timeout(20):
        result = await made.run("How much?")
    assert result.answer == "1000 Utah Utah, first 500 words"
    assert MADE["search Utah 500"] == MADE["first Utah, first 500 words"] == 1
    assert MADE["search Utah 1000"] == 1
    assert [call.same_as for call in result.calls] == [None] * 5
    # What was made for both is s2's own now.
    assert result.calls["s2"].dispatched is not None
    assert result.calls["s2"].dispatched < result.calls["s1"].dispatched


async def test_the_first_of_those_that_are_the_same_is_repaired_whichever_failed() -> None:
    plan = """s1 = search(term="Utah")
s2 = search(term="Utah")
s3 = number(text=s2)
s4 = number(text=s1)
s5 = total(values=[s3, s4])"""
    made, model = orchestrator(plan, 's1 = search(term="Utah", k=1000)')
    async with made, asyncio.timeout(20):
        result = await made.run("How much?")
    assert result.answer == "1000 1000"
    assert model.requests[-1].messages[-1].text.endswith('Repair: s1 = search(term="Utah")')
    assert MADE["search Utah 1000"] == 1


async def test_an_effect_is_not_made_for_several_by_a_repair() -> None:
    plan = TWICE.replace("number", "first").replace("Utah", "nowhere")
    made, _ = orchestrator(plan, 's1 = send(to="Ann")', 's2 = search(term="Utah")', influence="allow")
    async with made, asyncio.timeout(20):
        result = await made.run("How much?")
    assert result.answer == "sent to Ann Utah"
    assert MADE["send Ann"] == 1
    assert [tuple(recovery.changed) for recovery in result.recoveries] == [("s1",), ("s2",)]


async def test_another_recovery_does_not_make_again_what_failed_for_two() -> None:
    plan = """s1 = search(term="nowhere")
s2 = search(term="nowhere")
s3 = send(to=s1)
s4 = send(to=s2)
s5 = search(term="Utah")
s6 = number(text=s5)
s7 = total(values=[s6, s4, s3])"""
    made, _ = orchestrator(
        plan,
        *['s1 = search(term="nowhere")'] * 1,
        's5 = search(term="Utah", k=1000)',
        *['s1 = search(term="nowhere")'] * 3,
        max_recoveries=2,
    )
    async with made, asyncio.timeout(20):
        result = await made.run("How much?")
    assert result.calls["s6"].result == 1000
    assert result.status == "unresolved"
    assert MADE["search nowhere 500"] == 1


async def test_the_rest_is_planned_anew_without_any_that_failed_together() -> None:
    made, _ = orchestrator(
        TWICE,
        's1 = search(term="Utah", k=600)',
        's1 = search(term="Utah", k=700)',
        's6 = search(term="Utah", k=3000)\ns7 = number(text=s6)',
    )
    async with made, asyncio.timeout(20):
        result = await made.run("How much?")
    assert result.answer == 3000
    assert [recovery.kind for recovery in result.recoveries] == ["recover", "recover", "replan"]
    assert [call.id for call in result.calls] == ["s1", "s2", "s6", "s7"]
    assert MADE["search Utah 600"] == MADE["search Utah 700"] == MADE["search Utah 3000"] == 1


async def test_a_call_that_nobody_wants_and_that_failed_is_not_recovered() -> None:
    plan = 's1 = search(term="nowhere")\ns2 = first(text="Ohio,")'
    made, model = orchestrator(plan, plan)
    async with made, asyncio.timeout(20):
        result = await made.run("Which?")
    assert result.answer == "Ohio"
    assert len(model.requests) == 2
    assert [recovery.kind for recovery in result.recoveries] == ["repair"]
