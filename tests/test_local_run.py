"""The whole way on the real local model: the weights, the grammar, the plan, the answer."""

from __future__ import annotations

import pytest

from llmorch import Orchestrator, function
from llmorch.models.local import LocalModel

pytestmark = [pytest.mark.local, pytest.mark.anyio]

PAGES = {
    "eiffel": "The Eiffel Tower is a tower in Paris, finished in 1889.",
    "ben": "Big Ben is a clock tower in London, finished in 1859.",
}


@function
async def search(query: str) -> str:
    """Search the encyclopedia for one thing.

    Args:
        query: The name of the thing.
    """
    return next((text for name, text in PAGES.items() if name in query.lower()), "nothing found")


async def test_a_query_is_answered_by_the_real_model() -> None:
    async with Orchestrator([search], model=LocalModel(), processors=2) as orchestrator:
        result = await orchestrator.run("In which two cities are the Eiffel Tower and Big Ben?")
    assert result.status == "answered"
    assert [call.function for call in result.calls] == ["search", "search", "self"]
    assert result.calls[-1].uses == ("s1", "s2")
    assert {call.result for call in result.calls[:2]} == set(PAGES.values())
    assert "Paris" in result.answer
    assert "London" in result.answer
    assert (result.calls[-1].kind, result.usage.requests) == ("compute", 2)
