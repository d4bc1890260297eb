"""Whether calls that wait wait side by side, and whether the event loop stays free."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.executing import answered
from benchmarks.figures import Figure, Series, interleaved
from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Awaitable

CALLS = 40
TICK = 0.001


@function(kind="inout")
def nap(seconds: float) -> None:
    time.sleep(seconds)


def measure(repeats: int, *, quick: bool) -> list[Figure]:
    """The whole of ``execute``, threads included: the orchestrator is a new one each time."""
    seconds = 0.02 if quick else 0.5
    runs = interleaved(
        repeats,
        {
            "ours": lambda: asyncio.run(_ticked(_ours(seconds))),
            "threads": lambda: asyncio.run(_ticked(_threads(seconds))),
            "idle": lambda: asyncio.run(_ticked(_idle(seconds))),
        },
    )
    return [
        Figure(
            "sleeping",
            f"{CALLS} sync inout calls that sleep {seconds:g} s: makespan",
            "s",
            Series([span for span, _ in runs["ours"]]),
            {f"{CALLS} bare threads": Series([span for span, _ in runs["threads"]])},
            at_most=seconds + 0.1,
        ),
        Figure(
            "sleeping, event loop",
            f"longest gap between two ticks of {TICK * 1000:g} ms meanwhile",
            "ms",
            Series([gap * 1000 for _, gap in runs["ours"]]),
            {
                f"{CALLS} bare threads": Series([gap * 1000 for _, gap in runs["threads"]]),
                "idle loop": Series([gap * 1000 for _, gap in runs["idle"]]),
            },
            at_most=20.0,
            always=True,
        ),
    ]


async def _ticked(work: Awaitable[float]) -> tuple[float, float]:
    """What the work says it took, and the longest time that a ticking task had to wait."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        last = time.perf_counter()
        while True:
            await asyncio.sleep(TICK)
            now = time.perf_counter()
            longest = max(longest, now - last)
            last = now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(5 * TICK)
    try:
        span = await work
        await asyncio.sleep(2 * TICK)  # a gap that begins during the work ends after it
        return span, longest
    finally:
        ticking.cancel()


async def _ours(seconds: float) -> float:
    plan = "\n".join(f"s{number} = nap(seconds={seconds})" for number in range(1, CALLS + 1))
    async with Orchestrator([nap], model=ScriptedModel([]), processors=2, optimize=False) as orchestrator:
        result = await orchestrator.execute(plan)
    answered(result)
    return result.makespan


async def _threads(seconds: float) -> float:
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    with ThreadPoolExecutor(CALLS) as threads:
        await asyncio.gather(*(loop.run_in_executor(threads, time.sleep, seconds) for _ in range(CALLS)))
        return time.perf_counter() - began


async def _idle(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds
