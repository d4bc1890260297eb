"""How far a statement goes: the brackets and quotes that are open, followed line by line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmorch.errors import PlanTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BRACKETS = 40
"""Brackets open at once."""

STRING_END = {quote: re.compile(rf"(?:[^\\]|\\.)*?{quote}", re.DOTALL) for quote in ('"""', "'''", '"', "'")}
"""What ends a string, by what began it."""
_MARK = re.compile(r"[\"'#()\[\]{}]")


class Extent:
    """The brackets and quotes that a statement has open after the lines so far."""

    __slots__ = ("broken", "depth", "quote")

    def __init__(self) -> None:
        self.depth = 0
        self.quote = ""
        self.broken = False
        """Whether a line ended amid a string that can't go on."""

    def goes_on(self, line: str) -> bool:
        """Whether the statement goes on below this line, which it was followed through."""
        return self.depth > 0 or bool(self.quote) or line.endswith("\\")

    def follow(
        self, line: str, number: int, ends: Callable[[str, int], bool] | None = None, at: int = 0
    ) -> int:
        """Follow one line, from ``at`` on; return where in it the statement ends.

        ``ends`` says of a place below which no bracket is open whether what comes there is no
        code. Raises ``PlanTooLarge``, for the line of this ``number``.
        """
        while True:
            if self.quote:
                end = STRING_END[self.quote].match(line, at)
                if end is None:
                    if len(self.quote) == 1 and not line.endswith("\\"):
                        self.quote, self.depth, self.broken = "", 0, True
                    return len(line)
                at, self.quote = end.end(), ""
            found = _MARK.search(line, at)
            if found is None:
                return len(line)
            mark, at = found.group(), found.end()
            if mark == "#":
                return len(line)
            if mark in "\"'":
                self.quote = mark * 3 if line.startswith(mark * 3, found.start()) else mark
                at = found.start() + len(self.quote)
            elif mark in "([{":
                self.depth += 1
                if self.depth > MAX_BRACKETS:
                    raise PlanTooLarge(
                        f"more than {MAX_BRACKETS} brackets are open",
                        line=number,
                        column=found.start() + 1,
                        text=line,
                        hint="give parts of it a line and an id of their own",
                    )
            elif self.depth > 1:
                self.depth -= 1
            else:
                self.depth = 0
                if ends is not None and at < len(line) and ends(line, at):
                    return at
