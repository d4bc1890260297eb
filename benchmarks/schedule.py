"""How short each policy makes real plans of known durations, on a virtual clock.

Decides nothing about order: every makespan is the runtime's own simulation. What the
policies are held against comes from elsewhere: the optimum that is published with a plan
for unlimited processors, the lower bound, and the exact optimum of small plans.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure, Series
from benchmarks.policies import FIFO, OURS, POLICIES, RANKS, markdown_table, shortest
from benchmarks.questions import DataMissing
from llmorch import Orchestrator, discover, function, simulate
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.policies import Row
    from llmorch import Plan

FILE = "asynchow/plans.json"
PUBLISHED = "https://github.com/fangru-lin/graph-llm-asynchow-plan (AsyncHow)"
PROCESSORS = (2, 3, 4, 6, 8)
UNLIMITED = "unlimited"
_MODERATE = range(2, 9)
"""The numbers of processors for which figures are wanted."""


@function(kind="compute")
def step(after: list[None]) -> None:
    """One step of a plan, after others. It is never run: a virtual clock only takes its time."""


_ORCHESTRATOR = Orchestrator([step], model=ScriptedModel([]), processors=1)


@dataclass(frozen=True)
class TimedPlan:
    """A plan of compute calls whose durations, in seconds by call id, are known."""

    plan: Plan
    durations: Mapping[str, float]
    optimum: float
    """The published makespan with unlimited processors."""

    @classmethod
    def of(cls, durations: Mapping[str, float], edges: Sequence[Sequence[str]], optimum: float) -> TimedPlan:
        """From steps in any order and the pairs (before, after) among them.

        Raises ``ValueError``, also for an optimum that can't be one.
        """
        before: dict[str, list[str]] = {name: [] for name in durations}
        for first, then in edges:
            if first not in before or then not in before:
                raise ValueError(f"an edge from {first!r} to {then!r}, which are not both steps")
            before[then].append(first)
        order = _in_order(before)
        ids = {name: f"s{number}" for number, name in enumerate(order, 1)}
        lines = [f"{ids[name]} = step(after=[{', '.join(ids[b] for b in before[name])}])" for name in order]
        seconds = {ids[name]: float(durations[name]) for name in order}
        if not seconds or not all(math.isfinite(value) and value >= 0 for value in seconds.values()):
            raise ValueError("durations are numbers of seconds, at least one, none of them negative")
        ends: dict[str, float] = {}
        for name in order:
            ends[name] = float(durations[name]) + max((ends[b] for b in before[name]), default=0.0)
        # Nothing waits for a processor there, so it is the longest chain and nothing else.
        longest = max(ends.values())
        if not math.isclose(float(optimum), longest, rel_tol=1e-6) or not math.isfinite(longest):
            raise ValueError(
                f"the optimum is {float(optimum):g} s, "
                f"but with unlimited processors the longest chain of steps takes {longest:g} s"
            )
        return cls(_ORCHESTRATOR.check("\n".join(lines)), seconds, float(optimum))

    @cached_property
    def uses(self) -> list[list[int]]:
        """By each call's place in the plan, the places of the calls that it uses."""
        graph = discover(self.plan, _ORCHESTRATOR.functions)
        return [[graph.order(used) for used in graph.uses(call.id)] for call in self.plan]

    def simulated(self, policy: str, processors: int) -> tuple[float, float]:
        """The makespan under a policy, and the lower bound of any."""
        done = simulate(
            self.plan,
            _ORCHESTRATOR.functions,
            self.durations,
            processors=processors,
            policy=policy,
            optimize=False,
        )
        return done.makespan, done.lower_bound


def _in_order(before: Mapping[str, Sequence[str]]) -> list[str]:
    """The steps as they stand, each moved down only as far as what it waits for needs."""
    order: list[str] = []
    placed: set[str] = set()
    left = list(before)
    while left:
        name = next((name for name in left if placed.issuperset(before[name])), None)
        if name is None:
            raise ValueError(f"the steps {', '.join(left)} wait for each other")
        left.remove(name)
        placed.add(name)
        order.append(name)
    return order


def plans(data: Path) -> list[TimedPlan]:
    """Every plan of the file below ``data``. Raises ``DataMissing``."""
    path = data / FILE
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataMissing(f"{path} can't be read ({error}); it is published at {PUBLISHED}") from None
    if not isinstance(found, list) or not found:
        raise DataMissing(f"{path} is not a list of plans; it is published at {PUBLISHED}")
    made = []
    for place, item in enumerate(found, 1):
        try:
            made.append(TimedPlan.of(item["durations"], item["edges"], item["optimum"]))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else error
            raise DataMissing(f"{path}: plan {place}: {reason}; it is published at {PUBLISHED}") from None
    return made


