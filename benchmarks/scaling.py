"""How the paper's KITTI* graph scales with processors: simulated, and run for real.

Eight compute calls, an average of each half of them, and the difference of the two. Only
what techniques do with a finished plan is compared; what they ask the model is not.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from multiprocessing import get_context
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.executing import answered
from benchmarks.figures import Figure, Series, shown
from benchmarks.policies import FIFO, OURS, POLICIES, markdown_table
from benchmarks.questions import DataMissing
from benchmarks.sets import kitti
from llmorch import Orchestrator, function, simulate
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.policies import Row

PROCESSORS = range(1, 9)
IMAGES = 8
LOWER_BOUND = "lower bound"


@dataclass(frozen=True)
class Technique:
    """A technique by its way with a plan.

    ``one_thread`` is how the published baselines run what computes: on their event loop's
    thread, whatever processors there are. Without it they are given our processors.
    """

    name: str
    policy: str
    one_thread: bool = False


# ``exclusive`` is the paper's own way, by ranks.
TECHNIQUES = (
    Technique("react", "sequential"),
    Technique("parallel", "barrier"),
    Technique("llmcompiler", "greedy"),
    Technique("llmorch by ranks", "exclusive"),
    Technique("llmorch", "critical"),
)
AS_PUBLISHED = (
    Technique("parallel on one thread", "barrier", one_thread=True),
    Technique("llmcompiler on one thread", "greedy", one_thread=True),
)


@function(kind="compute")
def turn_angle(image: str) -> float:
    """Stands for the real function where only its time is wanted."""
    raise NotImplementedError


_SIMULATED = Orchestrator(
    [turn_angle, kitti.average, kitti.difference], model=ScriptedModel([]), processors=1
)


def plan_of(images: Sequence[str]) -> str:
    """The paper's Figure 3 over any even number of images, the first half of system A."""
    half = len(images) // 2
    ids = [f"s{number}" for number in range(1, len(images) + 4)]
    lines = [f'{id_} = turn_angle(image="{image}")' for id_, image in zip(ids, images, strict=False)]
    a, b, last = ids[-3:]
    lines.append(f"{a} = average(values=[{', '.join(ids[:half])}])")
    lines.append(f"{b} = average(values=[{', '.join(ids[half : len(images)])}])")
    lines.append(f"{last} = difference(a={a}, b={b})")
    return "\n".join(lines)


def simulated(
    durations: Mapping[str, float],
    processors: Sequence[int] = PROCESSORS,
    techniques: Sequence[Technique] = (*AS_PUBLISHED, *TECHNIQUES),
) -> list[Row]:
    """Makespans on a virtual clock; ``durations`` are seconds by call id (s1 to s11) or function.

    Speed-ups are against one call after the other, which is ReAct on any number of processors.
    """
    base, _ = _makespan(durations, "sequential", 1)
    made: list[Row] = []
    for technique in techniques:
        for count in processors:
            makespan, _ = _makespan(durations, technique.policy, 1 if technique.one_thread else count)
            made.append(_row(technique.name, count, makespan, base))
    made += [
        _row(LOWER_BOUND, count, _makespan(durations, "sequential", count)[1], base) for count in processors
    ]
    return made


def _row(technique: str, processors: int, makespan: float, base: float) -> Row:
    speedup = base / makespan if makespan else 1.0
    return {"technique": technique, "processors": processors, "makespan": makespan, "speedup": speedup}


def _makespan(durations: Mapping[str, float], policy: str, processors: int) -> tuple[float, float]:
    """The makespan under a policy, and the lower bound of any."""
    plan = _SIMULATED.check(plan_of([f"{number:06}.png" for number in range(1, IMAGES + 1)]))
    done = simulate(
        plan, _SIMULATED.functions, durations, processors=processors, policy=policy, optimize=False
    )
    return done.makespan, done.lower_bound


def speedups(rows: Sequence[Row]) -> dict[str, dict[int, float]]:
    """The lines of the paper's Figure 4: by technique, and by processors."""
    lines: dict[str, dict[int, float]] = {}
    for row in rows:
        lines.setdefault(str(row["technique"]), {})[int(str(row["processors"]))] = float(str(row["speedup"]))
    return lines


def markdown(rows: Sequence[Row]) -> str:
    """The paper's Table III: a line a technique, a column a number of processors."""
    cells = {(row["technique"], row["processors"]): row for row in rows}
    columns: dict[str, Callable[[Row], str]] = {"processors": lambda line: str(line["technique"])}
    for count in dict.fromkeys(row["processors"] for row in rows):
        columns[str(count)] = lambda line, at=count: _cell(cells.get((line["technique"], at)))  # type: ignore[misc]
    names = dict.fromkeys(row["technique"] for row in rows)
    return markdown_table(columns, [{"technique": name} for name in names])


def _cell(row: Row | None) -> str:
    return "" if row is None else f"{shown(float(str(row['makespan'])))} s, {row['speedup']:.2f}x"


@dataclass(frozen=True)
class Run:
    """One real run: its makespan, each call's seconds, and the records of its calls."""

    policy: str
    processors: int
    makespan: float
    durations: Mapping[str, float]
    calls: Sequence[Mapping[str, Any]] = ()


