"""A string of a plan: the results inside it, found once, on the tree.

What a result's own text says is never searched for them.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from llmorch.calls import Constant, Field, Subscript, Template
from llmorch.errors import InvalidSyntax, PlanError
from llmorch.plan.fragments import fragment_in
from llmorch.plan.source import NUMBER_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmorch.calls import Expression, Position
    from llmorch.plan.fragments import BracedNames
    from llmorch.plan.source import Names

_BRACE = re.compile(r"\{[ \t]*([A-Za-z_]\w*)(?:([.\[(][^{}]*)|[ \t]*)\}")
# Not a price: "US$1" and "$1.50" are text.
_DOLLAR = re.compile(r"(?<!\w)\$(?:\{(\d{1,6})\}|(\d{1,6})(?!\d|[.,]\d))")


class Strings:
    """Reads the strings of one statement.

    ``read`` reads an expression inside one, at a depth, and ``allowed`` says what may stand
    there. Names in braces that are text so far are noted in ``braced``.
    """

    def __init__(
        self,
        names: Names,
        braced: BracedNames,
        read: Callable[[ast.expr, int], Expression],
        allowed: str,
    ) -> None:
        self._names = names
        self._source = names.source
        self._braced = braced
        self._read = read
        self._allowed = allowed

    def joined(self, values: list[ast.expr], position: Position, depth: int) -> Expression:
        """An f-string: what Python has read of its braces, and its text."""
        parts: list[str | Expression] = []
        for value in values:
            if isinstance(value, ast.Constant):
                parts.append(str(value.value))
                continue
            assert isinstance(value, ast.FormattedValue)
            if value.conversion != -1 or value.format_spec is not None or not _is_path(value.value):
                raise self._source.error(
                    InvalidSyntax,
                    "braces in a string hold only a result, as in {s1} or {s1[0]}",
                    position,
                    hint="compute in an argument of its own, without a string around it",
                )
            root = ast.unparse(value.value)
            name = re.split(r"[.\[]", root)[0]
            if self._names.meant(name):
                parts.append(self._braces(value.value, position, depth))
            else:
                parts.append("{" + root + "}")
        return self.string(parts, position)

    def string(self, parts: list[str | Expression], position: Position) -> Expression:
        """A string's text and results, with the references inside its text found."""
        found: list[str | Expression] = []
        for part in parts:
            found += self._search(part, position) if isinstance(part, str) else [part]
        merged: list[str | Expression] = []
        for part in found:
            if part == "":
                continue
            if merged and isinstance(part, str) and isinstance(merged[-1], str):
                merged[-1] += part
            else:
                merged.append(part)
        if all(isinstance(part, str) for part in merged):
            return Constant("".join(str(part) for part in merged))
        return Template(tuple(merged))

    def _search(self, text: str, position: Position) -> list[str | Expression]:
        if self._source.literal:
            return [text]
        parts: list[str | Expression] = []
        at, left = 0, ""
        for match in _BRACE.finditer(text):
            name, rest = match.group(1), match.group(2) or ""
            if self._names.meant(name):
                before = text[at : match.start()]
                parts += [*self._dollars(before, position), self._path(name, rest, position)]
                left += before + " "
                at = match.end()
            else:
                self._braced.note(name, position, self._line(position))
        if fragment := fragment_in(left + text[at:], self._names.known):
            raise self._no_result(fragment, position)
        return [*parts, *self._dollars(text[at:], position)]

    def _line(self, position: Position) -> str:
        return self._source.text.split("\n")[position[0] - self._source.line]

    def _dollars(self, text: str, position: Position) -> list[str | Expression]:
        """LLMCompiler's ``$1`` inside a string, if the line is written in that form.

        One below the line's own number stands for a line that is missing; any other is a price.
        """
        if not self._source.numbered or "$" not in text:
            return [text]
        own = min((int(id_[1:]) for id_ in self._names.own if NUMBER_ID.fullmatch(id_)), default=0)
        parts: list[str | Expression] = []
        at = 0
        for match in _DOLLAR.finditer(text):
            number = match.group(1) or match.group(2)
            if f"s{number}" in self._names.known or 0 < int(number) < own:
                parts += [text[at : match.start()], self._names.reference(f"s{number}", position)]
                at = match.end()
        return [*parts, text[at:]]

    def _path(self, name: str, rest: str, position: Position) -> Expression:
        try:
            node = ast.parse(name + rest, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            node = None
        if node is None or not _is_path(node):
            raise self._no_result(f"{{{name}{rest}}}", position)
        return self._braces(node, position, 0)

    def _no_result(self, shown: str, position: Position) -> PlanError:
        return self._source.error(
            InvalidSyntax,
            f"{shown[:60]} is not a result: braces hold only an id, as in {{s1}}, with subscripts or fields",
            position,
            hint="compute in an argument of its own, without a string around it",
        )

    def _braces(self, node: ast.expr, position: Position, depth: int) -> Expression:
        """A path inside braces; its position is the whole string's."""
        for part in ast.walk(node):
            if isinstance(part, ast.expr):
                part.lineno = position[0] - self._source.line + 1
                part.col_offset = 0
        match node:
            case ast.Name(id=name):
                return self._names.reference(name, position)
            case ast.Attribute(value=value, attr=name) if not name.startswith("_"):
                return Field(self._braces(value, position, depth), name)
            case ast.Subscript(value=value, slice=key):
                inner = self._read(key, depth)
                return Subscript(self._braces(value, position, depth), inner)
            case _:
                raise self._source.error(
                    InvalidSyntax, "fields that begin with _ are private", position, hint=self._allowed
                )


def _is_path(node: ast.expr) -> bool:
    """Whether an expression is an id with subscripts and fields after it."""
    while not isinstance(node, ast.Name):
        match node:
            case ast.Attribute(value=value):
                node = value
            case ast.Subscript(value=value, slice=ast.Constant(value=int())):
                node = value
            case ast.Subscript(
                value=value, slice=ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int()))
            ):
                node = value
            case ast.Subscript(value=value, slice=ast.Constant(value=str() as key)) if not set(key) & set(
                "{}"
            ):
                node = value
            case _:
                return False
    return True
