"""Every technique on the sample questions, with what the local model said when it was recorded."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import cache, partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.asking import RECORDED, Settings, ask, set_named
from benchmarks.questions import SAMPLE
from benchmarks.records import Runs
from llmorch import function
from llmorch.testing import RecordedModel
from tests.benchmarks.invented import write_drive, write_news

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.records import Run

ROOT = Path(__file__).parents[2]
RIGHT = {
    "hotpotqa": {"llmorch": 8, "react": 6, "parallel": 6, "toolcompiler": 6, "rewoo": 7, "llmcompiler": 6},
    "movierec": {"llmorch": 2, "react": 2, "parallel": 2, "toolcompiler": 2, "rewoo": 2, "llmcompiler": 2},
    "parallelqa": {"llmorch": 9, "react": 0, "parallel": 4, "toolcompiler": 4, "rewoo": 8, "llmcompiler": 6},
}
"""How many of the ten questions of a set each technique got right when it was recorded."""


FEW = {
    "kitti": {"llmorch": 1, "react": 1, "parallel": 0, "toolcompiler": 0, "rewoo": 0, "llmcompiler": 1},
    "agnews": {"llmorch": 1, "react": 0, "parallel": 1, "toolcompiler": 1, "rewoo": 1, "llmcompiler": 1},
    "cases": {"llmorch": 1, "react": 0, "parallel": 0, "toolcompiler": 0, "rewoo": 1, "llmcompiler": 1},
    "game24": {"llmorch": 0, "react": 0, "parallel": 0, "toolcompiler": 0, "rewoo": 0, "llmcompiler": 0},
}
"""The sets whose questions are long: one question each."""
ALL = RIGHT | FEW
RECORDED_RUNS = [(name, technique) for name, techniques in ALL.items() for technique in techniques]


@cache
def runs_of(name: str) -> tuple[Run, ...]:
    """Every technique once on every sample question; kept, for all tests of this module."""
    model, chosen = RecordedModel(RECORDED / f"{name}.jsonl"), set_named(name)
    with tempfile.TemporaryDirectory() as folder:
        data, limit = SAMPLE, 1 if name in FEW else None
        if name in ("kitti", "agnews"):
            data = Path(folder) / "invented"
            if name == "kitti":
                write_drive(data / "kitti")
            else:
                write_news(data / "agnews", rows=10_000)
            chosen = replace(chosen, functions=partial(remembering, chosen.functions, Path(folder)))
        settings = Settings(
            data, Path(folder), model="recorded", delay=0.01, limit=limit, techniques=tuple(ALL[name])
        )
        runs = Runs(settings.out / "runs.jsonl")
        return tuple(asyncio.run(ask(chosen, model, settings, runs)))


def remembering(functions: Callable[..., Any], kept: Path, data: Path, work: Path, delay: float) -> list[Any]:
    """A set's functions, whose compute calls are computed once for all techniques: the result, and a picture."""

    def remembered(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def once(**given: Any) -> Any:
            picture, name = f"{call.__name__}.png", f"{call.__name__} {json.dumps(given)}"
            result = kept / f"{hashlib.sha256(name.encode()).hexdigest()}.json"
            if not result.exists():
                if call.__name__ == "tsne":
                    from examples.tools import topics

                    topics.MOVES = 250  # in the worker process; what is returned is the same
                made = call(**given)
                if (work / picture).exists():
                    shutil.copy(work / picture, result.with_suffix(".png"))
                result.write_text(json.dumps(made))
            elif result.with_suffix(".png").exists():
                shutil.copy(result.with_suffix(".png"), work / picture)
            return json.loads(result.read_text())

        return function(kind="compute", pure=True)(once)

    offered = functions(data, work, delay)
    return [remembered(call) if call.__name__ in ("turn_angle", "tsne", "lda") else call for call in offered]


def runs_by(name: str, technique: str) -> list[Run]:
    return [run for run in runs_of(name) if run.job.technique == technique]


@pytest.mark.parametrize(("name", "technique"), [pair for pair in RECORDED_RUNS if pair[0] in RIGHT])
def test_ten_questions_are_answered_as_they_were_recorded(name: str, technique: str) -> None:
    runs = runs_by(name, technique)
    assert len(runs) == 10
    assert not [run.error for run in runs if run.error and "has no reply" in run.error]
    assert sum(run.right for run in runs) == RIGHT[name][technique]


@pytest.mark.parametrize("name", FEW)
def test_what_computes_is_computed_and_answered_as_it_was_recorded(name: str) -> None:
    runs = runs_of(name)
    assert not [run.error for run in runs if run.error and "has no reply" in run.error]
    assert {run.job.technique: int(run.right) for run in runs} == FEW[name]
    (ours,) = runs_by(name, "llmorch")
    if name in ("kitti", "agnews"):
        assert {call["processor"] for call in ours.calls if call["kind"] == "compute"} == {0, 1}


@pytest.mark.parametrize(("name", "technique"), RECORDED_RUNS)
def test_every_call_begins_after_all_it_uses_has_ended(name: str, technique: str) -> None:
    for run in runs_by(name, technique):
        calls = {call["id"]: call for call in run.calls}
        for call in run.calls:
            for used in call["uses"]:
                if call["dispatched"] is not None:
                    assert calls[used]["completed"] <= call["dispatched"]


@pytest.mark.parametrize("name", RIGHT)
def test_techniques_order_their_calls_as_their_papers_have_it(name: str) -> None:
    def overlapping(run: Run) -> bool:
        spans = sorted(
            (call["dispatched"], call["completed"]) for call in run.calls if call["completed"] is not None
        )
        return any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))

    for technique in {"react", "rewoo"} & set(RIGHT[name]):
        assert not any(overlapping(run) for run in runs_by(name, technique))
    for technique in ("llmorch", "llmcompiler"):
        assert sum(overlapping(run) for run in runs_by(name, technique)) >= 8


