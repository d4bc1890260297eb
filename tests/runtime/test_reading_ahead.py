"""An idle model reads what is known of the next prompt, and nothing else changes."""

from __future__ import annotations

import asyncio

import pytest

from llmorch import ModelError, Orchestrator, function
from llmorch.requests import ModelRequest  # noqa: TC001  the model's annotations
from llmorch.testing import ScriptedModel

VIRTUAL = True
pytestmark = pytest.mark.anyio

LONG = "a long text about it. " * 10


@function
async def search(query: str, seconds: float = 0.0) -> str:
    await asyncio.sleep(seconds)
    return f"{query}: {LONG}"


@function(kind="compute")
def compute(n: int) -> int:
    return n


class Reader(ScriptedModel):
    """A local model that notes what it is to read ahead, and takes its time."""

    def __init__(self, *replies: str, seconds: float = 0.0, fails: bool = False) -> None:
        super().__init__(replies, kind="compute", chunk=1000)
        self.read: list[str] = []
        self.ended = 0
        self._seconds = seconds
        self._fails = fails

    async def read_ahead(self, request: ModelRequest) -> None:
        self.read.append(request.messages[-1].text)
        if self._fails:
            raise ModelError("no")
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self.ended += 1


PLAN = (
    's1 = search(query="A")\ns2 = search(query="B", seconds=0.2)\ns3 = search(query="C", seconds=0.3)\n'
    's4 = self(prompt="Which of these? {s1} {s2} {s3} Say it.")'
)


async def run(model: Reader, plan: str = PLAN, **settings: int) -> str:
    async with Orchestrator([search, compute], model=model, **settings) as orchestrator, asyncio.timeout(10):
        result = await orchestrator.run("Which?")
    asked = model.requests[-1].messages[-1].text
    assert all(asked.startswith(read) for read in model.read)
    return str(result.answer)


async def test_each_result_that_comes_is_read_while_others_are_waited_for() -> None:
    model = Reader(PLAN, "A")
    assert await run(model) == "A"
    assert [read.count(LONG) for read in model.read] == [1, 2]


async def test_a_model_that_cannot_read_ahead_is_asked_all_the_same() -> None:
    model = Reader(PLAN, "A", fails=True)
    assert await run(model) == "A"
    assert model.read


async def test_reading_that_nobody_waits_for_ends_with_the_run() -> None:
    plan = 's1 = search(query="A")\ns2 = self(prompt="{s1} {s3}")'
    plan = plan.replace("\ns2", '\ns3 = search(query="B", seconds=0.05)\ns2')
    model = Reader(plan, "A", seconds=5.0)
    assert await run(model) == "A"
    assert model.ended == len(model.read) == 1


async def test_nothing_is_read_ahead_while_calls_compute() -> None:
    plan = 's1 = search(query="A")\ns2 = compute(n=1)\ns3 = self(prompt="{s1} {s2}")'
    model = Reader(plan, "A")
    assert await run(model, plan, processors=2) == "A"
    assert not model.read
