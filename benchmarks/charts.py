"""Charts of results as PNG and SVG: bars by technique, speed-ups, and timelines.

Takes plain numbers and call records, and knows nothing of how they came about. Drawn for
a width of 800 pixels; the same numbers give the same SVG.
"""

from __future__ import annotations

from contextlib import contextmanager
from math import ceil
from statistics import fmean
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.figures import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Record = Mapping[str, Any]

WIDTH = 8.0
"""Inches; a hundred pixels of the screen each."""
SHARPNESS = 2
"""Pixels of the PNG for one of the screen."""
PANELS = 4
"""How many sets of bars stand side by side."""

# Okabe and Ito's colours, which people of every kind of colour vision tell apart. A technique
# has the same one in every chart.
COLOURS: Mapping[str, str] = {
    "llmorch": "#0072B2",
    "llmcompiler": "#E69F00",
    "toolcompiler": "#CC79A7",
    "parallel": "#009E73",
    "react": "#7F7F7F",
}
OTHERS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#7F7F7F")
OURS = "llmorch"
INK, PALE = "#222222", "#DDDDDD"

_STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": "#888888",
    "ytick.color": "#888888",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "svg.fonttype": "none",  # text stays text, to be searched and read aloud
    "svg.hashsalt": "llmorch",
}


@contextmanager
def _figure(path: Path, height: float, title: str) -> Iterator[Figure]:
    """A figure in our style, saved with both endings unless drawing it fails."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=(WIDTH, height), dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path.with_suffix(".png"), dpi=100 * SHARPNESS, metadata={"Software": None})
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """A colour a name: the techniques keep theirs, other names get what is left."""
    left = [colour for colour in OTHERS if colour not in {COLOURS.get(name) for name in names}]
    others = [name for name in names if name not in COLOURS]
    given = {name: (left or OTHERS)[at % len(left or OTHERS)] for at, name in enumerate(others)}
    return {name: COLOURS.get(name) or given[name] for name in names}


def bars(values: Mapping[str, Mapping[str, float]], path: Path, *, unit: str, title: str = "") -> None:
    """By set and technique: a panel a set, each on its own scale, a bar a technique.

    What a set has no value of is a dash. ``unit`` stands behind every number.
    """
    techniques = list(dict.fromkeys(name for of_set in values.values() for name in of_set))
    colours = colours_of(techniques)
    down = ceil(len(values) / PANELS)
    across = ceil(len(values) / down)
    with _figure(path, down * (0.6 + 0.3 * len(techniques)) + (0.4 if title else 0.1), title) as figure:
        panels = figure.subplots(down, across, squeeze=False, sharey=True).flatten()
        for panel, (name, of_set) in zip(panels, values.items(), strict=False):
            _bars(panel, techniques, of_set, colours, unit)
            panel.set_title(name)
            # Room for a number to the right of the longest bar.
            panel.set_xlim(0, (1 + 0.19 * across) * max(of_set.values(), default=1) or 1)
        for panel in panels[len(values) :]:
            panel.set_axis_off()


def _bars(
    axes: Axes, techniques: Sequence[str], values: Mapping[str, float], colours: Mapping[str, str], unit: str
) -> None:
    for place, technique in enumerate(techniques):
        value = values.get(technique)
        axes.barh(place, value or 0, color=colours[technique], height=0.72)
        axes.annotate(
            "-" if value is None else f"{shown(value)} {unit}".strip(),
            (value or 0, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold" if technique == OURS else "normal",
        )
    axes.set_ylim(len(techniques) - 0.4, -0.6)
    axes.set_yticks(range(len(techniques)), techniques)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines["bottom"].set_visible(False)


def speedups(
    lines: Mapping[str, Mapping[int, float]], path: Path, *, bound: str = "lower bound", title: str = ""
) -> None:
    """A line a technique by the number of processors; the one called ``bound`` is dashed.

    Lines that coincide are one, with all their names at its end.
    """
    colours = colours_of([name for name in lines if name != bound])
    groups = _coinciding(lines, apart={bound})
    with _figure(path, 4.4, title) as figure:
        axes = figure.subplots()
        ends = []
        for names in groups:
            points = sorted(lines[names[-1]].items())
            colour = INK if names == [bound] else colours[names[-1]]
            style: dict[str, Any] = (
                {"ls": (0, (4, 3)), "lw": 1.3} if names == [bound] else {"marker": "o", "ms": 5, "lw": 2}
            )
            axes.plot([at for at, _ in points], [value for _, value in points], color=colour, **style)
            ends.append(_End(*points[-1], _wrapped(names), colour))
        counts = sorted({at for points in lines.values() for at in points})
        axes.set_xticks(counts)
        axes.set_xlabel("processors")
        axes.set_ylabel("speed-up")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color=PALE, lw=0.8)
        axes.set_axisbelow(True)
        margin = 0.05 * (counts[-1] - counts[0] or 1)
        axes.set_xlim(counts[0] - margin, counts[-1] + margin)
        _name_ends(figure, axes, ends)


def _coinciding(lines: Mapping[str, Mapping[int, float]], apart: set[str]) -> list[list[str]]:
    """Names whose lines nobody could tell from each other, those in ``apart`` each alone."""
    visible = max(value for points in lines.values() for value in points.values()) / 150
    groups: list[list[str]] = []
    for name, points in lines.items():
        alike = (
            group
            for group in groups
            if not apart & {name, *group}
            and points.keys() == lines[group[0]].keys()
            and all(abs(value - lines[group[0]][at]) < visible for at, value in points.items())
        )
        group = next(alike, None)
        if group is None:
            groups.append([name])
        else:
            group.append(name)
    return groups


def _wrapped(names: Sequence[str], width: int = 26) -> str:
    """The names in lines, none of them broken."""
    kept = [name.replace(" ", "\N{NO-BREAK SPACE}") for name in names]
    return fill(", ".join(kept), width).replace("\N{NO-BREAK SPACE}", " ")


class _End(NamedTuple):
    """Where a line ends, what it is called, and its colour."""

    at: int
    value: float
    text: str
    colour: str


def _name_ends(figure: Figure, axes: Axes, ends: Sequence[_End]) -> None:
    """Names beside the ends of lines, moved apart, each with a short line to its own."""
    right = axes.get_xlim()[1]
    figure.canvas.draw()  # only now is it known how high a line of text is
    pixel = (axes.get_ylim()[1] - axes.get_ylim()[0]) / axes.get_window_extent().height
    ordered = sorted(ends, key=lambda end: end.value)
    heights = [pixel * (5 + 15 * (end.text.count("\n") + 1)) for end in ordered]
    for end, place in zip(ordered, _apart([end.value for end in ordered], heights), strict=True):
        axes.plot([end.at, right], [end.value, place], color=end.colour, lw=0.8, clip_on=False)
        axes.annotate(
            end.text,
            (right, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            annotation_clip=False,
        )


def _apart(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Centres near those wanted, which ascend, so that nothing overlaps."""

    def edges(group: Sequence[int]) -> tuple[float, float]:
        """Of names that stand on each other around the mean of their ends."""
        middle, half = fmean(wanted[place] for place in group), sum(heights[place] for place in group) / 2
        return middle - half, middle + half

    groups: list[list[int]] = []
    for place in range(len(wanted)):
        groups.append([place])
        while len(groups) > 1 and edges(groups[-2])[1] > edges(groups[-1])[0]:
            last = groups.pop()
            groups[-1] += last
    centres = []
    for group in groups:
        bottom, _ = edges(group)
        for place in group:
            centres.append(bottom + heights[place] / 2)
            bottom += heights[place]
    return centres


