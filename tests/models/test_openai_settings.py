"""Addresses and keys as people mistype and mispaste them: each is one line, without the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmorch.errors import ModelError
from llmorch.models.model import Message, ModelRequest, Text
from llmorch.models.openai import OpenAIModel
from tests.models.loopback import Loopback, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

HI = ModelRequest((Message("user", "Hi?"),))


@pytest.fixture
def endpoint() -> Iterator[Loopback]:
    with serving() as endpoint:
        yield endpoint


@pytest.mark.parametrize(
    "address",
    ["http://[::1", "http://host:port/v1", "http://\x00/v1", "localhost:9/v1", "nonsense", "http://"],
)
async def test_an_address_that_is_none_says_to_check_it(address: str) -> None:
    with pytest.raises(ModelError, match=r"^openai:m: .+; check .*--base-url") as raised:
        assert [piece async for piece in OpenAIModel("m", address, "k", retries=0).stream(HI)]
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("key", ["sk-sécret", "sk-sec\nret"])
async def test_a_key_that_cannot_be_sent_is_not_shown(endpoint: Loopback, key: str) -> None:
    with pytest.raises(ModelError, match=r"; check OPENAI_API_KEY$") as raised:
        assert [piece async for piece in OpenAIModel("m", endpoint.url, key, retries=0).stream(HI)]
    assert "cret" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert endpoint.asked == []


async def test_space_around_an_address_and_a_key_is_no_part_of_them(
    endpoint: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f" {endpoint.url}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1\n")
    model = OpenAIModel("m")
    assert [piece async for piece in model.stream(HI)][:2] == [Text("hello"), Text(" there")]
    assert endpoint.asked[0]["authorization"] == "Bearer sk-1"
    await model.close()
