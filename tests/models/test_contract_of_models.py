"""The contract itself: each promise that a model breaks is a test that fails."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING, ClassVar

import pytest

from llmorch.errors import ModelError
from llmorch.models.model import Finished, ModelRequest, Piece, Text
from llmorch.models.scripted import ScriptedModel
from llmorch.testing.models import ModelContract
from tests.models.replies import number_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from llmorch.models.model import Model

ENDED = Finished("stop", 1, 1)


class Honest(ScriptedModel):
    """A model that keeps all promises."""

    def __init__(self) -> None:
        super().__init__(lambda request: number_of(request.messages[-1].text))


class WithoutAnEnd(Honest):
    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        yield Text("half")


class Confused(Honest):
    """It remembers one request for all."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        self.latest = request
        await asyncio.sleep(0.01)
        yield Text(number_of(self.latest.messages[-1].text))
        yield ENDED


class OfOneLoop(Honest):
    """What it waits with belongs to the first event loop that had to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = asyncio.Lock()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        async with self.turn:
            await asyncio.sleep(0.01)
            yield Text(number_of(request.messages[-1].text))
        yield ENDED


class Littering(Honest):
    """It leaves processes behind."""

    left: ClassVar[list[subprocess.Popen[bytes]]] = []

    async def close(self) -> None:
        self.left.append(subprocess.Popen(["sleep", "60"]))  # noqa: ASYNC220  at once


class Unworded(Honest):
    """Its error is of two lines."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        raise ModelError("out\nof order")
        yield ENDED


class Deaf(Honest):
    """It doesn't notice that it was closed."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        yield Text("x")
        await asyncio.sleep(60)


class OfOneProcess(Honest):
    """Only the process that made it can use what it has open, and another isn't told so by a ModelError."""

    def __init__(self) -> None:
        super().__init__()
        self.pid = os.getpid()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        await asyncio.sleep(0)
        if os.getpid() != self.pid:
            raise OSError("bad file descriptor")
        yield Text(number_of(request.messages[-1].text))
        yield ENDED


BROKEN = [
    (WithoutAnEnd, "a_reply_is_any_number_of_pieces_and_then_one_finished"),
    (Confused, "a_model_answers_again_and_two_at_once"),
    (Confused, "many_event_loops_ask_at_once_and_each_gets_its_own_replies"),
    (OfOneLoop, "many_event_loops_ask_at_once_and_each_gets_its_own_replies"),
    (Littering, "close_may_be_called_twice_leaves_nothing_and_a_later_stream_starts_again"),
    (Unworded, "a_failure_is_a_model_error_of_one_line"),
    (OfOneProcess, "a_forked_process_is_answered_or_told_why_not_and_its_parent_goes_on"),
    (Deaf, "who_is_answered_while_another_loop_closes_the_model_is_not_left_waiting"),
]


def contract_of(kind: type[Honest]) -> ModelContract:
    class Contract(ModelContract):
        within = 2.0

        def model(self) -> Model:
            return kind()

        def reply(self, number: int) -> str | None:
            return number_of(str(number))

        def failing(self) -> Model:
            return kind()

        endless = failing

    return Contract()


@pytest.mark.parametrize(("kind", "promise"), BROKEN)
def test_a_broken_promise_is_a_failed_test(kind: type[Honest], promise: str) -> None:
    contract = contract_of(kind)
    with pytest.raises((AssertionError, ModelError, RuntimeError, TimeoutError)):
        getattr(contract, f"test_{promise}")()
    for process in Littering.left:
        process.kill()
        process.wait()
    Littering.left.clear()


@pytest.mark.parametrize("promise", sorted({promise for _, promise in BROKEN if "failure" not in promise}))
def test_a_kept_promise_is_none(promise: str) -> None:
    contract = contract_of(Honest)
    contract.endless = lambda: None  # type: ignore[method-assign]
    getattr(contract, f"test_{promise}")()
