"""What a person is told while a query runs."""

from __future__ import annotations

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


async def told(capsys, *replies: str) -> str:
    """What is printed of a run."""
    with Progress() as progress:
        async with Orchestrator([half], model=ScriptedModel(replies), learn=False) as orchestrator:
            result = await orchestrator.run("half of 3?", observer=progress.observe)
        progress.conclude(result)
    return capsys.readouterr().err


async def test_a_repair_is_said_once(capsys) -> None:
    said = await told(capsys, "half(3)", "s1 = half(4)")
    assert said.count("the plan is revised") == 1
    assert "; 2 requests to the model took" in said


async def test_one_request_is_one(capsys) -> None:
    assert "; 1 request to the model took" in await told(capsys, "half(4)")
