"""Each example from its query to its answer, on what the local model said when it was recorded."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from llmorch.schedule import CallCompleted, Dispatch
from llmorch.testing import RecordedModel
from tests.examples.record import PROCESSORS, RECORDED, orchestrator_for, query_of

pytestmark = pytest.mark.anyio

FUNCTIONS = {
    "seo_audit": ["search", "chatbot", "python", "python", "chatbot"],
    "purchase_intent": ["chatbot", "search", "python", "python", "python", "chatbot", "chatbot"],
    "encryption": ["chatbot", "chatbot", "aes", "aes", "chatbot"],
}


@pytest.mark.parametrize("name", PROCESSORS)
async def test_an_example_answers_its_query(name) -> None:
    seen: list[Any] = []
    async with orchestrator_for(name, RecordedModel(RECORDED / f"{name}.jsonl")) as orchestrator:
        result = await orchestrator.run(query_of(name), observer=lambda message, at: seen.append(message))
    assert (result.status, result.error) == ("answered", None)
    assert len(result.answer.split()) > 30
    assert [call.function for call in result.calls] == FUNCTIONS[name]
    assert {call.status for call in result.calls} == {"completed"}
    assert result.usage.requests >= 3
    assert result.lower_bound <= result.makespan
    # Every call began after all it uses had ended, and no two compute calls shared a processor.
    for call in result.calls:
        assert all(result.calls[used].completed <= call.dispatched for used in call.uses)
    for number in range(PROCESSORS[name]):
        mine = sorted((c.dispatched, c.completed) for c in result.calls if c.processor == number)
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(mine))
    ended = [message.call for message in seen if isinstance(message, CallCompleted)]
    started = [message.call for message in seen if isinstance(message, Dispatch)]
    assert sorted(ended) == sorted(set(started)) == sorted(call.id for call in result.calls)
