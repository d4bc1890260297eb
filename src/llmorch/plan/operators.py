"""What operators, and functions such as ``len``, make of values: as Python has it, for arrays too, within bounds.

What would be made is charged before it is made wherever that can be told, and looked at afterwards where it can't.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import chain
from numbers import Number, Rational
from typing import TYPE_CHECKING, Any

from llmorch.errors import EvaluationError
from llmorch.plan.arrays import ONE, element_kind, numbers_in, of_objects, parts, shape
from llmorch.plan.budget import ITEM, SLOW, items_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmorch.plan.budget import Budget

MAX_BITS = 4_096
"""Bits in a whole number that an expression makes."""

MAX_DIGITS = 300
"""Digits that something may be rounded to."""

_PLAIN_NUMBERS = frozenset({int, float, bool, complex})
_BY_HASH = frozenset({set, frozenset, dict, OrderedDict})
_LONG_NUMBERS = frozenset({Decimal, Fraction})
_ARITHMETIC = frozenset({"+", "-", "*", "/", "//", "%"})
_LONG = frozenset({"**", "*", "//", "%"})
"""The operators that may take long even for whole numbers."""
_WALKING = frozenset({"min", "max", "sum", "sorted"})
"""The functions that look at each item."""
_COUNTED, _ORDERED = "biufcm", "biufcmM"
"""The kinds of elements, as NumPy names them, that have a sum, and that have a least and a largest."""
_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "&": operator.and_,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda left, right: left in right,
    "not in": lambda left, right: left not in right,
}


def operated(sign: str, left: Any, right: Any, budget: Budget) -> Any:
    """What arithmetic or one comparison comes to. Raises ``EvaluationError``, and what the values raise."""
    if type(left) in _PLAIN_NUMBERS and type(right) in _PLAIN_NUMBERS and sign not in _LONG:
        return bounded(_OPERATIONS[sign](left, right))
    budget.counted(left, right)
    if type(left) not in ONE or type(right) not in ONE:
        budget.charge(numbers_in(left, right))
    match sign:
        case "**":
            _bound_power(left, right)
        case "*":
            _charge_repetition(left, right, budget)
            _charge_repetition(right, left, budget)
            _refuse_objects(sign, left, right)
        case "%":
            if isinstance(left, str | bytes | bytearray):
                raise EvaluationError('% can\'t format text; write the result in braces, as in "{s1}"')
            _refuse_objects(sign, left, right)
        case "+" if isinstance(left, str | bytes | Sequence) and isinstance(right, str | bytes | Sequence):
            budget.charge(_unit(left) * len(left) + _unit(right) * len(right))
        case "in" | "not in":
            _charge_search(left, right, budget)
        case _ if type(left) not in ONE and type(right) not in ONE:
            budget.weigh(*(one for one in (left, right) if not _is_of_numbers(one)))
    if sign in _ARITHMETIC:
        _charge_numbers(budget, left, right)
    return bounded(_OPERATIONS[sign](left, right))


def compared(values: Sequence[Any], signs: Sequence[str], budget: Budget) -> Any:
    """What a chain of comparisons comes to: for arrays, where all of them hold, element by element."""
    found: Any = operated(signs[0], values[0], values[1], budget)
    for index, sign in enumerate(signs[1:], 1):
        each = not isinstance(found, int) and hasattr(type(found), "__and__") and shape(found) != ()
        if not each and not found:  # a truth for each element, or one for both values
            break
        following = operated(sign, values[index], values[index + 1], budget)
        found = operated("&", found, following, budget) if each else following
    return found


def negated(sign: str, value: Any, budget: Budget) -> Any:
    """What ``not``, ``-`` or ``+`` makes of a value."""
    budget.counted(value)
    if sign == "not":
        return not value
    budget.charge(numbers_in(value))
    _charge_numbers(budget, value)
    return bounded(-value if sign == "-" else +value)


def _is_of_numbers(value: Any) -> bool:
    """Whether it is an array of which no element is of a Python class."""
    return shape(value) is not None and not of_objects(value)


def _charge_numbers(budget: Budget, *values: Any) -> None:
    """Charge for arithmetic with what no operator made: a result may be a number of any length."""
    for value in values:
        if type(value) in _LONG_NUMBERS:
            budget.weigh(value)
        bits = _bits(value)
        if bits > MAX_BITS:
            budget.charge(bits * bits // MAX_BITS)


def bounded(value: Any) -> Any:
    """A value that was made, if no number in it is longer than a number may be."""
    kind = type(value)
    if kind is int:
        _bound_bits(value.bit_length())
    elif kind in ONE:
        return value
    elif isinstance(value, Rational):
        _bound_bits(_bits(value))
    elif of_objects(value):
        _bound_bits(max(map(_bits, parts(value)), default=0))
    return value


def _bound_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise EvaluationError(f"a number would have more than {MAX_BITS} bits")


def _bits(value: object) -> int:
    """The bits of a whole number, or of the longer part of a fraction; none of any other value."""
    if not isinstance(value, Rational):
        return 0
    return max(int(value.numerator).bit_length(), int(value.denominator).bit_length())


def _charge_repetition(one: Any, other: Any, budget: Budget) -> None:
    if isinstance(one, str | bytes | Sequence) and hasattr(type(other), "__index__"):
        try:
            times = operator.index(other)
        except TypeError:  # an array of more than one number
            return
        budget.charge(max(0, _unit(one) * len(one) * times))


def _unit(one: Any) -> int:
    """What each character, byte or item of a sequence counts."""
    return 1 if isinstance(one, str | bytes | bytearray) else ITEM


def _charge_search(item: Any, held: Any, budget: Budget) -> None:
    """Charge for what it takes to find an item: where it isn't found at once, all is compared with it."""
    if type(held) is range:
        if type(item) not in (int, bool):
            budget.charge(ITEM * items_in(held))
        return
    if type(held) in _BY_HASH:
        budget.counted_keys(held)
        if type(item) not in ONE:
            budget.weigh(item)
        return
    budget.weigh(item, held)


