"""The report of a folder of results: what it holds is written, and one without any leaves the last report alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import report
from benchmarks.questions import DataMissing
from benchmarks.records import Runs
from tests.benchmarks.made_runs import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a report is written to, with what an earlier one says."""
    path = tmp_path / "RESULTS.md"
    path.write_text("earlier", encoding="utf-8")
    monkeypatch.setattr(report, "RESULTS", path)
    return path


@pytest.mark.parametrize("kind", ["missing", "empty", "half a line"])
def test_a_folder_without_results_is_an_error_and_the_last_report_stays(
    kind: str, tmp_path: Path, results: Path
) -> None:
    out = tmp_path / "out"
    if kind != "missing":
        out.mkdir()
    if kind == "half a line":
        (out / "hotpotqa.jsonl").write_text('{"job": {"bench', encoding="utf-8")
    with pytest.raises(DataMissing, match=r"out holds no results; .*python -m benchmarks hotpotqa --data"):
        report.report(out)
    assert results.read_text(encoding="utf-8") == "earlier"


def test_a_folder_with_a_part_of_the_results_is_reported_and_the_rest_stays(
    tmp_path: Path, results: Path
) -> None:
    (tmp_path / "schedule.md").write_text("a table\n", encoding="utf-8")
    (tmp_path / "effects.md").write_text("effects\n\n### of what\n", encoding="utf-8")
    text = report.report(tmp_path)
    assert "## schedule\n\na table\n\n## effects\n\neffects\n" in text
    assert results.read_text(encoding="utf-8") == text
    (tmp_path / "schedule.md").write_text("another\n", encoding="utf-8")
    (tmp_path / "effects.md").unlink()
    assert report.report(tmp_path) == text.replace("a table", "another")


def test_what_runs_came_to_is_kept_without_texts_and_makes_the_same_report(
    tmp_path: Path, results: Path
) -> None:
    out = tmp_path / "out"
    runs = Runs(out / "hotpotqa.jsonl")
    for technique, seconds in (("llmorch", 1.0), ("react", 3.0)):
        for question in ("a", "b"):
            said = {"answer": "the answer", "error": "the error", "plan": "the plan"}
            runs.add(run(technique, question, right=question == "a", seconds=seconds, **said))
    text = report.report(out)
    assert "| llmorch | p | 2 | 50 % | 0 | 1 | 3.00x |" in text
    kept = results.parent / "results"
    lines = (kept / "hotpotqa.jsonl").read_text(encoding="utf-8")
    assert not any(said in lines for said in ("the answer", "the error", "the plan"))
    assert report.report(kept) == text
