"""Arithmetic in text that a model wrote: found among its words, and computed without executing it.

Decides what is an expression and within which bounds it is computed. It must not know what
the numbers mean.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST, DEEPEST, LARGEST, LARGEST_POWER = 2_000, 40, 1e30, 64
"""Bounds of an expression: characters, nesting, numbers, exponents."""

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "round": round,
    "sum": lambda *values: sum(values[0] if isinstance(values[0], list) else values),
    "sqrt": math.sqrt,
}


class NotArithmetic(ValueError):
    """A text that is no arithmetic expression."""


@dataclass(frozen=True)
class Computed:
    """The value of an expression, and the numbers in it.

    ``among`` has those of each argument, where the expression is one min or max of several,
    and ``chosen`` says which argument was taken.
    """

    value: float
    numbers: tuple[float, ...]
    among: tuple[tuple[float, ...], ...] = ()
    chosen: int | None = None


def evaluated(text: str) -> float:
    """The value of an arithmetic expression; nothing but arithmetic is ever executed.

    Raises ``NotArithmetic`` for anything else, and ``ValueError`` for arithmetic without a
    result, such as a division by zero.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval") if len(text) <= LONGEST else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if tree is None:
        raise NotArithmetic(f"{shown(text, 60)!r} is no arithmetic expression")
    value = _value(tree.body, {}, 0)
    if isinstance(value, list):
        raise NotArithmetic(f"{shown(text, 60)!r} is a list of numbers, not one")
    return float(f"{value:.12g}")  # 0.1 + 0.2 is 0.3 for whoever reads it next


def computed(reply: str) -> Computed:
    """What the last arithmetic expression in a model's reply comes to.

    The reply may be lines that assign values to names, an expression with its result or its
    unit, or have one among words. Raises ``NotArithmetic`` if there is none.
    """
    text = re.sub(r"```\w*|[`$]", "", re.split(r"\b(?:Question|Text):", reply)[0][-LONGEST:])
    for signs, sign in ((r"\\times|\\cdot|[\u00d7\u00b7]", "*"), ("[\u2212\u2013]", "-"), (r"\^", "**")):
        text = re.sub(signs, sign, text)
    text = re.sub(r"\\div|\u00f7", "/", text)
    for candidate in _candidates(separated(text)):
        try:
            tree = ast.parse(candidate)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        names: dict[str, Any] = {}
        try:
            values = [_stated(statement, names) for statement in tree.body]
        except NotArithmetic:
            continue
        if values and not isinstance(values[-1], list):
            value = float(f"{values[-1]:.12g}")
            return Computed(value, _numbers(tree), *_alternatives(tree.body[-1], names, values[-1]))
    raise NotArithmetic(f"{shown(reply, 60)!r} has no arithmetic expression")


def _numbers(tree: ast.AST) -> tuple[float, ...]:
    values = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return tuple(float(value) for value in values if isinstance(value, int | float))


def _alternatives(
    statement: ast.stmt, names: dict[str, Any], value: float
) -> tuple[tuple[tuple[float, ...], ...], int | None]:
    """The arguments' numbers, if a statement is one min or max of several, and which of them it is."""
    match statement:
        case ast.Expr(ast.Call(ast.Name("min" | "max"), [_, _, *_] as arguments, [])):
            chosen = [_value(argument, names, 0) for argument in arguments].index(value)
            return tuple(_numbers(argument) for argument in arguments), chosen
        case _:
            return (), None


def _candidates(text: str) -> Iterator[str]:
    """What may be the expression: all lines, then what computes something, then a mere number; the last first."""
    yield text.strip()
    lines = [re.sub(r"^\s*(?:[-*>]\s+|[A-Za-z ]*:)\s*", "", line) for line in reversed(text.splitlines())]
    parts = [part.strip(" .") for line in lines for part in line.split("=") if re.search(r"\d", part)]
    for part in parts:
        if re.search(r"[-+*/%(]", part):
            yield part
            yield _as_python(part)
    for line in map(_as_python, lines):
        yield from reversed(re.findall(r"(?<![\w.])[\d(][\d.()\s]*(?:[*/+]|\s-\s)[\d.()\s*/+-]*[\d)]", line))
    for line in map(_as_python, lines):
        yield from reversed(re.findall(r"(?:^|[a-z]\s)\s*(\d+(?:\.\d+)?)(?=[.,;]?(?:\s+[a-z]|\s*$))", line))


