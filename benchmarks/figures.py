"""What a measurement came to: a figure, its floor, and whether it is what was wanted.

Decides how repeats are interleaved and summed up. It must not know what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")


@dataclass(frozen=True)
class Series:
    """One quantity, measured several times."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return median(self.values)

    def __str__(self) -> str:
        return f"{shown(self.median)} ({shown(min(self.values))}-{shown(max(self.values))})"

    def as_json(self) -> dict[str, Any]:
        return {
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "values": list(self.values),
        }


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
        if self.at_least is not None:
            return min(values) >= self.at_least
        return None

    @property
    def wanted(self) -> str:
        if self.at_most is not None:
            return f"{'never above' if self.always else 'at most'} {shown(self.at_most)}"
        return "" if self.at_least is None else f"at least {shown(self.at_least)}"

    def as_json(self) -> dict[str, Any]:
        """The figure as ``--json`` prints it."""
        return {
            "name": self.name,
            "what": self.what,
            "unit": self.unit,
            "measured": self.measured.as_json(),
            "floors": {name: floor.as_json() for name, floor in self.floors.items()},
            "at_most": self.at_most,
            "at_least": self.at_least,
            "always": self.always,
            "met": self.met,
        }


def shown(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def interleaved(repeats: int, runs: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Each run ``repeats`` times, in turn and every other time backwards.

    What disturbs the machine for a while then disturbs a figure and its floor alike.
    """
    results: dict[str, list[T]] = {name: [] for name in runs}
    for repeat in range(repeats):
        for name in list(runs) if repeat % 2 == 0 else reversed(list(runs)):
            results[name].append(runs[name]())
    return results
