"""A plan's text, line by line, to the text of its statements.

Decides where a statement ends: where no bracket or quote of it is open.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

from llmorch.errors import PlanError, PlanTooLarge

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable

    from llmorch.calls import Position

P = TypeVar("P", bound=PlanError)

FORM = 'write one call a line, as in: s1 = function(name="argument")'
MAX_STATEMENT = 100_000
"""Characters in one statement."""
MAX_BRACKETS = 40
"""Brackets open at once."""

STRING_END = {
    quote: re.compile(rf"(?:[^\\{quote[0]}]++|\\.|(?!{quote}).)*+{quote}", re.DOTALL)
    for quote in ('"""', "'''", '"', "'")
}
"""What ends a string, by what began it; possessive, since going back would remember every character."""
_MARK = re.compile(r"[\"'#()\[\]{}]")
_FENCE = re.compile(r"\s*```\w*\s*$")


@dataclass(frozen=True)
class Statement:
    """The text of a statement, blank where something else stands in its lines, and its first line."""

    text: str
    line: int
    fence: int = 0
    """The number of the fence that it stands in; 0 outside, and -1 in backticks."""
    indent: int = 0
    """Where in its first line the code begins that Python reads."""
    numbered: bool = False
    """Whether it is written in LLMCompiler's form, ``1. search(...)``."""

    @cached_property
    def lines(self) -> list[str]:
        """Of its text."""
        return self.text.split("\n")

    @cached_property
    def _widths(self) -> dict[int, list[int]]:
        """How many bytes Python counts up to each character of a row; only of rows that were asked for."""
        return {}

    def position(self, node: ast.AST) -> Position:
        """Where a node begins: line and column of the plan's text, from 1."""
        row: int = getattr(node, "lineno", 1)
        offset: int = getattr(node, "col_offset", 0)
        indent = self.indent if row == 1 else 0
        if not self.text.isascii():  # Python counts bytes; people count characters
            if row not in self._widths:
                code = self.lines[row - 1][indent:]
                self._widths[row] = list(accumulate(len(character.encode()) for character in code))
            offset = bisect_right(self._widths[row], offset)
        return self.line + row - 1, offset + 1 + indent

    def error(self, kind: type[P], message: str, at: ast.AST | Position, *, hint: str = "") -> P:
        """An error at a node or a position of this statement, with the line's text."""
        line, column = at if isinstance(at, tuple) else self.position(at)
        row = min(max(line - self.line, 0), len(self.lines) - 1)
        return kind(message, line=line, column=column, text=self.lines[row], hint=hint)


class Scanner:
    """Cuts a plan into statements. Every line must be the plan's, or a fence around it, or a comment."""

    def __init__(self) -> None:
        self.number = 0
        """Of the line that was read last."""
        self._open: list[str] = []
        """The lines of the statement that goes on."""
        self._size = 0
        self._depth = 0
        """The brackets that it has open."""
        self._quote = ""
        self._broken = False
        """Whether a line of it ended amid a string that can't go on."""

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
        """Go through code that begins or goes on in a line; return where it ends there.

        ``ends`` says of a position below which no bracket is open whether what comes there is no code.
        """
        if not self._open:
            self._depth, self._quote, self._broken = 0, "", False
        end = self._follow(line, at, ends)
        self._open.append(self._text(line, end))
        self._size += end + 1
        if not (self._depth > 0 or self._quote or line.endswith("\\", 0, end)):
            found += self._rest()
        return end

    def _rest(self) -> list[Statement]:
        """The statement that is open; if there is one, it ends here. Python's own parser says what it lacks."""
        lines, self._open, self._size = self._open, [], 0
        return [self._statement("\n".join(lines), self.number - len(lines) + 1)] if lines else []

    def _text(self, line: str, end: int) -> str:
        """What is kept of a line of a statement, for whoever reads that."""
        return line[:end]

    def _statement(self, text: str, line: int) -> Statement:
        return Statement(text, line)

    def _follow(self, line: str, at: int, ends: Callable[[str, int], bool] | None) -> int:
        while True:
            if self._quote:
                end = STRING_END[self._quote].match(line, at)
                if end is None:
                    if len(self._quote) == 1 and not line.endswith("\\"):
                        self._quote, self._depth, self._broken = "", 0, True
                    return len(line)
                at, self._quote = end.end(), ""
            found = _MARK.search(line, at)
            if found is None or found.group() == "#":
                return len(line)
            mark, at = found.group(), found.end()
            if mark in "\"'":
                self._quote = mark * 3 if line.startswith(mark * 3, found.start()) else mark
                at = found.start() + len(self._quote)
            elif mark in "([{":
                self._depth += 1
                if self._depth > MAX_BRACKETS:
                    self._depth = 0
                    raise PlanTooLarge(
                        f"more than {MAX_BRACKETS} brackets are open",
                        line=self.number,
                        column=found.start() + 1,
                        text=line,
                        hint="give parts of it a line and an id of their own",
                    )
            else:
                self._depth = max(0, self._depth - 1)
                if not self._depth and ends is not None and at < len(line) and ends(line, at):
                    return at
