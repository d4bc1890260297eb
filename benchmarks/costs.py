"""What LLMOrch costs: figures, each beside a floor that was measured in the same run."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from benchmarks.figures import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figures import Figure


def run(names: Sequence[str], repeats: int, *, quick: bool, as_json: bool) -> None:
    """Measure these, and print a table or one JSON object."""
    load = os.getloadavg()[0]
    figures: list[Figure] = []
    for name in names:
        print(f"{name} ...", file=sys.stderr)
        module = import_module(f"benchmarks.{name}")
        measured = module.measure(repeats, quick=quick)
        figures += measured
        if not as_json:
            print("\n".join(_lines(measured)), flush=True)
        if not as_json and hasattr(module, "rows"):
            print(f"\n{module.markdown(module.rows(repeats, quick=quick))}\n", flush=True)
    if as_json:
        print(json.dumps(_report(figures, load, repeats, quick=quick), indent=2))
    else:
        print(_verdict(figures, load))


def _lines(figures: Sequence[Figure]) -> list[str]:
    lines = []
    for figure in figures:
        verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
        lines.append(f"{figure.name}: {figure.measured} {figure.unit}  {figure.wanted}  {verdict}".rstrip())
        lines.append(f"    {figure.what}")
        lines += [f"    floor: {name}: {floor}" for name, floor in figure.floors.items()]
    return lines


def _verdict(figures: Sequence[Figure], load: float) -> str:
    wanted = [figure for figure in figures if figure.met is not None]
    missed = [figure.name for figure in wanted if not figure.met]
    return (
        f"{len(wanted) - len(missed)} of {len(wanted)} met"
        + (f"; missed: {'; '.join(missed)}" if missed else "")
        + f"; load {shown(load)} before"
    )


def _report(figures: Sequence[Figure], load: float, repeats: int, *, quick: bool) -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "load": load,
        "repeats": repeats,
        "quick": quick,
        "figures": [figure.as_json() for figure in figures],
    }
