"""What LLMOrch costs: figures, each beside a floor that was measured in the same run.

``COSTS`` is the table of them. Each takes the number of repeats, and ``quick`` for tiny sizes.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.bare import BURN, Bare, burn, consume, produce, rescale, rounds_in, touch
from benchmarks.figures import Figure, Series, interleaved, shown
from llmorch import Orchestrator, Released, function
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence

    from llmorch import Result

    Execute = Callable[..., tuple[Result, float]]
    """Runs a plan on an orchestrator and a loop that stay the same: the result, and the seconds it took."""


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
SHARE = 0.95
"""How much of the speed-up of bare processes is wanted."""


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

    functions = [function(kind="compute")(burn)]
    with ExitStack() as stack:
        ours = [stack.enter_context(executing(functions, processors=count)) for count in (1, 2)]
        bare = [stack.enter_context(Bare(index)) for index in range(2)]
        for execute in ours:
            execute(plan(1))  # every process is up and knows the function
        runs: dict[str, Callable[[], float]] = {}
        for count in (1, 2):
            runs[f"ours on {count}"] = lambda at=count - 1: ours[at](plan(rounds))[0].makespan  # type: ignore[misc]
            runs[f"bare on {count}"] = partial(bare_makespan, bare[:count])
        spans = interleaved(repeats, runs)
    speedup, floor = (
        Series([one / two for one, two in zip(spans[f"{whose} on 1"], spans[f"{whose} on 2"], strict=True)])
        for whose in ("ours", "bare")
    )
    what = f"{BURNS} pure-Python calls on 2 processors"
    name, least = "two bare processes", SHARE * floor.median
    against = f"{what} against 1, wanted {SHARE:.0%} of two bare processes"
    makespans = Series(spans["ours on 2"]), {name: Series(spans["bare on 2"])}
    return [
        Figure("compute", against, "times", speedup, {name: floor}, at_least=least),
        Figure("compute, makespan", what, "s", *makespans),
    ]


NAPS = 40
TICK = 0.001


@function(kind="inout")
def nap(seconds: float) -> None:
    time.sleep(seconds)


def sleeping(repeats: int, *, quick: bool) -> list[Figure]:
    """Whether calls that wait wait side by side, threads started and all, and whether the event loop stays free."""
    seconds = 0.02 if quick else 0.5

    async def ours() -> float:
        plan = "\n".join(f"s{number} = nap(seconds={seconds})" for number in range(1, NAPS + 1))
        async with Orchestrator([nap], model=ScriptedModel([]), processors=2, optimize=False) as orchestrator:
            return answered(await orchestrator.execute(plan)).makespan

    async def threads() -> float:
        loop, began = asyncio.get_running_loop(), perf_counter()
        with ThreadPoolExecutor(NAPS) as pool:
            await asyncio.gather(*(loop.run_in_executor(pool, time.sleep, seconds) for _ in range(NAPS)))
            return perf_counter() - began

    async def idle() -> float:
        await asyncio.sleep(seconds)
        return seconds

    works: Mapping[str, Callable[[], Awaitable[float]]] = {"ours": ours, "threads": threads, "idle": idle}
    runs = interleaved(
        repeats, {name: lambda work=work: asyncio.run(_ticked(work())) for name, work in works.items()}
    )
    spans, gaps = (
        {name: Series([pair[at] * factor for pair in pairs]) for name, pairs in runs.items()}
        for at, factor in ((0, 1), (1, 1000))
    )
    what, floor = f"{NAPS} sync inout calls that sleep {seconds:g} s: makespan", f"{NAPS} bare threads"
    beside = {floor: gaps["threads"], "idle loop": gaps["idle"]}
    gap = f"longest gap between two ticks of {TICK * 1000:g} ms meanwhile"
    return [
        Figure("sleeping", what, "s", spans["ours"], {floor: spans["threads"]}, at_most=seconds + 0.1),
        Figure("sleeping, event loop", gap, "ms", gaps["ours"], beside, at_most=20.0, always=True),
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


_WAYS = (
    ("call to call", "from a compute call's last line until the next has read every page", 1500.0),
    ("out", "from a compute call's last line until its end is known", 500.0),
    ("in", "from there until the next call has read every page", 500.0),
)


def array(repeats: int, *, quick: bool) -> list[Figure]:
    """Megabytes a second from one compute call to the next, and the two halves of the way.

    A plan of three calls hands an array on twice: each time it is written once, to shared
    memory, and read from there. The way is from the making call's last line until the using
    call has read a number of every page. It is out until the run knows that the making
    call has ended, then in. All processes read the same monotonic clock.
    """
    import numpy as np

    size = 2_000_000 if quick else 50_000_000
    source = np.arange(size // 8, dtype=np.float64)
    target = np.zeros_like(source)
    plan = f"s1 = produce(size={size})\ns2 = rescale(parcel=s1)\ns3 = consume(parcel=s2)"

    def ours() -> tuple[float, ...]:
        """Seconds from call to call, out of one and into the next: each the mean of two."""
        ended: list[float] = []

        def observe(message: Any, _: float) -> None:
            if type(message).__name__ == "CallCompleted":
                ended.append(time.monotonic())

        result, _ = execute(plan, observer=observe)
        (first, read, second, read_again), arrived = result.answer
        if arrived != size:
            raise RuntimeError(f"{arrived} of {size} bytes arrived")
        if not all(isinstance(result.calls[call].result, Released) for call in ("s1", "s2")):
            raise RuntimeError("an array was opened on its way")
        out = (ended[0] - first + ended[1] - second) / 2
        whole = (read - first + read_again - second) / 2
        return whole, out, whole - out

    def timed(work: Callable[[], Any]) -> tuple[float, ...]:
        """What the work returns is freed only afterwards, which takes long and is no part of it."""
        began = perf_counter()
        kept = work()
        seconds = perf_counter() - began
        del kept
        return (seconds,)

    def mapped() -> Any:
        """Written there, mapped and read here: the same way."""
        memory = bare.file(size)
        touch(np.frombuffer(memory, dtype=np.float64))
        return memory

    functions = [function(kind="compute")(work) for work in (produce, rescale, consume)]
    floors = {
        "memcpy": lambda: timed(lambda: np.copyto(target, source)),
        "a bare shared file": lambda: timed(mapped),
    }
    with executing(functions) as execute, Bare() as bare:
        execute(plan)
        runs = interleaved(repeats, {"ours": ours, **floors})
    rates = {name: Series([size / 1e6 / spans[0] for spans in runs[name]]) for name in floors}
    what = f"{size // 1_000_000} MB of numpy array"
    return [
        Figure(
            f"array, {way}",
            f"{what}, {told}",
            "MB/s",
            Series([size / 1e6 / spans[at] for spans in runs["ours"]]),
            rates,
            at_least=least,
        )
        for at, (way, told, least) in enumerate(_WAYS)
    ]


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


def dispatch(repeats: int, *, quick: bool) -> list[Figure]:
    """How soon a call starts once the model has written it, while it writes on."""
    delay = 0.001 if quick else 0.02

    async def ours() -> tuple[float, float]:
        times: dict[str, float] = {}

        @function(kind="inout")
        async def fetch(name: str) -> str:
            times.setdefault("started", perf_counter())
            return name

        @function(kind="inout")
        async def join(parts: list[str]) -> str:
            return "".join(parts)

        def observe(message: Any, _: float) -> None:
            if type(message).__name__ == "Dispatch":
                times.setdefault("dispatched", perf_counter())

        model = _Stamped([PIECES], delay=delay)
        async with Orchestrator([fetch, join], model=model, processors=2) as orchestrator:
            answered(await orchestrator.run("a and b", observer=observe))
        return times["dispatched"] - model.stamp, times["started"] - model.stamp

    async def bare() -> tuple[float, float]:
        """A task for a piece of a stream, and nothing in between."""

        async def work() -> float:
            return perf_counter()

        await asyncio.sleep(delay)
        stamp = perf_counter()
        return (await asyncio.create_task(work()) - stamp,) * 2

    runs = interleaved(repeats, {"ours": lambda: asyncio.run(ours()), "bare": lambda: asyncio.run(bare())})
    dispatched, started = (Series([1000 * pair[at] for pair in runs["ours"]]) for at in (0, 1))
    floors = {"a bare asyncio task": Series([1000 * pair[1] for pair in runs["bare"]])}
    what = "from the model's last token of its statement to the first call's Dispatch"
    return [
        Figure("dispatch", what, "ms", dispatched, floors, at_most=5.0),
        Figure(
            "dispatch, function", "from the same token to the function's first line", "ms", started, floors
        ),
    ]


def startup(repeats: int, *, quick: bool) -> list[Figure]:
    """How long the command line and the import take, each in a fresh process.

    With the bytecode cached, as after the first use, wherever the environment wants it.
    """
    script = Path(sys.executable).with_name("llmorch")
    line, names = "import llmorch", "from llmorch import Orchestrator, function"
    commands = {code: [sys.executable, "-c", code] for code in (line, names, "pass")}
    program = [str(script)] if script.exists() else [sys.executable, "-m", "llmorch"]
    commands["llmorch --help"] = [*program, "--help"]
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        def seconds(command: list[str]) -> float:
            began = perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
            return perf_counter() - began

        runs = {name: partial(seconds, command) for name, command in commands.items()}
        for run in runs.values():
            run()  # writes the bytecode
        spans = {name: Series(of) for name, of in interleaved(repeats * (1 if quick else 4), runs).items()}
    floor = {"python -c pass": spans.pop("pass")}
    return [
        Figure(f"startup, {name}", what, "s", spans[what], floor, at_most=most)
        for name, what, most in (
            ("--help", "llmorch --help", 0.25),
            ("import", line, 0.15),
            ("names", names, None),
        )
    ]


def overhead(repeats: int, *, quick: bool) -> list[Figure]:
    """What a call costs that does nothing."""
    from benchmarks.overhead import measured

    return measured(repeats, quick=quick)


def plan(repeats: int, *, quick: bool) -> list[Figure]:
    """What a large plan costs before anything runs."""
    from benchmarks.plan import measured

    return measured(repeats, quick=quick)


COSTS: Mapping[str, Callable[..., list[Figure]]] = {
    one.__name__: one for one in (compute, sleeping, overhead, array, plan, dispatch, startup)
}


def run(names: Sequence[str], repeats: int, *, quick: bool, as_json: bool) -> None:
    """Measure these, and print a line a figure or one JSON object."""
    load = os.getloadavg()[0]
    figures: list[Figure] = []
    for name in names:
        print(f"{name} ...", file=sys.stderr)
        measured = COSTS[name](repeats, quick=quick)
        figures += measured
        for one in measured if not as_json else ():
            verdict = {True: "met", False: "MISSED", None: ""}[one.met]
            print(f"{one.name}: {one.measured} {one.unit}  {one.wanted}  {verdict}".rstrip())
            print(f"    {one.what}")
            for floor, series in one.floors.items():
                print(f"    floor: {floor}: {series}", flush=True)
    if as_json:
        about = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
        about |= {"cpus": os.cpu_count(), "load": load, "repeats": repeats, "quick": quick}
        print(json.dumps(about | {"figures": [one.as_json() for one in figures]}, indent=2))
        return
    wanted = [one for one in figures if one.met is not None]
    missed = "; ".join(one.name for one in wanted if not one.met)
    met = f"{sum(bool(one.met) for one in wanted)} of {len(wanted)} met"
    print(f"{met}{f'; missed: {missed}' if missed else ''}; load {shown(load)} before")
