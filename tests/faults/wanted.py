"""How counts of what was tried are reported: as a table in Markdown, and as a line for each thing that was wanted."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Wanted:
    """What was counted or measured, of what, and a bound that each of the values has to keep."""

    name: str
    of: str
    values: Sequence[float]
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""

    @property
    def met(self) -> bool:
        return all(value <= self.at_most for value in self.values if self.at_most is not None) and all(
            value >= self.at_least for value in self.values if self.at_least is not None
        )

    def __str__(self) -> str:
        unit = f" {self.unit}".rstrip()
        measured = digits(median(self.values))
        if len(self.values) > 1:
            measured += f" ({digits(min(self.values))}-{digits(max(self.values))})"
        bound = (
            f"at least {digits(self.at_least)}" if self.at_most is None else f"at most {digits(self.at_most)}"
        )
        return (
            f"- {self.name} ({self.of}): {measured}{unit}, wanted {bound}{unit}: "
            f"{'met' if self.met else '**missed**'}"
        )


def digits(value: Any) -> str:
    """Three digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(
    columns: Mapping[str, Callable[[Any], object]], rows: Iterable[Any], wanted: Iterable[Wanted]
) -> str:
    """A table with the first column to the left, and what was wanted below it."""
    lines = [f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]
    lines += [f"| {' | '.join(str(cell(row)) for cell in columns.values())} |" for row in rows]
    return "\n".join([*lines, "", *map(str, wanted), ""])
