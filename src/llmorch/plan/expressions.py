"""An argument's tree: from Python's syntax, through an allow-list, to our own nodes.

What is not listed here can't be said in a plan. The results inside a string are found once, on
the tree: what a result's own text says is never searched for them.
"""

from __future__ import annotations

import ast
import re
from itertools import groupby
from typing import TYPE_CHECKING, Literal, cast

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
from llmorch.plan.operators import MAX_BITS
from llmorch.plan.tree import expression

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from llmorch.calls import CallId, Comparison, Expression, Operator, Position
    from llmorch.plan.fragments import BracedNames
    from llmorch.plan.scanner import Statement

BUILTINS = ("len", "min", "max", "sum", "round", "abs", "sorted", "str", "int", "float")
ID = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
MAX_DEPTH = 60
"""Expressions inside expressions."""

_OPERATORS: dict[type[ast.operator], Operator] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}
_SIGNS: dict[type[ast.unaryop], Literal["-", "+", "not"]] = {ast.USub: "-", ast.UAdd: "+", ast.Not: "not"}
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
_APART = "give parts of it a line and an id of their own"
_COMPUTED = "compute in an argument of its own, without a string around it"

_NUMBER_ID = re.compile(r"s\d{1,6}")
_BRACE = re.compile(r"\{[ \t]*([A-Za-z_]\w*)(?:([.\[(][^{}]*)|[ \t]*)\}")
# Not a price: "US$1" and "$1.50" are text.
_DOLLAR = re.compile(r"(?<!\w)\$(?:\{(\d{1,6})\}|(\d{1,6})(?!\d|[.,]\d))")
_JSON = {"true": "True", "false": "False", "null": "None"}


