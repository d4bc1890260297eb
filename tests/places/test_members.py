"""Members of enumerations of a module cross by their names, whatever their values are."""

from __future__ import annotations

import enum
import functools
from typing import TYPE_CHECKING

import pytest

from llmorch.declare.functions import Function
from llmorch.places.workers import Worker, cpus_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


class Op(enum.Enum):
    ANY = object()
    ADD = functools.partial(lambda a, b: a + b)
    NAN = float("nan")
    ROWS = [1]  # noqa: RUF012 - a member
    SAME = ROWS


class Word(str, enum.Enum):  # noqa: UP042 - as people write them
    YES = "yes"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


def same(value: object) -> object:
    return value


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    made = Worker(cpus_of((0,)))
    yield made
    await made.close()


@pytest.mark.parametrize("member", [*Op, Op.SAME, Word.YES, Right.READ], ids=str)
async def test_a_member_is_the_same_there_and_back(worker: Worker, member: enum.Enum) -> None:
    found = await worker.execute(Function("same", same), {"value": {"a": [member]}})
    assert found["a"][0] is member


async def test_a_combination_of_flags_crosses_too(worker: Worker) -> None:
    both = Right.READ | Right.WRITE
    assert await worker.execute(Function("same", same), {"value": both}) == both
