"""Calls to text, in the canonical form: ``s1 = search(query="Texas")``.

``parse(render(plan)) == plan`` for every plan, in this form and in the paper's
(``s1: search(query="Texas")``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from llmorch.arguments import choice, refuse
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
    Plan,
    Reference,
    Slice,
    Subscript,
    Template,
)

if TYPE_CHECKING:
    from llmorch.calls import Expression, FunctionCall

_PRECEDENCE = {"or": 1, "and": 2, "not": 3, "compare": 4, "+": 5, "-": 5, "*": 6, "/": 6, "//": 6, "%": 6}
_SIGN, _POWER, _ATOM = 7, 8, 9
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def render(plan: Plan, *, form: Literal["canonical", "paper"] = "canonical") -> str:
    """The plan as text, one call a line."""
    if not isinstance(plan, Plan):
        refuse("plan", "a Plan", plan)
    choice("form", form, ("canonical", "paper"))
    return "\n".join(render_call(call, form=form) for call in plan)


def render_call(call: FunctionCall, *, form: Literal["canonical", "paper"] = "canonical") -> str:
    """One call as a line of text."""
    between = " = " if form == "canonical" else ": "
    return f"{call.id}{between}{render_without_id(call)}"


def render_without_id(call: FunctionCall) -> str:
    """One call as text, as it is written where nothing refers to it."""
    arguments = [_expression(argument) for argument in call.positional]
    arguments += [f"{name}={_expression(argument)}" for name, argument in call.args.items()]
    return f"{call.function}({', '.join(arguments)})"


def _expression(node: Expression | Slice, least: int = 0) -> str:
    text, precedence = _node(node)
    return f"({text})" if precedence < least else text


def _node(node: Expression | Slice) -> tuple[str, int]:
    match node:
        case Constant(value):
            return _constant(value)
        case Reference(id_):
            return id_, _ATOM
        case Template(parts):
            return _template(parts), _ATOM
        case ListOf(items):
            return f"[{', '.join(_expression(item) for item in items)}]", _ATOM
        case DictOf(pairs):
            inner = ", ".join(f"{_expression(key)}: {_expression(value)}" for key, value in pairs)
            return f"{{{inner}}}", _ATOM
        case Negated("not", operand):
            return f"not {_expression(operand, _PRECEDENCE['not'])}", _PRECEDENCE["not"]
        case Negated(sign, operand):
            return f"{sign}{_expression(operand, _SIGN)}", _SIGN
        case Binary("**", left, right):
            return f"{_expression(left, _POWER + 1)} ** {_expression(right, _SIGN)}", _POWER
        case Binary(operator, left, right):
            own = _PRECEDENCE[operator]
            return f"{_expression(left, own)} {operator} {_expression(right, own + 1)}", own
        case Compare(first, rest):
            own = _PRECEDENCE["compare"] + 1
            texts = [_expression(first, own), *(f"{name} {_expression(right, own)}" for name, right in rest)]
            return " ".join(texts), own - 1
        case Junction(operator, operands):
            own = _PRECEDENCE[operator]
            return f" {operator} ".join(_expression(operand, own + 1) for operand in operands), own
        case Subscript(value, key):
            return f"{_expression(value, _ATOM)}[{_expression(key)}]", _ATOM
        case Slice(start, stop):
            return ":".join("" if part is None else _expression(part) for part in (start, stop)), _ATOM
        case Field(value, name):
            inner = _expression(value, _ATOM)
            # ``1.area`` is not an expression: a number needs its parentheses.
            return f"({inner}).{name}" if isinstance(value, Constant) else f"{inner}.{name}", _ATOM
        case Builtin(name, arguments):
            return f"{name}({', '.join(_expression(argument) for argument in arguments)})", _ATOM


def _constant(value: str | float | bool | None) -> tuple[str, int]:
    if isinstance(value, str):
        return _quoted(value), _ATOM
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return ("1e999", _ATOM) if value > 0 else ("-1e999", _SIGN)
    text = repr(value)
    return text, _SIGN if text.startswith("-") else _ATOM


def _quoted(text: str) -> str:
    return '"' + re.sub(r'[\\"\n\r\t]|[^ -~]', _escaped, text) + '"'


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():  # letters of any script stay readable; the rest can't be seen in a text
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _template(parts: tuple[str | Expression, ...]) -> str:
    return _quoted("".join(part if isinstance(part, str) else f"{{{_expression(part)}}}" for part in parts))
