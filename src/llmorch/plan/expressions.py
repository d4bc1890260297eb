"""An argument's tree: from Python's syntax, through an allow-list, to our own nodes.

What is not listed here can't be said in a plan. References inside strings are found
here, once, on the tree; a result's own text is never searched for them.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from llmorch.calls import (
    Binary,
    Builtin,
    Compare,
    Constant,
    DictOf,
    Field,
    Junction,
    ListOf,
    Negated,
    Reference,
    Slice,
    Subscript,
    Template,
)
from llmorch.errors import InvalidSyntax, PlanError, PlanTooLarge, UndefinedId
from llmorch.plan.fragments import fragment_in

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmorch.calls import CallId, Comparison, Expression, Operator, Position

BUILTINS = ("len", "min", "max", "sum", "round", "abs", "sorted", "str", "int", "float")
ID = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
MAX_DEPTH = 60
"""Expressions inside expressions."""

_NUMBER_ID = re.compile(r"s\d{1,6}")
_BRACE = re.compile(r"\{[ \t]*([A-Za-z_]\w*)(?:([.\[(][^{}]*)|[ \t]*)\}")
# Not a price: "US$1" and "$1.50" are text.
_DOLLAR = re.compile(r"(?<!\w)\$(?:\{(\d{1,6})\}|(\d{1,6})(?!\d|[.,]\d))")
_OPERATORS: dict[type[ast.operator], Operator] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}
_COMPARISONS: dict[type[ast.cmpop], Comparison] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_ALLOWED = f"arguments may hold literals, ids, operators, subscripts, fields and {', '.join(BUILTINS)}"
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

    def error(self, kind: type[P], message: str, position: Position, *, hint: str = "") -> P:
        """An error at a position of this statement, with the line's text."""
        line, column = position
        lines = self.text.split("\n")
        row = min(max(line - self.line, 0), len(lines) - 1)
        return kind(message, line=line, column=column, text=lines[row], hint=hint)


def to_expression(
    node: ast.expr,
    source: Source,
    known: Collection[CallId],
    own: Collection[CallId],
    braced: dict[str, tuple[Position, str]],
) -> Expression:
    """Turn Python's tree into ours.

    ``known`` are the ids above this line and ``own`` the one being defined. Names in
    braces that are text so far are noted in ``braced``, so that a later definition of
    one is seen to be a forward reference. Raises ``PlanError``.
    """
    return _Reader(source, known, own, braced).read(node, 0)


