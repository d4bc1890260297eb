"""What goes on, and what is known, while a model is asked to recover a run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmorch import LimitReached, ModelError, Orchestrator, function
from llmorch.testing import ScriptedModel
from tests.runtime.counted import MADE

VIRTUAL = True
pytestmark = pytest.mark.anyio


@function(pure=True)
async def search(term: str, k: int = 500) -> str:
    MADE["search"] += 1
    return f"{term}, first {k} words"


@function(pure=True)
async def number(text: str, seconds: float = 0.0) -> int:
    await asyncio.sleep(seconds)
    words = int(text.split()[-2])
    if words < 1000:
        raise ValueError(f"only {words} words were returned")
    return words


@function(pure=True)
async def nap(seconds: float, name: str = "b") -> str:
    MADE["nap"] += 1
    await asyncio.sleep(seconds)
    return name


@function(pure=True)
async def glue(parts: list[str]) -> str:
    return " ".join(parts)


@function(pure=True)
async def flaky(text: str) -> str:
    MADE["flaky"] += 1
    if MADE["flaky"] == 1:
        raise ConnectionError("try again later")
    return text


@function(reads=["file:{name}"])
async def read(name: str) -> str:
    MADE["read"] += 1
    return f"content of {name}"


@function(writes=["file:{name}"], idempotent=True)
async def store(name: str, text: str) -> str:
    return f"{name}, first {2000 if text == 'ok' else 20} words"


@function(writes=["account"])
async def pay(amount: int, why: str) -> str:
    MADE["pay"] += 1
    return f"paid {amount}"


FUNCTIONS = [search, number, nap, glue, flaky, read, store, pay]


async def run(
    *replies: Any, delay: float = 0.0, limits: dict[str, Any] | None = None, **settings: Any
) -> Any:
    model = ScriptedModel(replies, chunk=10_000, delay=delay)
    async with (
        Orchestrator(FUNCTIONS, model=model, processors=1, **settings) as made,
        asyncio.timeout(10),
    ):
        return await made.run("Do it.", **(limits or {}))


async def test_what_results_told_of_a_waiting_write_is_known_after_a_repair() -> None:
    """It was forgotten, so that a read of another file was made again, and the payment after it."""
    result = await run(
        's1 = nap(seconds=0.01, name="a")\ns2 = nap(seconds=0.6)\ns3 = store(name=s1, text=s2)\n'
        's4 = read(name="b")\ns5 = pay(amount=1, why=s4)\ns6 = search(term="x")\n'
        's7 = number(text=s6, seconds=0.2)\ns8 = glue(parts=[s3, s5, "{s7}"])',
        's6 = search(term="x", k=2000)',
    )
    assert result.status == "answered"
    assert (MADE["read"], MADE["pay"]) == (1, 1)
    assert result.recoveries[0].again == ("s6", "s7")


async def test_an_effect_that_was_had_while_the_model_replied_is_not_had_again() -> None:
    plan = (
        's1 = search(term="x")\ns2 = number(text=s1)\ns3 = nap(seconds=0.5, name="w")\n'
        's4 = pay(amount=1, why=s3)\ns5 = glue(parts=["{s2}", s4])'
    )
    repair, again = 's1 = search(term="x", k=600)', 's7 = pay(amount=1, why="w")'
    rest = "s7 = glue(parts=[s4])"
    result = await run(plan, repair, again, rest, delay=0.4, max_recoveries=2)
    assert result.answer == "paid 1"
    assert MADE["pay"] == 1


async def test_a_repair_that_would_have_a_later_effect_repeated_is_given_back() -> None:
    plan = (
        's1 = store(name="a", text="x")\ns2 = read(name="b")\ns3 = number(text=s1)\ns4 = nap(seconds=0.1)\n'
        's5 = pay(amount=1, why="{s2}{s4}")\ns6 = glue(parts=["{s3}", s5])'
    )
    result = await run(plan, 's1 = store(name="b", text="ok")', 's1 = store(name="a", text="ok")', delay=0.3)
    assert result.answer == "2000 paid 1"
    assert (MADE["read"], MADE["pay"]) == (1, 1)


async def test_a_new_plan_may_go_on_from_the_answer() -> None:
    plan = 's1 = search(term="x")\ns2 = number(text=s1)\ns3 = search(term="last")'
    repair = 's1 = search(term="x", k=600)'
    # The first reply is given back for a result that nothing uses.
    more = 's4 = glue(parts=[s3, "!"])'
    result = await run(plan, plan, repair, more, max_recoveries=2, optimize=False)
    assert result.answer == "last, first 500 words !"


async def test_a_call_that_is_planned_again_is_made_again() -> None:
    plan = 's1 = search(term="x")\ns2 = flaky(text=s1)'
    result = await run(plan, "", "", "s3 = flaky(text=s1)", max_recoveries=2)
    assert result.answer == "x, first 500 words"
    assert MADE == {"search": 1, "flaky": 2}


async def test_a_new_plan_leaves_what_did_not_fail_as_it_is() -> None:
    plan = (
        's1 = search(term="x")\ns2 = search(term=s1)\ns3 = number(text=s2)\ns4 = nap(seconds=0.8, name=s1)\n'
        's5 = pay(amount=1, why=s1)\ns6 = glue(parts=["{s3}", s4, s5])'
    )
    rest = 's7 = search(term="y", k=3000)\ns8 = number(text=s7)\ns9 = glue(parts=["{s8}", s5])'
    result = await run(plan, "s2 = search(term=s1, k=600)", rest, delay=0.1, max_recoveries=2)
    assert result.answer == "3000 paid 1"
    assert (MADE["nap"], MADE["pay"]) == (1, 1)


async def test_the_order_of_arguments_and_defaults_make_no_other_call() -> None:
    first = ['s1 = nap(seconds=0.3, name="a")\n', 's2 = search(term="q")\n', "s3 = zzz(a=1)\n"]
    again = 's1 = nap(name="a", seconds=0.3)\ns2 = search(term="q", k=500)\ns3 = glue(parts=[s1, s2])'
    result = await run(first, again, delay=0.05)
    assert result.status == "answered"
    assert MADE == {"nap": 1, "search": 1}


async def test_a_run_that_is_cut_short_tells_of_every_call_and_of_the_attempt_under_way() -> None:
    plan = (
        's1 = search(term="a")\ns2 = search(term="b")\ns3 = number(text=s1)\ns4 = number(text=s2)\n'
        's5 = glue(parts=["{s3}", "{s4}"])'
    )
    repair = 's1 = search(term="a", k=2000)'
    with pytest.raises(LimitReached) as caught:
        await run(plan, repair, ["s2 = ", 'search(term="b")'], delay=0.15, limits={"deadline": 0.5})
    result = caught.value.result
    assert {call.id: call.status for call in result.calls} == {
        **dict.fromkeys(("s1", "s2"), "completed"),
        **dict.fromkeys(("s3", "s4"), "failed"),
        "s5": "cancelled",
    }
    assert result.recoveries[0].changed == {"s1": repair}


async def test_a_failure_of_a_first_draft_is_told_if_the_second_never_comes() -> None:
    draft = 's1 = search(term="x")\ns2 = number(text="a 5 b")\n'
    with pytest.raises(ModelError) as caught:
        await run([draft, "s3 = (("], ConnectionError("gone"), delay=0.1)
    assert {call.id: call.status for call in caught.value.result.calls} == {"s1": "completed", "s2": "failed"}
