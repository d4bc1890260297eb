"""Replies with more than a plan or an answer in them, through whole runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from llmorch import Orchestrator, function
from llmorch.calls import Plan
from llmorch.declare.offered import as_functions
from llmorch.errors import PlanError, UnresolvedQuery
from llmorch.models.model import Finished, Text
from llmorch.plan import render, render_call
from llmorch.requests import ModelRequest
from llmorch.runtime.draft import DraftReader
from llmorch.techniques import WritePlan
from llmorch.testing import ScriptedModel
from tests.plan.test_replies import (
    AFTER,
    BEFORE,
    BOOM,
    FENCES,
    HEADED,
    NAMED,
    ONE,
    THOUGHTS,
    TWO,
    UNOPENED,
    UNPAIRED,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

VIRTUAL = True
pytestmark = pytest.mark.anyio

MADE: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    MADE.clear()


@function(pure=True)
async def add(a: int, b: int) -> int:
    """Add."""
    MADE.append(f"add {a} {b}")
    return a + b


@function(pure=True)
async def boom(x: int) -> int:
    """Go off."""
    MADE.append("boom")
    return x


@function
async def send(to: str) -> str:
    """Send."""
    MADE.append(f"send {to}")
    return f"sent to {to}"


FUNCTIONS = [add, boom, send]
WHOLE = [
    *(f"{text}\n{TWO}" for text in (*BEFORE, *THOUGHTS, *NAMED, *HEADED, *UNPAIRED, *UNOPENED)),
    *(f"{TWO}{text}" for text in AFTER),
    *(fence.replace("{{", "{").replace("}}", "}").replace("{}", TWO, 1) for fence in FENCES),
]


def drafted(text: str, size: int, above: str = "") -> tuple[list[str], DraftReader]:
    """The calls that were handed on and not taken back."""
    drafting = DraftReader(WritePlan(ModelRequest(()), "Which?", above), as_functions(FUNCTIONS))
    handed: list[str] = []
    for piece in [text[at : at + size] for at in range(0, len(text), size)]:
        void = drafting.void
        calls = drafting.feed(piece)
        handed = [*(handed if drafting.void == void else []), *(render_call(call) for call in calls)]
    void = drafting.void
    calls = drafting.finish()
    handed = [*(handed if drafting.void == void else []), *(render_call(call) for call in calls)]
    return handed, drafting


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_draft_has_the_plans_calls_whatever_the_pieces(size: int) -> None:
    for text in WHOLE:
        handed, drafting = drafted(text, size)
        assert "\n".join(handed) == TWO, text
        assert render(Plan(tuple(drafting.calls))) == TWO
        assert drafting.text.count("\n") == text.count("\n")


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    "thought",
    [
        "I add.\ns1 = add(a=zz)\nNo.\n</think>\n",
        "I add.\ns1 = fly(a=1)</think>",
        "I add.\ns1 = add(a=1, b=2)\ns1 = add(a=1, b=3)\n<think>\nno\n</think>\ns2 =\n</think>\n",
        "I add.\n1. add(a=1\n</think>",
    ],
)
async def test_what_is_wrong_in_a_thought_is_no_error(thought: str, size: int) -> None:
    assert "\n".join(drafted(thought + TWO, size)[0]) == TWO


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_an_error_after_prose_is_raised_at_the_end_and_one_without_at_once(size: int) -> None:
    with pytest.raises(PlanError) as caught:
        drafted(f"I add.\ns1 = add(a=zz)\n{TWO}\n", size)
    assert caught.value.line == 2
    drafting = DraftReader(WritePlan(ModelRequest(()), "Which?"), as_functions(FUNCTIONS))
    with pytest.raises(PlanError):
        drafting.feed("s1 = add(a=zz)\n")


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("reply", "calls"),
    [
        ("Only the rest:\n```python\ns2 = add(a=s1, b=3)\n```", TWO),
        ("<think>\ns2 = boom(x=1)\n</think>\ns2 = add(a=s1, b=3)", TWO),
        ("s2 = boom(x=1)\n</think>\ns2 = add(a=s1, b=3)", TWO),
        (f"{ONE}\ns2 = boom(x=1)\n</think>\ns2 = add(a=s1, b=3)", TWO),
        (f"s2 = boom(x=1)\n</think>\n{TWO}", TWO),
        (f"All of it:\n{TWO}", TWO),
    ],
)
async def test_a_repair_may_have_more_around_it(reply: str, calls: str, size: int) -> None:
    handed, drafting = drafted(reply, size, f"{ONE}\n")
    assert "\n".join(handed) == calls
    assert render(Plan(tuple(drafting.calls))) == calls


async def test_a_plan_is_run_at_the_first_request_whatever_stands_around_it() -> None:
    for text in WHOLE:
        model = ScriptedModel([text], chunk=5)
        async with Orchestrator([add, boom], model=model, learn=False, processors=1) as orchestrator:
            assert (await orchestrator.run("1 + 2 + 3?")).answer == 6


async def test_a_call_inside_a_thought_is_never_made() -> None:
    for thought in (*THOUGHTS, *NAMED):
        async with Orchestrator(
            FUNCTIONS, model=ScriptedModel([f"{thought}\n{TWO}"], delay=0.001)
        ) as orchestrator:
            assert (await orchestrator.run("?")).answer == 6
    assert "boom" not in MADE


async def test_a_call_of_what_turns_out_to_be_thought_is_taken_back() -> None:
    going, ended = asyncio.Event(), asyncio.Event()

    @function(pure=True)
    async def slow(x: int) -> int:
        """Take long."""
        going.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.set()
            raise
        return x

    class Thinking(ScriptedModel):
        async def stream(self, request: ModelRequest) -> AsyncIterator[Any]:
            yield Text(f"s1 = slow(x=1)\ns2 = send(to='a')\n{ONE.replace('s1', 's3')}\n")
            await going.wait()
            yield Text(f"Hm.\n</think>\n{TWO}\n")
            yield Finished("stop", 1, 1)

    async with Orchestrator([*FUNCTIONS, slow], model=Thinking([]), learn=False) as orchestrator:
        result = await orchestrator.run("?")
    assert result.answer == 6
    assert [call.id for call in result.calls] == ["s1", "s2"]
    assert ended.is_set()
    assert "send a" not in MADE


async def test_a_model_that_runs_on_after_its_end_is_not_waited_for() -> None:
    class Endless(ScriptedModel):
        async def stream(self, request: ModelRequest) -> AsyncIterator[Any]:
            yield Text(f"{TWO}<|im_end|>\n")
            while True:
                await asyncio.sleep(0)
                yield Text("<|im_start|>user\ns3 = boom(x=1)\n")

    async with Orchestrator(FUNCTIONS, model=Endless([]), learn=False) as orchestrator:
        assert (await orchestrator.run("?")).answer == 6


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("<think>s1 = boom(x=1)", "a thought that doesn't end"),
        ("<think>s1 = boom(x=1)</think>", "only thoughts"),
        ("I can't help with that.", "it says: I can't help with that."),
    ],
)
@pytest.mark.parametrize("technique", ["llmorch", "rewoo", "llmcompiler"])
async def test_a_reply_without_a_plan_is_told_from_a_wrong_one(technique: str, reply: str, says: str) -> None:
    model = ScriptedModel([reply] * 9)
    async with Orchestrator(FUNCTIONS, model=model, technique=technique, learn=False) as orchestrator:
        try:
            told = (await orchestrator.run("?")).error
        except UnresolvedQuery as error:
            told = str(error)
    assert says in told or ("thought" in says and "only thoughts" in told)
    assert MADE == []


async def test_the_evidence_of_rewoo_is_found_among_prose() -> None:
    text = (
        "<think>#E1 = boom(x=1)</think>Sure:\n\n**Plan:** add first. `#E1 = add(a=1, b=2)`\n"
        "- Plan: add again #E2 = add(a=#E1, b=3)\n\nThat's all.<|im_end|>\n#E3 = boom(x=1)"
    )
    model = ScriptedModel([text, "<think>so</think>Answer: 6</s>"])
    async with Orchestrator(FUNCTIONS, model=model, technique="rewoo", learn=False) as orchestrator:
        result = await orchestrator.run("?")
    assert (result.answer, len(model.requests)) == ("6", 2)
    assert "boom" not in MADE


async def test_a_recovery_reads_its_call_among_prose() -> None:
    @function(pure=True)
    async def picky(x: int) -> int:
        """Take only 2."""
        if x != 2:
            raise ValueError("not 2")
        return x

    repaired = (
        "<think>\ns1 = boom(x=2)\n</think>\nThe repaired call:\n```python\ns1 = picky(x=2)\n```\nIt takes 2."
    )
    model = ScriptedModel(["s1 = picky(x=1)", repaired])
    async with Orchestrator([picky, boom], model=model, max_recoveries=2, learn=False) as orchestrator:
        assert (await orchestrator.run("?")).answer == 2
    assert MADE == []


@pytest.mark.parametrize(
    ("technique", "plan", "answers"),
    [
        ("llmcompiler", "1. send(to='a')", ["Answer: done"]),
        ("rewoo", "Plan: send #E1 = send(to='a')", ["Answer: done"]),
        ("rewoo", "Thought: hm\nPlan: send #E1 = send(to='a')", ["Answer: done"]),
        ("parallel", "send(to='a')", ["Answer: done"]),
        ("toolcompiler", "send(to='a')", ["Answer: done"]),
        ("react", "Thought: send\nAction: send(to='a')", ["Answer: done"]),
    ],
)
async def test_no_technique_makes_a_call_inside_a_thought_or_after_the_turn(
    technique: str, plan: str, answers: list[str]
) -> None:
    headed = [
        text.replace(BOOM, "s1 = send(to='b')") for text in HEADED if not text.lower().endswith("answer:")
    ]
    replies = [f"{text}\n{plan}" for text in (*NAMED, *headed)]
    replies += [f"{plan}{text}" for text in AFTER if "ser" in text or "uery" in text]
    for reply in (text.replace(BOOM, "s1 = boom(x=1)\nAction: boom(x=1)") for text in replies):
        model = ScriptedModel([reply, *answers])
        async with Orchestrator(FUNCTIONS, model=model, technique=technique, learn=False) as orchestrator:
            result = await orchestrator.run("?")
        assert (reply, MADE, result.answer) == (reply, ["send a"], "done")
        MADE.clear()


REACT = [
    "<think>\nAction: boom(x=1)\n</think>\nThought: add\nAction: `add(a=1, b=2)`",
    "Thought: hm\nAction: boom(x=2)\n</think>\nThought: add\n**Action 1:** add(a=1, b=2)<|im_end|>\nAction: boom(x=1)",
    "Thought: add\nAction:\n```python\nadd(a=1, b=2)\n```",
]


@pytest.mark.parametrize("reply", REACT)
async def test_an_action_inside_a_thought_is_never_made(reply: str) -> None:
    model = ScriptedModel([reply, "<think>\nAnswer: 4\n</think>\nAnswer: 3<|im_end|>"])
    async with Orchestrator(FUNCTIONS, model=model, technique="react", learn=False) as orchestrator:
        assert (await orchestrator.run("?")).answer == "3"
    assert MADE == ["add 1 2"]


@pytest.mark.parametrize("technique", ["parallel", "toolcompiler"])
async def test_prose_around_the_calls_of_a_turn_is_passed_over(technique: str) -> None:
    first = (
        "<think>boom(x=1)</think>I call both:\n\n- `add(a=1, b=2)`\n- send(to='</think>')\n\nThen I answer."
    )
    model = ScriptedModel([first, "Answer: done</s>"])
    async with Orchestrator(FUNCTIONS, model=model, technique=technique, learn=False) as orchestrator:
        result = await orchestrator.run("?")
    assert result.answer == "done"
    assert sorted(MADE) == ["add 1 2", "send </think>"]
    assert not result.recoveries


async def test_the_reply_to_a_prompt_has_no_thoughts() -> None:
    def reply(request: ModelRequest) -> Sequence[str]:
        last = request.messages[-1].text
        return (
            ['s1 = self(prompt="2?")'] if "Query" in last else ["<think>so", "</th", "ink>two", "<|eot_id|>"]
        )

    async with Orchestrator(FUNCTIONS, model=ScriptedModel(reply), learn=False) as orchestrator:
        assert (await orchestrator.run("?")).answer == "two"


async def test_a_reply_of_thoughts_alone_is_an_empty_one() -> None:
    def reply(request: ModelRequest) -> str:
        return 's1 = self(prompt="2?")' if "Query" in request.messages[-1].text else "<think>two</think>"

    async with Orchestrator(FUNCTIONS, model=ScriptedModel(reply), learn=False) as orchestrator:
        result = await orchestrator.run("?")
    assert "replied with nothing" in str(result.error)


async def test_arguments_that_are_named_twice_are_refused_before_anything_is_made() -> None:
    for plan in ('s1 = send("Ann", to="Bob")', 's1 = send(to="Ann", to="Bob")'):
        async with Orchestrator(FUNCTIONS, model=ScriptedModel([]), learn=False) as orchestrator:
            with pytest.raises(PlanError, match="keyword argument repeated: to"):
                await orchestrator.execute(plan)
    assert MADE == []
