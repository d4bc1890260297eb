"""Compares the techniques on a question set: runs, table and charts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import charts, tables
from benchmarks.asking import ask
from benchmarks.progress import Progress
from benchmarks.records import Runs
from llmorch import Orchestrator, model_named
from llmorch.testing import RecordedModel, ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.asking import Settings
    from benchmarks.questions import QuestionSet
    from benchmarks.records import Run

RECORDED = Path(__file__).parent / "recorded"
"""Replies of the local model, one file a set, for runs without a model."""


def set_named(name: str) -> QuestionSet:
    """The question set of this name."""
    found: QuestionSet = import_module(f"benchmarks.sets.{name}").SET
    return found


def run(name: str, settings: Settings, *, record: bool = False) -> str:
    """Ask the set's questions, keep runs, table and charts in ``settings.out``; return the table."""
    chosen = set_named(name)
    machine = Orchestrator([], model=ScriptedModel([])).processors
    settings = replace(settings, processors=settings.processors or (min(chosen.processors, machine),))
    runs = Runs(settings.out / f"{name}.jsonl")
    with Progress(name) as progress:
        asked = asyncio.run(
            ask(chosen, _model(name, settings.model, record=record), settings, runs, told=progress.told)
        )
    return written(name, asked, settings.out)


def written(name: str, runs: Sequence[Run], out: Path) -> str:
    """The table of these runs as Markdown, kept with its charts in ``out``."""
    made = tables.rows(runs)
    text = f"{tables.described(runs)}\n\n{tables.markdown(made)}\n"
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    most = max(row.processors for row in made)
    rows = [row for row in made if row.processors == most]
    latency = {row.technique: row.seconds.median for row in rows if row.seconds.median == row.seconds.median}
    spent = {row.technique: row.tokens_in.median + row.tokens_out.median for row in rows}
    charts.bars({name: latency}, out / f"{name}-latency", unit="s", title=f"{name}: latency of an answer")
    charts.bars({name: spent}, out / f"{name}-tokens", unit="", title=f"{name}: tokens of an answer")
    _timeline(name, runs, out)
    return text


def _timeline(name: str, runs: Sequence[Run], out: Path) -> None:
    """The calls of one question that most techniques answered, one below the other."""
    by_question: dict[tuple[str, int], dict[str, Any]] = {}
    for run in runs:
        if run.answered and run.calls:
            kept = by_question.setdefault((run.job.question, run.job.processors), {})
            kept.setdefault(run.job.technique, run.calls)
    if by_question:
        charts.timelines(
            max(by_question.values(), key=len), out / f"{name}-timeline", title=f"{name}: one question"
        )


def _model(name: str, model: str, *, record: bool) -> Any:
    path = RECORDED / f"{name}.jsonl"
    if model == "recorded":
        return RecordedModel(path)
    named = model_named(model)
    return RecordedModel(path, record=named) if record else named