class _Reader:
    def __init__(
        self,
        source: Source,
        known: Collection[CallId],
        own: Collection[CallId],
        braced: dict[str, tuple[Position, str]],
    ) -> None:
        self._source = source
        self._known = known
        self._own = own
        self._braced = braced

    def read(self, node: ast.expr, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise self._source.error(
                PlanTooLarge,
                f"an expression is nested more than {MAX_DEPTH} deep",
                self._source.position(node),
                hint="give parts of it a line and an id of their own",
            )
        depth += 1
        match node:
            case ast.Constant(value=str() as text):
                return self._string([text], self._source.position(node))
            case ast.Constant(value=None | bool() | int() | float() as value):
                return Constant(value)
            case ast.JoinedStr(values=values):
                return self._joined(values, self._source.position(node), depth)
            case ast.Name(id=name):
                return self._reference(name, self._source.position(node))
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return ListOf(tuple(self.read(item, depth) for item in items))
            case ast.Dict(keys=keys, values=values) if None not in keys:
                pairs = zip(keys, values, strict=True)
                return DictOf(
                    tuple((self.read(key, depth), self.read(value, depth)) for key, value in pairs if key)
                )
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)) if (
                type(value) is not bool
            ):
                return Constant(-value)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not() as operator, operand=operand):
                sign = (
                    "-"
                    if isinstance(operator, ast.USub)
                    else "+"
                    if isinstance(operator, ast.UAdd)
                    else "not"
                )
                return Negated(sign, self.read(operand, depth))  # type: ignore[arg-type]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return Binary(_OPERATORS[type(op)], self.read(left, depth), self.read(right, depth))
            case ast.Compare(left=left, ops=ops, comparators=operands) if all(
                type(op) in _COMPARISONS for op in ops
            ):
                rest = zip(ops, operands, strict=True)
                return Compare(
                    self.read(left, depth),
                    tuple((_COMPARISONS[type(op)], self.read(operand, depth)) for op, operand in rest),
                )
            case ast.BoolOp(op=op, values=values):
                return Junction(
                    "and" if isinstance(op, ast.And) else "or",
                    tuple(self.read(item, depth) for item in values),
                )
            case ast.Subscript(value=value, slice=ast.Slice(lower=lower, upper=upper, step=None)):
                return Subscript(
                    self.read(value, depth),
                    Slice(
                        None if lower is None else self.read(lower, depth),
                        None if upper is None else self.read(upper, depth),
                    ),
                )
            case ast.Subscript(value=value, slice=key) if not isinstance(key, ast.Slice):
                return Subscript(self.read(value, depth), self.read(key, depth))
            case ast.Attribute(value=value, attr=name):
                return self._field(value, name, node, depth)
            case ast.Call():
                return self._builtin(node, depth)
            case _:
                raise self._refused(node)

    def _refused(self, node: ast.expr) -> PlanError:
        what = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).lower()
        return self._source.error(
            InvalidSyntax, f"{what} can't stand in an argument", self._source.position(node), hint=_ALLOWED
        )

    def _reference(self, name: str, position: Position) -> Reference:
        if name in self._known:
            return Reference(name, position)
        if name in self._own:
            message, hint = f"{name} uses its own result", "a call can use only the results of calls above it"
        elif name in _JSON:
            message, hint = f"{name} is not defined", f"write {_JSON[name]}"
        else:
            message = f"{name} is not defined"
            above = list(self._known)
            shown = ", ".join(above if len(above) <= 12 else [*above[:4], "...", *above[-6:]])
            hint = f"ids defined above this line: {shown}" if above else "no ids are defined above this line"
        raise self._source.error(UndefinedId, message, position, hint=hint)

    def _field(self, value: ast.expr, name: str, node: ast.expr, depth: int) -> Expression:
        if name.startswith("_"):
            raise self._source.error(
                InvalidSyntax,
                f"the field {name} can't be read: fields that begin with _ are private",
                self._source.position(node),
                hint=_ALLOWED,
            )
        return Field(self.read(value, depth), name)

    def _builtin(self, node: ast.Call, depth: int) -> Expression:
        position = self._source.position(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in BUILTINS:
            raise self._source.error(
                InvalidSyntax,
                f"{name or 'this'} can't be called inside an argument",
                position,
                hint=f"give a call a line and an id of its own, and use its id here; {_ALLOWED}",
            )
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self._source.error(
                InvalidSyntax, f"{name} takes only plain arguments here", position, hint=f"as in {name}(s1)"
            )
        return Builtin(name, tuple(self.read(argument, depth) for argument in node.args))

    def _joined(self, values: list[ast.expr], position: Position, depth: int) -> Expression:
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
            if name in self._known or name in self._own or _NUMBER_ID.fullmatch(name):
                parts.append(self._braces(value.value, position, depth))
            else:
                parts.append("{" + root + "}")
        return self._string(parts, position)

    def _string(self, parts: list[str | Expression], position: Position) -> Expression:
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
            if name in self._known or name in self._own or _NUMBER_ID.fullmatch(name):
                before = text[at : match.start()]
                parts += [*self._dollars(before, position), self._path(name, rest, position)]
                left += before + " "
                at = match.end()
            else:
                self._braced.setdefault(name, (position, self._line(position)))
        if fragment := fragment_in(left + text[at:], self._known):
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
        own = min((int(id_[1:]) for id_ in self._own if _NUMBER_ID.fullmatch(id_)), default=0)
        parts: list[str | Expression] = []
        at = 0
        for match in _DOLLAR.finditer(text):
            number = match.group(1) or match.group(2)
            if f"s{number}" in self._known or 0 < int(number) < own:
                parts += [text[at : match.start()], self._reference(f"s{number}", position)]
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
                return self._reference(name, position)
            case ast.Attribute(value=value, attr=name) if not name.startswith("_"):
                return Field(self._braces(value, position, depth), name)
            case ast.Subscript(value=value, slice=key):
                inner = self.read(key, depth)
                return Subscript(self._braces(value, position, depth), inner)
            case _:
                raise self._source.error(
                    InvalidSyntax, "fields that begin with _ are private", position, hint=_ALLOWED
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
