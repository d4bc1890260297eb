"""Providers by name: where each is asked, with which key, and what is said where something is missing."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import typer

from llmorch.cli.inputs import options_in
from llmorch.errors import ModelError
from llmorch.models.model import Message, ModelRequest, Text
from llmorch.models.named import model_named
from llmorch.models.openai import OpenAIModel
from llmorch.models.presets import PRESETS
from tests.models.loopback import Answer, Loopback, refusal, reply

pytestmark = pytest.mark.anyio

ASKED = ModelRequest((Message("user", "Hello?"),))
OTHERS = [name for name in PRESETS if name != "openai"]


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for preset in PRESETS.values():
        monkeypatch.delenv(preset.at, raising=False)
        if preset.key:
            monkeypatch.delenv(preset.key, raising=False)


@pytest.mark.parametrize("name", OTHERS)
async def test_each_is_asked_where_its_variable_says_with_its_key(
    monkeypatch: pytest.MonkeyPatch, endpoint: Loopback, name: str
) -> None:
    preset = PRESETS[name]
    monkeypatch.setenv(preset.at, endpoint.url)
    monkeypatch.setenv("OPENAI_API_KEY", "another-provider-s-key")
    if preset.key:
        monkeypatch.setenv(preset.key, "its-own-key")
    model = model_named(f"{name}:org/m")
    assert model.name == f"{name}:org/m"
    pieces = [piece async for piece in model.stream(ASKED)]
    assert [piece.text for piece in pieces if isinstance(piece, Text)] == ["hello", " there"]
    asked = endpoint.asked[0]
    assert asked["model"] == "org/m"
    assert asked["authorization"] == ("Bearer its-own-key" if preset.key else "Bearer none")
    assert not preset.without & asked.keys()


@pytest.mark.parametrize("name", [name for name in OTHERS if PRESETS[name].key])
async def test_what_is_missing_is_named_before_anything_is_sent(name: str) -> None:
    preset = PRESETS[name]
    missing = preset.key if preset.address else preset.at
    with pytest.raises(ModelError, match=f"set {missing}$"):
        async for _ in model_named(f"{name}:m").stream(ASKED):
            pass


async def test_a_refused_key_is_that_of_the_provider(
    monkeypatch: pytest.MonkeyPatch, endpoint: Loopback
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "a-wrong-key-of-groq")
    endpoint.answer = lambda _: refusal(401, "Invalid API Key a-wrong-key-of-groq")
    with pytest.raises(ModelError, match="check GROQ_API_KEY") as caught:
        async for _ in model_named("groq:m", base_url=endpoint.url).stream(ASKED):
            pass
    assert "a-wrong-key" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["", "/", "/chat/completions", "/chat/completions/", "/completions", "/models"]
)
async def test_an_address_that_was_pasted_whole_is_understood(endpoint: Loopback, path: str) -> None:
    endpoint.answer = lambda _: reply("hello")
    assert [piece async for piece in OpenAIModel("m", endpoint.url + path).stream(ASKED)]
    assert endpoint.asked[0]["path"] == "/v1/chat/completions"


async def test_an_address_of_azure_keeps_its_version(
    monkeypatch: pytest.MonkeyPatch, endpoint: Loopback
) -> None:
    root = endpoint.url.removesuffix("/v1")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k" * 20)
    whole = f"{root}/openai/deployments/d/chat/completions?api-version=2024-10-21"
    assert [piece async for piece in model_named("azure:d", base_url=whole).stream(ASKED)]
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", f"{root}/")
    assert [piece async for piece in model_named("azure:d").stream(ASKED)]
    assert [body["path"] for body in endpoint.asked] == [
        "/openai/deployments/d/chat/completions?api-version=2024-10-21",
        "/openai/v1/chat/completions",
    ]


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("0.0.0.0:11434", "http://0.0.0.0:11434/v1"),
        ("http://box:1", "http://box:1/v1"),
        ("http://box/v1", "http://box/v1"),
    ],
)
def test_the_host_of_ollama_is_an_address(monkeypatch: pytest.MonkeyPatch, said: str, address: str) -> None:
    monkeypatch.setenv("OLLAMA_HOST", said)
    assert PRESETS["ollama"].found() == address


async def test_how_a_model_is_asked_can_be_said(endpoint: Loopback) -> None:
    model = OpenAIModel(
        "m",
        endpoint.url,
        temperature=0.7,
        max_tokens=77,
        effort="low",
        headers={"X-Title": "mine"},
        max_concurrency=1,
    )
    assert [piece async for piece in model.stream(ASKED)]
    asked = endpoint.asked[0]
    assert (asked["temperature"], asked["max_tokens"], asked["reasoning_effort"]) == (0.7, 77, "low")
    assert asked["title"] == "mine"


async def test_no_more_are_asked_at_once_than_is_said(endpoint: Loopback) -> None:
    open_, most = 0, 0

    def answers(_: Any) -> Answer:
        nonlocal open_, most
        open_, most = open_ + 1, max(most, open_ + 1)
        time.sleep(0.02)
        open_ -= 1
        return reply("hello")

    endpoint.answer = answers
    model = OpenAIModel("m", endpoint.url, max_concurrency=3)

    async def one() -> int:
        return len([piece async for piece in model.stream(ASKED)])

    assert await asyncio.gather(*(one() for _ in range(12))) == [2] * 12
    assert most == 3


def test_options_of_a_model_are_read_from_the_command_line() -> None:
    said = ["timeout=30", "retries=4", "effort=low", "header.X-Title=a=b"]
    assert options_in(said) == {"timeout": 30.0, "retries": 4, "effort": "low", "headers": {"X-Title": "a=b"}}
    for wrong in ("timeout", "timeout=soon", "api_key=secret", "=3", "retries=1.5"):
        with pytest.raises(typer.BadParameter, match="is not NAME=VALUE") as caught:
            options_in([wrong])
        assert "secret" not in str(caught.value)
    with pytest.raises(ModelError, match="options are for models of a server"):
        model_named("local", options={"timeout": 3.0})
