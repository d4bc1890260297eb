"""Every technique on real processors with a scripted model."""

from __future__ import annotations

import asyncio
from collections.abc import Generator  # noqa: TC003  the declaration reads it

import pytest

from llmorch import Orchestrator, function
from llmorch.errors import ModelError, UnresolvedQuery
from llmorch.requests import ToolCall
from llmorch.techniques import TECHNIQUES, Recovery
from llmorch.testing import ScriptedModel


@function(pure=True)
async def search(query: str) -> str:
    """Search the encyclopedia for a topic."""
    await asyncio.sleep(0.05)
    if query == "nowhere":
        raise ValueError("there is no page")
    return f"page of {query}"


@function(asks_model=True, pure=True)
def math(prompt: str) -> Generator[str, str, float]:
    """Compute what the prompt asks."""
    expression = yield f"An expression for: {prompt}"
    if expression == "?":
        expression = yield "Once more"
    return float(expression)


VIRTUAL = True
pytestmark = pytest.mark.anyio

BATCH = 'search(query="A")\nsearch(query="B")'
PLAN = 's1 = search(query="A")\ns2 = search(query="B")\ns3 = self(prompt="{s1} {s2}")'
REPLIES = {
    "llmorch": [PLAN, "both"],
    "react": ['Action: search(query="A")', 'Action: search(query="B")', "Answer: both"],
    "parallel": [BATCH, "Answer: both"],
    "toolcompiler": [BATCH, "Answer: both"],
    "rewoo": [PLAN.rsplit("\n", 1)[0], "both"],
    "llmcompiler": [PLAN.rsplit("\n", 1)[0], "Thought: seen\nAnswer: both"],
}


@pytest.mark.parametrize("kind", ["inout", "compute"])
@pytest.mark.parametrize("technique", TECHNIQUES)
async def test_every_technique_answers_with_the_same_calls(technique, kind) -> None:
    model = ScriptedModel(REPLIES[technique], kind=kind)
    async with Orchestrator([search], model=model, technique=technique, processors=2) as orchestrator:
        result = await orchestrator.run("Which?")
    assert (result.status, result.answer, result.technique) == ("answered", "both", technique)
    assert [call.result for call in result.calls][:2] == ["page of A", "page of B"]
    assert result.usage.requests == len(REPLIES[technique])
    assert result.usage.input_tokens > 0
    assert result.usage.output_tokens > 0
    first, second = result.calls[0], result.calls[1]
    together = second.dispatched < first.completed
    assert together == (TECHNIQUES[technique].policy != "sequential")


@pytest.mark.parametrize("policy", ["critical", "exclusive", "greedy", "barrier", "sequential"])
@pytest.mark.parametrize("technique", TECHNIQUES)
async def test_any_policy_coordinates_any_technique(technique, policy) -> None:
    model = ScriptedModel(REPLIES[technique])
    async with Orchestrator([search], model=model, technique=technique, policy=policy) as orchestrator:
        result = await orchestrator.run("Which?")
    assert result.answer == "both"
    together = result.calls[1].dispatched < result.calls[0].completed
    assert together == (policy != "sequential" and technique != "react")


async def test_a_replanned_query_uses_old_results_and_is_one_story() -> None:
    replies = ['s1 = search(query="A")', "Replan: more", 's2 = search(query="{s1}")', "Answer: done"]
    model = ScriptedModel(replies, kind="compute")
    async with Orchestrator([search], model=model, technique="llmcompiler") as orchestrator:
        result = await orchestrator.run("Which?")
    assert [call.result for call in result.calls] == ["page of A", "page of page of A"]
    assert result.calls["s2"].uses == ("s1",)
    assert result.calls["s2"].dispatched >= result.calls["s1"].completed
    assert result.recoveries == (Recovery("replan", "more"),)
    (recovery,) = result.as_json()["recoveries"]
    assert (recovery["kind"], recovery["why"]) == ("replan", "more")
    assert result.makespan >= result.calls["s2"].completed


async def test_a_second_plan_that_breaks_off_is_taken_back_and_the_first_is_kept() -> None:
    replies = [
        's1 = search(query="A")',
        "Replan: more",
        's2 = search(query="B")\ns3 = fly()',
        's2 = search(query="C")\ns3 = search(query="{s1}")',
        "Answer: done",
    ]
    async with Orchestrator([search], model=ScriptedModel(replies), technique="llmcompiler") as orchestrator:
        result = await orchestrator.run("Which?")
    assert [call.result for call in result.calls] == ["page of A", "page of C", "page of page of A"]
    assert result.calls["s1"].attempt == 1


async def test_a_call_that_fails_hangs_nothing() -> None:
    replies = ['s1 = search(query="nowhere")\ns2 = search(query="{s1}")', "Answer: nothing is known"]
    async with Orchestrator([search], model=ScriptedModel(replies), technique="llmcompiler") as orchestrator:
        result = await asyncio.wait_for(orchestrator.run("Which?"), 5)
    assert [call.status for call in result.calls] == ["failed", "skipped"]
    assert result.answer == "nothing is known"


async def test_native_tool_calls_run_together() -> None:
    calls = [ToolCall(f"c{at}", "search", f'{{"query": "{at}"}}') for at in range(8)]
    model = ScriptedModel([calls, "done"], calls_tools=True)
    async with Orchestrator([search], model=model, technique="parallel") as orchestrator:
        clock = asyncio.get_running_loop().time
        began = clock()
        result = await orchestrator.run("Which?")
    assert clock() - began < 0.35
    assert len(result.calls) == 8
    assert len(model.requests[0].tools) == 2


