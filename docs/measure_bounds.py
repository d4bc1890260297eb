"""What the bounds on a plan's arguments cost: parse, check and evaluate of 10,000 plain calls, against another tree.

    python docs/measure_bounds.py                  CPU milliseconds of this tree
    python docs/measure_bounds.py OTHER/src        ratios to another tree's, such as the commit before the bounds

Each measure is a process of its own, the two trees in turns: the middle of the ratios of neighbours, and their
lower and upper quarters.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median, quantiles

CALLS = 10_000
REPEATS = 5
OWN = Path(__file__).resolve().parents[1] / "src"
PARTS = ("parse", "check", "evaluate", "together")


def measure() -> list[float]:
    """CPU milliseconds of each part with the package that is on the path: the least of all repeats."""
    from llmorch import function
    from llmorch.declare.functions import declaration_of
    from llmorch.places.arguments import Inputs, arguments
    from llmorch.places.port import Here
    from llmorch.plan import check, parse

    try:
        from llmorch.plan import budget as bounds
    except ImportError:  # a tree before the bounds
        bounds = None  # type: ignore[assignment]

    @function
    def search(query: str, k: int = 5) -> str:
        """Search."""
        return ""

    @function
    def add(a: int, b: int, names: list[str]) -> int:
        """Add."""
        return 0

    functions = {one.__name__: declaration_of(one) for one in (search, add)}
    lines = ["a = search(query='Texas', k=3)"]
    for n in range(CALLS // 2):
        lines += [
            f"p{n} = search(query='about {{a}} {n}', k={n})",
            f"q{n} = add(a={n}, b={n} + 1, names=['x', a])",
        ]
    text, handles = "\n".join(lines), {"a": Here("word")}

    def evaluate(plan: object) -> None:
        for call in plan.calls:  # type: ignore[attr-defined]
            if bounds is None:
                arguments(call, functions[call.function], Inputs(handles))
            else:
                arguments(call, functions[call.function], Inputs(handles, apart=False), bounds.Budget())

    def timed(work: object, *given: object) -> object:
        gc.collect()
        began = time.process_time()
        made = work(*given)  # type: ignore[operator]
        took.append(1000 * (time.process_time() - began))
        return made

    gc.disable()
    rounds = []
    for _ in range(REPEATS):
        took: list[float] = []
        timed(evaluate, timed(check, timed(parse, text), functions))
        rounds.append([*took, sum(took)])
    return [min(column) for column in zip(*rounds, strict=True)]


def measured(src: Path) -> list[float]:
    """The same, of a tree, in a process of its own."""
    ran = subprocess.run(
        [sys.executable, __file__, "--child"],
        env={**os.environ, "PYTHONPATH": str(src)},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: list[float] = json.loads(ran.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", nargs="?", type=Path, help="the src folder of the tree to compare with")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measure()))
        return
    if given.other is None:
        for name, took in zip(PARTS, measured(OWN), strict=True):
            print(f"{name}: {took:.0f} ms")
        return
    pairs = [(measured(OWN), measured(given.other.resolve())) for _ in range(given.pairs)]
    for index, name in enumerate(PARTS):
        ratios = [own[index] / other[index] for own, other in pairs]
        low, _, high = quantiles(ratios, n=4)
        took = median(own[index] for own, _ in pairs)
        print(f"{name}: {took:.0f} ms, {median(ratios):.3f} times ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
