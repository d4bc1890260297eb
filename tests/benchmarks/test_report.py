"""The report of a folder of results: what it holds is written, and one without any leaves the last report alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import report
from benchmarks.questions import DataMissing

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


def test_a_folder_with_a_part_of_the_results_is_reported(tmp_path: Path, results: Path) -> None:
    (tmp_path / "schedule.md").write_text("a table\n", encoding="utf-8")
    text = report.report(tmp_path)
    assert "## schedule\n\na table" in text
    assert results.read_text(encoding="utf-8") == text