async def test_an_answer_without_a_call() -> None:
    async with Orchestrator([search], model=ScriptedModel(["Answer: 4"]), technique="react") as orchestrator:
        result = await orchestrator.run("2 + 2?")
    assert (result.answer, len(result.calls), result.makespan) == ("4", 0, 0.0)
    assert result.as_json()["plan"] == ""


async def test_no_answer_is_a_result_that_says_why() -> None:
    model = ScriptedModel(['Action: search(query="A")'] * 3)
    async with Orchestrator([search], model=model, technique="react") as orchestrator:
        result = await orchestrator.run("Which?")
    assert (result.status, result.error) == ("unresolved", 'the model repeated search(query="A")')
    assert result.calls["s1"].result == "page of A"


async def test_techniques_that_think_in_turns_make_no_plan() -> None:
    async with Orchestrator([search], model=ScriptedModel([]), technique="react") as orchestrator:
        with pytest.raises(UnresolvedQuery, match="llmorch, rewoo, llmcompiler"):
            await orchestrator.plan("Which?")


async def test_a_plan_is_made_by_any_technique_that_plans() -> None:
    for technique in ("llmorch", "rewoo", "llmcompiler"):
        model = ScriptedModel([PLAN])
        async with Orchestrator([search], model=model, technique=technique) as orchestrator:
            assert len(await orchestrator.plan("Which?")) == 3


async def test_a_generator_asks_the_model_and_returns_what_it_makes_of_it() -> None:
    model = ScriptedModel(["?", "2.5"])
    async with Orchestrator([math], model=model) as orchestrator:
        result = await orchestrator.execute('s1 = math(prompt="half of five")')
    assert result.answer == 2.5
    assert [request.messages[-1].text for request in model.requests] == [
        "An expression for: half of five",
        "Once more",
    ]
    assert result.usage.requests == 2


async def test_what_a_generator_raises_fails_its_call() -> None:
    async with Orchestrator([math], model=ScriptedModel(["none"])) as orchestrator:
        result = await orchestrator.execute('s1 = math(prompt="x")')
    assert "could not convert string to float" in result.error


async def test_a_generator_that_never_ends_is_stopped() -> None:
    @function(asks_model=True, pure=True)
    def curious(prompt: str) -> Generator[str, str, str]:
        while True:
            yield prompt

    async with Orchestrator([curious], model=ScriptedModel(lambda _: "why?")) as orchestrator:
        result = await orchestrator.execute('s1 = curious(prompt="x")')
    assert "asked the model more than 20 times" in result.error


async def test_a_generator_that_does_not_ask_the_model_comes_to_a_list_of_what_it_yields() -> None:
    @function(pure=True)
    def rows(path: str) -> Generator[str, None, None]:
        yield path
        yield f"{path}.2"

    async with Orchestrator([rows], model=ScriptedModel([])) as orchestrator:
        assert orchestrator.functions["rows"].signature == "rows(path: str) -> list[str]"
        result = await orchestrator.execute('s1 = rows(path="a")')
    assert result.answer == ["a", "a.2"]


async def test_a_last_plan_that_breaks_off_leaves_nothing_behind() -> None:
    replies = ['s1 = search(query="A")\ns2 = fly()'] * 3
    async with Orchestrator([search], model=ScriptedModel(replies), technique="llmcompiler") as orchestrator:
        result = await orchestrator.run("Which?")
    assert result.status == "unresolved"
    assert "no answer after 2 new plans" in result.error
    assert len(result.calls) == 0


async def test_tokens_of_a_reply_that_is_broken_off_are_counted() -> None:
    model = ScriptedModel(["s1 = fly(x=1)\n" + 's2 = search(query="a")\n' * 30, 's1 = search(query="a")'])
    async with Orchestrator([search], model=model) as orchestrator:
        result = await orchestrator.run("Which?")
    asked = [sum(len(message.text) for message in request.messages) // 4 for request in model.requests]
    assert result.usage.input_tokens == sum(asked)
    assert result.usage.output_tokens > 5


async def test_what_had_finished_is_in_the_error_when_the_model_fails() -> None:
    model = ScriptedModel(['Action: search(query="A")', ModelError("gone")])
    async with Orchestrator([search], model=model, technique="react") as orchestrator:
        with pytest.raises(ModelError) as raised:
            await orchestrator.run("Which?")
    result = raised.value.result
    assert (result.status, result.error) == ("unresolved", "gone")
    assert [call.result for call in result.calls] == ["page of A"]


async def test_a_prompt_that_has_no_text_fails_its_call() -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    @function(asks_model=True, pure=True)
    def odd() -> object:
        return Odd()

    async with Orchestrator([odd], model=ScriptedModel([])) as orchestrator:
        result = await orchestrator.execute("s1 = odd()")
    assert "odd made no prompt" in result.error


async def test_the_plan_of_a_technique_that_comes_to_none_says_why() -> None:
    model = ScriptedModel(["nonsense"] * 3)
    async with Orchestrator([search], model=model, technique="llmcompiler") as orchestrator:
        with pytest.raises(UnresolvedQuery, match="no answer after 2 new plans"):
            await orchestrator.plan("Which?")
