"""How short each policy makes plans of known durations, on a virtual clock.

What the policies are held against comes from elsewhere: the optimum that is published with a plan
for unlimited processors, the lower bound, and the exact optimum of small plans. On random graphs of
unequal durations these are known to our policy exactly, learned by function, or not at all.
"""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure, Series, table, verdicts
from benchmarks.optimum import shortest
from benchmarks.timed import published, random_plans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.asking import Settings
    from benchmarks.figures import Row
    from benchmarks.timed import TimedPlan

POLICIES = ("critical", "exclusive", "greedy", "barrier", "sequential")
"""Ours: the longest remaining path first; the paper's: sets of calls by rank, in turn; LLMCompiler's: first
ready, first started (fifo); parallel function calling's: a batch, then the next; ReAct's: one at a time."""
OURS, RANKS, FIFO = "critical", "exclusive", "greedy"
UNLIMITED = "unlimited"
PROCESSORS = (2, 3, 4, 6, 8)
_MODERATE = range(2, 9)
"""The numbers of processors for which figures are wanted."""
GRAPHS = 300
LEARNED, UNKNOWN = f"{OURS}, medians by function", f"{OURS}, nothing known"
NAMES = (OURS, LEARNED, UNKNOWN, FIFO, RANKS)
WORSE = 1.01
"""What a single random graph may be worse by, at most."""


def run(settings: Settings) -> str:
    """Both tables, and what was wanted."""
    counts = tuple(settings.processors) or PROCESSORS
    made = rows(published(settings.data)[: settings.limit], counts)
    unequal = unequal_rows(random_plans(settings.limit or GRAPHS, settings.seed), counts)
    parts = [markdown(made), verdicts(figures(made)), unequal_markdown(unequal)]
    return "\n\n".join([*parts, verdicts(unequal_figures(unequal))])


def rows(plans: Sequence[TimedPlan], processors: Sequence[int] = PROCESSORS) -> list[Row]:
    """One row for each number of processors, first unlimited ones, and each policy."""
    made: list[Row] = []
    for count in (None, *processors):
        runs = {name: [plan.simulated(name, count or len(plan.plan)) for plan in plans] for name in POLICIES}
        bounds = [bound for _, bound in runs[OURS]]
        spans = {name: [span for span, _ in found] for name, found in runs.items()}
        best = [min(of_one) for of_one in zip(*spans.values(), strict=True)]
        optima = [
            plan.optimum
            if count is None
            else shortest(list(plan.durations.values()), plan.uses, count, bound=bound, found=found)
            for plan, bound, found in zip(plans, bounds, best, strict=True)
        ]
        for name, own in spans.items():
            known = [
                (span, optimum) for span, optimum in zip(own, optima, strict=True) if optimum is not None
            ]
            to_optimum = _ratios(*zip(*known, strict=True)) if known else []
            to_bound, to_fifo, to_ranks, to_best = (
                _ratios(own, other) for other in (bounds, spans[FIFO], spans[RANKS], best)
            )
            made.append(
                {
                    "policy": name,
                    "processors": count or UNLIMITED,
                    "plans": len(plans),
                    "mean_to_bound": fmean(to_bound),
                    "worst_to_bound": max(to_bound),
                    "optimum_known": len(known),
                    "at_optimum": sum(ratio == 1 for ratio in to_optimum),
                    "mean_to_optimum": fmean(to_optimum) if known else None,
                    "worst_to_optimum": max(to_optimum) if known else None,
                    "worse_than_fifo": sum(ratio > 1 for ratio in to_fifo),
                    "worst_to_fifo": max(to_fifo),
                    "worse_than_ranks": sum(ratio > 1 for ratio in to_ranks),
                    "worst_to_ranks": max(to_ranks),
                    "best_of_all": sum(ratio == 1 for ratio in to_best),
                }
            )
    return made


def _ratios(spans: Sequence[Any], others: Sequence[Any]) -> list[float]:
    """One by one; what differs by rounding alone is 1."""
    return [
        1.0 if math.isclose(span, other, rel_tol=1e-9) else span / other if other else math.inf
        for span, other in zip(spans, others, strict=True)
    ]


def figures(rows: Sequence[Row]) -> list[Figure]:
    """What is wanted of our policy, beside the paper's ranks and fifo from the same plans."""
    by_place = {(row["policy"], row["processors"]): row for row in rows}
    made = []
    for (policy, count), row in by_place.items():
        others = {name: by_place[name, count] for name in (RANKS, FIFO)}
        what = f"{row['plans']} plans on {count} processors"
        if policy == OURS and count == UNLIMITED:
            name = f"schedule, {count}: share of plans at the published optimum"
            floors = {other: Series([_at_optimum(of)]) for other, of in others.items()}
            made.append(Figure(name, what, "of all", Series([_at_optimum(row)]), floors, at_least=1.0))
        elif policy == OURS and count in _MODERATE:
            for told, key, most in (
                ("mean of the lower bound", "mean_to_bound", 1.05),
                ("worst against fifo", "worst_to_fifo", 1.0),
                ("worst against the paper's ranks", "worst_to_ranks", 1.0),
            ):
                floors = {other: Series([of[key]]) for other, of in others.items()}
                name = f"schedule, {count}: {told}"
                made.append(Figure(name, what, "times", Series([row[key]]), floors, at_most=most))
    return made


