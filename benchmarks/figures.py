"""What a measurement came to: a figure, its floor, and whether it is what was wanted; and tables of rows.

Decides how repeats are interleaved and summed up. It must not know what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

T = TypeVar("T")
Row: TypeAlias = "dict[str, Any]"
"""One line of a table, as JSON has it."""


@dataclass(frozen=True)
class Series:
    """One quantity, measured several times."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return median(self.values)

    def __str__(self) -> str:
        return spread(self, shown)

    def as_json(self) -> dict[str, Any]:
        low, high = min(self.values), max(self.values)
        return {"median": self.median, "min": low, "max": high, "values": list(self.values)}


@dataclass(frozen=True)
class Figure:
    """What was measured, how often, and what was wanted.

    ``floors`` are what the machine itself takes for the least that the figure needs, in
    the same unit and from the same run. A figure without a bound explains another one.
    ``always`` means that every repeat has to keep the bound, and not only the median.
    """

    name: str
    what: str
    unit: str
    measured: Series
    floors: Mapping[str, Series] = field(default_factory=dict)
    at_most: float | None = None
    at_least: float | None = None
    always: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it is what was wanted; ``None`` if nothing was."""
        values = self.measured.values if self.always else [self.measured.median]
        if self.at_most is not None:
            return max(values) <= self.at_most
        return None if self.at_least is None else min(values) >= self.at_least

    @property
    def wanted(self) -> str:
        if self.at_most is not None:
            return f"{'never above' if self.always else 'at most'} {shown(self.at_most)}"
        return "" if self.at_least is None else f"at least {shown(self.at_least)}"

    def as_json(self) -> dict[str, Any]:
        """The figure as ``--json`` prints it."""
        floors = {name: floor.as_json() for name, floor in self.floors.items()}
        return vars(self) | {"measured": self.measured.as_json(), "floors": floors, "met": self.met}


def beside(name: str, what: str, unit: str, runs: Mapping[str, Sequence[float]], **bounds: Any) -> Figure:
    """What "ours" among the runs came to, beside all others."""
    series = {of: Series(values) for of, values in runs.items()}
    return Figure(name, what, unit, series.pop("ours"), series, **bounds)


def scaled(runs: Mapping[str, Sequence[float]], factor: float) -> dict[str, list[float]]:
    return {of: [factor * value for value in values] for of, values in runs.items()}


def shown(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(series: Series, shown: Callable[[float], str]) -> str:
    """The median and, in brackets, the range where there is one."""
    middle, low, high = (shown(one) for one in (series.median, min(series.values), max(series.values)))
    if "nan" in middle:
        return "-"
    return middle if low == high else f"{middle} ({low}-{high})"


def verdicts(figures: Sequence[Figure]) -> str:
    """A line for each figure: what was wanted, measured, and whether it is met."""
    lines = []
    for one in figures:
        unit = one.unit if one.unit in ("x", "") else f" {one.unit}"
        verdict = "met" if one.met else "**missed**"
        lines.append(
            f"- {one.name} ({one.what}): {one.measured}{unit}, wanted {one.wanted}{unit}: {verdict}\n"
        )
    return "".join(lines)


def table(
    columns: Mapping[str, Callable[[Any], str] | str], rows: Iterable[Any], *, numbers: bool = True
) -> str:
    """A table in Markdown: the first column to the left; with ``numbers``, all others to the right.

    A column is the name of a row's field, or a function that shows a row.
    """
    shows = [
        (lambda row, name=one: str(row[name])) if isinstance(one, str) else one for one in columns.values()
    ]
    lines = [f"| {' | '.join(columns)} |", f"|---|{('---:|' if numbers else '---|') * (len(columns) - 1)}"]
    return "\n".join(lines + [f"| {' | '.join(cell(row) for cell in shows)} |" for row in rows])


def interleaved(repeats: int, runs: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Each run ``repeats`` times, in turn and every other time backwards.

    What disturbs the machine for a while then disturbs a figure and its floor alike.
    """
    results: dict[str, list[T]] = {name: [] for name in runs}
    for repeat in range(repeats):
        for name in list(runs) if repeat % 2 == 0 else reversed(list(runs)):
            results[name].append(runs[name]())
    return results
