"""The models that make tests possible: scripted and recorded ones."""

from __future__ import annotations

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
