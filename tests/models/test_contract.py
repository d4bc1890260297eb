"""What the port promises, for each implementation of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import psutil
import pytest

from llmorch.declare.functions import Kind
from llmorch.errors import ModelError
from llmorch.models.model import Finished, Message, ModelRequest, Text
from llmorch.models.openai import OpenAIModel
from llmorch.models.recorded import RecordedModel
from llmorch.models.scripted import ScriptedModel
from tests.models.loopback import Answer, event, refusal, reply, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from llmorch.models.model import Model
    from tests.models.loopback import Loopback

pytestmark = pytest.mark.anyio

PIECES = ("s1 = se", "arch(", 'query="ä\n")')


HI = ModelRequest((Message("system", "Be brief."), Message("user", "Hi?")), max_tokens=16)


@dataclass
class Endless(Sequence[str]):
    """A reply without an end that counts how much of it was asked for."""

    taken: int = 0

    def __getitem__(self, index: object) -> str:  # type: ignore[override]
        self.taken += 1
        return "x"

    def __len__(self) -> int:
        return 10**9

    def stopped(self) -> bool:
        before = self.taken
        time.sleep(0.1)
        return self.taken == before


@dataclass
class Place:
    """An implementation: one model that replies, one that fails, one whose reply has no end."""

    replies: Model
    fails: Model
    endless: Model
    stopped: Callable[[], bool]
    """Whether the reply without an end is no longer made; may wait."""


def scripted(tmp_path: Path, endpoint: Loopback) -> Place:
    endless = Endless()
    return Place(
        ScriptedModel(lambda _: PIECES),
        ScriptedModel([ModelError("scripted: out of order")]),
        ScriptedModel([endless]),
        endless.stopped,
    )


def recording(tmp_path: Path, endpoint: Loopback) -> Place:
    place = scripted(tmp_path, endpoint)
    return Place(
        RecordedModel(tmp_path / "replies", record=place.replies),
        RecordedModel(tmp_path / "failing", record=place.fails),
        RecordedModel(tmp_path / "endless", record=place.endless),
        place.stopped,
    )


def recorded(tmp_path: Path, endpoint: Loopback) -> Place:
    replies, many = tmp_path / "recorded", tmp_path / "many"
    asyncio.run(collect(RecordedModel(replies, record=ScriptedModel([PIECES]))))
    asyncio.run(collect(RecordedModel(many, record=ScriptedModel(["x" * 1000], chunk=1))))
    return Place(
        RecordedModel(replies), RecordedModel(tmp_path / "missing"), RecordedModel(many), lambda: True
    )


def openai(tmp_path: Path, endpoint: Loopback) -> Place:
    answers = {
        "replies": reply(*PIECES),
        "fails": refusal(500, "the model\nburst"),
        "endless": Answer(lines=[event("x")], endless=True),
    }
    endpoint.answer = lambda body: answers[body["model"]]
    models = [OpenAIModel(name, endpoint.url, retries=0) for name in answers]
    return Place(*models, lambda: endpoint.hung_up.wait(5))


@pytest.fixture
def endpoint() -> Iterator[Loopback]:
    with serving() as endpoint:
        yield endpoint


@pytest.fixture(params=[scripted, recording, recorded, openai], ids=lambda made: made.__name__)
async def place(request: pytest.FixtureRequest, tmp_path: Path, endpoint: Loopback) -> AsyncIterator[Place]:
    made: Place = await asyncio.to_thread(request.param, tmp_path, endpoint)
    yield made
    for model in (made.replies, made.fails, made.endless):
        await model.close()


async def collect(model: Model) -> list[Text | Finished]:
    return [piece async for piece in model.stream(HI)]


def text(pieces: list[Text | Finished]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Text))


async def test_a_stream_yields_texts_and_then_one_finished(place: Place) -> None:
    *texts, finished = await collect(place.replies)
    assert texts == [Text(piece) for piece in PIECES]
    assert isinstance(finished, Finished)
    assert finished.reason == "stop"


async def test_a_model_answers_again_and_two_at_once(place: Place) -> None:
    first, second = await asyncio.gather(collect(place.replies), collect(place.replies))
    assert text(first) == text(second) == text(await collect(place.replies)) == "".join(PIECES)


async def test_a_failure_is_a_model_error_of_one_line(place: Place) -> None:
    with pytest.raises(ModelError) as raised:
        await collect(place.fails)
    assert len(str(raised.value).splitlines()) == 1


async def test_closing_the_iterator_early_stops_the_generation(place: Place) -> None:
    async with aclosing(place.endless.stream(HI)) as pieces:  # type: ignore[type-var]
        assert await anext(pieces) == Text("x")
    assert await asyncio.to_thread(place.stopped)


async def test_cancelling_the_reader_stops_the_generation(place: Place) -> None:
    reader = asyncio.ensure_future(collect(place.endless))
    await asyncio.sleep(0.1)
    reader.cancel()
    await asyncio.wait([reader])
    assert await asyncio.to_thread(place.stopped)


async def test_close_may_be_called_twice_leaves_no_process_and_a_later_stream_starts_again(
    place: Place,
) -> None:
    before = psutil.Process().children(recursive=True)
    await collect(place.replies)
    await place.replies.close()
    await place.replies.close()
    assert psutil.Process().children(recursive=True) == before
    assert text(await collect(place.replies)) == "".join(PIECES)


async def test_a_model_has_a_name_of_one_line_and_a_kind(place: Place) -> None:
    assert len(place.replies.name.splitlines()) == 1
    assert place.replies.kind in get_args(Kind)
    assert place.replies.constrains in (True, False)
