"""An argument's tree: from Python's syntax, through an allow-list, to our own nodes.

What is not listed here can't be said in a plan. What strings hold is read in ``strings.py``.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Literal

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
    Slice,
    Subscript,
)
from llmorch.errors import InvalidSyntax, PlanError, PlanTooLarge
from llmorch.plan.strings import Strings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmorch.calls import Comparison, Expression, Operator
    from llmorch.plan.fragments import BracedNames
    from llmorch.plan.source import Names

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


def to_expression(node: ast.expr, names: Names, braced: BracedNames) -> Expression:
    """Turn Python's tree into ours; names in braces that are text so far are noted. Raises ``PlanError``."""
    return _Reader(names, braced).read(node, 0)


class _Reader:
    def __init__(self, names: Names, braced: BracedNames) -> None:
        self._names = names
        self._source = names.source
        self._strings = Strings(names, braced, self.read, _ALLOWED)

    def read(self, node: ast.expr, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            hint = "give parts of it a line and an id of their own"
            raise self._error(f"an expression is nested more than {MAX_DEPTH} deep", node, hint, PlanTooLarge)
        depth += 1
        match node:
            case ast.Constant(value=str() as text):
                return self._strings.string([text], self._source.position(node))
            case ast.Constant(value=None | bool() | int() | float() as value):
                return Constant(value)
            case ast.JoinedStr(values=values):
                return self._strings.joined(values, self._source.position(node), depth)
            case ast.Name(id=name):
                return self._names.reference(name, self._source.position(node))
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return ListOf(tuple(self.read(item, depth) for item in items))
            case ast.Dict(keys=keys, values=values) if None not in keys:
                return self._dict([key for key in keys if key], values, depth)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)) if (
                type(value) is not bool
            ):
                return Constant(-value)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not() as operator, operand=operand):
                return Negated(_SIGNS[type(operator)], self.read(operand, depth))
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

    def _field(self, value: ast.expr, name: str, node: ast.expr, depth: int) -> Expression:
        if name.startswith("_"):
            raise self._error(f"the field {name} can't be read: fields that begin with _ are private", node)
        return Field(self.read(value, depth), name)

    def _builtin(self, node: ast.Call, depth: int) -> Expression:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in BUILTINS:
            hint = f"give a call a line and an id of its own, and use its id here; {_ALLOWED}"
            raise self._error(f"{name or 'this'} can't be called inside an argument", node, hint)
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self._error(f"{name} takes only plain arguments here", node, f"as in {name}(s1)")
        return Builtin(name, tuple(self.read(argument, depth) for argument in node.args))

    def _error(
        self, message: str, node: ast.expr, hint: str = _ALLOWED, kind: type[PlanError] = InvalidSyntax
    ) -> PlanError:
        return self._source.error(kind, message, node, hint=hint)
