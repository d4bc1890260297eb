"""What a call costs that does nothing: on the event loop, on a thread, in a process."""

from __future__ import annotations

import asyncio
import selectors
from contextlib import ExitStack
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.bare import ECHO, Bare, nothing
from benchmarks.costs import executing
from benchmarks.figures import Figure, Series, interleaved
from llmorch import function

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@function(kind="inout")
async def idle() -> None:
    pass


@function(kind="inout")
def step(after: int) -> int:
    return after


def measured(repeats: int, *, quick: bool) -> list[Figure]:
    """Makespan by the number of calls; and all of ``execute`` by it, parsing included."""
    calls = 20 if quick else 1000
    chain = ["s1 = step(after=0)", *(f"s{at} = step(after=s{at - 1})" for at in range(2, calls + 1))]
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        bare = [stack.enter_context(Bare(index)) for index in range(2)]
        return [
            *_figures(
                ("async", f"{calls} independent async no-ops", 30.0),
                (repeats, calls, idle, [f"s{at} = idle()" for at in range(1, calls + 1)]),
                {"a bare asyncio task": lambda: runner.run(_tasks(calls))},
            ),
            *_figures(
                ("sync", f"a chain of {calls} sync no-ops", 100.0),
                (repeats, calls, step, chain),
                {"a bare thread hop": lambda: runner.run(_hops(calls))},
            ),
            *_figures(
                ("compute", f"{calls} compute no-ops on 2 processors", 130.0),
                (
                    repeats,
                    calls,
                    function(kind="compute")(nothing),
                    [f"s{at} = nothing()" for at in range(1, calls + 1)],
                ),
                {
                    "a bare round trip": lambda: _round_trips(bare[:1], calls),
                    "bare round trips, 2 processes": lambda: _round_trips(bare, calls),
                },
            ),
        ]


def _figures(
    told: tuple[str, str, float],
    work: tuple[int, int, Any, Sequence[str]],
    floors: dict[str, Callable[[], float]],
) -> list[Figure]:
    """Microseconds a call of the makespan, and of everything."""
    (name, what, at_most), (repeats, calls, called, lines) = told, work
    whole: list[float] = []
    with executing([called]) as execute:

        def ours() -> float:
            result, seconds = execute("\n".join(lines))
            whole.append(seconds)
            return result.makespan

        ours()
        runs = interleaved(repeats, {"ours": ours, **floors})
    spans = {of: Series([1e6 * seconds / calls for seconds in found]) for of, found in runs.items()}
    makespan, everything = spans.pop("ours"), Series([1e6 * seconds / calls for seconds in whole[1:]])
    label = f"{what}: all of execute() a call, parsing included"
    return [
        Figure(f"overhead, {name}", f"{what}: makespan a call", "us", makespan, spans, at_most=at_most),
        Figure(f"overhead, {name}, all", label, "us", everything, spans),
    ]


async def _tasks(calls: int) -> float:
    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(calls):
            group.create_task(idle())
    return perf_counter() - began


async def _hops(calls: int) -> float:
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
    seconds = perf_counter() - began
    asked.put(None)
    thread.join()
    return seconds


def _round_trips(processes: Sequence[Bare], calls: int) -> float:
    """Every process has a question to answer until none is left."""
    began = perf_counter()
    with selectors.DefaultSelector() as selector:
        left = calls - len(processes)
        for process in processes:
            selector.register(process.connection, selectors.EVENT_READ, process)
            process.send(ECHO)
        answers = 0
        while answers < calls:
            for key, _ in selector.select():
                key.data.receive()
                answers += 1
                if left > 0:
                    key.data.send(ECHO)
                    left -= 1
    return perf_counter() - began
