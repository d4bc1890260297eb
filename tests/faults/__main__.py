"""``python -m tests.faults [NAME ...]``: try as much as benchmarks/RESULTS.md tells of, and say what it came to.

The tests try the same at a small size. What ``--out`` gets, ``python -m benchmarks report`` writes into the results.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

REPORTS = {
    "limits": ("mixes", "Random mixes of calls and limits, simulated"),
    "mistakes": ("mistakes", "One mistake in a right plan"),
    "replies": ("replies", "Replies that break off, turn to garbage or never end"),
    "failures": ("failures", "Calls that fail, and are recovered"),
    "stopping": ("stopping", "Calls that run past a limit, crash or are cancelled"),
}
"""By the name in the results: the module whose ``report`` makes it, and what is tried."""


def main() -> None:
    """Print each report, and keep it."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(REPORTS)}; default all")
    parser.add_argument("--limit", type=int, metavar="N", help="how many plans or mixes; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, metavar="DIR", help="a file NAME.md for each")
    options = parser.parse_args()
    if unknown := set(options.names) - set(REPORTS):
        parser.error(f"there is no {min(unknown)!r}; there are {', '.join(REPORTS)}")
    for name in options.names or REPORTS:
        sizes = {} if options.limit is None else {"count": options.limit}
        module, what = REPORTS[name]
        made = import_module(f"tests.faults.{module}").report(**sizes, seed=options.seed)
        text = f"{what} (`python -m tests.faults {name}`):\n\n{made}"
        print(f"## {name}\n\n{text}", flush=True)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / f"{name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
