"""``python -m benchmarks.peers``: measure our executor beside installed ones, and print the table."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers import load, markdown, measure
from benchmarks.peers.columns import COLUMNS
from benchmarks.peers.environments import PEERS

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the peers that were asked for. What a peer gets wrong is a result, not an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep peers.json there; default: nowhere")
    parser.add_argument("--peers", metavar="A,B", help=f"which of: {', '.join(PEERS)}; default all")
    parser.add_argument("--columns", metavar="A,B", help=f"which of: {', '.join(COLUMNS)}; default all")
    parser.add_argument(
        "--repeats", type=int, default=3, help="how often each column is measured (default 3)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the environments in DIR for the next time")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--show", type=Path, metavar="FILE", help="only print the table of a peers.json")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats is at least 1")
    if options.keep and options.out is None:
        parser.error("--keep needs --out")
    names = _split(options.peers) or None
    settings: dict[str, Any] = {"quick": options.quick, "columns": _split(options.columns) or COLUMNS}
    try:
        if options.show is not None:
            rows = load(options.show)
        elif options.out is not None:
            rows = measure(names, options.repeats, options.out, _told, keep=options.keep, **settings)
        else:
            with tempfile.TemporaryDirectory() as folder:
                rows = measure(names, options.repeats, Path(folder), _told, **settings)
    except ValueError as error:
        parser.error(str(error))
    print(markdown(rows))


def _split(names: str | None) -> list[str]:
    return [name.strip() for name in names.split(",")] if names else []


def _told(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
