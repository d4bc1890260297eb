"""Charts of results as PNG and SVG: bars by technique, and speed-ups by processors.

Takes plain numbers, and knows nothing of how they came about. The same numbers give the same SVG.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.figures import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

# Okabe and Ito's colours, which people of every kind of colour vision tell apart. A technique
# has the same one in every chart.
COLOURS = {"llmorch": "#0072B2", "llmcompiler": "#E69F00", "parallel": "#009E73", "react": "#7F7F7F"}
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
        figure = Figure(figsize=(8, height), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path.with_suffix(".png"), dpi=200, metadata={"Software": None})
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """A colour a name: the techniques keep theirs, other names get what is left."""
    left = [colour for colour in OTHERS if colour not in {COLOURS.get(name) for name in names}] or OTHERS
    others = [name for name in names if name not in COLOURS]
    given = {name: left[at % len(left)] for at, name in enumerate(others)}
    return {name: COLOURS.get(name) or given[name] for name in names}


def bars(values: Mapping[str, float], path: Path, *, unit: str, title: str) -> None:
    """A bar a technique, with its number; ``unit`` stands behind every one."""
    colours = colours_of(list(values))
    with _figure(path, 0.7 + 0.3 * len(values), title) as figure:
        axes = figure.subplots()
        for place, (name, value) in enumerate(values.items()):
            axes.barh(place, value, color=colours[name], height=0.72)
            text = f"{shown(value)} {unit}".strip()
            weight = "bold" if name == OURS else "normal"
            axes.annotate(
                text, (value, place), (4, 0), textcoords="offset points", va="center", fontweight=weight
            )
        axes.set_xlim(0, 1.2 * max(values.values(), default=1) or 1)  # room for the longest bar's number
        axes.set_yticks(range(len(values)), list(values))
        axes.set_ylim(max(1, len(values)) - 0.4, -0.6)  # the first on top
        axes.tick_params(axis="y", length=0)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)


def speedups(lines: Mapping[str, Mapping[int, float]], path: Path, *, bound: str, title: str) -> None:
    """A line a technique by the number of processors; the one called ``bound`` is dashed.

    Lines that coincide are one, with all their names in the legend.
    """
    colours = colours_of([name for name in lines if name != bound])
    named: dict[Any, list[str]] = {}
    for name, points in lines.items():
        alike = tuple((at, round(value, 2)) for at, value in sorted(points.items()))
        named.setdefault((name == bound, alike), []).append(name)
    with _figure(path, 4.4, title) as figure:
        axes = figure.subplots()
        for (dashed, points), names in named.items():
            colour = INK if dashed else colours[names[-1]]
            style: Any = {"ls": (0, (4, 3)), "lw": 1.3} if dashed else {"marker": "o", "ms": 5, "lw": 2}
            axes.plot(*zip(*points, strict=True), color=colour, label=", ".join(names), **style)
        axes.set_xticks(sorted({at for points in lines.values() for at in points}))
        axes.set(xlabel="processors", ylabel="speed-up", axisbelow=True)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color=PALE, lw=0.8)
        figure.legend(loc="outside right center", frameon=False)
