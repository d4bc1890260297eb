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
WORSE = (
    1.1  # what one random graph may be worse by: the longest path first isn't always best (R. Graham, 1969)
)


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
        spans, bounds = _played(plans, count, {name: lambda _: None for name in POLICIES})
        optima = [plan.optimum if count is None else plan.optima.get(str(count)) for plan in plans]
        best = [min(of_one) for of_one in zip(*spans.values(), strict=True)]
        others = {"bound": bounds, "optimum": optima, "best": best}
        made += _rows(spans, others, {"processors": count or UNLIMITED, "plans": len(plans)})
    return made


def unequal_rows(graphs: Sequence[TimedPlan], processors: Sequence[int] = PROCESSORS) -> list[Row]:
    """One row for each number of processors and each policy; ours with what it knows of durations."""
    knows: dict[str, Any] = {name: lambda _: None for name in NAMES}
    knows |= {LEARNED: lambda graph: graph.learned, UNKNOWN: lambda _: {}}
    made: list[Row] = []
    for count in processors:
        spans, bounds = _played(graphs, count, knows)
        made += _rows(spans, {"bound": bounds}, {"processors": count, "graphs": len(graphs)})
    return made


def _played(
    plans: Sequence[TimedPlan], count: int | None, knows: Mapping[str, Callable[[TimedPlan], Any]]
) -> tuple[dict[str, list[float]], list[float]]:
    """The makespans by policy, each with what it knows of durations, and the lower bounds."""
    runs = {
        name: [plan.simulated(name.split(",")[0], count or len(plan.plan), known(plan)) for plan in plans]
        for name, known in knows.items()
    }
    return {name: [span for span, _ in of] for name, of in runs.items()}, [bound for _, bound in runs[OURS]]


def _rows(
    spans: Mapping[str, Sequence[float]], others: Mapping[str, Sequence[float | None]], about: Row
) -> list[Row]:
    """A row a policy: how its makespans compare with others, where these are known."""
    made = []
    for name, own in spans.items():
        row = {"policy": name, **about}
        for of, other in (others | {"fifo": spans[FIFO], "ranks": spans[RANKS]}).items():
            ratios = _ratios(own, other)
            row |= {f"known_{of}": len(ratios), f"as_{of}": sum(ratio == 1 for ratio in ratios)}
            row |= {f"worse_than_{of}": sum(ratio > 1 for ratio in ratios)}
            row |= {
                f"mean_to_{of}": fmean(ratios) if ratios else None,
                f"worst_to_{of}": max(ratios, default=None),
            }
        made.append(row)
    return made


def _ratios(spans: Sequence[float], others: Sequence[float | None]) -> list[float]:
    """One by one; what differs by rounding alone is 1."""
    return [
        1.0 if math.isclose(span, other, rel_tol=1e-9) else span / other if other else math.inf
        for span, other in zip(spans, others, strict=True)
        if other is not None
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
    return float(row["as_optimum"] / row["known_optimum"])


def markdown(rows: Sequence[Row]) -> str:
    """A table for each number of processors, a line a policy."""
    parts = []
    for count in dict.fromkeys(row["processors"] for row in rows):
        of_count = [row for row in rows if row["processors"] == count]
        known, plans = of_count[0]["known_optimum"], of_count[0]["plans"]
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
    "at the optimum": lambda row: f"{_at_optimum(row):.1%}" if row["known_optimum"] else "",
    "to the optimum, mean / worst": _pair("optimum"),
    "to the lower bound, mean / worst": _pair("bound"),
    "worse than fifo (worst)": _worse("fifo"),
    "worse than the ranks (worst)": _worse("ranks"),
    "best of all": "as_best",
}


def unequal_figures(rows: Sequence[Row]) -> list[Figure]:
    """What is wanted of our policy where durations are known, on every graph and on the mean."""
    made = []
    for row in (row for row in rows if row["policy"] == OURS):
        graphs = f"{row['graphs']} random graphs on {row['processors']} processors"
        for other, told in (("fifo", "fifo"), ("ranks", "the paper's ranks")):
            for what, most in (("worst", WORSE), ("mean", 1.0)):
                name = f"unequal durations, {row['processors']}: {what} against {told}"
                made.append(Figure(name, graphs, "times", Series([row[f"{what}_to_{other}"]]), at_most=most))
    return made


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
