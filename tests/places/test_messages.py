"""A worker's messages are numbered: what answers nothing costs its own call and its process, and no other call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from llmorch.places import process
from llmorch.places.workers import Worker
from tests.places import forging
from tests.places.test_worker import call, failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

ANSWERS_NOTHING = "its process sent a message that answers nothing, and was replaced"


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker()
    yield worker
    await worker.close()


async def honest(worker: Worker, x: int) -> int:
    """The process that answered, once it is sure that it answered this."""
    answered, pid = await call(worker, forging.honest, x=x)
    assert answered == x
    return int(pid)


@pytest.mark.parametrize("pause", [0.0, 0.1])
@pytest.mark.parametrize(
    "how",
    [
        "another number",
        "number of the first message",
        "unknown kind",
        "first message again",
        "wrong value",
        "large without what it is",
        "garbage",
        "a byte",
        "too long",
        "endless",
        "followed by itself",
    ],
)
async def test_a_message_that_answers_nothing_costs_its_call_and_its_process(
    worker: Worker, how: str, pause: float
) -> None:
    before = await honest(worker, 1)
    assert await failure(worker, forging.forge, how=how, pause=pause) == f"forge ended: {ANSWERS_NOTHING}"
    after = [await honest(worker, x) for x in (2, 3)]
    assert before not in after
    assert after[0] == after[1]


@pytest.mark.parametrize("idle", [0.0, 0.3])
async def test_one_message_too_many_shifts_no_answer(worker: Worker, idle: float) -> None:
    before = await honest(worker, 1)
    assert await call(worker, forging.one_too_many, pause=0.1) == "forged"
    await asyncio.sleep(idle)  # it arrives before the next call, or while that one runs
    await honest(worker, 2)
    assert [await honest(worker, x) for x in (3, 4)] != [before, before]


async def test_a_message_whose_end_never_comes_is_waited_for_only_so_long(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "REST", 0.2)
    before = await honest(worker, 1)
    assert await failure(worker, forging.truncated) == f"truncated ended: {ANSWERS_NOTHING}"
    assert await honest(worker, 2) != before
