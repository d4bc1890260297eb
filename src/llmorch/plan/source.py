"""The statement that is being read: where its parts are, and which results its names stand for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from llmorch.calls import Reference
from llmorch.errors import PlanError, UndefinedId

if TYPE_CHECKING:
    import ast
    from collections.abc import Collection

    from llmorch.calls import CallId, Position

NUMBER_ID = re.compile(r"s\d{1,6}")
_JSON = {"true": "True", "false": "False", "null": "None"}

P = TypeVar("P", bound=PlanError)


@dataclass(frozen=True)
class Source:
    """The statement that is being read, and how its columns map to the text's."""

    text: str
    line: int
    indent: int
    numbered: bool
    literal: bool = False
    """Whether strings hold text and no results."""

    def position(self, node: ast.AST) -> Position:
        """Where a node begins: line and column of the text, from 1."""
        row: int = getattr(node, "lineno", 1)
        offset: int = getattr(node, "col_offset", 0)
        if not self.text.isascii():  # Python counts bytes; people count characters
            line = self.text.split("\n")[row - 1]
            line = line[self.indent :] if row == 1 else line
            offset = len(line.encode()[:offset].decode(errors="ignore"))
        return self.line + row - 1, offset + 1 + (self.indent if row == 1 else 0)

    def error(self, kind: type[P], message: str, at: ast.AST | Position, *, hint: str = "") -> P:
        """An error at a node or a position of this statement, with the line's text."""
        line, column = at if isinstance(at, tuple) else self.position(at)
        lines = self.text.split("\n")
        row = min(max(line - self.line, 0), len(lines) - 1)
        return kind(message, line=line, column=column, text=lines[row], hint=hint)


@dataclass(frozen=True)
class Names:
    """The results that a statement may use: ``known`` are the ids above it and ``own`` the one being defined."""

    source: Source
    known: Collection[CallId]
    own: Collection[CallId]

    def meant(self, name: str) -> bool:
        """Whether a name in braces stands for a result, if for one that isn't there; it is text if not."""
        return name in self.known or name in self.own or bool(NUMBER_ID.fullmatch(name))

    def reference(self, name: str, position: Position) -> Reference:
        """The result that a name stands for. Raises ``UndefinedId`` for one that isn't above."""
        if name in self.known:
            return Reference(name, position)
        if name in self.own:
            message, hint = f"{name} uses its own result", "a call can use only the results of calls above it"
        elif name in _JSON:
            message, hint = f"{name} is not defined", f"write {_JSON[name]}"
        else:
            message = f"{name} is not defined"
            above = list(self.known)
            shown = ", ".join(above if len(above) <= 12 else [*above[:4], "...", *above[-6:]])
            hint = f"ids defined above this line: {shown}" if above else "no ids are defined above this line"
        raise self.source.error(UndefinedId, message, position, hint=hint)
