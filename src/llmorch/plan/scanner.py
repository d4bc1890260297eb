"""A plan's text, line by line, to the text of its statements.

Decides where a statement ends: where no bracket or quote of it is open. It must not know what
a statement says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmorch.errors import PlanTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_STATEMENT = 100_000
"""Characters in one statement."""
MAX_BRACKETS = 40
"""Brackets open at once."""

STRING_END = {quote: re.compile(rf"(?:[^\\]|\\.)*?{quote}", re.DOTALL) for quote in ('"""', "'''", '"', "'")}
"""What ends a string, by what began it."""
_MARK = re.compile(r"[\"'#()\[\]{}]")
_FENCE = re.compile(r"\s*```\w*\s*$")


@dataclass(frozen=True, slots=True)
class Statement:
    """The text of a statement, blank where something else stands in its lines, and its first line."""

    text: str
    line: int
    place: int = 0
    """The number of the fence that it stands in; 0 outside, and -1 in backticks."""


class Scanner:
    """Cuts a plan into statements. Every line must be the plan's, or a fence around it, or a comment."""

    def __init__(self) -> None:
        self.number = 0
        """Of the line that was read last."""
        self._open: list[str] = []
        """The lines of the statement that goes on."""
        self._size = 0
        self._extent = Extent()

    def line(self, line: str) -> list[Statement]:
        """The statements that this line completes. Raises ``PlanTooLarge``."""
        self.number += 1
        self.bound(len(line), self.number)
        if not self._open and (not line.strip() or _FENCE.match(line) or line.lstrip().startswith("#")):
            return []
        found: list[Statement] = []
        self._code(line, 0, found)
        return found

    def end(self, line: str) -> list[Statement]:
        """The statements of the last line, whether it is complete or not, as is the last of them."""
        return [*(self.line(line) if line else ()), *self._rest()]

    def bound(self, more: int, line: int) -> None:
        """Refuse a statement that would be too long with so many more characters."""
        if self._size + more > MAX_STATEMENT:
            begun = len(self._open)
            self._open, self._size = [], 0
            raise PlanTooLarge(
                f"a statement is longer than {MAX_STATEMENT:,} characters",
                line=line - begun,
                hint="pass long texts by id, as results of earlier calls",
            )

    def _code(
        self, line: str, at: int, found: list[Statement], ends: Callable[[str, int], bool] | None = None
    ) -> int:
        """Go through code that begins or goes on in a line; return where it ends there."""
        if not self._open:
            self._extent = Extent()
        end = self._extent.follow(line, self.number, ends, at)
        self._open.append(line[:end])
        self._size += end + 1
        if not self._extent.goes_on(line[:end]):
            found += self._rest()
        return end

    def _rest(self) -> list[Statement]:
        """The statement that is open; if there is one, it ends here. Python's own parser says what it lacks."""
        lines, self._open, self._size = self._open, [], 0
        return [self._statement("\n".join(lines), self.number - len(lines) + 1)] if lines else []

    def _statement(self, text: str, line: int) -> Statement:
        return Statement(text, line)


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
                    self.depth = 0
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