def _refuse_objects(sign: str, left: Any, right: Any) -> None:
    """Refuse what could repeat or format a text in an array."""
    for one in (left, right):
        if of_objects(one) and any(hasattr(type(part), "__len__") for part in parts(one)):
            raise EvaluationError(f"{sign} takes an array of numbers, not of text or other objects")


def _bound_power(left: Any, right: Any) -> None:
    """Bound a power before it is made; its base and exponent may be arrays of whatever kind."""
    if {type(left), type(right)} in ({float}, {int, float}):
        return
    for one in (left, right):
        if not hasattr(type(one), "__pow__"):
            names = f"{type(left).__name__} and {type(right).__name__}"
            raise EvaluationError(f"** takes numbers or arrays of numbers, not {names}")
        if of_objects(one):
            raise EvaluationError("** takes no array of objects; return one of numbers, such as floats")
    for one, other in ((left, right), (right, left)):
        # Its elements are of a fixed size, if they stay what they are.
        if element_kind(one) and not isinstance(one, Number):
            if not isinstance(other, int | float | complex) and not element_kind(other):
                raise EvaluationError(f"** takes an array and a plain number, not a {type(other).__name__}")
            return
    base = max(map(_bits, parts(left)), default=0)
    exponent = max((abs(part.numerator) for part in parts(right) if _is_whole(part)), default=0)
    if base > 1:  # 0, 1 and -1 stay small
        _bound_bits(base * exponent)


def _is_whole(value: object) -> bool:
    return isinstance(value, Rational) and value.denominator == 1


