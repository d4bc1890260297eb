"""``python -m benchmarks [NAME ...]``: measure, and say what was wanted and what it came to."""

from __future__ import annotations

import argparse
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

NAMES = ("compute", "sleeping", "overhead", "array", "plan", "dispatch", "startup")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmarks that were asked for. A missed figure is a result, not an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which to run: {', '.join(NAMES)}; default all"
    )
    parser.add_argument("--repeats", type=int, default=5, help="how often each is measured (default 5)")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, to see that it works; the times say nothing"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in NAMES:
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(NAMES)}")
    if options.repeats < 1:
        parser.error("--repeats is at least 1")

    load = os.getloadavg()[0]
    figures: list[Figure] = []
    for name in options.names or NAMES:
        print(f"{name} ...", file=sys.stderr)
        measured = import_module(f"benchmarks.{name}").measure(options.repeats, quick=options.quick)
        figures += measured
        if not options.json:
            print("\n".join(_lines(measured)), flush=True)
    if options.json:
        print(json.dumps(_report(figures, load, options.repeats, quick=options.quick), indent=2))
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


if __name__ == "__main__":
    main()
