"""``python -m tests.fuzz``: random texts to all that reads texts from outside; what fails is kept, small.

The inputs come from a grammar (``--inputs``, ``--seed``), or from what atheris finds to reach more of the code
(``--atheris``). Input ``n`` of a seed is always the same: ``--only n`` makes it alone.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

from tests.fuzz.attack import Report, attack


def main() -> int:
    """Print what came of it, and keep what failed; 1 if anything did."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), metavar="S", help="stop after so many")
    parser.add_argument("--only", type=int, metavar="N", help="one input")
    parser.add_argument("--out", type=Path, default=Path("fuzz-failures"), metavar="DIR", help="for inputs that failed")
    parser.add_argument("--atheris", action="store_true", help="guided by coverage, if atheris is installed")
    options = parser.parse_args()
    if options.atheris:
        from tests.fuzz.guided import guided

        return guided(options.seconds, options.out)
    numbers = range(options.inputs) if options.only is None else [options.only]
    report = attack(options.seed, numbers, most_seconds=options.seconds)
    print(report)
    keep(report, options.out)
    return 1 if report.failures else 0


def keep(report: Report, folder: Path) -> None:
    """Print what failed, and write each input into a file of its own."""
    for at, failure in enumerate(report.failures, 1):
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{at}.txt"
        file.write_text(failure.text, encoding="utf-8", errors="surrogatepass")
        print(f"\n{file}: {failure}".encode(errors="backslashreplace").decode())


if __name__ == "__main__":
    sys.exit(main())
