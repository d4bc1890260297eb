"""The functions that an argument may use, ``len`` and the like: as Python has them, and for arrays too.

Where Python's own function can't take an array, or is slow or wrong on one, the array's
method of that name does. What comes of it is bounded as with an operator.
"""

from __future__ import annotations

from datetime import timedelta
from operator import index
from typing import TYPE_CHECKING, Any

from llmorch.errors import EvaluationError
from llmorch.plan.operators import MAX_BITS, bounded, element_kind, operated, shape

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DIGITS = 300
"""Digits that something may be rounded to."""

_NUMBERS = frozenset({int, float, bool, complex})
_COUNTED, _ORDERED = "biufcm", "biufcmM"
"""The kinds of elements, as NumPy names them, that have a sum, and that have a least and a largest."""


def built_in(name: str, arguments: list[Any]) -> Any:
    """What a function comes to. Raises ``EvaluationError``, and what the function raises."""
    known = _FUNCTIONS.get(name)
    if known is None:
        raise EvaluationError(f"there is no built-in {name}")
    return bounded(known(*arguments))


def _least(*values: Any) -> Any:
    method = _method("min", _ORDERED, *values)
    return min(*values) if method is None else method()


def _largest(*values: Any) -> Any:
    method = _method("max", _ORDERED, *values)
    return max(*values) if method is None else method()


def _sum(*values: Any) -> Any:
    """The sum of a list; of an array of more than one dimension its rows added up, as Python does it."""
    method = _method("sum", _COUNTED, *values)
    if method is not None:
        return method() if len(shape(values[0]) or ()) < 2 else method(axis=0)
    if not values or isinstance(values[0], str | bytes):
        raise EvaluationError("sum takes a list of numbers")
    items = list(values[0])
    if all(type(item) in _NUMBERS for item in items):
        return sum(items, *values[1:])
    if len(values) == 1 and items and isinstance(items[0], timedelta):
        values = (items, timedelta())
    sum((), *values[1:])  # what it refuses to begin with
    total = values[1] if len(values) > 1 else 0
    for item in items:  # each step is bounded: these may be fractions or arrays
        total = operated("+", total, item)
    return total


def _method(name: str, kinds: str, *values: Any) -> Callable[..., Any] | None:
    """The method by which an array does the same, where it has one for its elements."""
    if len(values) != 1 or shape(values[0]) is None:
        return None
    kind = element_kind(values[0])
    method = getattr(values[0], name, None)
    return method if (not kind or kind in kinds) and callable(method) else None


def _rounded(value: Any, *digits: Any) -> Any:
    if digits and digits[0] is not None and abs(index(digits[0])) > MAX_DIGITS:
        raise EvaluationError(f"round takes at most {MAX_DIGITS} digits")
    if hasattr(type(value), "__round__") or not callable(getattr(value, "round", None)):
        return round(_no_longer(value), *digits)
    return value.round(*digits)


def _sorted(*values: Any) -> Any:
    rank = len(shape(*values) or ()) if len(values) == 1 else 1
    if rank > 1:
        raise EvaluationError(f"sorted takes one dimension, not {rank}; sort a row, as in sorted(s1[0])")
    return sorted(*values)


def _whole(*values: Any) -> int:
    return int(*map(_no_longer, values))


def _no_longer(value: Any) -> Any:
    """A number, if it is no longer as a whole number than one may be: a ``Decimal`` can say so briefly."""
    adjusted = getattr(value, "adjusted", None)
    if callable(adjusted) and adjusted() > MAX_BITS:
        raise EvaluationError(f"a number would have more than {MAX_BITS} bits")
    return value


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len,
    "min": _least,
    "max": _largest,
    "sum": _sum,
    "round": _rounded,
    "abs": abs,
    "sorted": _sorted,
    "int": _whole,
    "float": float,
}
