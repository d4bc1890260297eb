"""Random expressions, plans and functions, for properties of the pure layers."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from llmorch.calls import (
    Binary,
    Builtin,
    Compare,
    Constant,
    DictOf,
    Expression,
    Field,
    FunctionCall,
    Junction,
    ListOf,
    Negated,
    Plan,
    Reference,
    Slice,
    Subscript,
    Template,
)
from llmorch.declare.functions import Function

FUNCTIONS = {
    "load": Function("load", call=print, kind="inout", effects="none"),
    "train": Function("train", call=print, kind="compute", effects="none"),
    "ask": Function("ask", call=print, kind="compute", asks_model=True, effects="none"),
}
"""One function of each sort that the coordinator tells apart."""

_PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="{}"), max_size=12)
_NAMES = st.sampled_from(["area", "name", "x"])


def constants() -> st.SearchStrategy[Constant]:
    numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    return st.builds(Constant, numbers | _PLAIN | st.booleans() | st.none())


def paths(ids: tuple[str, ...]) -> st.SearchStrategy[Expression]:
    """What may stand in the braces of a string: an id with subscripts and fields."""

    def longer(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        keys = st.builds(Constant, st.integers(-9, 9) | _PLAIN)
        return st.builds(Subscript, inner, keys) | st.builds(Field, inner, _NAMES)

    return st.recursive(st.builds(Reference, st.sampled_from(ids)), longer, max_leaves=3)


def _templates(ids: tuple[str, ...]) -> st.SearchStrategy[Template]:
    def joined(parts: list[Any]) -> Template:
        merged: list[Any] = []
        for part in parts:
            if merged and isinstance(part, str) and isinstance(merged[-1], str):
                merged[-1] += part
            elif part != "":
                merged.append(part)
        return Template(tuple(merged))

    parts = st.lists(_PLAIN | paths(ids), max_size=3)
    return st.tuples(parts, paths(ids), parts).map(lambda three: joined([*three[0], three[1], *three[2]]))


@cache
def expressions(ids: tuple[str, ...]) -> st.SearchStrategy[Expression]:
    """Any argument that uses no other ids than these."""
    leaves: st.SearchStrategy[Any] = constants()
    if ids:
        leaves |= st.builds(Reference, st.sampled_from(ids)) | _templates(ids)

    def larger(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        signs = st.sampled_from(["+", "-", "*", "/", "//", "%", "**"])
        compared = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
        pairs = st.lists(st.tuples(compared, inner), min_size=1, max_size=2).map(tuple)
        operands = st.lists(inner, min_size=2, max_size=3).map(tuple)
        slices = st.builds(Slice, st.none() | inner, st.none() | inner)
        return st.one_of(
            st.builds(ListOf, st.lists(inner, max_size=3).map(tuple)),
            st.builds(DictOf, st.lists(st.tuples(constants(), inner), max_size=2, unique_by=_key).map(tuple)),
            st.builds(Binary, signs, inner, inner),
            st.builds(Negated, st.sampled_from(["-", "+", "not"]), inner).filter(_not_a_sign_before_a_number),
            st.builds(Compare, inner, pairs),
            st.builds(Junction, st.sampled_from(["and", "or"]), operands),
            st.builds(Subscript, inner, inner | slices),
            st.builds(Field, inner, _NAMES),
            st.builds(
                Builtin, st.sampled_from(["len", "max", "sorted"]), st.lists(inner, max_size=2).map(tuple)
            ),
        )

    return st.recursive(leaves, larger, max_leaves=6)


def _key(pair: tuple[Constant, Expression]) -> Any:
    return pair[0].value


def _not_a_sign_before_a_number(node: Negated) -> bool:
    # "-1" is the number itself, not a sign and a number.
    return not (node.operator == "-" and isinstance(node.operand, Constant))


@st.composite
def plans(draw: st.DrawFn, max_calls: int = 8, *, arguments: bool = True) -> Plan:
    """Random plans over ``FUNCTIONS``; without ``arguments``, only with references."""
    calls: list[FunctionCall] = []
    for number in range(1, draw(st.integers(1, max_calls)) + 1):
        ids = [call.id for call in calls]
        used = draw(st.lists(st.sampled_from(ids), unique=True, max_size=3)) if ids else []
        args: dict[str, Expression] = {"uses": ListOf(tuple(Reference(id_) for id_ in used))}
        if arguments:
            args["value"] = draw(expressions(tuple(ids)))
        name = draw(st.sampled_from(sorted(FUNCTIONS)))
        calls.append(FunctionCall(f"s{number}", name, args))
    return Plan(tuple(calls))
