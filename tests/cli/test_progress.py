"""What a person is told while a query runs."""

from __future__ import annotations

import asyncio

import pytest

from llmorch import Orchestrator, function
from llmorch.cli.progress import Progress
from llmorch.testing import ScriptedModel

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


async def test_one_request_is_one(capsys) -> None:
    assert "; 1 request to the model took" in await told(capsys, "half(4)")
