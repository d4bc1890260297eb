"""How requests are worded for an OpenAI-compatible endpoint, and what its failures become."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from llmorch.errors import ModelError
from llmorch.models.model import Finished, Message, ModelRequest, Text
from llmorch.models.openai import OpenAIModel
from tests.models.loopback import Answer, Loopback, event, refusal, reply, serving

pytestmark = pytest.mark.anyio

ASKED = ModelRequest((Message("system", "Be brief."), Message("user", "Hello?")), max_tokens=9, seed=4)


async def _ask(model: OpenAIModel, request: ModelRequest = ASKED) -> list[Text | Finished]:
    return [piece async for piece in model.stream(request)]


async def test_the_endpoint_gets_messages_bounds_and_key(endpoint: Loopback) -> None:
    model = OpenAIModel("openai:m", endpoint.url, "secret")
    assert await _ask(model) == [Text("hello"), Text(" there"), Finished("stop", 7, 3)]
    assert model.name == "openai:m"
    assert endpoint.asked == [
        {
            "model": "m",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 9,
            "temperature": 0.0,
            "seed": 4,
            "authorization": "Bearer secret",
            "path": "/v1/chat/completions",
        }
    ]


async def test_address_and_key_come_from_the_environment(
    endpoint: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
    monkeypatch.setenv("OPENAI_API_KEY", "from the environment")
    assert await _ask(OpenAIModel("m"))
    assert endpoint.asked[0]["authorization"] == "Bearer from the environment"


async def test_what_an_endpoint_refuses_is_not_sent_to_it_again(endpoint: Loopback) -> None:
    def choosy(body: dict[str, Any]) -> Answer:
        if "temperature" in body:
            return refusal(400, "Unsupported value: 'temperature' does not support 0.0 with this model.")
        if "max_tokens" in body:
            return refusal(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return refusal(422, "Extra inputs are not permitted: seed") if "seed" in body else reply("yes")

    endpoint.answer = choosy
    model = OpenAIModel("m", endpoint.url)
    assert await _ask(model) == [Text("yes"), Finished("stop", 7, 3)]
    assert len(endpoint.asked) == 4
    assert await _ask(model)
    assert len(endpoint.asked) == 5
    assert endpoint.asked[-1].keys() >= {"max_completion_tokens", "stream_options"}
    assert not endpoint.asked[-1].keys() & {"temperature", "max_tokens", "seed"}


async def test_tokens_are_estimated_where_the_endpoint_does_not_count_them(endpoint: Loopback) -> None:
    endpoint.answer = lambda _: reply("eight ch", reason="length", tokens=None)
    assert await _ask(OpenAIModel("m", endpoint.url)) == [Text("eight ch"), Finished("length", 3, 2)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(401, "Incorrect key"), "refuses the key (Incorrect key); check OPENAI_API_KEY"),
        (refusal(404, "no model m"), "(no model m); check the model's name and --base-url"),
        (refusal(400, "too\nlong"), "answers 400 (too long); check the request and the model's limits"),
        (refusal(429, "quota"), "(quota); wait, or check the account's quota"),
        (refusal(503, "busy"), "answers 503 (busy); try again later"),
        (reply(reason="content_filter"), "filter withheld the reply; word the query differently"),
        (Answer(lines=[event("half")]), "the reply broke off; try again"),
        (Answer(lines=['data: {"error": {"message": "overloaded"}}']), "broke off (overloaded); try again"),
        (Answer(lines=["data: {half"]), "the reply can't be read"),
        (Answer(lines=["data: 5"]), "the reply can't be read"),
        (Answer(body="<html>Hello</html>", kind="text/html"), "is OpenAI-compatible (--base-url)"),
    ],
)
async def test_a_failure_names_the_model_and_what_to_do(
    endpoint: Loopback, answer: Answer, expected: str
) -> None:
    endpoint.answer = lambda _: answer
    with pytest.raises(ModelError) as caught:
        await _ask(OpenAIModel("m", endpoint.url, retries=0))
    assert str(caught.value).startswith("openai:m: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_busy_endpoint_is_asked_again(endpoint: Loopback) -> None:
    busy = Answer(503, "{}", kind="application/json")
    endpoint.answer = lambda _: reply("yes") if len(endpoint.asked) > 1 else busy
    assert await _ask(OpenAIModel("m", endpoint.url)) == [Text("yes"), Finished("stop", 7, 3)]


async def test_a_missing_key_an_unreachable_and_a_silent_endpoint_say_so(endpoint: Loopback) -> None:
    with pytest.raises(ModelError, match=r"^openai:m: no key; set OPENAI_API_KEY, or --base-url"):
        await _ask(OpenAIModel("m"))
    with pytest.raises(ModelError, match=r"can't reach http://127.0.0.1:9/v1 \(.+\); check the network"):
        await _ask(OpenAIModel("m", "http://127.0.0.1:9/v1", retries=0))

    def silent(_: dict[str, Any]) -> Answer:
        endpoint.hung_up.wait(1)
        return reply()

    endpoint.answer = silent
    with pytest.raises(ModelError, match=r"no answer from .+ in 0.2 s; try again or allow more time"):
        await _ask(OpenAIModel("m", endpoint.url, timeout=0.2, retries=0))


def test_one_model_serves_several_event_loops(endpoint: Loopback) -> None:
    model = OpenAIModel("m", endpoint.url)
    assert asyncio.run(_ask(model)) == asyncio.run(_ask(model))


async def test_closing_the_iterator_hangs_up(endpoint: Loopback) -> None:
    endpoint.answer = lambda _: Answer(lines=[event("on")], endless=True)
    async with aclosing(OpenAIModel("m", endpoint.url).stream(ASKED)) as pieces:
        assert await anext(pieces) == Text("on")
        assert not endpoint.hung_up.is_set()
    assert await asyncio.to_thread(endpoint.hung_up.wait, 5)


# Addresses and keys as people mistype and mispaste them


@pytest.mark.parametrize(
    "address",
    ["http://[::1", "http://host:port/v1", "http://\x00/v1", "localhost:9/v1", "nonsense", "http://"],
)
async def test_an_address_that_is_none_says_to_check_it(address: str) -> None:
    with pytest.raises(ModelError, match=r"^openai:m: .+; check .*--base-url") as raised:
        assert [piece async for piece in OpenAIModel("m", address, "k", retries=0).stream(ASKED)]
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("key", ["sk-sécret", "sk-sec\nret"])
async def test_a_key_that_cannot_be_sent_is_not_shown(endpoint: Loopback, key: str) -> None:
    with pytest.raises(ModelError, match=r"; check OPENAI_API_KEY$") as raised:
        assert [piece async for piece in OpenAIModel("m", endpoint.url, key, retries=0).stream(ASKED)]
    assert "cret" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert endpoint.asked == []


async def test_space_around_an_address_and_a_key_is_no_part_of_them(
    endpoint: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f" {endpoint.url}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1\n")
    model = OpenAIModel("m")
    assert [piece async for piece in model.stream(ASKED)][:2] == [Text("hello"), Text(" there")]
    assert endpoint.asked[0]["authorization"] == "Bearer sk-1"
    await model.close()


async def test_a_redirection_elsewhere_is_not_followed_with_what_was_asked(endpoint: Loopback) -> None:
    with serving() as elsewhere:
        endpoint.answer = lambda _: Answer(307, location=f"{elsewhere.url}/chat/completions")
        with pytest.raises(ModelError, match="redirects to 127.0.0.1, which isn't asked"):
            await _ask(OpenAIModel("m", endpoint.url, retries=0, extra=lambda _: {"api_key": "a secret"}))
        assert elsewhere.asked == []
    moved = Answer(307, location="/v2/chat/completions")
    endpoint.answer = lambda _: moved if len(endpoint.asked) == 2 else reply("hi")
    assert await _ask(OpenAIModel("m", endpoint.url))
    assert endpoint.asked[-1]["path"] == "/v2/chat/completions"
