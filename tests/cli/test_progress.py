"""What a person is told while a query runs."""

from __future__ import annotations

import asyncio

import pytest

from llmorch import Orchestrator, function
from llmorch.cli.progress import Progress
from llmorch.plan import parse
from llmorch.relations import NOTHING
from llmorch.schedule import CallAdded, CallCompleted, Dispatch, Refuse
from llmorch.testing import ScriptedModel

VIRTUAL = True
pytestmark = pytest.mark.anyio


@function(kind="inout", effects="none")
def half(number: int) -> float:
    """Halve an even number."""
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number / 2


@function(kind="inout", effects="none")
async def later(number: int) -> int:
    """The same number, a while later."""
    await asyncio.sleep(0.05)
    return number


@function(kind="inout", effects="none")
def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


async def told(capsys, *replies: str) -> str:
    """What is printed of a run."""
    with Progress() as progress:
        model = ScriptedModel(replies, chunk=10_000, delay=0.2)
        async with Orchestrator([half, later, add], model=model, learn=False) as orchestrator:
            result = await orchestrator.run("half of 3?", observer=progress.observe)
        progress.conclude(result)
    return capsys.readouterr().err


async def test_a_repair_is_said_once(capsys) -> None:
    said = await told(capsys, "s1 = half(3)\ns2 = later(1)\ns3 = add(s1, s2)", "s1 = half(4)")
    assert said.index("completed: s2") < said.index("the plan is revised")
    assert said.count("the plan is revised") == 1
    assert "; 2 requests to the model took" in said


def test_calls_that_are_in_no_plan_are_told_of_too(capsys) -> None:
    (call, other) = parse("c1 = half(number=4)\nc2 = half(number=6)").calls
    progress = Progress()
    for message in (CallAdded(call, NOTHING), Dispatch("c1", 1, None), CallCompleted("c1", 1)):
        progress.observe(message, 0.0)
    for message in (CallAdded(other, NOTHING), Refuse("c2", "it needs a camera")):
        progress.observe(message, 1.5)
    assert capsys.readouterr().err.splitlines() == [
        "    0.00 s  started: c1 = half(number=4)",
        "    0.00 s  completed: c1 after 0.00 s",
        "    1.50 s  failed: c2: it needs a camera",
    ]


async def test_one_request_is_one(capsys) -> None:
    assert "; 1 request to the model took" in await told(capsys, "half(4)")
