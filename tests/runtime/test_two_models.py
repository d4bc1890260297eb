"""A model that plans beside one that answers, and models that are asked where others fail."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from llmorch import ModelError, Orchestrator, function
from llmorch.errors import UnknownModel
from llmorch.models.fallback import Fallback
from llmorch.models.model import Message, ModelRequest, Text
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from llmorch.models.model import Piece

PLAN = 's1 = fetch(name="a")\ns2 = self(prompt="What of {s1}?")'


class Gone(ScriptedModel):
    """Fails, after so many words."""

    def __init__(self, words: int = 0) -> None:
        super().__init__(["one two three"])
        self._words = words
        self.closed = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        for _ in range(self._words):
            yield Text("word ")
        raise ModelError("gone: out of order")

    async def close(self) -> None:
        self.closed += 1


@function(pure=True)
def fetch(name: str) -> str:
    return f"<{name}>"


@pytest.mark.parametrize("technique", ["llmorch", "llmcompiler", "rewoo", "react"])
def test_a_technique_asks_the_planner_and_calls_ask_the_model(technique: str) -> None:
    replies = {
        "llmorch": [PLAN],
        "llmcompiler": [PLAN, "Answer: planned"],
        "rewoo": ['E1 = fetch(name="a")\nE2 = self(prompt="What of {E1}?")', "planned"],
        "react": ['Action: self(prompt="What of <a>?")', "Answer: planned"],
    }[technique]
    planner, model = ScriptedModel(replies), ScriptedModel(["answered"])
    orchestrator = Orchestrator([fetch], model=model, planner=planner, technique=technique, learn=False)
    result = orchestrator.run_sync("?")
    assert result.answer == ("answered" if technique == "llmorch" else "planned")
    assert [call.result for call in result.calls][-1] == "answered"
    assert (len(model.requests), len(planner.requests)) == (1, len(replies))
    assert result.usage.requests == 1 + len(replies)


def test_what_a_model_fails_at_another_one_is_asked() -> None:
    first, second = Gone(), ScriptedModel([PLAN, "answered"])
    orchestrator = Orchestrator([fetch], model=first, fallback=[second], learn=False)
    result = orchestrator.run_sync("?")
    assert result.answer == "answered"
    assert result.notes == (f"{second.name} was asked instead: gone: out of order",)
    asyncio.run(orchestrator.close())
    assert first.closed


def test_where_all_fail_or_one_has_said_something_it_is_an_error() -> None:
    async def ask(*models: Any) -> list[Piece]:
        request = ModelRequest((Message("user", "?"),))
        return [piece async for piece in Fallback(models).stream(request)]

    with pytest.raises(ModelError, match="out of order"):
        asyncio.run(ask(Gone(), Gone()))
    with pytest.raises(ModelError, match="out of order"):
        asyncio.run(ask(Gone(words=1), ScriptedModel(["never"])))


def test_what_is_no_model_is_refused_at_once() -> None:
    for said in (
        {"fallback": "local"},
        {"fallback": ["nothing:x"]},
        {"planner": "nothing:x"},
        {"planner": 3},
    ):
        with pytest.raises(UnknownModel):
            Orchestrator([fetch], model=ScriptedModel([]), learn=False, **said)
