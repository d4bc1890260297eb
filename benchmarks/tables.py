"""Runs to a table: what each technique got right, how long it took, what it cost.

A run without an answer is a failure: it counts against what is right, and its time is no
latency. Speed-ups compare runs of the same question that both were answered.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import mean, median
from typing import TYPE_CHECKING

from benchmarks.figures import Series, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.records import Run

FIRST = "react"
"""What speed-ups and savings are measured against, where it is among the runs."""


@dataclass(frozen=True)
class Row:
    """One technique on so many processors; each series has one value a repeat."""

    technique: str
    policy: str
    processors: int
    questions: int
    right: Series
    """Share of the questions."""
    failures: int
    seconds: Series
    """Mean latency of what was answered."""
    executing: Series
    tokens_in: Series
    tokens_out: Series
    requests: Series
    errors: int
    recoveries: int
    faster: Series | None = None
    """How many times faster than the first technique, as the ratio of the sums over the same questions."""
    executes_faster: Series | None = None
    cheaper: Series | None = None
    """How many times fewer tokens, in and out, than the first technique."""


def rows(runs: Iterable[Run]) -> list[Row]:
    """The table's rows, in the order in which techniques and processors first appear."""
    groups: dict[tuple[str, str, int], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.job.technique, run.job.policy, run.job.processors].append(run)
    return [_row(group, _first(groups, key[2])) for key, group in groups.items()]


def _first(groups: dict[tuple[str, str, int], list[Run]], processors: int) -> list[Run]:
    return next((runs for key, runs in groups.items() if key[0] == FIRST and key[2] == processors), [])


def _row(runs: Sequence[Run], first: Sequence[Run]) -> Row:
    job = runs[0].job
    repeats = _by_repeat(runs)
    answered = [[run for run in group if run.answered] for group in repeats]
    others = {(run.job.question, run.job.repeat): run for run in first if run.answered}
    pairs = [
        [(others[key], run) for run in group if (key := (run.job.question, run.job.repeat)) in others]
        for group in answered
    ]
    compared = bool(first) and job.technique != FIRST and any(pairs)
    return Row(
        technique=job.technique,
        policy=job.policy,
        processors=job.processors,
        questions=len({run.job.question for run in runs}),
        right=Series([mean(run.right for run in group) for group in repeats]),
        failures=sum(not run.answered for run in runs),
        seconds=_means(answered, lambda run: run.seconds),
        executing=_means(answered, lambda run: run.executing),
        tokens_in=_means(repeats, lambda run: run.input_tokens),
        tokens_out=_means(repeats, lambda run: run.output_tokens),
        requests=_means(repeats, lambda run: run.requests),
        errors=sum(run.errors for run in runs),
        recoveries=sum(run.recoveries for run in runs),
        faster=_ratios(pairs, lambda run: run.seconds) if compared else None,
        executes_faster=_ratios(pairs, lambda run: run.executing) if compared else None,
        cheaper=_ratios(pairs, lambda run: run.input_tokens + run.output_tokens) if compared else None,
    )


def _by_repeat(runs: Sequence[Run]) -> list[list[Run]]:
    groups: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.job.repeat].append(run)
    return list(groups.values())


def _means(groups: Sequence[Sequence[Run]], value: Callable[[Run], float]) -> Series:
    return Series([mean(value(run) for run in group) for group in groups if group] or [float("nan")])


def _ratios(pairs: Sequence[Sequence[tuple[Run, Run]]], value: Callable[[Run], float]) -> Series:
    ratios = [
        sum(value(one) for one, _ in group) / total
        for group in pairs
        if (total := sum(value(other) for _, other in group)) > 0
    ]
    return Series(ratios or [float("nan")])


def markdown(table: Sequence[Row]) -> str:
    """The table as Markdown; several repeats show their median and, in brackets, their range."""
    heads = (
        "technique", "policy", "processors", "right", "failures", "seconds", "speed-up", "executing, s",
        "speed-up of that", "tokens in", "out", "fewer tokens", "requests", "errors", "recoveries",
    )  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in table:
        cells = (
            row.technique,
            row.policy,
            str(row.processors),
            _percent(row.right),
            str(row.failures),
            _shown(row.seconds),
            _times(row.faster),
            _shown(row.executing),
            _times(row.executes_faster),
            _shown(row.tokens_in),
            _shown(row.tokens_out),
            _times(row.cheaper),
            _shown(row.requests),
            str(row.errors),
            str(row.recoveries),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def described(runs: Sequence[Run]) -> str:
    """Where the table comes from, in one line; a technique with fewer questions or runs than the first is named."""
    groups: dict[str, dict[str, None]] = {}  # techniques in their order, by how much each was asked
    for row in rows(runs):
        groups.setdefault(_counted(row.questions, len(row.right.values)), {})[row.technique] = None
    first, *others = groups
    asked = "; ".join([first, *(f"{', '.join(groups[count])}: {count}" for count in others)])
    models = ", ".join(dict.fromkeys(run.job.model for run in runs))
    dates = sorted({run.began[:10] for run in runs})
    span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"{asked}; model {models}, {span}"


def _counted(questions: int, repeats: int) -> str:
    """How many questions were asked, and how often."""
    asked = "1 question" if questions == 1 else f"{questions} questions"
    return f"{asked}, {repeats} {'run' if repeats == 1 else 'runs'} each"


def _percent(series: Series) -> str:
    return _spread([f"{100 * value:.0f} %" for value in (median(series.values), *_range(series))])


def _shown(series: Series) -> str:
    return _spread([shown(value) for value in (median(series.values), *_range(series))])


def _times(series: Series | None) -> str:
    if series is None:
        return ""
    return _spread([f"{value:.2f}x" for value in (median(series.values), *_range(series))])


def _range(series: Series) -> tuple[float, float]:
    return min(series.values), max(series.values)


def _spread(texts: Sequence[str]) -> str:
    middle, low, high = texts
    if "nan" in middle:
        return "-"
    return middle if low == high else f"{middle} ({low}-{high})"