def measured(
    data: Path,
    work: Path,
    *,
    repeats: int,
    processors: Sequence[int] | None = None,
    policies: Sequence[str] = tuple(POLICIES),
) -> list[Run]:
    """Run the plan over images below ``data``, in turn under each policy. Raises ``DataMissing``.

    By default on every number of processors that this process may use, up to eight.
    """
    functions = kitti.SET.functions(data, work)
    images = list(kitti.turns_of(data / "kitti"))
    if not images:
        raise DataMissing(f"{data / 'kitti'}: no image has a pose and a neighbour; {kitti.PUBLISHED}")
    plan = plan_of(list(islice(cycle(images), IMAGES)))
    counts = processors or range(1, min(IMAGES, Orchestrator([], model=ScriptedModel([])).processors) + 1)
    return [
        run for count in counts for run in asyncio.run(_measured(functions, plan, count, policies, repeats))
    ]


async def _measured(
    functions: list[Callable[..., Any]], plan: str, processors: int, policies: Sequence[str], repeats: int
) -> list[Run]:
    runs = []
    for policy in policies:
        async with Orchestrator(
            functions,
            model=ScriptedModel([]),
            processors=processors,
            policy=policy,
            optimize=False,
            learn=False,
        ) as orchestrator:
            # One call each, so that every process is up and has imported what it needs.
            answered(await orchestrator.execute("\n".join(plan.splitlines()[:processors])))
            for _ in range(repeats):
                result = await orchestrator.execute(plan)
                answered(result)
                calls = [call.as_json() for call in result.calls]
                seconds = {call["id"]: call["completed"] - call["dispatched"] for call in calls}
                runs.append(Run(policy, processors, result.makespan, seconds, calls))
    return runs


def bare(data: Path, processors: int) -> float:
    """Seconds that the same turns take on so many bare processes: what the machine itself gives."""
    images = list(islice(cycle(kitti.images_of(data / "kitti")), IMAGES))
    turn = partial(kitti.turn_in, data / "kitti")
    with ProcessPoolExecutor(processors, get_context("spawn")) as pool:
        list(pool.map(turn, images[:processors]))  # so that every process is up
        began = perf_counter()
        list(pool.map(turn, images))
        return perf_counter() - began


def figures(runs: Sequence[Run], floors: Mapping[int, float], simulated: Sequence[Row]) -> list[Figure]:
    """What is wanted of our policy: real speed-ups beside bare processes', simulated ones beside the bound."""
    made = []
    spans: dict[tuple[str, int], list[float]] = {}
    for run in runs:
        spans.setdefault((run.policy, run.processors), []).append(run.makespan)
    one = spans.get(("sequential", 1))
    for (policy, count), found in spans.items():
        if policy == OURS and count > 1 and one and {1, count} <= floors.keys():
            floor = floors[1] / floors[count]
            made.append(
                Figure(
                    f"speed-up on {count} processors",
                    f"against one call after the other; bare processes {shown(floor)}",
                    "x",
                    Series([median(one) / span for span in found]),
                    at_least=min(0.95 * count, 0.95 * floor),
                )
            )
    best = {
        row["processors"]: float(str(row["makespan"])) for row in simulated if row["technique"] == LOWER_BOUND
    }
    made += [
        Figure(
            f"simulated on {row['processors']} processors",
            "of the lower bound",
            "x",
            Series([float(str(row["makespan"])) / best[row["processors"]]]),
            at_most=1.05,
        )
        for row in simulated
        if row["technique"] == "llmorch" and row["processors"] in (4, 8)
    ]
    return made


def rows(runs: Sequence[Run], techniques: Sequence[Technique] = TECHNIQUES) -> list[Row]:
    """Medians of real runs, in the form of ``simulated``; the base is sequential on the fewest processors."""
    spans: dict[tuple[str, int], list[float]] = {}
    for run in runs:
        spans.setdefault((run.policy, run.processors), []).append(run.makespan)
    fewest = min(count for _, count in spans)
    base = median(spans.get(("sequential", fewest)) or max(spans.values(), key=median))
    return [
        _row(technique.name, count, median(found), base)
        for technique in techniques
        for (policy, count), found in spans.items()
        if policy == technique.policy
    ]


def durations_of(runs: Sequence[Run]) -> dict[str, float]:
    """The median seconds of each call where it was disturbed least: on the fewest processors."""
    fewest = min(run.processors for run in runs)
    quiet = [run.durations for run in runs if run.processors == fewest]
    return {call: median(durations[call] for durations in quiet) for call in quiet[0]}


def checked(runs: Sequence[Run]) -> list[Row]:
    """Real makespans against the simulation with the durations that the same calls took.

    A run doesn't know durations ahead as a simulation does: calls of one function are alike
    to it, so that on this graph our policy takes them in the plan's order, as fifo does.
    """
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.policy, run.processors), []).append(run)
    made: list[Row] = []
    for (policy, count), found in groups.items():
        known = FIFO if policy == OURS else policy
        expected = [_makespan(run.durations, known, count)[0] for run in found]
        errors = [span / run.makespan - 1 for span, run in zip(expected, found, strict=True)]
        made.append(
            {
                "policy": policy,
                "processors": count,
                "runs": len(found),
                "real": median(run.makespan for run in found),
                "simulated": median(expected),
                "error": max(errors, key=abs),
            }
        )
    return made


def markdown_checked(rows: Sequence[Row]) -> str:
    """The worst relative error of the simulation, a line for each policy and number of processors."""
    columns: dict[str, Callable[[Row], str]] = {
        "policy": lambda row: str(row["policy"]),
        "processors": lambda row: str(row["processors"]),
        "real": lambda row: f"{shown(float(str(row['real'])))} s",
        "simulated": lambda row: f"{shown(float(str(row['simulated'])))} s",
        "worst error": lambda row: f"{row['error']:+.2%}",
    }
    return markdown_table(columns, rows)
