"""Policies on random graphs of unequal durations: known exactly, learned by function, or not at all.

Decides nothing about order: every makespan is the runtime's own simulation.
"""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Series
from benchmarks.policies import FIFO, OURS, RANKS, markdown_table
from benchmarks.timed_graphs import FUNCTIONS
from llmorch import simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.policies import Row
    from benchmarks.timed_graphs import TimedGraph

GRAPHS = 300
PROCESSORS = (2, 3, 4, 6, 8)
LEARNED, UNKNOWN = f"{OURS}, medians by function", f"{OURS}, nothing known"
NAMES = (OURS, LEARNED, UNKNOWN, FIFO, RANKS)
WORSE = 1.01
"""What a single graph may be worse by, at most."""


def rows(graphs: Sequence[TimedGraph], processors: Sequence[int] = PROCESSORS) -> list[Row]:
    """One row for each number of processors and each policy; ours with what it knows of durations."""
    made: list[Row] = []
    for count in processors:
        spans: dict[str, list[float]] = {name: [] for name in NAMES}
        bounds = []
        for graph in graphs:
            for name in NAMES:
                span, bound = _simulated(graph, name, count)
                spans[name].append(span)
            bounds.append(bound)
        for name in NAMES:
            made.append(
                {
                    "policy": name,
                    "processors": count,
                    "graphs": len(graphs),
                    "mean_to_bound": fmean(_ratios(spans[name], bounds)),
                    "mean_to_fifo": fmean(_ratios(spans[name], spans[FIFO])),
                    "mean_to_ranks": fmean(_ratios(spans[name], spans[RANKS])),
                    "worst_to_fifo": max(_ratios(spans[name], spans[FIFO])),
                    "worst_to_ranks": max(_ratios(spans[name], spans[RANKS])),
                }
            )
    return made


def _simulated(graph: TimedGraph, name: str, processors: int) -> tuple[float, float]:
    expected = {OURS: None, LEARNED: graph.learned, UNKNOWN: {}}.get(name)
    done = simulate(
        graph.plan,
        FUNCTIONS,
        graph.durations,
        processors=processors,
        policy=name.partition(",")[0],
        expected=expected,
    )
    return done.makespan, done.lower_bound


def _ratios(spans: Sequence[float], others: Sequence[float]) -> list[float]:
    return [round(span / other, 9) for span, other in zip(spans, others, strict=True)]


def figures(rows: Sequence[Row]) -> list[Figure]:
    """What is wanted of our policy where durations are known, on every graph and on the mean."""
    made = []
    for row in rows:
        if row["policy"] != OURS:
            continue
        for other, told in (("fifo", "fifo"), ("ranks", "the paper's ranks")):
            for what, at_most in (("worst", WORSE), ("mean", 1.0)):
                made.append(
                    Figure(
                        f"unequal durations, {row['processors']}: {what} against {told}",
                        f"{row['graphs']} random graphs on {row['processors']} processors",
                        "times",
                        Series([float(str(row[f"{what}_to_{other}"]))]),
                        at_most=at_most,
                    )
                )
    return made


def markdown(rows: Sequence[Row]) -> str:
    """One table; a line for each number of processors and each policy."""
    graphs = rows[0]["graphs"]
    head = f"**Unequal durations**, {graphs} random graphs of inout and compute calls"
    return f"{head}\n\n{markdown_table(_COLUMNS, rows)}"


def _field(name: str) -> Callable[[Row], str]:
    return lambda row: f"{row[name]:.3f}"


_COLUMNS: Mapping[str, Callable[[Row], str]] = {
    "processors": lambda row: str(row["processors"]),
    "policy": lambda row: str(row["policy"]),
    "to the lower bound, mean": _field("mean_to_bound"),
    "to fifo, mean": _field("mean_to_fifo"),
    "worst": _field("worst_to_fifo"),
    "to the ranks, mean": _field("mean_to_ranks"),
    "worst ": _field("worst_to_ranks"),
}
