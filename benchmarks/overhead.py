"""What a call costs that does nothing: on the event loop, on a thread, in a process.

``measure`` has the figures; ``rows`` a table of async no-ops by policy, number and shape.
"""

from __future__ import annotations

import asyncio
import selectors
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from queue import SimpleQueue
from statistics import fmean, median
from threading import Thread
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.bare import ECHO, Bare
from benchmarks.executing import answered, executing
from benchmarks.figures import Figure, Series, interleaved, shown
from benchmarks.policies import POLICIES, markdown_table
from benchmarks.work import nothing
from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from benchmarks.executing import Execute
    from benchmarks.policies import Row

    Run: TypeAlias = Callable[[int, str], tuple[float, float]]

SIZES = (10, 100, 1_000, 10_000)
FLAT, CHAINED = SHAPES = ("flat", "chained")
AT_LEAST = 500
"""A plan of fewer calls runs so often for one measurement that it comes to as many."""


@function(kind="inout")
async def idle() -> None:
    pass


@function(kind="inout")
async def link(after: int) -> int:
    return after


@function(kind="inout")
def step(after: int) -> int:
    return after


def measure(repeats: int, *, quick: bool) -> list[Figure]:
    """Makespan by the number of calls; and all of ``execute`` by it, parsing included."""
    calls = 20 if quick else 1000
    chain = _chained("step", calls)
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


def _chained(name: str, calls: int) -> str:
    links = (f"s{number} = {name}(after=s{number - 1})" for number in range(2, calls + 1))
    return "\n".join([f"s1 = {name}(after=0)", *links])


def rows(repeats: int, *, quick: bool = False, sizes: Sequence[int] = SIZES) -> list[Row]:
    """Async no-ops by policy, number of calls and shape: microseconds a call, medians of repeats.

    ``us`` is the makespan and ``all_us`` all of ``execute()``, parsing included; for a
    floor, which is what the same calls take on bare tasks, threads or pipes, they are one.
    """
    made: list[Row] = []
    with ExitStack() as stack:
        runs = {policy: stack.enter_context(_under(policy)) for policy in POLICIES}
        runs |= stack.enter_context(_floors())
        for run in runs.values():
            run(10, CHAINED)
        for calls in sizes[:2] if quick else sizes:
            for shape in SHAPES:
                again = 1 if quick else max(1, AT_LEAST // calls)
                turns = {name: partial(_mean, run, calls, shape, again) for name, run in runs.items()}
                for name, spans in interleaved(repeats, turns).items():
                    made.append(
                        {
                            "calls": calls,
                            "shape": shape,
                            "name": name,
                            "floor": name not in POLICIES,
                            "us": median(1e6 * makespan for makespan, _ in spans),
                            "all_us": median(1e6 * everything for _, everything in spans),
                        }
                    )
    return made


def markdown(rows: Sequence[Row]) -> str:
    """The makespan a call and, in brackets, all of ``execute()``: a line for each policy and floor."""
    cells = {(row["name"], row["calls"], row["shape"]): row for row in rows}
    columns: dict[str, Callable[[Row], str]] = {"µs a call": lambda line: str(line["name"])}
    for calls, shape in dict.fromkeys((row["calls"], row["shape"]) for row in rows):
        columns[f"{calls:,} {shape}"] = lambda line, at=(calls, shape): _cell(cells[line["name"], *at])  # type: ignore[misc]
    return markdown_table(columns, [{"name": name} for name in dict.fromkeys(row["name"] for row in rows)])


def _cell(row: Row) -> str:
    shortly = [shown(float(str(row[field]))) for field in ("us", "all_us")]
    return shortly[0] if row["floor"] else "{} ({})".format(*shortly)


def _mean(run: Run, calls: int, shape: str, times: int) -> tuple[float, float]:
    """Seconds a call, over a number of runs."""
    spans = [run(calls, shape) for _ in range(times)]
    return fmean(span for span, _ in spans) / calls, fmean(everything for _, everything in spans) / calls


@contextmanager
def _under(policy: str) -> Iterator[Run]:
    """Runs plans on one orchestrator; gives the makespan and the seconds of everything."""
    orchestrator = Orchestrator(
        [idle, link], model=ScriptedModel([]), processors=1, policy=policy, optimize=False
    )

    async def timed(plan: str) -> tuple[float, float]:
        began = perf_counter()
        result = await orchestrator.execute(plan)
        seconds = perf_counter() - began
        answered(result)
        return result.makespan, seconds

    with asyncio.Runner() as runner:
        try:
            yield lambda calls, shape: runner.run(timed(_plan(calls, shape)))
        finally:
            runner.run(orchestrator.close())


@contextmanager
def _floors() -> Iterator[dict[str, Run]]:
    """The same calls as bare tasks, on a bare thread and as round trips to bare processes."""
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        thread = stack.enter_context(ThreadPoolExecutor(max_workers=1))
        bare = [stack.enter_context(Bare(index)) for index in range(2)]

        async def waited(
            start: Callable[[], Awaitable[object]], calls: int, shape: str
        ) -> tuple[float, float]:
            began = perf_counter()
            if shape == CHAINED:
                for _ in range(calls):
                    await start()
            else:
                await asyncio.gather(*(start() for _ in range(calls)))
            return (perf_counter() - began,) * 2

        def task() -> Awaitable[object]:
            return asyncio.get_running_loop().create_task(idle())

        def hop() -> Awaitable[object]:
            return asyncio.get_running_loop().run_in_executor(thread, nothing)

        def trips(calls: int, shape: str) -> tuple[float, float]:
            seconds, _ = _round_trips(bare[:1] if shape == CHAINED else bare, calls)
            return seconds * calls, seconds * calls

        yield {
            "floor: asyncio tasks": lambda calls, shape: runner.run(waited(task, calls, shape)),
            "floor: thread hops": lambda calls, shape: runner.run(waited(hop, calls, shape)),
            "floor: pipe round trips": trips,
        }


@cache
def _plan(calls: int, shape: str) -> str:
    return _chained("link", calls) if shape == CHAINED else _independent("idle", calls)