def _at_optimum(row: Row) -> float:
    return float(row["at_optimum"] / row["optimum_known"])


def markdown(rows: Sequence[Row]) -> str:
    """A table for each number of processors, a line a policy."""
    parts = []
    for count in dict.fromkeys(row["processors"] for row in rows):
        of_count = [row for row in rows if row["processors"] == count]
        known, plans = of_count[0]["optimum_known"], of_count[0]["plans"]
        source = "published" if count == UNLIMITED else f"exact, known for {known} of {plans}"
        parts += [f"**{count} processors**, {plans} plans (optimum: {source})", table(_COLUMNS, of_count)]
    return "\n\n".join(parts)


def _pair(of: str) -> Callable[[Row], str]:
    mean, worst = f"mean_to_{of}", f"worst_to_{of}"
    return lambda row: "" if row[mean] is None else f"{row[mean]:.3f} / {row[worst]:.2f}"


def _worse(than: str) -> Callable[[Row], str]:
    count, worst = f"worse_than_{than}", f"worst_to_{than}"
    return lambda row: f"{row[count]} ({row[worst]:.2f})" if row[count] else "0"


_COLUMNS: Mapping[str, Callable[[Row], str] | str] = {
    "policy": "policy",
    "at the optimum": lambda row: f"{_at_optimum(row):.1%}" if row["optimum_known"] else "",
    "to the optimum, mean / worst": _pair("optimum"),
    "to the lower bound, mean / worst": _pair("bound"),
    "worse than fifo (worst)": _worse("fifo"),
    "worse than the ranks (worst)": _worse("ranks"),
    "best of all": "best_of_all",
}


def unequal_rows(graphs: Sequence[TimedPlan], processors: Sequence[int] = PROCESSORS) -> list[Row]:
    """One row for each number of processors and each policy; ours with what it knows of durations."""
    made: list[Row] = []
    for count in processors:
        runs = {}
        for name in NAMES:
            known = {LEARNED: lambda graph: graph.learned, UNKNOWN: lambda _: {}}.get(name, lambda _: None)
            policy = name.partition(",")[0]
            runs[name] = [graph.simulated(policy, count, known(graph)) for graph in graphs]
        bounds = [bound for _, bound in runs[OURS]]
        spans = {name: [span for span, _ in found] for name, found in runs.items()}
        for name, own in spans.items():
            to_fifo, to_ranks = _ratios(own, spans[FIFO]), _ratios(own, spans[RANKS])
            made.append(
                {
                    "policy": name,
                    "processors": count,
                    "graphs": len(graphs),
                    "mean_to_bound": fmean(_ratios(own, bounds)),
                    "mean_to_fifo": fmean(to_fifo),
                    "mean_to_ranks": fmean(to_ranks),
                    "worst_to_fifo": max(to_fifo),
                    "worst_to_ranks": max(to_ranks),
                }
            )
    return made


def unequal_figures(rows: Sequence[Row]) -> list[Figure]:
    """What is wanted of our policy where durations are known, on every graph and on the mean."""
    return [
        Figure(
            f"unequal durations, {row['processors']}: {what} against {told}",
            f"{row['graphs']} random graphs on {row['processors']} processors",
            "times",
            Series([row[f"{what}_to_{other}"]]),
            at_most=at_most,
        )
        for row in rows
        if row["policy"] == OURS
        for other, told in (("fifo", "fifo"), ("ranks", "the paper's ranks"))
        for what, at_most in (("worst", WORSE), ("mean", 1.0))
    ]


def unequal_markdown(rows: Sequence[Row]) -> str:
    """One table; a line for each number of processors and each policy."""
    shown = {
        "to the lower bound, mean": "mean_to_bound",
        "to fifo, mean": "mean_to_fifo",
        "worst": "worst_to_fifo",
        "to the ranks, mean": "mean_to_ranks",
        "worst ": "worst_to_ranks",
    }
    columns: dict[str, Callable[[Row], str] | str] = {"processors": "processors", "policy": "policy"}
    columns |= {title: lambda row, key=key: f"{row[key]:.3f}" for title, key in shown.items()}
    head = f"**Unequal durations**, {rows[0]['graphs']} random graphs of inout and compute calls"
    return f"{head}\n\n{table(columns, rows)}"
