"""Native tool calls over the OpenAI protocol: how they are offered, read, answered and refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmorch import Orchestrator, function
from llmorch.errors import ModelError, ToolsRefused
from llmorch.models.model import Finished, Message, ModelRequest, Tool, ToolCall
from llmorch.models.openai import OpenAIModel
from tests.models.loopback import Answer, Loopback, event, refusal, reply

pytestmark = pytest.mark.anyio

SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
ASKED = ModelRequest(
    (Message("user", "Which?"),), tools=(Tool("search", "Search.", SCHEMA),), stop=("\nObservation:",)
)


def delta(*calls: dict[str, Any]) -> str:
    choice = {"index": 0, "delta": {"tool_calls": list(calls)}, "finish_reason": None}
    return "data: " + json.dumps({"id": "1", "object": "chat.completion.chunk", "choices": [choice]})


def called(*calls: tuple[str, str, str]) -> Answer:
    """Tool calls in pieces, as endpoints stream them: a call's head, then its arguments bit by bit."""
    lines = []
    for at, (id_, name, arguments) in enumerate(calls):
        head = {"index": at, "id": id_, "type": "function", "function": {"name": name, "arguments": ""}}
        lines.append(delta(head))
        lines += [delta({"index": at, "function": {"arguments": piece}}) for piece in arguments]
    return Answer(lines=[*lines, event(reason="tool_calls"), "data: [DONE]"])


async def test_tools_are_offered_and_calls_are_put_together(endpoint: Loopback) -> None:
    endpoint.answer = lambda _: called(("a", "search", '{"query": "A"}'), ("b", "search", "{}"))
    pieces = [piece async for piece in OpenAIModel("m", endpoint.url).stream(ASKED)]
    assert pieces[:-1] == [ToolCall("a", "search", '{"query": "A"}'), ToolCall("b", "search", "{}")]
    assert isinstance(pieces[-1], Finished)
    assert pieces[-1].reason == "stop"
    assert endpoint.asked[0]["tools"] == [
        {"type": "function", "function": {"name": "search", "description": "Search.", "parameters": SCHEMA}}
    ]
    assert endpoint.asked[0]["stop"] == ["\nObservation:"]


async def test_a_conversation_with_calls_is_worded_as_the_protocol_has_it(endpoint: Loopback) -> None:
    call = ToolCall("a", "search", '{"query": "A"}')
    messages = (Message("assistant", "", calls=(call,)), Message("tool", "page", answers="a"))
    assert [piece async for piece in OpenAIModel("m", endpoint.url).stream(ModelRequest(messages))]
    assert endpoint.asked[0]["messages"] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "search", "arguments": '{"query": "A"}'}}
            ],
        },
        {"role": "tool", "content": "page", "tool_call_id": "a"},
    ]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "registry.ollama.ai/library/gemma does not support tools"),
        (404, "No endpoints found that support tool use"),
        (500, "tools param requires --jinja flag"),
    ],
)
async def test_a_model_without_tools_says_so_once(endpoint: Loopback, status: int, message: str) -> None:
    endpoint.answer = lambda body: refusal(status, message) if "tools" in body else reply("yes")
    model = OpenAIModel("m", endpoint.url, retries=0)
    assert model.calls_tools
    with pytest.raises(ToolsRefused):
        _ = [piece async for piece in model.stream(ASKED)]
    assert not model.calls_tools


async def test_other_refusals_are_what_they_were(endpoint: Loopback) -> None:
    endpoint.answer = lambda _: refusal(401, "your key has no access to tools")
    with pytest.raises(ModelError) as raised:
        _ = [piece async for piece in OpenAIModel("m", endpoint.url, "k", retries=0).stream(ASKED)]
    assert not isinstance(raised.value, ToolsRefused)


@function
async def search(query: str) -> str:
    """Search the encyclopedia."""
    return f"page of {query}"


async def test_parallel_runs_native_calls_over_a_real_socket(endpoint: Loopback) -> None:
    def answers(body: dict[str, Any]) -> Answer:
        if body["messages"][-1]["role"] == "tool":
            return reply("both")
        return called(("a", "search", '{"query": "A"}'), ("b", "search", '{"query": "B"}'))

    endpoint.answer = answers
    async with Orchestrator(
        [search], model=OpenAIModel("m", endpoint.url), technique="parallel"
    ) as orchestrator:
        result = await orchestrator.run("Which?")
    assert (result.answer, result.usage.requests) == ("both", 2)
    assert [call.result for call in result.calls] == ["page of A", "page of B"]
    assert [message["content"] for message in endpoint.asked[1]["messages"][-2:]] == [
        "page of A",
        "page of B",
    ]


async def test_parallel_falls_back_to_text_where_tools_are_refused(endpoint: Loopback) -> None:
    def answers(body: dict[str, Any]) -> Answer:
        if "tools" in body:
            return refusal(400, "this model does not support tools")
        done = "Result of" in body["messages"][-1]["content"]
        return reply("Answer: both" if done else 'search(query="A")\nsearch(query="B")')

    endpoint.answer = answers
    async with Orchestrator(
        [search], model=OpenAIModel("m", endpoint.url, retries=0), technique="parallel"
    ) as orchestrator:
        result = await orchestrator.run("Which?")
    assert result.answer == "both"
    assert len(result.calls) == 2
    assert result.notes[0] == "openai:m: the endpoint takes no tools, so calls are asked for as text"


@pytest.mark.parametrize("index", [0, None])
async def test_calls_without_an_index_of_their_own_stay_apart(endpoint: Loopback, index: int | None) -> None:
    whole = [
        {"index": index, "id": id_, "type": "function", "function": {"name": "search", "arguments": text}}
        for id_, text in (("a", '{"query": "A"}'), ("b", '{"query": "B"}'))
    ]
    endpoint.answer = lambda _: Answer(
        lines=[*(delta(call) for call in whole), event(reason="tool_calls"), "data: [DONE]"]
    )
    pieces = [piece async for piece in OpenAIModel("m", endpoint.url).stream(ASKED)]
    assert pieces[:-1] == [
        ToolCall("a", "search", '{"query": "A"}'),
        ToolCall("b", "search", '{"query": "B"}'),
    ]
