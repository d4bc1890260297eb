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
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks import plan
from benchmarks.bare import Bare, consume, produce, rescale, touch
from benchmarks.calls import answered, compute, executing, overhead, sleeping
from benchmarks.figures import Figure, Series, beside, interleaved, scaled, shown
from llmorch import Orchestrator, Released, function
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

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
    works = {"memcpy": lambda: np.copyto(target, source), "a bare shared file": mapped}
    floors = {name: partial(timed, work) for name, work in works.items()}
    with executing(functions) as execute, Bare() as bare:
        execute(plan)
        runs = interleaved(repeats, {"ours": ours, **floors})
    rates = {name: Series([size / 1e6 / spans[0] for spans in runs[name]]) for name in floors}
    figures = []
    for at, (way, told, least) in enumerate(_WAYS):
        what = f"{size // 1_000_000} MB of numpy array, {told}"
        rate = Series([size / 1e6 / spans[at] for spans in runs["ours"]])
        figures.append(Figure(f"array, {way}", what, "MB/s", rate, rates, at_least=least))
    return figures


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
LAST = 3  # how many pieces make the first statement


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

    async def ours() -> float:
        dispatched: list[float] = []

        @function(kind="inout")
        async def fetch(name: str) -> str:
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
        return dispatched[0] - model.stamp

    async def bare() -> float:
        """A task for a piece of a stream, and nothing in between."""

        async def work() -> float:
            return perf_counter()

        await asyncio.sleep(delay)
        stamp = perf_counter()
        return await asyncio.create_task(work()) - stamp

    works = {"ours": ours, "a bare asyncio task": bare}
    runs = interleaved(repeats, {name: lambda work=work: asyncio.run(work()) for name, work in works.items()})
    what = "from the model's last token of its statement to the first call's Dispatch"
    return [beside("dispatch", what, "ms", scaled(runs, 1000), at_most=5.0)]


def startup(repeats: int, *, quick: bool) -> list[Figure]:
    """How long the command line and the import take, each in a fresh process.

    With the bytecode cached, as after the first use, wherever the environment wants it.
    """
    script = Path(sys.executable).with_name("llmorch")
    program = [str(script)] if script.exists() else [sys.executable, "-m", "llmorch"]
    python = [sys.executable, "-c"]
    commands = {
        "help": [*program, "--help"],
        "import": [*python, "import llmorch"],
        "pass": [*python, "pass"],
    }
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
        spans = interleaved(repeats * (1 if quick else 4), runs)
    floor = spans["pass"]
    return [
        beside(name, what, "s", {"ours": spans[of], "python -c pass": floor}, at_most=most)
        for name, what, of, most in (
            ("startup, --help", "llmorch --help", "help", 0.25),
            ("startup, import", "import llmorch", "import", 0.15),
        )
    ]


COSTS: Mapping[str, Callable[..., list[Figure]]] = {
    "compute": compute,
    "sleeping": sleeping,
    "overhead": overhead,
    "array": array,
    "plan": plan.measured,
    "dispatch": dispatch,
    "startup": startup,
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
