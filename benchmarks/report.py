"""Writes ``benchmarks/RESULTS.md`` from what the benchmarks left in one folder: tables, and what was wanted.

Times, tokens and verdicts of each run are kept beside it, in ``results/``, without any
text of a question or an answer: whoever doubts a table can make it again from them, and
a set of questions that takes hours can be gone on with on another day.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import tables
from benchmarks.figures import Figure, Series, verdicts
from benchmarks.questions import DataMissing
from benchmarks.records import Runs
from benchmarks.sets import SETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.records import Run

RESULTS = Path(__file__).parent / "RESULTS.md"
TABLES = ("scaling", "schedule", "effects", "peers", "recovery", "injection")
FAULTS = ("limits", "mistakes", "replies", "failures", "stopping")
"""Counts of what the tests try, which ``python -m tests.faults`` makes."""
BY_HAND = ("bounds", "fuzzing")
"""What other commands printed: they stay as they are."""
OURS = "llmorch"
_PLACES = "--data ../shared/data --out DIR\n"

FASTER = {"hotpotqa": 2.0, "movierec": 3.0, "parallelqa": 2.0}
"""How many times faster than ReAct, from the query to the answer."""
CHEAPER = 3.0
EXECUTES_FASTER = {"kitti": 1.9, "agnews": 1.8}
TO_BOUND = 1.10
WHY_MISSED = {
    "hotpotqa": "Two searches leave little to overlap: ReAct has three turns of some twenty tokens each, and nearly "
    "half of our time goes into reading both pages, which ReAct's turns read as well.",
    "movierec": "A small model on two processors writes some twenty tokens a second: a plan of eight searches, about "
    "54 tokens, is half of the time, and reading what the eight returned most of the other half.",
    "parallelqa": "Of our time more than half goes into the one calculation, for which the model reads what the pages "
    "say and writes an expression: no plan makes that shorter.",
    "kitti": "While the local model writes the plan it has one of the two processors, and calls the other.",
    "agnews": "While the local model writes the plan, and answers chatbot, it has one of the two processors.",
}
"""What keeps a figure from being met where the model runs on the processors that the calls need."""
_EXECUTION = "time in which calls ran, beside a local model on the same processors; scaling has it by itself"


def report(out: Path) -> str:
    """Write the report and return it. What ``out`` doesn't have stays as the last report has it.

    Raises ``DataMissing`` if it has nothing at all.
    """
    found = _found(out)
    if not found:
        raise DataMissing(
            f"{out} holds no results; this makes some: "
            f"python -m benchmarks {SETS[0]} --data ../shared/data --out {out}"
        )
    parts = [
        "# Results\n\nMade by `python -m benchmarks report --out DIR`, from what commands like these left in DIR; "
        "each table says of how many questions, runs and techniques it is. A command goes on where it was "
        "interrupted:\n\n```sh\n"
        f"python -m benchmarks {' '.join(SETS[:3])} --limit 40 --repeats 3 --processors 2 {_PLACES}"
        f"python -m benchmarks {' '.join(SETS[3:])} --limit 10 --repeats 3 --processors 2 {_PLACES}"
        f"python -m benchmarks {' '.join(TABLES)} --repeats 3 --model local {_PLACES}"
        f"python -m tests.faults {' '.join(FAULTS)} --out DIR\n```\n",
        f"Machine: {machine()}. Times are in seconds and means over the questions that were answered; of several "
        "runs the median and, in brackets, the range. A run without an answer is a failure and no latency. A "
        "remote lookup is given 0.5 s. Speed-ups and savings are against ReAct, over the questions that both "
        "answered; those of a technique with fewer questions or runs are rough, for it was measured at another time.\n",
    ]
    earlier = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    _, *sections = re.split(r"^## ([a-z0-9]+)\n", earlier, flags=re.MULTILINE)
    found = dict(zip(sections[::2], sections[1::2], strict=True)) | found
    parts += [
        f"## {name}\n\n{found[name].strip()}\n"
        for name in (*SETS, *TABLES, *FAULTS, *BY_HAND)
        if name in found
    ]
    text = re.sub(r"[ \t]+$", "", "\n".join(parts), flags=re.MULTILINE)
    RESULTS.write_text(text, encoding="utf-8")
    return text


def _found(out: Path) -> dict[str, str]:
    """What there is to say of each benchmark that the folder has results of."""
    found = {}
    for name in SETS:
        if runs := _of_the_most_common_kind(Runs(out / f"{name}.jsonl").all):
            parts = [tables.written(name, runs, out)]
            figures = wanted(name, runs)
            parts += [verdicts(figures)]
            if name in WHY_MISSED and not all(figure.met for figure in figures):
                parts += [f"{WHY_MISSED[name]}\n"]
            found[name] = "\n".join(filter(None, parts))
            _keep(name, runs)
    for name in (*TABLES, *FAULTS):
        if (path := out / f"{name}.md").exists():
            found[name] = path.read_text(encoding="utf-8")
    return found


def _keep(name: str, runs: Sequence[Run]) -> None:
    """Write the runs beside the report, without what a model or a function said."""
    path = RESULTS.parent / "results" / f"{name}.jsonl"
    kept = Runs(path.with_suffix(".new"))  # a report that is cut short leaves the last one whole
    kept.path.unlink(missing_ok=True)
    for run in runs:
        kept.add(replace(run, answer="", error=None, plan="", calls=[]))
    kept.path.replace(path)


def machine() -> str:
    """The processor, how many, and the Python that ran."""
    named = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        named = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{os.cpu_count()} processors, {named}, {platform.system()}, Python {platform.python_version()}"


def wanted(name: str, runs: Sequence[Run]) -> list[Figure]:
    """What is wanted of our technique on this set, and what it came to."""
    rows = {row.technique: row for row in tables.rows(runs)}
    ours, first = rows.get(OURS), rows.get(tables.FIRST)
    if ours is None or first is None or ours.faster is None or ours.cheaper is None:
        return []
    if name in FASTER:
        # Within the spread: what the first technique reached in its worst repeat.
        least, against = min(first.right.values), "share of the questions, against ReAct's lowest run"
        return [
            Figure("right", against, "", ours.right, {"ReAct": first.right}, at_least=least),
            Figure("speed-up", "from query to answer", "x", ours.faster, at_least=FASTER[name]),
            Figure("fewer tokens", "in and out", "x", ours.cheaper, at_least=CHEAPER),
        ]
    if name not in EXECUTES_FASTER or ours.executes_faster is None:
        return []
    bounds = [
        run.executing / run.lower_bound
        for run in runs
        if run.job.technique == OURS and run.answered and run.lower_bound > 0
    ]
    faster, above = ours.executes_faster, Series([median(bounds or [float("nan")])])
    return [
        Figure("speed-up of the execution", _EXECUTION, "x", faster, at_least=EXECUTES_FASTER[name]),
        Figure("above the lower bound", _EXECUTION, "x", above, at_most=TO_BOUND),
    ]


def _of_the_most_common_kind(runs: Sequence[Run]) -> list[Run]:
    """The runs on the model that most of them have: a recorded one says nothing about time."""
    models = [run.job.model for run in runs if run.job.model != "recorded"]
    chosen = max(set(models), key=models.count) if models else None
    return [run for run in runs if run.job.model == chosen]