def timelines(runs: Mapping[str, Sequence[Record]], path: Path, *, title: str = "") -> None:
    """Which call ran where and when, a panel a technique over one scale of time.

    A record has ``id, function, kind, processor, dispatched, completed``; one that never
    ran is left out. Calls that take no processor have lanes of their own.
    """
    panels = {name: _lanes([record for record in records if _ran(record)]) for name, records in runs.items()}
    spans = {
        name: max((record["completed"] for record in runs[name] if _ran(record)), default=0.0)
        for name in runs
    }
    functions = list(
        dict.fromkeys(str(record["function"]) for records in runs.values() for record in records)
    )
    colours = colours_of(functions)
    heights = [max(1, len(lanes)) for lanes in panels.values()]
    with _figure(path, 0.27 * sum(heights) + 0.4 * len(panels) + (1.3 if title else 1.0), title) as figure:
        drawn = figure.subplots(
            len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
        ).flatten()
        longest = max(spans.values(), default=0.0) or 1.0
        for axes, (name, lanes) in zip(drawn, panels.items(), strict=True):
            _timeline(axes, lanes, colours, longest)
            axes.axvline(spans[name], color=INK, lw=0.8, zorder=0)
            axes.set_title(f"{name}: {shown(spans[name])} s")
        drawn[-1].set_xlabel("seconds")
        from matplotlib.patches import Patch

        figure.legend(
            handles=[Patch(color=colours[name], label=name) for name in functions],
            loc="outside lower right",
            ncols=min(6, len(functions)),
            frameon=False,
        )


def _timeline(
    axes: Axes, lanes: Mapping[str, Sequence[Record]], colours: Mapping[str, str], longest: float
) -> None:
    for row, records in enumerate(lanes.values()):
        for record in records:
            began, lasted = record["dispatched"], record["completed"] - record["dispatched"]
            colour = colours[str(record["function"])]
            width = max(lasted, longest / 250)  # however short a call is, it can be seen
            edge = 0.8 if width == lasted else 0
            axes.barh(row, width, left=began, height=0.84, color=colour, edgecolor="white", lw=edge)
            if len(str(record["id"])) <= 80 * lasted / longest:  # there is room for some 80 characters
                axes.text(
                    began + width / 2, row, record["id"], ha="center", va="center", color=_on(colour), size=9
                )
    axes.set_yticks(range(len(lanes)), list(lanes))
    axes.set_ylim(max(1, len(lanes)) - 0.4, -0.6)
    axes.set_xlim(0, longest * 1.01)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _lanes(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The records by processor, then those without one in as many lanes as ran at once."""
    lanes: dict[str, list[Record]] = {}
    for number in sorted({record["processor"] for record in records if record["processor"] is not None}):
        lanes[f"processor {number}"] = [record for record in records if record["processor"] == number]
    others: list[list[Record]] = []
    for record in sorted(
        (r for r in records if r["processor"] is None), key=lambda r: float(r["dispatched"])
    ):
        free = next((lane for lane in others if lane[-1]["completed"] <= record["dispatched"]), None)
        if free is None:
            others.append([record])
        else:
            free.append(record)
    return lanes | {f"inout{f' {at}' if len(others) > 1 else ''}": lane for at, lane in enumerate(others, 1)}


def _ran(record: Record) -> bool:
    return record["dispatched"] is not None and record["completed"] is not None


def _on(colour: str) -> str:
    """The colour in which text on a colour is read best."""
    red, green, blue = ((int(colour[at : at + 2], 16) / 255) ** 2.2 for at in (1, 3, 5))
    return "white" if 0.21 * red + 0.72 * green + 0.07 * blue < 0.2 else INK
