"""What a large plan costs before anything runs: time that grows with its length, and memory."""

from __future__ import annotations

import ast
import json
import resource
import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import perf_counter

from benchmarks.figures import Figure, Series, interleaved
from llmorch import Orchestrator, check, discover, function, parse
from llmorch.testing import ScriptedModel, simulate

SIZES = (1_000, 10_000)
STAGES = ("parse", "check", "relate", "simulate")


@function(kind="inout", pure=True)
async def fetch(name: str, after: int = 0) -> str:
    return name


@function(kind="compute", pure=True)
def measure_parts(parts: list[str], weight: int = 1) -> int:
    return len(parts) * weight


@function(kind="inout", pure=True)
def report(text: str) -> str:
    return text


def measured(repeats: int, *, quick: bool) -> list[Figure]:
    """Each size in a process of its own, so that its peak of memory is its own too."""
    least, most = (50, 500) if quick else SIZES
    runs = interleaved(repeats, {str(calls): partial(_in_a_process, calls) for calls in (0, least, most)})

    def series(calls: int, *of: str) -> Series:
        return Series([sum(run[one] for one in of) for run in runs[str(calls)]])

    def growth(*of: str) -> Series:
        pairs = zip(series(most, *of).values, series(least, *of).values, strict=True)
        return Series([(large / most) / (small / least) for large, small in pairs])

    name = "ast.parse of the text"
    total, floor, empty = series(most, *STAGES), series(most, "floor"), series(0, "memory")
    what = f"parse, check, relate and simulate a plan of {most:,} calls"
    larger = f"time a call in a plan of {most:,} against one of {least:,}"
    peak = f"peak of the process, {most:,} calls"
    without = {"the same process without a plan": empty}
    return [
        Figure("plan", what, "s", total, {name: floor}, at_most=3.0),
        Figure("plan, growth", larger, "times", growth(*STAGES), {name: growth("floor")}, at_most=1.5),
        Figure("plan, memory", peak, "MB", series(most, "memory"), without, at_most=200.0),
    ]


def _in_a_process(calls: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.plan", str(calls)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def plan_of(calls: int) -> str:
    """A plan with literals, lists and text that refer to earlier calls, and a long chain."""
    lines = []
    for n in range(1, calls + 1):
        if n % 10 == 1:
            lines.append(f's{n} = fetch(name="page {n}"' + (f", after=s{n - 9})" if n > 10 else ")"))
        elif n % 3 == 0:
            lines.append(f"s{n} = measure_parts(parts=[s{n - 1}, s1], weight={n})")
        elif n % 2 == 0:
            lines.append(f's{n} = fetch(name="page {n}", after={n})')
        else:
            lines.append(f's{n} = report(text="{{s{n - 1}}} of page {n}, by {{s{n - 2}}}")')
    return "\n".join(lines)


def _stages(calls: int) -> dict[str, float]:
    # Its checked plan of one call has loaded what each stage needs.
    functions = Orchestrator([fetch, measure_parts, report], model=ScriptedModel([])).functions
    simulate(check(parse('s1 = fetch(name="a")'), functions), functions, {}, processors=1)
    if not calls:
        return {"memory": _peak()}
    text = plan_of(calls)
    times = [perf_counter()]
    parsed = parse(text)
    times.append(perf_counter())
    plan = check(parsed, functions)
    times.append(perf_counter())
    discover(plan, functions)
    times.append(perf_counter())
    simulation = simulate(plan, functions, {"fetch": 0.1, "measure_parts": 0.2}, processors=4, optimize=False)
    times.append(perf_counter())
    if any(state.status != "completed" for state in simulation.states.values()):
        raise RuntimeError("the simulation came to no end")
    memory, began = _peak(), perf_counter()
    ast.parse(text)
    floor = perf_counter() - began
    stages = {stage: after - before for stage, (before, after) in zip(STAGES, pairwise(times), strict=True)}
    return stages | {"memory": memory, "floor": floor}


def _peak() -> float:
    """The most memory that this process has had, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # there getrusage also counts what the parent had at the fork
        fields = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
        if "VmHWM" in fields:
            return int(fields["VmHWM"].split()[0]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


if __name__ == "__main__":
    print(json.dumps(_stages(int(sys.argv[1]))))
