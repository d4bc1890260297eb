"""What the tests of runs count and share: how often functions are made, and a search with too few words at first."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Sequence

MADE: Counter[str] = Counter()
"""How often each call was made in this test."""


@function(pure=True)
async def search(term: str, k: int = 500) -> str:
    """Search a term; the first k words."""
    MADE[f"search {term} {k}"] += 1
    await asyncio.sleep(0.001)
    if term == "nowhere":
        raise ValueError("there is no such page")
    return f"{term}, first {k} words"


def number_in(text: str) -> int:
    """How many words a search returned; the number that a test looks for comes after the first 1,000."""
    words = int(text.split()[-2])
    if words < 1000:
        raise ValueError(f"only {words} words were returned (k={words}), and the number comes later")
    return words


def scripted(
    functions: Sequence[object], *replies: str, **settings: Any
) -> tuple[Orchestrator, ScriptedModel]:
    """An orchestrator whose model makes these replies, each in one piece, and that model."""
    model = ScriptedModel(replies, chunk=10_000)
    return Orchestrator(functions, model=model, **{"processors": 1} | settings), model
