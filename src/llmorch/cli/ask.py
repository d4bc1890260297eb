"""Asks on the terminal whether a call may be made that the model wrote after it had read from outside.

Decides who can be asked, and what they see: nothing that a model wrote can look like more than an argument.
"""

from __future__ import annotations

import os
import select
import sys
from threading import Lock
from typing import TYPE_CHECKING

import typer

from llmorch.cli.terminal import say, visible
from llmorch.errors import without_middle

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmorch.cli.progress import Progress
    from llmorch.techniques.influence import Proposal

MAX_SHOWN = 500
"""Characters of an argument."""
_ASKS = Lock()


def asker(progress: Progress, influence: str | None) -> Callable[[Proposal], bool] | None:
    """What asks, where there is somebody to ask."""
    if influence in ("refuse", "allow"):
        return None
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        if influence == "ask":
            raise typer.BadParameter(
                "--influence ask needs a terminal to ask on; without one, say refuse or allow"
            )
        return None

    def ask(proposal: Proposal) -> bool:
        with _ASKS, progress.paused():
            say(question(proposal))
            return _line().strip().lower() in ("y", "yes")

    return ask


def question(proposal: Proposal) -> str:
    """The call, an argument a line, and what is asked."""
    arguments = [f"    {name} = {_in_a_line(text)}" for name, text in proposal.written.items()]
    asked = f"{proposal.function} was not planned: {_in_a_line(proposal.why)}"
    return "\n".join([asked, *arguments, f"call {proposal.function}? [y/N]"])


def _in_a_line(text: str) -> str:
    return visible(without_middle(text, MAX_SHOWN).replace("\n", "\\n"), whatever=True)


def _line() -> str:
    """A line that somebody types; not read by ``sys.stdin``, whose lock the program's end would wait for."""
    while not select.select([0], [], [], 60)[0]:
        pass
    return os.read(0, 1_000).decode(errors="replace")
