"""``python -m benchmarks.peers PEER COLUMN FOLDER``: one column of one peer, run in the peer's environment."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

from benchmarks.peers.adapters import PEERS
from benchmarks.peers.columns import COLUMNS, QUICK, Measuring, Sizes


def main() -> None:
    """Measure it, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("column", choices=COLUMNS)
    parser.add_argument("folder", type=Path, help="an empty folder for what is written")
    parser.add_argument("--option", action="store_true", help="with the setting that the peer offers for it")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    peer, sizes = PEERS[given.peer], QUICK if given.quick else Sizes()
    with redirect_stdout(sys.stderr):  # executors print what they do
        measuring = Measuring(peer.adapter, given.folder, sizes, option=given.option)
        outcome = getattr(measuring, given.column)()
    print(json.dumps({"version": peer.version, "outcome": outcome}), flush=True)


if __name__ == "__main__":
    main()
