"""The command line: a face over public names. Standard output is the answer or JSON."""

from __future__ import annotations

import sys
from errno import EBADF, ENOSPC


def main() -> None:
    """The program ``llmorch``. Exits 0 answered, 1 not resolved, 2 usage, 130 interrupted."""
    from llmorch.cli.terminal import say, take_messages, take_streams, why_not
    from llmorch.errors import shortage

    take_streams()
    take_messages()
    try:
        from llmorch.cli.app import app

        app(prog_name="llmorch")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (EBADF, ENOSPC):  # of help, which typer writes
            say(f"error: standard output can't be written: {why_not(error)}")
        elif line := shortage(error):
            say(f"error: {line}")
        else:
            from traceback import format_exc

            say(format_exc())
        sys.exit(1)