class Arguments:
    """Reads the arguments of one call.

    ``known`` are the ids above it, whose results it may use, and ``own`` is its own. Names in braces
    that are text so far are noted in ``braced``. Without ``references`` strings hold text and no results.
    """

    def __init__(
        self,
        source: Statement,
        known: Collection[CallId],
        own: CallId,
        braced: BracedNames,
        *,
        references: bool = True,
    ) -> None:
        self._source, self._known, self._own, self._braced = source, known, own, braced
        self._references = references

    def read(self, node: ast.expr, depth: int = 0) -> Expression:
        """Turn Python's tree into ours. Raises ``PlanError``."""
        if depth > MAX_DEPTH:
            raise self._error(
                f"an expression is nested more than {MAX_DEPTH} deep", node, _APART, PlanTooLarge
            )
        depth += 1
        match node:
            case ast.Constant(value=str() as text):
                return self._string([text], self._source.position(node))
            case ast.Constant(value=None | bool() | int() | float() as value):
                if isinstance(value, int) and value.bit_length() > MAX_BITS:
                    hint = "write it as a text, or have a function return it"
                    raise self._error(f"a number has more than {MAX_BITS} bits", node, hint, PlanTooLarge)
                return Constant(value)
            case ast.JoinedStr(values=values):
                return self._joined(values, self._source.position(node), depth)
            case ast.Name(id=name):
                return self._reference(name, self._source.position(node))
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return ListOf(tuple(self.read(item, depth) for item in items))
            case ast.Dict(keys=keys, values=values) if None not in keys:
                return self._dict([key for key in keys if key], values, depth)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not() as operator, operand=operand):
                before, signed = _SIGNS[type(operator)], self.read(operand, depth)
                # As it is written and read again, also where several signs follow each other.
                if before == "-" and isinstance(signed, Constant) and type(signed.value) in (int, float):
                    return Constant(-signed.value)  # type: ignore[operator]
                return Negated(before, signed)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return Binary(_OPERATORS[type(op)], self.read(left, depth), self.read(right, depth))
            case ast.Compare(left=left, ops=ops, comparators=rest) if all(
                type(op) in _COMPARISONS for op in ops
            ):
                first = self.read(left, depth)
                signs = [_COMPARISONS[type(op)] for op in ops]
                return Compare(
                    first, tuple(zip(signs, [self.read(item, depth) for item in rest], strict=True))
                )
            case ast.BoolOp(op=op, values=values):
                sign: Literal["and", "or"] = "and" if isinstance(op, ast.And) else "or"
                return Junction(sign, tuple(self.read(item, depth) for item in values))
            case ast.Subscript(value=value, slice=ast.Slice(lower=lower, upper=upper, step=None)):
                whole = self.read(value, depth)
                ends = [None if end is None else self.read(end, depth) for end in (lower, upper)]
                return Subscript(whole, Slice(*ends))
            case ast.Subscript(value=value, slice=key) if not isinstance(key, ast.Slice):
                return Subscript(self.read(value, depth), self.read(key, depth))
            case ast.Attribute(value=value, attr=name):
                if name.startswith("_"):
                    message = f"the field {name} can't be read: fields that begin with _ are private"
                    raise self._error(message, node)
                return Field(self.read(value, depth), name)
            case ast.Call():
                return self._builtin(node, depth)
            case _:
                what = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).lower()
                raise self._error(f"{what} can't stand in an argument", node)

    def _dict(self, keys: Sequence[ast.expr], values: Sequence[ast.expr], depth: int) -> DictOf:
        pairs, seen = [], set()
        for key, value in zip(keys, values, strict=True):
            name = self.read(key, depth)
            if isinstance(name, Constant):
                if name.value in seen:
                    hint = "write every key of a dictionary once"
                    raise self._error(f"key repeated: {name.value!r}"[:120], key, hint)
                seen.add(name.value)
            pairs.append((name, self.read(value, depth)))
        return DictOf(tuple(pairs))

    def _builtin(self, node: ast.Call, depth: int) -> Expression:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in BUILTINS:
            hint = f"give a call a line and an id of its own, and use its id here; {_ALLOWED}"
            raise self._error(f"{name or 'this'} can't be called inside an argument", node, hint)
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self._error(f"{name} takes only plain arguments here", node, f"as in {name}(s1)")
        return Builtin(name, tuple(self.read(argument, depth) for argument in node.args))

    def _error(
        self,
        message: str,
        at: ast.expr | Position,
        hint: str = _ALLOWED,
        kind: type[PlanError] = InvalidSyntax,
    ) -> PlanError:
        return self._source.error(kind, message, at, hint=hint)

    def _meant(self, name: str) -> bool:
        """Whether a name in braces stands for a result, if for one that isn't there; it is text if not."""
        return name in self._known or name == self._own or bool(_NUMBER_ID.fullmatch(name))

    def _reference(self, name: str, position: Position) -> Reference:
        if name in self._known:
            return Reference(name, position)
        if name == self._own:
            message, hint = f"{name} uses its own result", "a call can use only the results of calls above it"
        elif name in _JSON:
            message, hint = f"{name} is not defined", f"write {_JSON[name]}"
        else:
            message = f"{name} is not defined"
            above = list(self._known)
            listed = ", ".join(above if len(above) <= 12 else [*above[:4], "...", *above[-6:]])
            hint = f"ids defined above this line: {listed}" if above else "no ids are defined above this line"
        raise self._error(message, position, hint, UndefinedId)

    def _joined(self, values: list[ast.expr], position: Position, depth: int) -> Expression:
        """An f-string: what Python has read of its braces, and its text."""
        parts: list[str | Expression] = []
        for value in values:
            if isinstance(value, ast.Constant):
                parts.append(str(value.value))
                continue
            assert isinstance(value, ast.FormattedValue)
            if (
                value.conversion != -1
                or value.format_spec is not None
                or not self._is_path(value.value, position)
            ):
                message = "braces in a string hold only a result, as in {s1} or {s1[0]}"
                raise self._error(message, position, _COMPUTED)
            meant = self._meant(_root(value.value).id)
            parts.append(
                self._braces(value.value, position, depth) if meant else "{" + ast.unparse(value.value) + "}"
            )
        return self._string(parts, position)

    def _string(self, parts: list[str | Expression], position: Position) -> Expression:
        """A string's text and results, with the references inside its text found."""
        found: list[str | Expression] = []
        for part in _joined(parts):
            found += self._search(part, position) if isinstance(part, str) else (part,)
        match merged := _joined(found):
            case []:
                return Constant("")
            case [str() as text]:
                return Constant(text)
        return Template(tuple(merged))

    def _search(self, text: str, position: Position) -> list[str | Expression]:
        if not self._references:
            return [text]
        parts: list[str | Expression] = []
        at, left = 0, ""
        for match in _BRACE.finditer(text):
            name, rest = match.group(1), match.group(2) or ""
            if self._meant(name):
                before = text[at : match.start()]
                parts += [*self._dollars(before, position), self._path(name, rest, position)]
                left += before + " "
                at = match.end()
            else:
                self._braced.note(name, position, self._source.lines[position[0] - self._source.line])
        if fragment := fragment_in(left + text[at:], self._known):
            raise self._no_result(fragment, position)
        return [*parts, *self._dollars(text[at:], position)]

    def _dollars(self, text: str, position: Position) -> list[str | Expression]:
        """LLMCompiler's ``$1`` inside a string, if the line is written in that form.

        One below the line's own number stands for a line that is missing; any other is a price.
        """
        if not self._source.numbered or "$" not in text:
            return [text]
        own = int(self._own[1:]) if _NUMBER_ID.fullmatch(self._own) else 0
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
            node = expression(name + rest)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            node = None
        if node is None or not self._is_path(node, position):
            raise self._no_result(f"{{{name}{rest}}}", position)
        return self._braces(node, position, 0)

    def _no_result(self, text: str, position: Position) -> PlanError:
        what = "is not a result: braces hold only an id, as in {s1}, with subscripts or fields"
        return self._error(f"{text[:60]} {what}", position, _COMPUTED)

    def _braces(self, node: ast.expr, position: Position, depth: int) -> Expression:
        """A path inside braces; its position is the whole string's."""
        match node:
            case ast.Name(id=name):
                return self._reference(name, position)
            case ast.Attribute(value=value, attr=name) if not name.startswith("_"):
                return Field(self._braces(value, position, depth), name)
            case ast.Subscript(value=value, slice=ast.Constant(value=str() as key)):
                return Subscript(self._braces(value, position, depth), self._string([key], position))
            case ast.Subscript(value=value, slice=index):
                return Subscript(self._braces(value, position, depth), self.read(index, depth))
            case _:
                raise self._error("fields that begin with _ are private", position)

    def _is_path(self, node: ast.expr, position: Position) -> bool:
        """Whether an expression is an id with subscripts and fields after it, and not too many of them."""
        steps = 0
        while not isinstance(node, ast.Name):
            match node:
                case ast.Attribute(value=value):
                    node = value
                case ast.Subscript(
                    value=value,
                    slice=ast.Constant(value=int())
                    | ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int())),
                ):
                    node = value
                case ast.Subscript(value=value, slice=ast.Constant(value=str() as key)) if not set(key) & set(
                    "{}"
                ):
                    node = value
                case _:
                    return False
            steps += 1
        if steps > MAX_DEPTH:
            message = f"a path in braces has more than {MAX_DEPTH} subscripts and fields"
            raise self._error(message, position, _APART, PlanTooLarge)
        return True


def _joined(parts: Iterable[str | Expression]) -> list[str | Expression]:
    """Parts of a string, in which texts side by side are one, and none is empty."""
    joined: list[str | Expression] = []
    for is_text, some in groupby(parts, lambda part: isinstance(part, str)):
        if not is_text:
            joined += some
        elif text := "".join(cast("Iterable[str]", some)):
            joined.append(text)
    return joined


def _root(path: ast.expr) -> ast.Name:
    """The id that a path begins with."""
    while not isinstance(path, ast.Name):
        assert isinstance(path, ast.Attribute | ast.Subscript)
        path = path.value
    return path
