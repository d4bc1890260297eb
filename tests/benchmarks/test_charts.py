"""That charts are drawn, hold every label as text, and come out the same twice."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import pytest

from benchmarks import charts

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("matplotlib")

LATENCIES = {"react": 12.5, "parallel": 8.25, "llmorch": 145.0}
LINES = {
    "react": {1: 1.0, 2: 1.0, 4: 1.0},
    "llmcompiler": {1: 1.0, 2: 1.8, 4: 3.0},
    "llmorch by ranks": {1: 1.0, 2: 1.8, 4: 3.0},
    "llmorch": {1: 1.0, 2: 1.9, 4: 3.6},
    "lower bound": {1: 1.0, 2: 2.0, 4: 4.0},
}


DRAWINGS = {
    "bars": partial(charts.bars, LATENCIES, unit="s", title="Latency"),
    "speedups": partial(charts.speedups, LINES, bound="lower bound", title="Speed-up"),
}


def texts(path: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))


def drawn(name: str, folder: Path) -> list[str]:
    DRAWINGS[name](path=folder / name)
    return texts(folder / f"{name}.svg")


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_chart_is_written_as_a_png_of_1600_pixels_and_as_an_svg(tmp_path, name) -> None:
    DRAWINGS[name](path=tmp_path / "made for it" / name)
    png = (tmp_path / "made for it" / f"{name}.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n")
    assert int.from_bytes(png[16:20], "big") == 1600
    assert (tmp_path / "made for it" / f"{name}.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_same_numbers_give_the_same_svg(tmp_path, name) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        drawn(name, folder)
    assert len({(folder / f"{name}.svg").read_bytes() for folder in folders}) == 1


def test_every_bar_has_its_number(tmp_path) -> None:
    labels = drawn("bars", tmp_path)
    for label in ("Latency", *LATENCIES, "12.5 s", "8.25 s", "145 s"):
        assert label in labels


def test_a_chart_of_nothing_is_drawn_too(tmp_path) -> None:
    charts.bars({}, tmp_path / "bars", unit="s", title="a set")
    assert "a set" in texts(tmp_path / "bars.svg")


def test_lines_that_coincide_share_one_label(tmp_path) -> None:
    labels = drawn("speedups", tmp_path)
    for label in ("Speed-up", "processors", "speed-up", "1", "2", "4", "react", "llmorch", "lower bound"):
        assert label in labels
    assert "llmcompiler, llmorch by ranks" in labels


def test_a_technique_keeps_its_colour_and_no_two_names_share_one() -> None:
    some = charts.colours_of(["parallel", "llmorch", "something else"])
    assert some["llmorch"] == charts.colours_of(["llmorch"])["llmorch"]
    assert len(set(some.values())) == 3


def test_drawing_leaves_the_settings_of_matplotlib_as_they_were(tmp_path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    drawn("bars", tmp_path)
    assert dict(mpl.rcParams) == before
