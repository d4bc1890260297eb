"""What is recorded of a reply that doesn't come to its end, and where it can't be recorded."""

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

pytestmark = pytest.mark.anyio

HI = ModelRequest((Message("user", "Hi?"),))


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
