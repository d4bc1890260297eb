"""What calls cost that compute, that wait, and that do nothing: each beside what bare processes and threads take."""

from __future__ import annotations

import asyncio
import selectors
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.bare import BURN, ECHO, Bare, burn, nothing, rounds_in
from benchmarks.figures import Figure, Series, beside, interleaved, scaled
from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from llmorch import Result

    Execute = Callable[..., tuple[Result, float]]


@contextmanager
def executing(functions: list[Callable[..., Any]], *, processors: int = 2) -> Iterator[Execute]:
    """An orchestrator to run plans on, each call of them as it stands; closed at the end."""
    orchestrator = Orchestrator(functions, model=ScriptedModel([]), processors=processors, optimize=False)

    async def timed(plan: str, options: dict[str, Any]) -> tuple[Result, float]:
        began = perf_counter()
        result = await orchestrator.execute(plan, **options)
        return result, perf_counter() - began

    with asyncio.Runner() as runner:

        def execute(plan: str, **options: Any) -> tuple[Result, float]:
            result, seconds = runner.run(timed(plan, options))
            return answered(result), seconds

        try:
            yield execute
        finally:
            runner.run(orchestrator.close())


def answered(result: Result) -> Result:
    """The result; raises unless every call completed, for a failed call is no latency."""
    if result.status != "answered" or any(call.status != "completed" for call in result.calls):
        raise RuntimeError(f"a plan of the benchmark failed: {result.error}")
    return result


BURNS = 4
SHARE = 0.95  # how much of the speed-up of bare processes is wanted


def compute(repeats: int, *, quick: bool) -> list[Figure]:
    """Whether compute calls get real processors: the same calls on one and on two, ours and bare ones."""
    rounds = rounds_in(0.02 if quick else 1.5)

    def plan(rounds: int) -> str:
        return "\n".join(f"s{number} = burn(rounds={rounds})" for number in range(1, BURNS + 1))

    def bare_makespan(processes: Sequence[Bare]) -> float:
        """As many rounds on each process, one call after the other."""
        began = perf_counter()
        for _ in range(BURNS // len(processes)):
            for process in processes:
                process.send(BURN, rounds)
            for process in processes:
                process.receive()
        return perf_counter() - began

    with ExitStack() as stack:
        bare = [stack.enter_context(Bare(index)) for index in range(2)]
        runs: dict[str, Callable[[], float]] = {}
        for count in (1, 2):
            execute = stack.enter_context(executing([function(kind="compute")(burn)], processors=count))
            execute(plan(1))  # every process is up and knows the function
            runs[f"ours on {count}"] = lambda execute=execute: execute(plan(rounds))[0].makespan  # type: ignore[misc]
            runs[f"two bare processes on {count}"] = partial(bare_makespan, bare[:count])
        spans = interleaved(repeats, runs)
    speedups = {
        whose: [one / two for one, two in zip(spans[f"{whose} on 1"], spans[f"{whose} on 2"], strict=True)]
        for whose in ("ours", "two bare processes")
    }
    what = f"{BURNS} pure-Python calls on 2 processors against 1, wanted {SHARE:.0%} of two bare processes"
    least = SHARE * Series(speedups["two bare processes"]).median
    return [beside("compute", what, "times", speedups, at_least=least)]


NAPS = 40
TICK = 0.001


@function(kind="inout")
def nap(seconds: float) -> None:
    time.sleep(seconds)


def sleeping(repeats: int, *, quick: bool) -> list[Figure]:
    """Whether calls that wait wait side by side, threads started and all, and whether the event loop stays free."""
    seconds = 0.02 if quick else 0.5
    plan = "\n".join(f"s{number} = nap(seconds={seconds})" for number in range(1, NAPS + 1))

    async def ours() -> float:
        async with Orchestrator([nap], model=ScriptedModel([]), processors=2, optimize=False) as orchestrator:
            return answered(await orchestrator.execute(plan)).makespan

    async def threads() -> float:
        loop, began = asyncio.get_running_loop(), perf_counter()
        with ThreadPoolExecutor(NAPS) as pool:
            await asyncio.gather(*(loop.run_in_executor(pool, time.sleep, seconds) for _ in range(NAPS)))
            return perf_counter() - began

    works = {"ours": ours, f"{NAPS} bare threads": threads}
    runs = interleaved(
        repeats, {name: lambda work=work: asyncio.run(_ticked(work())) for name, work in works.items()}
    )
    spans, gaps = ({name: [pair[at] for pair in pairs] for name, pairs in runs.items()} for at in (0, 1))
    what = f"{NAPS} sync inout calls that sleep {seconds:g} s: makespan"
    gap = f"longest gap between two ticks of {TICK * 1000:g} ms meanwhile"
    return [
        beside("sleeping", what, "s", spans, at_most=seconds + 0.1),
        beside("sleeping, event loop", gap, "ms", scaled(gaps, 1000), at_most=20.0, always=True),
    ]


async def _ticked(work: Awaitable[float]) -> tuple[float, float]:
    """What the work says it took, and the longest time that a ticking task had to wait."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        last = perf_counter()
        while True:
            await asyncio.sleep(TICK)
            now = perf_counter()
            longest, last = max(longest, now - last), now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(5 * TICK)
    try:
        span = await work
        await asyncio.sleep(2 * TICK)  # a gap that begins during the work ends after it
        return span, longest
    finally:
        ticking.cancel()


@function(kind="inout")
async def idle() -> None:
    pass


@function(kind="inout")
def step(after: int) -> int:
    return after


def overhead(repeats: int, *, quick: bool) -> list[Figure]:
    """What a call costs that does nothing: on the event loop, on a thread, in a process."""
    calls = 20 if quick else 1000
    figures = []

    def add(
        kind: str, what: str, called: Any, line: str, floor: str, bare: Callable[[], float], most: float
    ) -> None:
        lines = (line.format(at=at, before=f"s{at - 1}" if at > 1 else 0) for at in range(1, calls + 1))
        plan = "\n".join(lines)
        with executing([called]) as execute:
            execute(plan)
            runs = interleaved(repeats, {"ours": lambda: execute(plan)[0].makespan, floor: bare})
        what = f"{what.format(calls)}: makespan a call"
        figures.append(beside(f"overhead, {kind}", what, "us", scaled(runs, 1e6 / calls), at_most=most))

    in_process = function(kind="compute")(nothing)
    with asyncio.Runner() as runner, Bare() as bare:
        floor: tuple[str, Callable[[], float]] = ("a bare asyncio task", lambda: runner.run(_tasks(calls)))
        add("async", "{} independent async no-ops", idle, "s{at} = idle()", *floor, 30.0)
        floor = ("a bare thread hop", lambda: runner.run(_hops(calls)))
        add("sync", "a chain of {} sync no-ops", step, "s{at} = step(after={before})", *floor, 100.0)
        floor = ("a bare round trip", lambda: _round_trips(bare, calls))
        add("compute", "{} compute no-ops on 2 processors", in_process, "s{at} = nothing()", *floor, 130.0)
    return figures


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


def _round_trips(bare: Bare, calls: int) -> float:
    began = perf_counter()
    with selectors.DefaultSelector() as selector:  # as whoever waits for several processes has to
        selector.register(bare.connection, selectors.EVENT_READ)
        for _ in range(calls):
            bare.send(ECHO)
            selector.select()
            bare.receive()
    return perf_counter() - began
