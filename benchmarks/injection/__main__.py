"""``python -m benchmarks.injection SUITE [PAIRS]``: the runs of one suite, a line of JSON each, in its environment."""

from __future__ import annotations

import asyncio
import json
import sys

from benchmarks.injection.suites import measure


def main() -> None:
    """Run all pairs, or so many."""
    suite, *pairs = sys.argv[1:]

    def told(row: dict[str, object]) -> None:
        print(json.dumps(row), flush=True)

    asyncio.run(measure(suite, int(pairs[0]) if pairs else None, told))


if __name__ == "__main__":
    main()
