"""How soon a call starts once the model has written it, while it writes on."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.executing import answered
from benchmarks.figures import Figure, Series, interleaved
from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PIECES = [
    "s1 = fetch(",
    'name="a"',
    ")\n",
    's2 = fetch(name="',
    'b {s1}"',
    ")\n",
    "s3 = ",
    "join(parts=[s1, s2])",
]
LAST = 3
"""How many pieces make the first statement."""


class _Stamped(ScriptedModel):
    """Notes when it hands over the last piece of the first statement."""

    stamp = 0.0

    async def stream(self, request: Any) -> AsyncGenerator[Any, None]:
        count = 0
        async for piece in super().stream(request):
            count += 1
            if count == LAST:
                self.stamp = perf_counter()
            yield piece


def measure(repeats: int, *, quick: bool) -> list[Figure]:
    """From the last piece of the first statement on; orchestrator and model are new each time."""
    delay = 0.001 if quick else 0.02
    runs = interleaved(
        repeats, {"ours": lambda: asyncio.run(_ours(delay)), "bare": lambda: asyncio.run(_bare(delay))}
    )
    floors = {"a bare asyncio task": Series([started * 1000 for _, started in runs["bare"]])}
    return [
        Figure(
            "dispatch",
            "from the model's last token of its statement to the first call's Dispatch",
            "ms",
            Series([dispatched * 1000 for dispatched, _ in runs["ours"]]),
            floors,
            at_most=5.0,
        ),
        Figure(
            "dispatch, function",
            "from the same token to the first line of the function",
            "ms",
            Series([started * 1000 for _, started in runs["ours"]]),
            floors,
        ),
    ]


async def _ours(delay: float) -> tuple[float, float]:
    started: list[float] = []
    dispatched: list[float] = []

    @function(kind="inout")
    async def fetch(name: str) -> str:
        started.append(perf_counter())
        return name

    @function(kind="inout")
    async def join(parts: list[str]) -> str:
        return "".join(parts)

    def observe(message: Any, _: float) -> None:
        if type(message).__name__ == "Dispatch":
            dispatched.append(perf_counter())

    model = _Stamped([PIECES], delay=delay)
    async with Orchestrator([fetch, join], model=model, processors=2) as orchestrator:
        answered(await orchestrator.run("a and b", observer=observe))
    return dispatched[0] - model.stamp, started[0] - model.stamp


async def _bare(delay: float) -> tuple[float, float]:
    """A task for a piece of a stream, and nothing in between."""

    async def stream() -> AsyncGenerator[float, None]:
        await asyncio.sleep(delay)
        yield perf_counter()

    async def work() -> float:
        return perf_counter()

    spans = [await asyncio.create_task(work()) - stamp async for stamp in stream()]
    return spans[0], spans[0]
