"""A result that was an iterator can be used by any number of calls, in a text, and by the model."""

from __future__ import annotations

import functools
import itertools
import threading
from typing import Any

import pytest

from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel
from tests.places.iterating import async_rows, rows
from tests.runtime.iterated import (
    Cursor,
    async_traced,
    late_query,
    late_table,
    mapped,
    pair,
    query,
    several,
    table,
    traced,
    waited,
)

VIRTUAL = True
pytestmark = pytest.mark.anyio


@function
def total(values: object) -> int:
    return sum(values)  # type: ignore[call-overload]


@function
def text(a: int, b: int, shown: str) -> str:
    return f"{a} {b} {shown}"


def orchestrator(*functions: Any, replies: Any = ("x",), **said: Any) -> Orchestrator:
    return Orchestrator(
        [*functions, total, text], model=ScriptedModel([*replies]), learn=False, processors=1, **said
    )


PLAN = 's1 = look(n=4)\ns2 = total(values=s1)\ns3 = total(values=s1)\ns4 = text(a=s2, b=s3, shown="{s1}")'


@pytest.mark.parametrize(
    "said", [{}, {"timeout": 60.0}, {"kind": "compute"}, {"pure": True}, {"show": str}], ids=str
)
@pytest.mark.parametrize("call", [traced, waited, async_traced, mapped])
async def test_calls_that_use_it_get_all_of_its_items(call: Any, said: dict[str, Any]) -> None:
    async with orchestrator(function(name="look", **said)(call)) as made:
        result = await made.execute(PLAN)
    assert result.answer == "6 6 [0, 1, 2, 3]"
    assert result.calls["s1"].result == [0, 1, 2, 3]


@pytest.mark.parametrize("ends", [rows, async_rows, waited])
async def test_what_a_function_that_asks_the_model_returns_is_a_list_too(ends: Any) -> None:
    @function(asks_model=True, timeout=60)
    def look(n: int) -> Any:
        yield "How many?"
        return ends(n)

    result = await orchestrator(look).execute(PLAN)
    assert result.answer == "6 6 [0, 1, 2, 3]"


async def test_a_prompt_that_is_an_iterator_is_no_address() -> None:
    @function(asks_model=True)
    def look(n: int) -> Any:
        return map(str, range(n))

    made = orchestrator(look)
    await made.execute("s1 = look(n=2)")
    assert made.model.requests[0].messages[-1].text == '["0", "1"]'


@pytest.mark.parametrize("kind", [None, "compute"])
async def test_each_result_of_a_batch_is_a_list(kind: Any) -> None:
    @function(kind=kind)
    def look(n: int) -> list[int]:
        return [n]

    @look.batch
    def looks(calls: list[dict[str, Any]]) -> Any:
        return (map(int, range(call["n"])) for call in calls)

    async with orchestrator(look) as made:
        result = await made.execute("s1 = look(n=1)\ns2 = look(n=2)")
    assert [call.result for call in result.calls] == [[0], [0, 1]]


@pytest.mark.parametrize("said", [{}, {"kind": "compute"}], ids=["here", "in a worker"])
@pytest.mark.parametrize(
    ("call", "where"), [(table, "['rows']"), (late_table, "['rows']"), (pair, "[0]"), (several, "[1]")]
)
async def test_one_in_a_container_is_a_list_too(call: Any, where: str, said: dict[str, Any]) -> None:
    offered = [function(name="make", **said)(functools.partial(call)), total]
    plan = f"s1 = make(n=4)\ns2 = total(values=s1{where})\ns3 = total(values=s1{where})"
    async with Orchestrator(offered, model=ScriptedModel([]), processors=1, learn=False) as orchestrator:
        result = await orchestrator.execute(plan)
    assert [call.result for call in result.calls[1:]] == [6, 6]


@function
def count_of(cursor: Cursor) -> int:
    return cursor.count


@pytest.mark.parametrize("said", [{}, {"kind": "compute"}], ids=["here", "in a worker"])
@pytest.mark.parametrize("call", [query, late_query])
async def test_one_that_is_declared_as_a_class_of_ones_own_stays_one(call: Any, said: dict[str, Any]) -> None:
    offered = [function(name="ask", **said)(functools.partial(call)), count_of]
    async with Orchestrator(offered, model=ScriptedModel([]), processors=1, learn=False) as orchestrator:
        result = await orchestrator.execute("s1 = ask(n=3)\ns2 = count_of(cursor=s1)")
    assert result.answer == 3, result.error


async def test_an_endless_one_fails_its_call_and_no_other() -> None:
    @function
    def look(n: int) -> Any:
        return itertools.count(n)

    result = await orchestrator(look).execute("s1 = look(n=1)\ns2 = total(values=[1, 2])")
    assert result.calls["s1"].error.startswith("Endless: more than 1,000,000 items")
    assert result.calls["s2"].result == 3


async def test_a_slow_one_of_an_async_function_lets_other_calls_go_on() -> None:
    over = threading.Event()

    def slow(n: int) -> Any:
        for item in range(n):
            assert over.wait(20), "nothing goes on meanwhile"
            yield item

    @function
    async def look(n: int) -> Any:
        return slow(n)

    @function
    async def quick(n: int) -> int:
        if n == 2:
            over.set()
        return n + 1

    result = await orchestrator(look, quick).execute("s1 = look(n=2)\ns2 = quick(n=1)\ns3 = quick(n=s2)")
    assert [call.result for call in result.calls] == [[0, 1], 2, 3]
    assert result.calls["s1"].result == [0, 1]
