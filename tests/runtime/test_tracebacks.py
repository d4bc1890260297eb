"""A failed call's line tells why, and its record has the traceback, wherever the function ran; nobody else sees it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from llmorch import Orchestrator, function
from llmorch.explain import explain
from llmorch.records import Run
from llmorch.testing import ScriptedModel
from tests.cli.test_cli import llmorch

VIRTUAL = True
pytestmark = pytest.mark.anyio

MARK = "a line of the source code"


def orchestrator(*functions: Any, replies: Any = ("x",), **said: Any) -> Orchestrator:
    return Orchestrator(functions, model=ScriptedModel([*replies]), learn=False, processors=1, **said)


def broken(n: int) -> int:
    raise noted_error(n)  # a line of the source code


async def async_broken(n: int) -> int:
    raise noted_error(n)  # a line of the source code


def noted_error(n: int) -> Exception:
    error = ExceptionGroup("pages", [ValueError(f"page {n} was removed")])
    error.add_note("pages 1 to 3 are there")
    error.__cause__ = KeyError("archive")
    return error


LINE = (
    "ExceptionGroup: pages (1 sub-exception); pages 1 to 3 are there: "
    "[ValueError: page 7 was removed]; caused by KeyError: 'archive'"
)
FUNCTIONS = {
    "thread": function(name="look")(broken),
    "event loop": function(name="look")(async_broken),
    "process": function(name="look", timeout=60)(broken),
    "worker": function(name="look", kind="compute")(broken),
    "worker, async": function(name="look", kind="compute")(async_broken),
}


@pytest.mark.parametrize("place", FUNCTIONS)
async def test_the_record_of_a_call_has_the_traceback_of_its_function_alone(place: str) -> None:
    async with orchestrator(FUNCTIONS[place]) as made:
        result = await made.execute("s1 = look(n=7)")
    call = result.calls["s1"]
    assert call.error == LINE
    assert MARK in call.traceback
    assert "page 7 was removed" in call.traceback
    assert "llmorch/src" not in call.traceback
    assert "/src/llmorch/" not in call.traceback
    assert MARK not in f"{result}"
    assert result.as_json()["calls"][0]["traceback"] == call.traceback


def alike(*, form: str) -> Any:
    """A function whose calls fail together: its batch form raises, or returns exceptions."""

    @function(kind="compute" if form.endswith("worker") else None)
    def look(n: int) -> int:
        return n

    if form == "raises on the loop":

        @look.batch
        async def looks(calls: list[dict[str, Any]]) -> list[int]:
            raise noted_error(7)  # a line of the source code

        return look

    def caught() -> Exception:
        try:
            raise noted_error(7)  # a line of the source code
        except Exception as error:
            return error

    @look.batch
    def looks_here(calls: list[dict[str, Any]]) -> list[Any]:
        if form.startswith("raises"):
            raise noted_error(7)  # a line of the source code
        return [caught() for _ in calls]

    return look


@pytest.mark.parametrize(
    "form", ["raises on the loop", "raises", "raises in a worker", "returns", "returns in a worker"]
)
async def test_calls_of_a_batch_have_it_too(form: str) -> None:
    async with orchestrator(alike(form=form)) as made:
        result = await made.execute("s1 = look(n=7)\ns2 = look(n=8)")
    assert [call.error for call in result.calls] == [LINE, LINE]
    assert all(MARK in call.traceback for call in result.calls)


async def test_a_function_that_asks_the_model_has_it_too() -> None:
    @function(asks_model=True)
    def look(n: int) -> Any:
        yield "Which?"
        raise noted_error(n)  # a line of the source code

    call = (await orchestrator(look).execute("s1 = look(n=7)")).calls["s1"]
    assert call.error == LINE
    assert MARK in call.traceback
    assert "asking.py" not in call.traceback


async def test_a_retried_call_has_that_of_its_last_attempt() -> None:
    made = []

    @function(retries=1, backoff=0.001)
    def look(n: int) -> int:
        made.append(n)
        raise ValueError(f"attempt {len(made)}")

    call = (await orchestrator(look).execute("s1 = look(n=7)")).calls["s1"]
    assert call.error == "ValueError: attempt 2 (after 2 attempts)"
    assert "attempt 2" in call.traceback
    assert "attempt 1" not in call.traceback


async def test_a_call_that_another_is_made_for_has_that_one() -> None:
    look = function(name="look", pure=True)(broken)
    result = await orchestrator(look).execute("s1 = look(n=7)\ns2 = look(n=7)")
    assert [MARK in call.traceback for call in result.calls] == [True, True]


async def test_what_failed_outside_the_function_has_none() -> None:
    @function
    def word() -> str:
        return "word"

    @function(timeout=0.01)
    async def wait(n: int) -> int:
        await asyncio.sleep(60)
        return n

    result = await orchestrator(word, wait).execute(
        "s1 = word()\ns2 = wait(n=s1)\ns3 = wait(n=1)\ns4 = wait(n=s3)"
    )
    assert [call.status for call in result.calls] == ["completed", "failed", "failed", "skipped"]
    assert [call.traceback for call in result.calls] == [None] * 4


async def test_the_model_never_reads_it() -> None:
    replies = [
        's1 = look(n=7)\ns2 = self(prompt="{s1}")',
        "s1 = look(n=8)",
        "s1 = look(n=9)",
        "no",
        "no",
        "no",
    ]
    async with orchestrator(function(name="look", pure=True)(broken), replies=replies) as made:
        result = await made.run("Which?")
        asked = "".join(message.text for request in made.model.requests for message in request.messages)
    assert any(call.traceback and MARK in call.traceback for call in result.calls)
    assert "page 7 was removed" in asked
    assert MARK not in asked
    assert "Traceback" not in asked


async def test_a_saved_run_loads_with_it_and_without_it() -> None:
    result = await orchestrator(FUNCTIONS["thread"]).execute("s1 = look(n=7)")
    data = json.loads(json.dumps(result.as_json()))
    for call in data["calls"]:
        assert call.pop("traceback")
        explain(Run.from_json(data))
        explain(Run.from_json(result.as_json()))


def test_the_command_line_prints_it_in_json_alone(tmp_path: Any) -> None:
    functions, plan = tmp_path / "functions.py", tmp_path / "plan"
    functions.write_text(
        "from llmorch import function\n@function\ndef look(n: int) -> int:\n"
        "    raise ValueError(n)  # a line of the source code\n"
    )
    plan.write_text("s1 = look(n=7)")
    plain = llmorch("execute", str(plan), "-f", str(functions))
    assert "ValueError: 7" in plain.stderr
    assert MARK not in plain.stdout + plain.stderr
    told = llmorch("execute", str(plan), "-f", str(functions), "--json")
    assert MARK in json.loads(told.stdout)["calls"][0]["traceback"]
