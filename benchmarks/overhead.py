"""What a call costs that does nothing: on the event loop, on a thread, in a process."""

from __future__ import annotations

import asyncio
import selectors
from contextlib import ExitStack
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.bare import ECHO, Bare
from benchmarks.executing import executing
from benchmarks.figures import Figure, Series, interleaved
from benchmarks.work import nothing
from llmorch import function

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.executing import Execute


@function(kind="inout")
async def idle() -> None:
    pass


@function(kind="inout")
def step(after: int) -> int:
    return after


def measure(repeats: int, *, quick: bool) -> list[Figure]:
    """Makespan by the number of calls; and all of ``execute`` by it, parsing included."""
    calls = 20 if quick else 1000
    chain = "\n".join(["s1 = step(after=0)", *(f"s{n} = step(after=s{n - 1})" for n in range(2, calls + 1))])
    return [
        *_figures("async", f"{calls} independent async no-ops", 30.0, _async(repeats, calls)),
        *_figures("sync", f"a chain of {calls} sync no-ops", 100.0, _sync(repeats, calls, chain)),
        *_figures("compute", f"{calls} compute no-ops on 2 processors", 130.0, _compute(repeats, calls)),
    ]


def _figures(
    name: str, what: str, at_most: float, runs: dict[str, list[tuple[float, float]]]
) -> list[Figure]:
    """``runs`` has the seconds a call, once for the makespan and once for everything."""
    ours = runs.pop("ours")
    floors = {floor: Series([span * 1e6 for span, _ in spans]) for floor, spans in runs.items()}
    whole = Series([everything * 1e6 for _, everything in ours])
    return [
        Figure(
            f"overhead, {name}",
            f"{what}: makespan a call",
            "us",
            Series([span * 1e6 for span, _ in ours]),
            floors,
            at_most=at_most,
        ),
        Figure(
            f"overhead, {name}, all",
            f"{what}: all of execute() a call, parsing included",
            "us",
            whole,
            floors,
        ),
    ]


def _ours(execute: Execute, plan: str, calls: int) -> tuple[float, float]:
    result, seconds = execute(plan)
    return result.makespan / calls, seconds / calls


def _async(repeats: int, calls: int) -> dict[str, list[tuple[float, float]]]:
    plan = _independent("idle", calls)
    with executing([idle]) as execute, asyncio.Runner() as runner:
        execute(plan)
        return interleaved(
            repeats,
            {
                "ours": lambda: _ours(execute, plan, calls),
                "a bare asyncio task": lambda: runner.run(_tasks(calls)),
            },
        )


async def _tasks(calls: int) -> tuple[float, float]:
    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(calls):
            group.create_task(idle())
    seconds = (perf_counter() - began) / calls
    return seconds, seconds


def _sync(repeats: int, calls: int, plan: str) -> dict[str, list[tuple[float, float]]]:
    with executing([step]) as execute, asyncio.Runner() as runner:
        execute(plan)
        return interleaved(
            repeats,
            {
                "ours": lambda: _ours(execute, plan, calls),
                "a bare thread hop": lambda: runner.run(_hops(calls)),
            },
        )


async def _hops(calls: int) -> tuple[float, float]:
    """There over a queue and back over ``call_soon_threadsafe``, one after the other."""
    loop = asyncio.get_running_loop()
    asked: SimpleQueue[asyncio.Future[int] | None] = SimpleQueue()

    def work() -> None:
        while (future := asked.get()) is not None:
            loop.call_soon_threadsafe(future.set_result, 0)

    thread = Thread(target=work)
    thread.start()
    began = perf_counter()
    for _ in range(calls):
        future: asyncio.Future[int] = loop.create_future()
        asked.put(future)
        await future
    seconds = (perf_counter() - began) / calls
    asked.put(None)
    thread.join()
    return seconds, seconds


def _compute(repeats: int, calls: int) -> dict[str, list[tuple[float, float]]]:
    plan = _independent("nothing", calls)
    with ExitStack() as stack:
        execute = stack.enter_context(executing([function(kind="compute")(nothing)]))
        bare = [stack.enter_context(Bare(index)) for index in range(2)]
        execute(plan)
        return interleaved(
            repeats,
            {
                "ours": lambda: _ours(execute, plan, calls),
                "a bare round trip": lambda: _round_trips(bare[:1], calls),
                "bare round trips, 2 processes": lambda: _round_trips(bare, calls),
            },
        )


def _round_trips(processes: Sequence[Bare], calls: int) -> tuple[float, float]:
    """Every process has a question to answer until none is left."""
    began = perf_counter()
    with selectors.DefaultSelector() as selector:
        left = calls
        for process in processes:
            selector.register(process.connection, selectors.EVENT_READ, process)
            process.send(ECHO)
            left -= 1
        answers = 0
        while answers < calls:
            for key, _ in selector.select():
                key.data.receive()
                answers += 1
                if left:
                    key.data.send(ECHO)
                    left -= 1
    seconds = (perf_counter() - began) / calls
    return seconds, seconds


def _independent(name: str, calls: int) -> str:
    return "\n".join(f"s{number} = {name}()" for number in range(1, calls + 1))
