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
from llmorch import check, discover, function, parse
from llmorch.testing import simulate

SIZES = (1_000, 2_000, 5_000, 10_000)
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


def measure(repeats: int, *, quick: bool) -> list[Figure]:
    """Each size in a process of its own, so that its peak of memory is its own too."""
    sizes = (50, 100, 200, 500) if quick else SIZES
    largest, smallest = sizes[-1], sizes[0]
    runs = interleaved(repeats, {str(calls): partial(_measured, calls) for calls in (0, *sizes)})
    none = Series([run["memory"] for run in runs["0"]])
    totals = {
        calls: Series([sum(run[stage] for stage in STAGES) for run in runs[str(calls)]]) for calls in sizes
    }
    floors = {calls: Series([run["floor"] for run in runs[str(calls)]]) for calls in sizes}
    floor = "ast.parse of the text"
    growth = [
        (large / largest) / (small / smallest)
        for large, small in zip(totals[largest].values, totals[smallest].values, strict=True)
    ]
    bare_growth = [
        (large / largest) / (small / smallest)
        for large, small in zip(floors[largest].values, floors[smallest].values, strict=True)
    ]
    return [
        Figure(
            "plan",
            f"parse, check, relate and simulate a plan of {largest:,} calls",
            "s",
            totals[largest],
            {floor: floors[largest]},
            at_most=3.0,
        ),
        Figure(
            "plan, growth",
            f"time a call in a plan of {largest:,} against one of {smallest:,}",
            "times",
            Series(growth),
            {floor: Series(bare_growth)},
            at_most=1.5,
        ),
        Figure(
            "plan, memory",
            f"peak of the process, {largest:,} calls",
            "MB",
            Series([run["memory"] for run in runs[str(largest)]]),
            {"the same process without a plan": none},
            at_most=200.0,
        ),
        *(
            Figure(f"plan, {calls:,} calls", "the four together", "s", totals[calls], {floor: floors[calls]})
            for calls in sizes
        ),
        *(
            Figure(
                f"plan, {stage}",
                f"{largest:,} calls",
                "s",
                Series([run[stage] for run in runs[str(largest)]]),
                {floor: floors[largest]},
            )
            for stage in STAGES
        ),
    ]


def _measured(calls: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.plan", str(calls)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


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
    from llmorch import Orchestrator
    from llmorch.testing import ScriptedModel

    # Its checked plan of one call has loaded what each stage needs.
    orchestrator = Orchestrator([fetch, measure_parts, report], model=ScriptedModel([]))
    functions = orchestrator.functions
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
    memory = _peak()
    began = perf_counter()
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
