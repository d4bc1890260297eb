"""``python -m tests.fuzz``: random texts to all that reads texts from outside; what fails is kept, small.

The inputs come from a grammar, and input ``n`` of a seed is always the same: ``--only n`` makes it alone. With
``--atheris`` they come from what it finds to reach more of the code.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.attack import Report, attack, made, tried
from tests.fuzz.targets import JSON_TARGETS, PLAN_TARGETS

_FIRST = 500
"""Inputs of the grammar that atheris begins with."""


def main() -> int:
    """Print what came of it, and keep what failed; 1 if anything did."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), metavar="S", help="stop after so many")
    parser.add_argument("--only", type=int, metavar="N", help="one input")
    parser.add_argument(
        "--out", type=Path, default=Path("fuzz-failures"), metavar="DIR", help="for what failed"
    )
    parser.add_argument(
        "--atheris", action="store_true", help="guided by coverage, where atheris is installed"
    )
    options = parser.parse_args()
    if options.atheris:
        return guided(options.inputs, options.seed)
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


def guided(inputs: int, seed: int) -> int:
    """Begin with inputs of the grammar, and go on until something fails, which atheris prints and keeps.

    Returns 2 where it isn't installed.
    """
    try:
        import atheris
    except ImportError:
        print("atheris is not installed; where there is a build of it: pip install atheris", file=sys.stderr)
        return 2

    def read(data: bytes) -> None:
        for target in (*PLAN_TARGETS, *JSON_TARGETS):
            _, failure = tried(target, data.decode("utf-8", "surrogateescape"), seed, 0)
            if failure is not None:
                raise AssertionError(str(failure))

    first = Path(tempfile.mkdtemp(prefix="fuzz-inputs-"))
    for number in range(_FIRST):
        text, _ = made(seed, number)
        (first / str(number)).write_text(text, encoding="utf-8", errors="surrogatepass")
    atheris.instrument_all()
    options = [f"-runs={inputs}", f"-seed={seed}", "-max_len=100000", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(first)], read)
    atheris.Fuzz()  # which ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main())
