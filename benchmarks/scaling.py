"""How a graph scales with processors: simulated, and run for real.

Only what techniques do with a finished plan is compared; what they ask the model for it is not.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.executing import answered
from benchmarks.figures import Figure, Series, shown
from benchmarks.graphs import KITTI, Graph, Real, remote_model
from benchmarks.policies import FIFO, OURS, POLICIES, markdown_table
from llmorch import Orchestrator, simulate
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.policies import Row

PROCESSORS = range(1, 9)
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


def simulated(
    durations: Mapping[str, float],
    processors: Sequence[int] = PROCESSORS,
    techniques: Sequence[Technique] = (*AS_PUBLISHED, *TECHNIQUES),
    graph: Graph = KITTI,
) -> list[Row]:
    """Makespans on a virtual clock; ``durations`` are seconds by call id or function.

    Speed-ups are against one call after the other, which is ReAct on any number of processors.
    """
    base, _ = _makespan(graph, durations, "sequential", 1)
    made: list[Row] = []
    for technique in techniques:
        for count in processors:
            makespan, _ = _makespan(graph, durations, technique.policy, 1 if technique.one_thread else count)
            made.append(_row(technique.name, count, makespan, base))
    made += [
        _row(LOWER_BOUND, count, _makespan(graph, durations, "sequential", count)[1], base)
        for count in processors
    ]
    return made


def _row(technique: str, processors: int, makespan: float, base: float) -> Row:
    speedup = base / makespan if makespan else 1.0
    return {"technique": technique, "processors": processors, "makespan": makespan, "speedup": speedup}


def _makespan(
    graph: Graph, durations: Mapping[str, float], policy: str, processors: int
) -> tuple[float, float]:
    """The makespan under a policy, and the lower bound of any."""
    done = simulate(
        graph.checked, graph.functions, durations, processors=processors, policy=policy, optimize=False
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
    graph: Graph = KITTI,
) -> list[Run]:
    """Run the plan over what is below ``data``, in turn under each policy. Raises ``DataMissing``.

    By default on every number of processors that this process may use, up to eight.
    """
    most = Orchestrator([], model=ScriptedModel([])).processors
    counts = processors or range(1, min(PROCESSORS[-1], most) + 1)
    return [
        run
        for count in counts
        for run in asyncio.run(_measured(graph.real(data, work, count), count, policies, repeats))
    ]


async def _measured(real: Real, processors: int, policies: Sequence[str], repeats: int) -> list[Run]:
    runs = []
    for policy in policies:
        async with Orchestrator(
            real.functions,
            model=remote_model(),
            processors=processors,
            policy=policy,
            optimize=False,
            learn=False,
        ) as orchestrator:
            # So that every process is up and has imported what it needs.
            answered(await orchestrator.execute(real.before))
            for _ in range(repeats):
                result = await orchestrator.execute(real.plan)
                answered(result)
                calls = [call.as_json() for call in result.calls]
                seconds = {call["id"]: call["completed"] - call["dispatched"] for call in calls}
                runs.append(Run(policy, processors, result.makespan, seconds, calls))
    return runs


def figures(
    runs: Sequence[Run], floors: Mapping[int, float], simulated: Sequence[Row], graph: Graph = KITTI
) -> list[Figure]:
    """What is wanted of our policy: real speed-ups beside bare processes', all of them beside the bound."""
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
                    f"{graph.title}: speed-up on {count} processors",
                    f"against one call after the other; bare processes {shown(floor)}",
                    "x",
                    Series([median(one) / span for span in found]),
                    at_least=min(graph.share * count, 0.95 * floor),
                )
            )
            near = [
                run.makespan / _makespan(graph, run.durations, policy, count)[1]
                for run in runs
                if (run.policy, run.processors) == (policy, count)
            ]
            made.append(
                Figure(
                    f"{graph.title}: run for real on {count} processors",
                    "of the lower bound of the durations that its calls took",
                    "x",
                    Series(near),
                    at_most=1.1,
                )
            )
    best = {
        row["processors"]: float(str(row["makespan"])) for row in simulated if row["technique"] == LOWER_BOUND
    }
    made += [
        Figure(
            f"{graph.title}: simulated on {row['processors']} processors",
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


def checked(runs: Sequence[Run], graph: Graph = KITTI) -> list[Row]:
    """Real makespans against the simulation with the durations that the same calls took.

    A run doesn't know durations ahead as a simulation does: calls of one function are alike
    to it, so that on these graphs our policy takes them in the plan's order, as fifo does.
    """
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.policy, run.processors), []).append(run)
    made: list[Row] = []
    for (policy, count), found in groups.items():
        known = FIFO if policy == OURS else policy
        expected = [_makespan(graph, run.durations, known, count)[0] for run in found]
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