def rows(
    plans: Sequence[TimedPlan],
    processors: Sequence[int] = PROCESSORS,
    policies: Sequence[str] = tuple(POLICIES),
) -> list[Row]:
    """One row for each number of processors, first unlimited ones, and each policy.

    ``fifo`` and ``ranks`` are compared with whether or not they are among ``policies``.
    """
    names = tuple(dict.fromkeys([*policies, FIFO, RANKS]))
    made: list[Row] = []
    for count in (None, *processors):
        spans: dict[str, list[float]] = {name: [] for name in names}
        bounds, optima = [], []
        for plan in plans:
            for name in names:
                makespan, bound = plan.simulated(name, count or len(plan.plan))
                spans[name].append(makespan)
            bounds.append(bound)
            found = min(spans[name][-1] for name in names)
            optima.append(
                plan.optimum
                if count is None
                else shortest(list(plan.durations.values()), plan.uses, count, bound=bound, found=found)
            )
        best = [min(of_one) for of_one in zip(*spans.values(), strict=True)]
        for name in policies:
            made.append(
                {"policy": name, "processors": count or UNLIMITED, "plans": len(plans)}
                | _against(spans[name], bounds, optima, spans[FIFO], spans[RANKS], best)
            )
    return made


def _against(
    spans: Sequence[float],
    bounds: Sequence[float],
    optima: Sequence[float | None],
    fifo: Sequence[float],
    ranks: Sequence[float],
    best: Sequence[float],
) -> Row:
    to_bound = _ratios(spans, bounds)
    known = [(span, optimum) for span, optimum in zip(spans, optima, strict=True) if optimum is not None]
    to_optimum = _ratios(*zip(*known, strict=True)) if known else []
    to_fifo, to_ranks = _ratios(spans, fifo), _ratios(spans, ranks)
    return {
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
        "best_of_all": sum(ratio == 1 for ratio in _ratios(spans, best)),
    }


def _ratios(spans: Sequence[float], others: Sequence[float]) -> list[float]:
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
        if policy != OURS:
            continue
        others = {name: by_place[name, count] for name in (RANKS, FIFO) if (name, count) in by_place}
        if count == UNLIMITED:
            made.append(
                _figure(
                    "share of plans at the published optimum", count, row, others, _at_optimum, at_least=1.0
                )
            )
        elif count in _MODERATE:
            made += [
                _figure("mean of the lower bound", count, row, others, _field("mean_to_bound"), at_most=1.05),
                _figure("worst against fifo", count, row, others, _field("worst_to_fifo"), at_most=1.0),
                _figure(
                    "worst against the paper's ranks",
                    count,
                    row,
                    others,
                    _field("worst_to_ranks"),
                    at_most=1.0,
                ),
            ]
    return made


def _figure(
    what: str,
    count: object,
    row: Row,
    others: Mapping[str, Row],
    value: Callable[[Row], float],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Figure:
    return Figure(
        f"schedule, {count}: {what}",
        f"{row['plans']} plans on {count} processors",
        "times" if at_least is None else "of all",
        Series([value(row)]),
        {name: Series([value(other)]) for name, other in others.items()},
        at_most=at_most,
        at_least=at_least,
    )


def _field(name: str) -> Callable[[Row], float]:
    return lambda row: float(str(row[name]))


def _at_optimum(row: Row) -> float:
    return float(str(row["at_optimum"])) / float(str(row["optimum_known"]))


def markdown(rows: Sequence[Row]) -> str:
    """A table for each number of processors, a line a policy."""
    parts = []
    for count in dict.fromkeys(row["processors"] for row in rows):
        of_count = [row for row in rows if row["processors"] == count]
        known, plans = of_count[0]["optimum_known"], of_count[0]["plans"]
        source = "published" if count == UNLIMITED else f"exact, known for {known} of {plans}"
        parts.append(f"**{count} processors**, {plans} plans (optimum: {source})")
        parts.append(markdown_table(_COLUMNS, of_count))
    return "\n\n".join(parts)


def _pair(mean: str, worst: str) -> Callable[[Row], str]:
    return lambda row: "" if row[mean] is None else f"{row[mean]:.3f} / {row[worst]:.2f}"


def _count_and_worst(count: str, worst: str) -> Callable[[Row], str]:
    return lambda row: f"{row[count]} ({row[worst]:.2f})" if row[count] else "0"


_COLUMNS: Mapping[str, Callable[[Row], str]] = {
    "policy": lambda row: str(row["policy"]),
    "at the optimum": lambda row: f"{_at_optimum(row):.1%}" if row["optimum_known"] else "",
    "to the optimum, mean / worst": _pair("mean_to_optimum", "worst_to_optimum"),
    "to the lower bound, mean / worst": _pair("mean_to_bound", "worst_to_bound"),
    "worse than fifo (worst)": _count_and_worst("worse_than_fifo", "worst_to_fifo"),
    "worse than the ranks (worst)": _count_and_worst("worse_than_ranks", "worst_to_ranks"),
    "best of all": lambda row: str(row["best_of_all"]),
}
