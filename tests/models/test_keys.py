"""Ways in which a key comes to a model, and ways in which it could come out again."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from llmorch import Orchestrator
from llmorch.cli.graphs import as_json as graph_as_json
from llmorch.errors import LLMOrchError, ModelError
from llmorch.message_forms import to_record
from llmorch.models.endpoint import Masking
from llmorch.models.openai import OpenAIModel
from llmorch.models.recorded import RecordedModel
from tests.marked_keys import KEYS, MARK, files_in, leaks
from tests.models.loopback import Answer, Loopback, event, refusal, reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio

KEY = f"sk-{MARK}-given"
USER = f"me:{MARK}/pass"


def by_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> OpenAIModel:
    monkeypatch.setenv("OPENAI_API_KEY", KEYS["OPENAI_API_KEY"])
    return OpenAIModel("m", url, retries=0)


def by_argument(url: str, _: pytest.MonkeyPatch) -> OpenAIModel:
    return OpenAIModel("m", url, KEY, retries=0)


def by_user(url: str, _: pytest.MonkeyPatch) -> OpenAIModel:
    user, password = USER.split(":")
    return OpenAIModel("m", url.replace("//", f"//{user}:{quote(password, safe='')}@"), retries=0)


def by_query(url: str, _: pytest.MonkeyPatch) -> OpenAIModel:
    return OpenAIModel("m", f"{url}?api-version=1&code={KEY}", retries=0)


def by_body(url: str, _: pytest.MonkeyPatch) -> OpenAIModel:
    """A field of the request's body, for endpoints that want it there."""
    return OpenAIModel("m", url, retries=0, extra=lambda _: {"user": {"api_key": KEY}})


WAYS_IN = (by_environment, by_argument, by_user, by_query, by_body)


def echoed(endpoint: Loopback) -> str:
    """All that lets one in, as the endpoint was told it: headers, the address, and what is in the body."""
    asked = endpoint.asked[-1]
    said = f"{asked['authorization']} {asked['path']} {asked.get('user', '')}"
    if (asked["authorization"] or "").startswith("Basic "):
        said += base64.b64decode(asked["authorization"][6:]).decode()
    return said


def in_an_error(said: str) -> Answer:
    return refusal(400, f"who are you? {said}")


def in_a_page(said: str) -> Answer:
    return Answer(502, f"<html>{said}</html>", kind="text/html")


def in_a_refused_key(said: str) -> Answer:
    return refusal(401, f"Incorrect key: {said}")


def in_an_event(said: str) -> Answer:
    return Answer(lines=[event("s1 = "), "data: " + json.dumps({"error": {"message": said}})])


def in_no_json(said: str) -> Answer:
    return Answer(lines=[f"data: {said}"])


def in_a_refusal(said: str) -> Answer:
    delta = {"choices": [{"index": 0, "delta": {"refusal": said}, "finish_reason": "stop"}]}
    return Answer(lines=["data: " + json.dumps(delta), "data: [DONE]"])


def in_a_plan(said: str) -> Answer:
    return reply(*(f"s1 = self(prompt={said!r})"[at : at + 3] for at in range(0, len(said) + 20, 3)))


def in_no_plan(said: str) -> Answer:
    return reply(f"s1 = {said}")


def in_a_redirection(said: str) -> Answer:
    return Answer(307, location=f"http://127.0.0.1:1/{quote(said)}?token={quote(said)}")


WAYS_BACK = (
    *(in_an_error, in_a_page, in_a_refused_key, in_an_event, in_no_json, in_a_refusal),
    *(in_a_plan, in_no_plan, in_a_redirection),
)


class _Kept(logging.Handler):
    """All that is logged, at every level."""

    def __init__(self) -> None:
        super().__init__(0)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


@pytest.fixture
def logs() -> Any:
    """What is logged at every level, by whomever."""
    kept = _Kept()
    loggers = [
        logging.getLogger(name) for name in ("", "asyncio", "openai", "httpx2", "httpcore2", "llmorch")
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(kept)
        logger.setLevel(logging.DEBUG)
    yield kept.texts
    for logger, level in zip(loggers, before, strict=True):
        logger.removeHandler(kept)
        logger.setLevel(level)


def told_of(error: BaseException | None) -> str:
    """An error as a person, a log or a service for errors reads it."""
    if error is None:
        return ""
    found = traceback.TracebackException.from_exception(error, capture_locals=True)
    # The tests' own variables have the key; frames of the package are what it answers for.
    return (
        "".join(traceback.format_exception(error))
        + repr(error)
        + "".join(str(frame.locals) for frame in found.stack if "/llmorch/" in frame.filename)
    )


@pytest.mark.parametrize("back", WAYS_BACK)
@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_a_key_comes_out_nowhere(
    way_in: Callable[..., OpenAIModel],
    back: Callable[[str], Answer],
    endpoint: Loopback,
    logs: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint.answer = lambda _: back(echoed(endpoint))
    model = way_in(endpoint.url, monkeypatch)
    recorded = RecordedModel(tmp_path / "recorded.jsonl", record=model)
    pieces: list[str] = []
    messages: list[str] = []
    out: dict[str, str] = {"model": f"{model!r} {vars(model)} {model}"}

    def observe(message: Any, at: float) -> None:
        messages.append(f"{message!r} {to_record(message, run='r', at=at).to_json()}")

    orchestrator = Orchestrator(model=recorded, processors=1, repairs=1, learn=False)
    error: BaseException | None = None
    try:
        async with orchestrator:
            result = await orchestrator.run("Hello?", wrote=pieces.append, observer=observe)
    except LLMOrchError as caught:
        error, result = caught, caught.result
    assert leaks(echoed(endpoint))  # it came there
    out["orchestrator"] = f"{orchestrator!r} {orchestrator.functions!r}"
    out["error"] = told_of(error)
    if result is not None:
        out["result"] = f"{result!r} {result} {result.notes}"
        out["json"] = json.dumps(result.as_json())
        out["graph"] = json.dumps(graph_as_json(result.graph, orchestrator.functions))
    out["logs"] = "\n".join(logs)
    out["progress"] = "".join(pieces)
    out["messages"] = "\n".join(messages)
    out["files"] = "".join(path.read_text() for path in files_in(tmp_path))
    assert out["logs"]
    for name, text in out.items():
        assert not leaks(text), f"{name}: {text[-3000:]}"


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_reply_that_quotes_a_key_is_masked_however_it_is_cut(size: int) -> None:
    masking = Masking([KEY, "short"])
    whole = f"s1 = f('sk-k3y, {KEY}, {KEY[:-1]}, short{KEY}')  sk-"
    pieces = [masking.feed(whole[at : at + size]) for at in range(0, len(whole), size)]
    assert "".join([*pieces, masking.rest()]) == whole.replace(KEY, "*" * 10)


def test_a_piece_that_can_begin_no_key_is_handed_on_at_once() -> None:
    masking = Masking([KEY])
    assert [masking.feed(piece) for piece in ("a", "sk", "-", "yet", "s")] == ["a", "", "", "sk-yet", ""]
    assert masking.rest() == "s"


@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_an_endpoint_that_cannot_be_reached_tells_no_key(
    way_in: Callable[..., OpenAIModel], logs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = way_in("http://127.0.0.1:1/v1", monkeypatch)
    orchestrator = Orchestrator(model=model, processors=1, learn=False)
    with pytest.raises(ModelError, match="can't reach") as caught:
        await orchestrator.run("Hello?")
    await orchestrator.close()
    assert not leaks(told_of(caught.value) + "\n".join(logs))
