"""Endpoints that deviate from the protocol, as has been reported: what is right is read, the rest is an error."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from llmorch import Orchestrator, function
from llmorch.errors import ModelError, ReplyBroken, ToolsRefused
from llmorch.models.model import Finished, Message, ModelRequest, Text, Tool, ToolCall
from llmorch.models.openai import OpenAIModel
from tests.models.loopback import Answer, Loopback, event, refusal, reply

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

TOOLS = (
    Tool("height", "Height.", {"type": "object", "properties": {"name": {"type": "string"}}}),
    Tool("age", "Age.", {"type": "object", "properties": {}}),
)
ASKED = ModelRequest((Message("system", "Be brief."), Message("user", "Which?")), stop=("\nQ:",))
OFFERED = ModelRequest(ASKED.messages, tools=TOOLS)
A, B = '{"name": "Big Ben"}', '{"name": "Eiffel"}'


def data(delta: Any = None, reason: Any = None, choice: Any = None, **fields: Any) -> str:
    """A chunk of a stream, of any shape."""
    one = {"index": 0, "delta": delta, "finish_reason": reason, **(choice or {})}
    return "data: " + json.dumps({"id": "1", "object": "chat.completion.chunk", "choices": [one], **fields})


def calls(*deltas: dict[str, Any]) -> list[str]:
    return [data({"tool_calls": [one]}) for one in deltas]


def head(name: str | None, arguments: Any = "", **fields: Any) -> dict[str, Any]:
    return {**fields, "type": "function", "function": {"name": name, "arguments": arguments}}


def rest(arguments: str, **fields: Any) -> dict[str, Any]:
    return {**fields, "function": {"arguments": arguments}}


END = [event(reason="tool_calls"), "data: [DONE]"]

CALLS: dict[str, list[str]] = {
    "index 0 for all, an empty id in what follows": calls(
        head("height", index=0, id="a"),
        rest(A[:5], index=0, id=""),
        rest(A[5:], index=0, id=""),
        head("height", index=0, id="b"),
        rest(B, index=0, id=""),
    ),
    "index 0 for all, whole": calls(head("height", A, index=0, id="a"), head("height", B, index=0, id="b")),
    "index 0 for all, no id, whole": calls(head("height", A, index=0), head("height", B, index=0)),
    "no index, whole": calls(head("height", A, id="a"), head("height", B, id="b")),
    "no index, no id, whole": calls(head("height", A), head("height", B)),
    "no index, in pieces": calls(
        head("height", id="a"), rest(A[:9]), rest(A[9:]), head("height", id="b"), rest(B[:3]), rest(B[3:])
    ),
    "another id in later pieces": calls(
        head("height", index=0, id="a"),
        rest(A, index=0, id="x"),
        head("height", index=1, id="b"),
        rest(B, index=1, id="y"),
    ),
    "no id at all": calls(
        head("height", index=0), rest(A, index=0), head("height", index=1), rest(B, index=1)
    ),
    "the name in each piece": calls(
        *(head("height", piece, index=0, id="a") for piece in (A[:4], A[4:])),
        *(head("height", piece, index=1, id="b") for piece in (B[:4], B[4:])),
    ),
    "the name in each piece, no id": calls(
        *(head("height", piece, index=0) for piece in (A[:4], A[4:])),
        *(head("height", piece, index=1) for piece in (B[:4], B[4:])),
    ),
    "the name in pieces": calls(
        head("hei", index=0, id="a"),
        head("ght", index=0, id="a"),
        rest(A, index=0),
        head("hei", index=1, id="b"),
        head("ght", index=1, id="b"),
        rest(B, index=1),
    ),
    "the id before the name": calls(
        {"index": 0, "id": "a"},
        head("height", A, index=0),
        {"index": 1, "id": "b"},
        head("height", B, index=1),
    ),
    "interleaved": calls(
        head("height", index=0, id="a"),
        head("height", index=1, id="b"),
        rest(A[:4], index=0),
        rest(B[:6], index=1),
        rest(A[4:], index=0),
        rest(B[6:], index=1),
    ),
    "arguments as an object": calls(
        head("height", json.loads(A), index=0, id="a"), head("height", json.loads(B), index=1, id="b")
    ),
    "no arguments announced first": calls(
        head("height", "{}", index=0, id="a"),
        rest(A, index=0),
        head("height", "{}", index=1, id="b"),
        rest(B, index=1),
    ),
    "all in one, beside content null": [
        data(
            {
                "content": None,
                "tool_calls": [head("height", A, index=0, id="a"), head("height", B, index=1, id="b")],
            }
        )
    ],
    "names with a channel behind": calls(
        head("height<|channel|>commentary", A, index=0, id="a"),
        head("height<|channel|>json", B, index=1, id="b"),
    ),
    "names with a space before": calls(
        head("functions.height", A, index=0, id="a"), head("default_api:height", B, index=1, id="b")
    ),
    "text beside them": [
        data({"content": "I look."}),
        *calls(head("height", A, index=0, id="a"), head("height", B, index=1, id="b")),
    ],
    "as JSON in the text": [
        data({"content": f'{{"name": "height", "arguments": {one}}}\n'}) for one in (A, B)
    ],
    "as a list in the text": [
        data({"content": json.dumps([{"name": "height", "parameters": json.loads(one)} for one in (A, B)])})
    ],
    "in tags in the text": [
        data({"content": piece})
        for one in (A, B)
        for piece in ("<tool", "_call>\n", f'{{"name": "height", "arguments": {one}}}', "\n</tool_call>\n")
    ],
    "in a fence in the text": [
        data({"content": f"```json\n{json.dumps({'function': {'name': 'height', 'arguments': one}})}\n```\n"})
        for one in (A, B)
    ],
}


async def asked(endpoint: Loopback, request: ModelRequest = ASKED, **options: Any) -> list[Any]:
    model = OpenAIModel("m", endpoint.url, **{"timeout": 2, **options})
    return [piece async for piece in model.stream(request)]


def said(pieces: list[Any]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Text))


@pytest.mark.parametrize("case", CALLS)
async def test_two_calls_are_put_together(endpoint: Loopback, case: str) -> None:
    endpoint.answer = lambda _: Answer(lines=[*CALLS[case], *END])
    pieces = await asked(endpoint, OFFERED)
    found = [piece for piece in pieces if isinstance(piece, ToolCall)]
    assert [(call.name, json.loads(call.arguments)) for call in found] == [
        ("height", json.loads(A)),
        ("height", json.loads(B)),
    ]
    assert len({call.id for call in found}) == 2
    assert said(pieces) == ("I look." if case == "text beside them" else "")


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "unknown", "arguments": {}}',
        '{"answer": 3}',
        "[1, 2]",
        "```\ncode\n```",
        "<tool",
        "{",
        "  ",
        "[see above]",
    ],
)
async def test_a_text_that_is_no_call_is_a_text(endpoint: Loopback, text: str) -> None:
    endpoint.answer = lambda _: reply(*text)
    assert said(await asked(endpoint, OFFERED)) == text
    assert said(await asked(endpoint)) == text


HALF = [data({"role": "assistant", "content": ""}), data({"content": "hel"})]
WHOLE = [*HALF, data({"content": "lo"})]
STREAMS: dict[str, list[str]] = {
    "no delta": [HALF[0], data(None), *WHOLE[1:], event(reason="stop")],
    "no choices first": ['data: {"choices": [], "prompt_filter_results": []}', *WHOLE, event(reason="stop")],
    "content in parts": [
        data({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
        data({"content": [{"type": "text", "text": "hel"}]}),
        data({"content": ["lo"]}),
        event(reason="stop"),
    ],
    "usage under other names": [
        *WHOLE,
        event(reason="stop"),
        'data: {"choices": [], "usage": {"input_tokens": 7, "output_tokens": 3}}',
    ],
    "usage in parts": [
        data({"content": "hel"}, usage={"prompt_tokens": 7, "total_tokens": 7}),
        data({"content": "lo"}),
        data({}, "stop", usage={"completion_tokens": 3}),
    ],
    "the whole message beside each piece": [
        data({"content": "hel"}, choice={"message": {"content": "hel"}}),
        data({"content": "lo"}, "stop", choice={"message": {"content": "hello"}}),
    ],
    "another good end": [*WHOLE, data({}, "STOP")],
    "thoughts in a field of their own": [
        data({"reasoning_content": "hm", "content": None}),
        *WHOLE,
        event(reason="stop"),
    ],
}


@pytest.mark.parametrize("case", STREAMS)
async def test_a_reply_is_read(endpoint: Loopback, case: str) -> None:
    endpoint.answer = lambda _: Answer(lines=[*STREAMS[case], "data: [DONE]"])
    pieces = await asked(endpoint)
    assert said(pieces) == "hello"
    assert pieces[-1].reason == "stop"
    if case.startswith("usage"):
        assert pieces[-1] == Finished("stop", 7, 3)


ENDS: dict[str, tuple[list[str], str]] = {
    "no resources": (
        [*HALF, data({}, "insufficient_system_resource")],
        "ended it with insufficient_system_resource",
    ),
    "aborted": ([*HALF, data({}, "abort")], "ended it with abort"),
    "a filter": ([*HALF, data({}, "content_filter")], "filter withheld"),
    "a refusal": ([data({"refusal": "I can't."}), event(reason="stop")], "I can't"),
    "an error": ([*HALF, data({"content": ""}, "error", error={"message": "gone", "code": 1})], "gone"),
    "an error of a choice": (
        [*HALF, data({}, "error", choice={"error": {"message": "overloaded"}})],
        "overloaded",
    ),
    "an error as a text": (
        [*HALF, 'data: {"error": "runner has stopped", "error_type": "generation"}'],
        "runner has stopped",
    ),
    "an error as a list": ([*HALF, 'data: {"error": [{"msg": "too long"}]}'], "too long"),
    "an event of an error": (
        ['event: error\ndata: {"error": {"message": "failed to call"}}'],
        "failed to call",
    ),
    "no end": (HALF, "broke off"),
}


@pytest.mark.parametrize("case", ENDS)
async def test_a_reply_that_does_not_end_well_is_an_error_with_the_reason(
    endpoint: Loopback, case: str
) -> None:
    lines, reason = ENDS[case]
    endpoint.answer = lambda _: Answer(lines=lines)
    with pytest.raises(ModelError, match=reason):
        await asked(endpoint, retries=0)


@pytest.mark.parametrize("reason", ["length", "model_length", "MAX_TOKENS"])
async def test_a_reply_at_its_limit_says_so(endpoint: Loopback, reason: str) -> None:
    endpoint.answer = lambda _: Answer(lines=[*HALF, data({}, reason)])
    assert (await asked(endpoint))[-1].reason == "length"


async def test_a_whole_answer_in_place_of_a_stream_is_read(endpoint: Loopback) -> None:
    message = {"role": "assistant", "content": "hello", "tool_calls": [head("height", A, id="a")]}
    whole = {
        "choices": [{"message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }
    endpoint.answer = lambda _: Answer(body=json.dumps(whole), kind="application/json")
    assert await asked(endpoint, OFFERED) == [
        Text("hello"),
        ToolCall("a", "height", A),
        Finished("stop", 7, 3),
    ]


def refused(
    field: str, status: int, body: Any, kind: str = "application/json"
) -> Callable[[dict[str, Any]], Answer]:
    """An endpoint that takes no such field, and says so in a body of this shape."""
    text = body if isinstance(body, str) else json.dumps(body)
    return lambda asked: Answer(status, text, kind=kind) if field in json.dumps(asked) else reply("hello")


MESSAGE = {"error": {"message": "stop is not supported"}}
FORBIDDEN = [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]
REFUSALS: dict[str, tuple[Callable[[dict[str, Any]], Answer], str]] = {
    "stop, as a text": (refused('"stop"', 400, {"code": "invalid", "error": "No parameter stop."}), ""),
    "stop, as an object": (refused('"stop"', 400, MESSAGE), ""),
    "stop, in a list": (refused('"stop"', 400, [MESSAGE]), ""),
    "seed, as detail": (refused('"seed"', 422, {"detail": FORBIDDEN}), ""),
    "seed, deep in message": (refused('"seed"', 422, {"message": {"detail": FORBIDDEN}}), ""),
    "seed, as plain text": (refused('"seed"', 422, "unknown field seed", "text/plain"), ""),
    "a stream": (
        lambda asked: (
            refusal(400, "Your organization must be verified to stream this model.")
            if asked["stream"]
            else Answer(
                body=json.dumps({"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}),
                kind="application/json",
            )
        ),
        "doesn't stream",
    ),
    "a system message": (
        refused('"system"', 400, {"error": {"message": "messages[0].role does not support 'system'"}}),
        "no system",
    ),
    "max_tokens": (
        refused(
            '"max_tokens"', 400, {"error": {"message": "use 'max_completion_tokens' instead of 'max_tokens'"}}
        ),
        "",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_what_is_refused_is_said_otherwise_once_and_for_all(endpoint: Loopback, case: str) -> None:
    endpoint.answer, note = REFUSALS[case]
    model = OpenAIModel("m", endpoint.url, timeout=2)
    for expected in (2, 3):
        pieces = [piece async for piece in model.stream(ASKED)]
        assert said(pieces) == "hello"
        assert len(endpoint.asked) == expected
        assert [note in told for told in pieces[-1].notes] == ([True] if note else [])
    assert endpoint.asked[-1]["messages"][-1]["content"].endswith("Which?")
    assert "Be brief." in json.dumps(endpoint.asked[-1]["messages"])


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, {"error": {"message": "too long"}}, "answers 400 .too long."),
        (400, [{"error": {"message": "too long"}}], "answers 400 .too long."),
        (400, {"error": "too long"}, "answers 400 .too long."),
        (422, {"detail": "too long"}, "answers 422 .too long."),
        (
            422,
            {"detail": [{"msg": "too long", "loc": ["body", "messages"]}]},
            "answers 422 .too long .body.messages",
        ),
        (400, {"message": "too long", "object": "error"}, "answers 400 .too long."),
        (422, "messages[1]: invalid type", "answers 422 .messages.1.: invalid type."),
        (
            502,
            "<html><head><title>502 Bad Gateway</title></head></html>",
            "answers 502 .a web page: 502 Bad Gateway.",
        ),
        (402, {"error": {"message": "Insufficient Balance"}}, "answers 402 .Insufficient Balance."),
        (429, {"error": {"message": "quota", "code": "insufficient_quota"}}, "limits requests .quota."),
    ],
)
async def test_a_refusal_is_told_in_the_server_s_words(
    endpoint: Loopback, status: int, body: Any, reason: str
) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    endpoint.answer = lambda _: Answer(
        status, text, kind="text/plain" if isinstance(body, str) else "application/json"
    )
    with pytest.raises(ModelError, match=reason):
        await asked(endpoint, retries=0 if status == 502 else 2)
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    "message",
    [
        "m does not support tools",
        "reasoner does not support Function Calling",
        "tools[0].function.name: no match",
    ],
)
async def test_tools_that_are_refused_are_not_offered_again(endpoint: Loopback, message: str) -> None:
    endpoint.answer = lambda _: refusal(400, message)
    model = OpenAIModel("m", endpoint.url, timeout=2)
    with pytest.raises(ToolsRefused, match=message[:5]):
        async for _ in model.stream(OFFERED):
            pass
    assert not model.calls_tools


async def test_schemas_that_are_refused_are_offered_in_a_simple_form(endpoint: Loopback) -> None:
    schema = {
        "$defs": {
            "Size": {"type": "object", "properties": {"n": {"const": 3}}, "additionalProperties": False}
        },
        "type": "object",
        "properties": {"size": {"$ref": "#/$defs/Size"}, "const": {"type": "string"}},
    }

    def answers(body: dict[str, Any]) -> Answer:
        bad = any(
            word in json.dumps(body["tools"])
            for word in ("$ref", "$defs", "additionalProperties", '"const": 3')
        )
        return refusal(400, 'Invalid JSON payload received. Unknown name "$ref"') if bad else reply("hello")

    endpoint.answer = answers
    assert (
        said(await asked(endpoint, ModelRequest(ASKED.messages, tools=(Tool("f", "F.", schema),)))) == "hello"
    )
    size = {"type": "object", "properties": {"n": {"enum": [3]}}}
    assert endpoint.asked[-1]["tools"][0]["function"]["parameters"] == {
        "type": "object",
        "properties": {"size": size, "const": {"type": "string"}},
    }


async def test_what_has_to_come_back_with_calls_comes_back(endpoint: Loopback) -> None:
    signed = {"google": {"thought_signature": "abc"}}
    endpoint.answer = lambda _: Answer(
        lines=[data({"reasoning_content": "hm, "}), data({"reasoning_content": "so"}),
               *calls(head("height", A, index=0, id="a", extra_content=signed), head("age", "", index=1, id="b")), *END]
    )  # fmt: skip
    model = OpenAIModel("m", endpoint.url, timeout=2)
    first = [piece async for piece in model.stream(OFFERED)]
    turn = Message("assistant", "", calls=tuple(piece for piece in first if isinstance(piece, ToolCall)))
    answers = tuple(Message("tool", "1", answers=call.id) for call in turn.calls)
    assert [
        piece async for piece in model.stream(ModelRequest((*ASKED.messages, turn, *answers), tools=TOOLS))
    ]
    again = endpoint.asked[1]["messages"][2]
    assert again["content"] is None
    assert again["reasoning_content"] == "hm, so"
    assert [call.get("extra_content") for call in again["tool_calls"]] == [signed, None]
    assert [call["function"]["arguments"] for call in again["tool_calls"]] == [A, "{}"]


async def test_thoughts_that_take_all_tokens_are_given_more_once(endpoint: Loopback) -> None:
    def answers(body: dict[str, Any]) -> Answer:
        return (
            reply("hello")
            if body["max_tokens"] > 2_000
            else Answer(lines=[data({}, "length"), "data: [DONE]"])
        )

    endpoint.answer = answers
    model = OpenAIModel("m", endpoint.url, timeout=2)
    for _ in range(2):
        assert said([piece async for piece in model.stream(ASKED)]) == "hello"
    assert [body["max_tokens"] for body in endpoint.asked] == [1024, 8192, 8192]


async def test_a_hidden_chain_of_thirty_thousand_tokens_is_waited_for(endpoint: Loopback) -> None:
    thoughts = [data({"reasoning_content": "hm "})] * 30_000
    endpoint.answer = lambda _: Answer(lines=[*thoughts, *WHOLE, event(reason="stop")])
    assert said(await asked(endpoint)) == "hello"


async def test_a_late_beginning_is_waited_for_longer_than_what_follows(endpoint: Loopback) -> None:
    endpoint.answer = lambda _: Answer(lines=[event("hel"), event(reason="stop")], pace=0.5)
    with pytest.raises(ModelError, match="nothing more in 0.2 s"):
        await asked(endpoint, timeout=0.2, first_token=5)
    endpoint.answer = lambda _: Answer(lines=[": still here", *reply("hello").lines], pace=0.15)
    assert said(await asked(endpoint, timeout=0.3, first_token=5)) == "hello"
    with pytest.raises(ModelError, match="nothing more in 0.1 s"):
        await asked(endpoint, timeout=0.3, first_token=0.1)


@pytest.mark.parametrize("then", ["reset", "end"])
async def test_a_reply_that_breaks_before_it_begins_is_asked_for_again(endpoint: Loopback, then: Any) -> None:
    endpoint.answer = lambda _: (
        Answer(lines=HALF[:1], then=then) if len(endpoint.asked) < 3 else reply("hello")
    )
    assert said(await asked(endpoint)) == "hello"
    endpoint.answer = lambda _: Answer(lines=HALF, then=then)
    with pytest.raises(ReplyBroken, match="broke off"):
        await asked(endpoint)
    assert len(endpoint.asked) == 4


async def test_as_many_are_asked_at_once_as_are_taken(endpoint: Loopback) -> None:
    open_, most = 0, 0

    def answers(_: Any) -> Answer:
        nonlocal open_, most
        if open_ >= 2:
            return refusal(429, "Too many concurrent requests")
        open_, most = open_ + 1, max(most, open_ + 1)
        event_.wait(0.3)
        open_ -= 1
        return reply("hello")

    event_ = threading.Event()
    endpoint.answer = answers
    model = OpenAIModel("m", endpoint.url, timeout=5)

    async def one() -> str:
        return said([piece async for piece in model.stream(ASKED)])

    assert await one() == "hello"  # what it imports takes its time
    began = time.monotonic()
    assert await asyncio.gather(*(one() for _ in range(12))) == ["hello"] * 12
    assert len(endpoint.asked) <= 19
    assert most == 2
    assert time.monotonic() - began < 3  # 1.8 for two at once, 3.6 for one


@function
def height(name: str) -> str:
    """Height."""
    return f"{name}: 96 m"


BROKEN = 's1 = height(name="Big Ben")\ns2 = self(prompt="{s1}?")'


@pytest.mark.parametrize(
    "technique", ["llmorch", "react", "parallel", "toolcompiler", "llmcompiler", "rewoo"]
)
async def test_a_server_that_breaks_every_third_stream_is_no_matter(
    endpoint: Loopback, technique: str
) -> None:
    told = 0

    def answers(body: dict[str, Any]) -> Answer:
        nonlocal told
        told += 1
        text = "Answer: 96 m"
        prompt = json.dumps(body["messages"])
        if "into a plan" in prompt or "plan that collects" in prompt:
            text = BROKEN if "into a plan" in prompt else 'E1 = height(name="Big Ben")'
        if told % 3 == 1:
            return Answer(lines=[event(text[:9])], then="reset")
        return reply(*text)

    endpoint.answer = answers
    async with Orchestrator(
        [height], model=OpenAIModel("m", endpoint.url), technique=technique, learn=False
    ) as made:
        result = await made.run("How high?")
    assert (result.status, result.recoveries) == ("answered", ())


async def test_a_server_that_is_gone_is_no_reason_to_repair_a_plan(endpoint: Loopback) -> None:
    def answers(body: dict[str, Any]) -> Answer:
        prompt = json.dumps(body["messages"])
        return reply(BROKEN) if "into a plan" in prompt else refusal(500, "out of memory")

    endpoint.answer = answers
    async with Orchestrator([height], model=OpenAIModel("m", endpoint.url, retries=0), learn=False) as made:
        result = await made.run("How high?")
    assert (result.status, result.recoveries) == ("unresolved", ())
    assert "out of memory" in str(result.error)
    assert len(endpoint.asked) == 2