def built_in(name: str, arguments: list[Any], budget: Budget) -> Any:
    """What a function comes to. Raises ``EvaluationError``, and what the function raises.

    Where Python's own function can't take an array, or is slow or wrong on one, the array's
    method of that name does.
    """
    known = _FUNCTIONS.get(name)
    if known is None:
        raise EvaluationError(f"there is no built-in {name}")
    budget.counted(*arguments)
    if name in _WALKING:
        for value in arguments:
            weight = ITEM * numbers_in(value) if _is_of_numbers(value) else budget.weigh(value)
            if name == "sorted" and hasattr(type(value), "__len__"):  # every item is compared so many times
                budget.charge(weight // ITEM * _length(value).bit_length())
    elif name != "len":
        budget.charge(sum(map(numbers_in, arguments)))
        _charge_numbers(budget, *arguments)
    if name == "sum":
        return bounded(_sum(budget, *arguments))
    return bounded(known(*arguments))


def _length(*values: Any) -> int:
    return items_in(*values) if len(values) == 1 and type(values[0]) is range else len(*values)


def _least(*values: Any) -> Any:
    return (_method("min", _ORDERED, *values) or partial(min, *values))()


def _largest(*values: Any) -> Any:
    return (_method("max", _ORDERED, *values) or partial(max, *values))()


def _sum(budget: Budget, *values: Any) -> Any:
    """The sum of a list; of an array of more than one dimension its rows added up, as Python does it."""
    method = _method("sum", _COUNTED, *values)
    if method is not None:
        return method() if len(shape(values[0]) or ()) < 2 else method(axis=0)
    if not values or isinstance(values[0], str | bytes):
        raise EvaluationError("sum takes a list of numbers")
    items = values[0]
    if type(items) not in (list, tuple):
        budget.charge(ITEM * _length(items) if hasattr(type(items), "__len__") else 0)
        items = list(items)
    kinds = set(map(type, items))
    if kinds <= _PLAIN_NUMBERS:
        return sum(items, *values[1:])
    if kinds == {list} and len(values) > 1 and type(values[1]) is list:  # without a copy for each of them
        budget.charge(ITEM * (len(values[1]) + sum(map(len, items))))
        return [*values[1], *chain.from_iterable(items)]
    if len(values) == 1 and items and isinstance(items[0], timedelta):
        values = (items, timedelta())
    sum((), *values[1:])  # what it refuses to begin with
    total = values[1] if len(values) > 1 else 0
    for item in items:  # each step is bounded: these may be fractions or arrays
        budget.charge(SLOW)
        total = operated("+", total, item, budget)
    return total


def _method(name: str, kinds: str, *values: Any) -> Callable[..., Any] | None:
    """The method by which an array does the same, where it has one for its elements."""
    if len(values) != 1 or shape(values[0]) is None:
        return None
    kind = element_kind(values[0])
    method = getattr(values[0], name, None)
    return method if (not kind or kind in kinds) and callable(method) else None


def _rounded(value: Any, *digits: Any) -> Any:
    if digits and digits[0] is not None and abs(operator.index(digits[0])) > MAX_DIGITS:
        raise EvaluationError(f"round takes at most {MAX_DIGITS} digits")
    if hasattr(type(value), "__round__") or not callable(getattr(value, "round", None)):
        return round(_no_longer(value), *digits)
    return value.round(*digits)


def _sorted(*values: Any) -> Any:
    rank = len(shape(*values) or ()) if len(values) == 1 else 1
    if rank > 1:
        raise EvaluationError(f"sorted takes one dimension, not {rank}; sort a row, as in sorted(s1[0])")
    return sorted(*values)


def _no_longer(value: Any) -> Any:
    """A number, if it is no longer as a whole number than one may be: a ``Decimal`` can say so briefly."""
    adjusted = getattr(value, "adjusted", None)
    if callable(adjusted) and adjusted() > MAX_BITS:
        raise EvaluationError(f"a number would have more than {MAX_BITS} bits")
    return value


def _whole(*values: Any) -> int:
    text = values[0] if values else None
    if isinstance(text, str | bytes | bytearray) and len(text) > MAX_BITS:
        raise EvaluationError(f"a text of {len(text):,} characters is no number")
    return int(*map(_no_longer, values))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": _length,
    "min": _least,
    "max": _largest,
    "sum": _sum,
    "round": _rounded,
    "abs": abs,
    "sorted": _sorted,
    "int": _whole,
    "float": float,
}
