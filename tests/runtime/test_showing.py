"""What a model sees of results, on every way in which it is told one."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import pytest

from llmorch import FunctionError, Orchestrator, function
from llmorch.requests import ToolCall
from llmorch.techniques import TECHNIQUES
from llmorch.testing import ScriptedModel

VIRTUAL = True
pytestmark = pytest.mark.anyio

TABLE = "a table of the 3 largest"


def shown_as_table(rows: list[int]) -> str:
    return f"a table of the {len(rows)} largest"


def look(kind: str, show: Any = shown_as_table) -> Any:
    """A function of a kind that returns a list, and has it shown otherwise."""
    if kind == "async":

        @function(show=show)
        async def look(x: int) -> list[int]:
            return [x, x, x]

        return look
    if kind == "compute":

        @function(kind="compute", show=show)
        def look(x: int) -> list[int]:
            return [x, x, x]

        return look

    @function(show=show)
    def look(x: int) -> list[int]:
        return [x, x, x]

    return look


@function
def total(rows: list[int]) -> int:
    return sum(rows)


PLAN = "s1 = look(x=2)\ns2 = total(rows=s1)"
REPLIES: dict[str, list[Any]] = {
    "llmorch": [PLAN, "Thought: seen\nAnswer: 6"],
    "react": ["Action: look(x=2)", "Action: total(rows=[2, 2, 2])", "Answer: 6"],
    "parallel": ["look(x=2)", "total(rows=[2, 2, 2])", "Answer: 6"],
    "toolcompiler": ["look(x=2)", "total(rows=[2, 2, 2])", "Answer: 6"],
    "rewoo": [PLAN, "6"],
    "llmcompiler": [PLAN, "Thought: seen\nAnswer: 6"],
}


def texts(model: ScriptedModel, first: int = 1) -> str:
    return "\n".join(message.text for request in model.requests[first:] for message in request.messages)


@pytest.mark.parametrize("technique", TECHNIQUES)
async def test_every_technique_tells_the_text_and_other_functions_get_the_value(technique) -> None:
    model = ScriptedModel(REPLIES[technique])
    replan = technique == "llmorch"
    async with Orchestrator(
        [look("async"), total], model=model, technique=technique, processors=1, replan=replan
    ) as made:
        result = await made.run("What is the total?")
    assert result.answer == "6"
    assert [call.result for call in result.calls] == [[2, 2, 2], 6]
    assert TABLE in texts(model)
    assert ": [2, 2, 2]" not in texts(model)


@pytest.mark.parametrize("kind", ["async", "thread", "compute"])
async def test_a_text_is_made_where_the_function_ran(kind) -> None:
    here = (os.getpid(), threading.get_ident())

    def where(rows: list[int]) -> str:
        return f"in {os.getpid()}" if os.getpid() != here[0] else f"on {threading.get_ident()}"

    model = ScriptedModel(["done"])
    async with Orchestrator([look(kind, where)], model=model, processors=1) as made:
        result = await made.execute('s1 = look(x=2)\ns2 = self(prompt="Say {s1}")')
    assert result.answer == "done"
    said = model.requests[0].messages[-1].text
    assert said.startswith("Say in " if kind == "compute" else "Say on ")
    assert str(here[0]) not in said
    assert str(here[1]) not in said


async def test_the_model_itself_is_asked_with_the_text_and_with_parts_as_they_are() -> None:
    model = ScriptedModel(["done", "done", "done"])
    plan = 's1 = look(x=2)\ns2 = self(prompt="{s1}, first {s1[0]}")\ns3 = self(prompt=s1)\ns4 = self(prompt=s2 + s3)'
    async with Orchestrator([look("thread")], model=model, processors=1) as made:
        result = await made.execute(plan)
    assert result.status == "answered"
    first, second, last = (request.messages[-1].text for request in model.requests)
    assert {first, second} == {f"{TABLE}, first 2", TABLE}  # side by side
    assert last == "donedone"


async def test_a_long_value_in_a_prompt_is_a_preview_with_its_type_and_size() -> None:
    @function
    def rows() -> list[int]:
        return list(range(10**6))

    @function
    def page() -> str:
        return "word " * 10_000

    model = ScriptedModel(["done", "done"])
    plan = 's1 = rows()\ns2 = page()\ns3 = self(prompt="All: {s1}")\ns4 = self(prompt="Of {s3}: {s2}")'
    async with Orchestrator([rows, page], model=model, processors=1) as made:
        await made.execute(plan)
    long, whole = (request.messages[-1].text for request in model.requests)
    assert long.startswith("All: list of 1,000,000 items: [0, 1, 2, ")
    assert long.endswith("999999]")
    assert len(long) < 100_100
    assert whole == "Of done: " + "word " * 10_000


async def test_a_long_result_is_told_as_a_preview() -> None:
    @function
    def rows() -> list[int]:
        return list(range(10**6))

    model = ScriptedModel(["Action: rows()", "Answer: many"])
    async with Orchestrator([rows], model=model, technique="react", processors=1) as made:
        await made.run("How many?")
    told = model.requests[1].messages[-1].text
    assert told.startswith("Observation: list of 1,000,000 items: [0, 1, 2, ")
    assert len(told) < 6_100


def _raises(rows: list[int]) -> str:
    raise ValueError("no columns")


def _returns_none(rows: list[int]) -> None:
    return None


def _sleeps(rows: list[int]) -> str:
    time.sleep(1.5)  # on a thread, which can't be stopped
    return ""


WRONG = [
    (_raises, "ValueError: no columns"),
    (_returns_none, "it returned no text but a value of type NoneType"),
    (_sleeps, "it took longer than 1 s"),
]


@pytest.mark.parametrize(("show", "why"), WRONG)
@pytest.mark.parametrize("kind", ["thread", "compute"])
async def test_what_cannot_be_shown_is_shown_as_any_result_and_noted(kind, show, why) -> None:
    model = ScriptedModel(["Action: look(x=2)", "Answer: done"])
    async with Orchestrator([look(kind, show)], model=model, technique="react", processors=1) as made:
        result = await made.run("What?")
    assert result.calls["s1"].result == [2, 2, 2]
    assert model.requests[1].messages[-1].text == "Observation: [2, 2, 2]"
    assert result.notes == (
        f"show of look failed, so the model was shown the result as if it had none: {why}",
    )


@pytest.mark.parametrize("kind", ["async", "compute"])
async def test_each_result_of_a_batch_has_its_own_text(kind) -> None:
    offered = look(kind, lambda rows: f"{rows[0]} thrice")

    @offered.batch
    def looks(calls: list[dict[str, Any]]) -> list[Any]:
        return [ValueError("not 2") if call["x"] == 2 else [call["x"]] * 3 for call in calls]

    tools = [ToolCall(f"t{x}", "look", f'{{"x": {x}}}') for x in (1, 2, 3)]
    model = ScriptedModel([tools, "done"], calls_tools=True)
    async with Orchestrator([offered], model=model, technique="parallel", processors=1) as made:
        result = await made.run("Which?")
    assert [message.text for message in model.requests[1].messages[-3:]] == [
        "1 thrice",
        "Error: ValueError: not 2",
        "3 thrice",
    ]
    assert [call.result for call in result.calls] == [[1, 1, 1], None, [3, 3, 3]]


async def test_a_text_that_is_too_long_is_cut_as_any_other() -> None:
    model = ScriptedModel(["Action: look(x=2)", "Answer: done"])
    offered = look("thread", lambda rows: "long " * 10**5)
    async with Orchestrator([offered], model=model, technique="react", processors=1) as made:
        await made.run("What?")
    assert len(model.requests[1].messages[-1].text) < 6_100


async def test_a_repair_is_asked_for_with_the_text_of_what_a_failed_call_was_given() -> None:
    @function
    def needs(rows: list[int]) -> int:
        raise ValueError("more rows are needed")

    model = ScriptedModel(["s1 = look(x=2)\ns2 = needs(rows=s1)", "s1 = look(x=3)"])
    async with Orchestrator([look("async"), needs], model=model, processors=1, max_recoveries=1) as made:
        result = await made.run("What?")
    assert result.status == "unresolved"
    assert f"where rows was: {TABLE}" in texts(model)


async def test_a_revised_plan_keeps_the_text_with_the_result() -> None:
    began = asyncio.Event()

    @function
    async def slow() -> int:
        began.set()
        await asyncio.sleep(0.01)
        return 1

    first = "s1 = look(x=2)\ns2 = slow()\ns3 = look(x=nothing)"
    second = 's1 = slow()\ns2 = look(x=2)\ns3 = self(prompt="{s2} {s1}")'
    model = ScriptedModel([first, second, "done"])
    async with Orchestrator([look("async"), slow], model=model, processors=1) as made:
        result = await made.run("What?")
    assert result.answer == "done"
    assert model.requests[-1].messages[-1].text == f"{TABLE} 1"


async def _later(rows: list[int]) -> str:
    return ""


@pytest.mark.parametrize(
    ("show", "says"),
    [
        ("table", "show is a plain function that makes a text of a result"),
        (_later, "show is a plain function that makes a text of a result"),
        (lambda: "", "show takes one argument, the result"),
        (lambda rows, more: "", "show takes one argument, the result"),
    ],
)
async def test_what_can_show_nothing_is_refused_when_it_is_declared(show, says) -> None:
    with pytest.raises(FunctionError, match=says):
        look("thread", show)