def separated(text: str) -> str:
    """Without thousands separators, unless 8,376 could be two arguments."""
    plain = ", " not in text and re.search(r"\w\(", text)
    return text if plain else joined(text)


def joined(text: str) -> str:
    """Without thousands separators."""
    return re.sub(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?!\d)", lambda found: found.group().replace(",", ""), text)


def _as_python(text: str) -> str:
    """Without separators and units; a percentage is a fraction, a million a factor."""
    text = joined(text)
    for word, zeros in (("thousand", 3), ("million", 6), ("billion", 9)):
        text = re.sub(rf"(\d+(?:\.\d+)?)\s*{word}\b", rf"(\1*1e{zeros})", text)
    text = re.sub(r"([+-])\s*(\d+(?:\.\d+)?)\s*%(?!\s*[\d(])", r"* (1 \1 \2/100)", text)
    text = re.sub(r"(\d+(?:\.\d+)?)\s*%(?!\s*[\d(])", r"(\1/100)", text)
    return re.sub(
        r"(?<=[\d)])\s*(?!e[-+]?\d)[A-Za-z\u00b2]+(?:/[A-Za-z]+)?(?:(?:\*\*)?\d\b|\u00b2)?", "", text
    )


def _stated(statement: ast.stmt, names: dict[str, Any]) -> Any:
    """The value of ``1 + 2``, ``print(1 + 2)`` or ``name = 1 + 2``."""
    match statement:
        case ast.Expr(ast.Call(ast.Name("print"), [value], [])):
            return _value(value, names, 0)
        case ast.Expr(value):
            return _value(value, names, 0)
        case ast.Assign([ast.Name(name)], value):
            names[name] = _value(value, names, 0)
            return names[name]
        case _:
            raise NotArithmetic("only arithmetic is computed")


def _value(node: ast.expr, names: dict[str, Any], depth: int) -> Any:
    """A number, or a list of numbers inside min, max and sum."""
    if depth > DEEPEST:
        raise NotArithmetic("too many parentheses")
    try:
        match node:
            case ast.Constant(int() | float() as number) if not isinstance(number, bool):
                value: Any = number
            case ast.Name(name) if name in names:
                return names[name]
            case ast.List(items) | ast.Tuple(items):
                return [_value(item, names, depth + 1) for item in items]
            case ast.UnaryOp(sign, operand) if type(sign) in _OPERATORS:
                value = _OPERATORS[type(sign)](_value(operand, names, depth + 1))
            case ast.BinOp(left, sign, right) if type(sign) in _OPERATORS:
                one, other = _value(left, names, depth + 1), _value(right, names, depth + 1)
                if isinstance(one, list) or isinstance(other, list):
                    raise NotArithmetic("a list of numbers is no number")
                if isinstance(sign, ast.Pow) and abs(other) > LARGEST_POWER:
                    raise ValueError(f"the exponent {other:g} is too large")
                value = _OPERATORS[type(sign)](one, other)
            case ast.Call(ast.Name(name) | ast.Attribute(ast.Name("math"), name), args, []) if (
                name in _FUNCTIONS
            ):
                value = _FUNCTIONS[name](*(_value(item, names, depth + 1) for item in args))
            case _:
                raise NotArithmetic("only arithmetic is computed")
        if isinstance(value, complex) or not abs(value) <= LARGEST:
            raise ValueError("the result is no number, or too large a one")
    except (ArithmeticError, TypeError) as error:
        raise ValueError(f"it can't be computed: {error}") from None
    return value


def shown(text: str, most: int) -> str:
    """A text on one line, cut if it is longer."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most].rstrip()} ..."
