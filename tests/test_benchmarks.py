"""That the benchmarks run and report in full; never how fast anything is."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
WANTED = {
    "compute",
    "sleeping",
    "sleeping, event loop",
    "overhead, async",
    "overhead, sync",
    "overhead, compute",
    "array, call to call",
    "array, out",
    "array, in",
    "plan",
    "plan, growth",
    "plan, memory",
    "dispatch",
    "startup, --help",
    "startup, import",
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


@cache
def report() -> dict[str, Any]:
    """Every benchmark at a tiny size, once for all tests."""
    done = run("--quick", "--repeats", "1", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_wanted_figure_is_measured_and_judged() -> None:
    figures = report()["figures"]
    assert {figure["name"] for figure in figures if figure["met"] is not None} == WANTED
    assert len({figure["name"] for figure in figures}) == len(figures)
    for figure in figures:
        assert (figure["at_most"] is None and figure["at_least"] is None) == (figure["met"] is None)
        assert figure["what"]
        assert figure["unit"]


def test_every_figure_stands_beside_a_floor_of_the_same_run() -> None:
    for figure in report()["figures"]:
        assert figure["floors"], figure["name"]


def test_every_number_is_finite_and_positive() -> None:
    for figure in report()["figures"]:
        for series in (figure["measured"], *figure["floors"].values()):
            assert series["values"]
            for value in (series["median"], series["min"], series["max"], *series["values"]):
                assert math.isfinite(value), figure["name"]
                assert value > 0, figure["name"]


def test_the_table_names_each_figure_and_its_floor() -> None:
    done = run("--quick", "--repeats", "1", "dispatch")
    assert done.returncode == 0, done.stderr
    for expected in ("dispatch: ", "at most 5", "floor: a bare asyncio task: ", " of 1 met"):
        assert expected in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"), [(["magic"], "there is no benchmark 'magic'"), (["--repeats", "0"], "at least 1")]
)
def test_an_argument_that_can_not_be_is_refused(arguments, says) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
