"""Runs to a table: what each technique got right, how long it took, what it cost; and charts of the same.

A run without an answer is a failure: it counts against what is right, and its time is no
latency. Speed-ups compare runs of the same question that both were answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from benchmarks import charts
from benchmarks.figures import Series, shown, spread, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

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
    groups = _grouped(runs, lambda run: (run.job.technique, run.job.policy, run.job.processors))
    return [
        _row(group, next((runs for key, runs in groups.items() if key[::2] == (FIRST, count)), []))
        for (_, _, count), group in groups.items()
    ]


def _grouped(runs: Iterable[Run], key: Callable[[Run], Any]) -> dict[Any, list[Run]]:
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups


def _row(runs: Sequence[Run], first: Sequence[Run]) -> Row:
    job = runs[0].job
    repeats = list(_grouped(runs, lambda run: run.job.repeat).values())
    answered = [[run for run in group if run.answered] for group in repeats]
    others = {(run.job.question, run.job.repeat): run for run in first if run.answered}
    pairs = [
        [(others[key], run) for run in group if (key := (run.job.question, run.job.repeat)) in others]
        for group in answered
    ]
    compared = job.technique != FIRST and any(pairs)

    def means(groups: Sequence[Sequence[Run]], value: Callable[[Run], float]) -> Series:
        return Series([mean(value(run) for run in group) for group in groups if group] or [float("nan")])

    def ratios(value: Callable[[Run], float]) -> Series | None:
        found = [
            sum(value(one) for one, _ in group) / total
            for group in pairs
            if (total := sum(value(other) for _, other in group)) > 0
        ]
        return Series(found or [float("nan")]) if compared else None

    return Row(
        technique=job.technique,
        policy=job.policy,
        processors=job.processors,
        questions=len({run.job.question for run in runs}),
        right=means(repeats, lambda run: run.right),
        failures=sum(not run.answered for run in runs),
        seconds=means(answered, lambda run: run.seconds),
        executing=means(answered, lambda run: run.executing),
        tokens_in=means(repeats, lambda run: run.input_tokens),
        tokens_out=means(repeats, lambda run: run.output_tokens),
        requests=means(repeats, lambda run: run.requests),
        errors=sum(run.errors for run in runs),
        recoveries=sum(run.recoveries for run in runs),
        faster=ratios(lambda run: run.seconds),
        executes_faster=ratios(lambda run: run.executing),
        cheaper=ratios(lambda run: run.input_tokens + run.output_tokens),
    )


def _times(series: Series | None) -> str:
    return "" if series is None else spread(series, lambda value: f"{value:.2f}x")


_COLUMNS: dict[str, Callable[[Row], str]] = {
    "technique": lambda row: row.technique,
    "policy": lambda row: row.policy,
    "processors": lambda row: str(row.processors),
    "right": lambda row: spread(row.right, lambda value: f"{100 * value:.0f} %"),
    "failures": lambda row: str(row.failures),
    "seconds": lambda row: spread(row.seconds, shown),
    "speed-up": lambda row: _times(row.faster),
    "executing, s": lambda row: spread(row.executing, shown),
    "speed-up of that": lambda row: _times(row.executes_faster),
    "tokens in": lambda row: spread(row.tokens_in, shown),
    "out": lambda row: spread(row.tokens_out, shown),
    "fewer tokens": lambda row: _times(row.cheaper),
    "requests": lambda row: spread(row.requests, shown),
    "errors": lambda row: str(row.errors),
    "recoveries": lambda row: str(row.recoveries),
}


def markdown(rows: Sequence[Row]) -> str:
    """The table as Markdown; several repeats show their median and, in brackets, their range."""
    return table(_COLUMNS, rows, numbers=False)


def described(runs: Sequence[Run]) -> str:
    """Where the table comes from, in one line; a technique with fewer questions or runs than the first is named."""
    groups: dict[str, dict[str, None]] = {}  # techniques in their order, by how much each was asked
    for row in rows(runs):
        asked = "1 question" if row.questions == 1 else f"{row.questions} questions"
        repeats = len(row.right.values)
        count = f"{asked}, {repeats} {'run' if repeats == 1 else 'runs'} each"
        groups.setdefault(count, {})[row.technique] = None
    first, *others = groups
    counts = "; ".join([first, *(f"{', '.join(groups[count])}: {count}" for count in others)])
    models = ", ".join(dict.fromkeys(run.job.model for run in runs))
    dates = sorted({run.began[:10] for run in runs})
    return f"{counts}; model {models}, {dates[0] if len(dates) == 1 else f'{dates[0]} to {dates[-1]}'}"


def written(name: str, runs: Sequence[Run], out: Path) -> str:
    """The table of these runs as Markdown, kept with its charts in ``out``."""
    made = rows(runs)
    text = f"{described(runs)}\n\n{markdown(made)}\n"
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    last = [row for row in made if row.processors == max(row.processors for row in made)]
    latency = {row.technique: row.seconds.median for row in last if row.seconds.median == row.seconds.median}
    spent = {row.technique: row.tokens_in.median + row.tokens_out.median for row in last}
    charts.bars(latency, out / f"{name}-latency", unit="s", title=f"{name}: latency of an answer")
    charts.bars(spent, out / f"{name}-tokens", unit="", title=f"{name}: tokens of an answer")
    return text
