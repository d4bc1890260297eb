"""The models that make tests possible: scripted and recorded ones."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from llmorch.errors import ModelError
from llmorch.models.model import Finished, Message, ModelRequest, Text
from llmorch.models.recorded import RecordedModel
from llmorch.models.scripted import ScriptedModel

if TYPE_CHECKING:
    from pathlib import Path

    from llmorch.models.model import Model

pytestmark = pytest.mark.anyio

HI = ModelRequest((Message("user", "Hi?"),))


def _asking(text: str) -> ModelRequest:
    return ModelRequest((Message("user", text),))


async def _ask(model: Model, text: str) -> str:
    return "".join([p.text async for p in model.stream(_asking(text)) if isinstance(p, Text)])


async def test_a_scripted_model_plays_its_replies_in_pieces_and_keeps_the_requests() -> None:
    model = ScriptedModel(["abcde", ["x", "yz"]], chunk=2)
    first = [piece async for piece in model.stream(_asking("one two"))]
    assert first == [Text("ab"), Text("cd"), Text("e"), Finished("stop", 1, 1)]
    assert [piece async for piece in model.stream(_asking("two"))][:2] == [Text("x"), Text("yz")]
    assert model.requests == [_asking("one two"), _asking("two")]


async def test_a_scripted_model_without_a_reply_left_says_so() -> None:
    model = ScriptedModel(["only"])
    await _ask(model, "first")
    with pytest.raises(ModelError, match="1 were scripted and this is request 2, 'second'"):
        await _ask(model, "second")


async def test_a_scripted_exception_is_raised_where_it_stands() -> None:
    model = ScriptedModel([["so far", ModelError("gone")], OSError("other")])
    pieces = model.stream(_asking("?"))
    assert await anext(pieces) == Text("so far")
    with pytest.raises(ModelError, match="gone"):
        await anext(pieces)
    with pytest.raises(OSError, match="other"):
        await _ask(model, "?")


async def test_a_replay_repeats_what_was_recorded_as_often_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    recording = RecordedModel(path, record=ScriptedModel(["one\u2028line", "two"], kind="compute"))
    recorded = [[p async for p in recording.stream(_asking(text))] for text in ("a", "b")]
    replay = RecordedModel(path)
    assert (replay.name, replay.kind, replay.constrains) == ("scripted", "compute", False)
    for _ in range(2):
        assert [[p async for p in replay.stream(_asking(text))] for text in ("a", "b")] == recorded


async def test_numbers_in_a_request_may_differ_but_the_same_ones_come_first(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    recording = RecordedModel(path, record=ScriptedModel(["three", "four"]))
    await _ask(recording, "took 0.3 s")
    await _ask(recording, "took 4 s")
    replay = RecordedModel(path)
    assert await _ask(replay, "took 0.3 s") == "three"
    assert await _ask(replay, "took 1.25e-05 s") == "four"


async def test_a_reply_that_was_closed_early_is_replayed_as_far_as_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    pieces = RecordedModel(path, record=ScriptedModel([["a", "b", "c"]])).stream(_asking("?"))
    await anext(pieces)
    await pieces.aclose()
    replayed = RecordedModel(path).stream(_asking("?"))
    assert await anext(replayed) == Text("a")
    assert isinstance(await anext(replayed), Finished)


async def test_a_request_that_was_not_recorded_says_how_to_record_it(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    failing = RecordedModel(path, record=ScriptedModel(["yes", ["half", ModelError("gone")]]))
    await _ask(failing, "known")
    with pytest.raises(ModelError, match="gone"):
        await _ask(failing, "failed")
    with pytest.raises(ModelError, match=r"no reply to the request 'failed': record it with RecordedModel"):
        await _ask(RecordedModel(path), "failed")


@pytest.mark.parametrize("text", [None, "", "nonsense\n", "{}\n", '{"model": "m"}\n{"x": 1}\n'])
def test_a_missing_or_broken_file_is_a_model_error(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "m.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ModelError, match=r"m\.jsonl"):
        RecordedModel(path).kind  # noqa: B018  reading it is what is tested


async def test_a_reply_whose_reader_was_cancelled_is_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "replies"
    model = RecordedModel(path, record=ScriptedModel(["whole", ["ha", "lf"]], chunk=9))
    whole = [piece async for piece in model.stream(HI)]

    other = ModelRequest((Message("user", "And?"),))
    slow = RecordedModel(path, record=ScriptedModel([["ha", "lf"]], delay=0.1))
    reading = slow.stream(other)
    assert await anext(reading) == Text("ha")
    rest = asyncio.ensure_future(anext(reading))
    await asyncio.sleep(0)
    rest.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rest
    await reading.aclose()

    replayed = [piece async for piece in RecordedModel(path).stream(HI)]
    assert replayed == whole == [Text("whole"), Finished("stop", 0, 1)]
    with pytest.raises(ModelError, match="has no reply"):
        assert [piece async for piece in RecordedModel(path).stream(other)]


async def test_recording_again_asks_only_for_what_the_file_lacks(tmp_path: Path) -> None:
    path = tmp_path / "replies"
    chance = replace(HI, temperature=0.7, seed=2)
    for replies in (["one"], ["two"]):
        model = RecordedModel(path, record=ScriptedModel(replies, chunk=9))
        told = [
            [piece async for piece in model.stream(request)]
            for request in (HI, HI, chance)[: len(replies) + 1]
        ]
        assert told[0][0] == told[1][0] == Text("one")
    model = RecordedModel(path, record=ScriptedModel(["two"], chunk=9))
    assert [piece async for piece in model.stream(chance)][:1] == [Text("two")]
    replayed = RecordedModel(path)
    assert [piece async for piece in replayed.stream(HI)][:1] == [Text("one")]
    assert [piece async for piece in replayed.stream(chance)][:1] == [Text("two")]
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3


async def test_a_reply_that_fails_is_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "replies"
    model = RecordedModel(path, record=ScriptedModel([["ha", ModelError("out of order")]]))
    with pytest.raises(ModelError, match="out of order"):
        assert [piece async for piece in model.stream(HI)]
    assert not path.exists()


async def test_a_file_that_cannot_be_written_is_a_model_error(tmp_path: Path) -> None:
    model = RecordedModel(tmp_path / "no folder" / "replies", record=ScriptedModel(["hello"]))
    with pytest.raises(ModelError, match=r"^can't record to .+: No such file or directory$"):
        assert [piece async for piece in model.stream(HI)]
