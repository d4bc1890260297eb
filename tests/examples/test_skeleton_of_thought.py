"""The points of a skeleton are asked for together, and come back in order."""

from __future__ import annotations

import pytest

from llmorch import Orchestrator
from llmorch.testing import ScriptedModel
from tests.examples.loading import EXAMPLES, load

pytestmark = pytest.mark.anyio
FOLDER = EXAMPLES / "skeleton_of_thought"


def said(request) -> str:
    asked = request.messages[-1].text
    if "skeleton of an answer" in asked:
        return "1. Listen first\n2. Name the problem\n3. Look for options\n4. Agree on steps"
    return f"On {asked.rsplit(': ', 1)[1]}."


async def test_points_are_written_together() -> None:
    module = load(FOLDER / "functions.py")
    functions = [module.skeleton, module.expand, module.assemble]
    model = ScriptedModel(said, delay=0.05, chunk=1000)
    async with Orchestrator(functions, model=model) as orchestrator:
        result = await orchestrator.execute((FOLDER / "plan.txt").read_text(encoding="utf-8"))
    assert result.answer.splitlines()[:4] == [
        "1. Listen first",
        "   On Listen first.",
        "2. Name the problem",
        "   On Name the problem.",
    ]
    expanded = [result.calls[id_] for id_ in ("s2", "s3", "s4", "s5")]
    assert max(call.dispatched for call in expanded) < min(call.completed for call in expanded)


async def test_a_skeleton_that_is_too_short_fails_its_call() -> None:
    module = load(FOLDER / "functions.py")
    async with Orchestrator([module.skeleton], model=ScriptedModel(["1. One"])) as orchestrator:
        result = await orchestrator.execute('s1 = skeleton(question="Why?", points=2)')
    assert "the skeleton has 1 points instead of 2" in result.error