def test_one_plan_costs_less_than_turns() -> None:
    ours = sum(run.input_tokens + run.output_tokens for run in runs_by("hotpotqa", "llmorch"))
    react = sum(run.input_tokens + run.output_tokens for run in runs_by("hotpotqa", "react"))
    assert ours * 3 < react


def test_a_search_that_returned_too_little_is_repaired_in_one_recovery() -> None:
    """The paper's question 83: a fact comes later in a page than the words that were asked for."""
    recovered = [run for run in runs_by("parallelqa", "llmorch") if run.recoveries]
    assert any(run.right and run.recoveries == 1 for run in recovered)


def test_the_command_writes_table_lines_and_charts(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "benchmarks", "hotpotqa", "--data", str(SAMPLE), "--model", "recorded"),
        *("--limit", "2", "--techniques", "llmorch,react", "--out", str(tmp_path)),
    ]
    for _ in range(2):  # the second time nothing is left to run
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        assert "| llmorch | critical | 2 |" in done.stdout
        assert "| react | sequential | 2 |" in done.stdout
    assert "4 of 4 runs are recorded already" in done.stderr
    assert len((tmp_path / "hotpotqa.jsonl").read_text(encoding="utf-8").splitlines()) == 4
    written = {path.name for path in tmp_path.iterdir()}
    assert {"hotpotqa.md", "hotpotqa-latency.png", "hotpotqa-tokens.svg"} <= written


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("hotpotqa",), "say by --data where the questions are"),
        (("hotpotqa", "--data", "nowhere"), "nowhere"),
        (
            ("hotpotqa", "--data", "benchmarks/sample", "--techniques", "magic"),
            "there is no technique 'magic'",
        ),
        (
            ("hotpotqa", "--data", "benchmarks/sample", "--processors", "two"),
            "--processors is a list of numbers",
        ),
        (("hotpotqa", "--data", "benchmarks/sample", "--policy", "random"), "there is no policy 'random'"),
        (("hotpotqa", "--data", "benchmarks/sample", "--model", "magic"), "there is no model 'magic'"),
        (("hotpotqua", "--data", "benchmarks/sample"), "there is no benchmark 'hotpotqua'"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", *arguments, "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr
