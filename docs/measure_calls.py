"""What a call costs beside its floor, in one run: best of four, microseconds a call, on the wall clock."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from multiprocessing.connection import Connection

CALLS = 1000
REPEATS = 4


@function
async def waits(x: int) -> int:
    return x


@function
def returns(x: int) -> int:
    return x


@function(kind="compute")
def computes(x: int) -> int:
    return x


async def _task(x: int) -> int:
    return x


async def tasks() -> None:
    """One bare task after the other."""
    loop = asyncio.get_running_loop()
    for number in range(CALLS):
        await loop.create_task(_task(number))


async def hops() -> None:
    """One call on a bare thread after the other."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as threads:
        for _ in range(CALLS):
            await loop.run_in_executor(threads, abs, 1)


def _echo(connection: Connection) -> None:
    for _ in range(CALLS):
        connection.send_bytes(connection.recv_bytes())


async def trips() -> None:
    """One message to a bare process and back after the other."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_echo, args=(there,), daemon=True)
    process.start()
    for _ in range(CALLS):
        here.send_bytes(b"x")
        here.recv_bytes()
    process.join()


async def best(work: Callable[[], Awaitable[object]]) -> float:
    """Microseconds a call, the least of all repeats."""
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        await work()
        took.append(time.perf_counter() - began)
    return min(took) / CALLS * 1e6


async def main() -> None:
    offered = [waits, returns, computes]
    async with Orchestrator(offered, model=ScriptedModel([]), processors=2, learn=False) as orchestrator:

        async def plan(text: str) -> float:
            results = [await orchestrator.execute(text) for _ in range(REPEATS)]
            return min(result.makespan for result in results) / CALLS * 1e6

        def chain(name: str) -> str:
            return "\n".join(f"s{n} = {name}(x={f's{n - 1}' if n else 1})" for n in range(CALLS))

        beside = "\n".join(f"s{n} = computes(x={n})" for n in range(CALLS))
        rows = [
            ("async, in a chain", await plan(chain("waits")), "a bare task", await best(tasks)),
            ("sync, in a chain", await plan(chain("returns")), "a hop to a bare thread", await best(hops)),
            (
                "compute, on two processors",
                await plan(beside),
                "a round trip to a bare process",
                await best(trips),
            ),
        ]
    for name, took, floor, bare in rows:
        print(f"{name}: {took:.0f} us; {floor} {bare:.1f} us: {took / bare:.1f} times")


if __name__ == "__main__":
    asyncio.run(main())
