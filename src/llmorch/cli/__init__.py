"""The command line: a face over public names. Standard output is the answer or JSON."""

from __future__ import annotations

import sys


def main() -> None:
    """The program ``llmorch``. Exits 0 answered, 1 not resolved, 2 usage, 130 interrupted."""
    try:
        from llmorch.cli.app import app

        app(prog_name="llmorch")
    except KeyboardInterrupt:
        sys.exit(130)
