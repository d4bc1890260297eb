"""Operators and built-ins of an argument on arrays and numbers of every kind: element by element, and bounded."""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from llmorch.errors import EvaluationError
from tests.plan.test_evaluate import value

ONE = np.array([1, 2, 3])
TWO = np.arange(6).reshape(2, 3)
MASKED = np.ma.array([1, 2, 3], mask=[False, True, False])
COLUMN, ROW = np.ones((10_000, 1)), np.ones((1, 10_000))
OBJECTS = np.array([Fraction(1, 2), Fraction(1, 3)], dtype=object)


class Series:
    """What a data frame's column is to a plan: it has elements, and no truth of its own."""

    def __init__(self, *items: Any) -> None:
        self.items = list(items)

    def _each(self, other: Any, operation: Any) -> Series:
        others = other.items if isinstance(other, Series) else [other] * len(self.items)
        return Series(*(operation(one, two) for one, two in zip(self.items, others, strict=True)))

    def __gt__(self, other: Any) -> Series:
        return self._each(other, lambda one, two: one > two)

    def __lt__(self, other: Any) -> Series:
        return self._each(other, lambda one, two: one < two)

    def __and__(self, other: Any) -> Series:
        return self._each(other, lambda one, two: one and two)

    def __pow__(self, other: Any) -> Series:
        return self._each(other, lambda one, two: one**two)

    def __rpow__(self, other: Any) -> Series:
        return self._each(other, lambda one, two: two**one)

    def round(self, digits: int = 0) -> Series:
        return self._each(digits, round)

    def __iter__(self) -> Any:
        return iter(self.items)

    def __bool__(self) -> bool:
        raise ValueError("The truth value of a Series is ambiguous. Use a.empty, a.bool(), a.item()")


def plain(found: Any) -> Any:
    """A value that can be compared: of an array its kind, its type of elements, and its elements."""
    if isinstance(found, Series):
        return found.items
    if isinstance(found, np.ma.MaskedArray):
        return ["masked", *found.tolist()]
    if isinstance(found, np.ndarray):
        return found.tolist()
    return found


VALUES: list[tuple[str, dict[str, Any], Any]] = [
    ("s5 > 2", {"s5": ONE}, [False, False, True]),
    ("s5 == s6", {"s5": ONE, "s6": ONE[::-1]}, [False, True, False]),
    ("s5 != 2", {"s5": ONE}, [True, False, True]),
    ("0 < s5 < 3", {"s5": ONE}, [True, True, False]),
    ("0 < s5 < 3", {"s5": np.array([5])}, [False]),
    ("0 < s5 < 3", {"s5": np.array([])}, []),
    ("0 < s5 <= s6 < 9", {"s5": np.array([1]), "s6": ONE}, [True, True, True]),
    ("0 < 1 < s5", {"s5": ONE}, [False, True, True]),
    ("1 < 0 < s5", {"s5": ONE}, False),
    ("0 < s5 < 3", {"s5": TWO}, [[False, True, True], [False, False, False]]),
    ("0 < s5 < 9", {"s5": np.array(3)}, True),
    ("1 < s5 < 3", {"s5": np.int64(2)}, True),
    ("0 < s5 < 3", {"s5": MASKED}, ["masked", True, None, False]),
    ("0 < s5 < 3", {"s5": Series(1, 2, 5)}, [True, True, False]),
    ("2 in s5", {"s5": ONE}, True),
    ("s5 ** 2", {"s5": ONE}, [1, 4, 9]),
    ("2 ** s5", {"s5": ONE}, [2, 4, 8]),
    ("s5 ** 0.5", {"s5": ONE**2}, [1.0, 2.0, 3.0]),
    ("s5 ** s5", {"s5": ONE}, [1, 4, 27]),
    ("s5 ** 2", {"s5": MASKED}, ["masked", 1, None, 9]),
    ("s5 ** 2", {"s5": np.int64(4)}, 16),
    ("s5 ** 2", {"s5": Series(1, 2)}, [1, 4]),
    ("2 ** s5", {"s5": Series(1, 2)}, [2, 4]),
    ("s5 ** 2", {"s5": Decimal("1.5")}, Decimal("2.25")),
    ("s5 ** 2", {"s5": Fraction(3, 2)}, Fraction(9, 4)),
    ("s5 ** 2", {"s5": 1j}, -1),
    ("1 ** 99999", {}, 1),
    ("-s5", {"s5": ONE}, [-1, -2, -3]),
    ("abs(s5)", {"s5": -TWO}, TWO.tolist()),
    ("abs(s5)", {"s5": timedelta(-1)}, timedelta(1)),
    ("round(s5, 1)", {"s5": ONE / 3}, [0.3, 0.7, 1.0]),
    ("round(s5)", {"s5": TWO / 2}, [[0.0, 0.0, 1.0], [2.0, 2.0, 2.0]]),
    ("round(s5, 1)", {"s5": Series(1.25)}, [1.2]),
    ("round(s5, 1)", {"s5": Decimal("1.25")}, Decimal("1.2")),
    ("round(s5)", {"s5": np.float64(2.5)}, 2),
    ("min(s5)", {"s5": TWO}, 0),
    ("max(s5)", {"s5": ONE}, 3),
    ("max(s5)", {"s5": np.array(3)}, 3),
    ("max(s5)", {"s5": np.array(["b", "a"])}, "b"),
    ("max(s5)", {"s5": OBJECTS}, Fraction(1, 2)),
    ("max(s5)", {"s5": [timedelta(1), timedelta(2)]}, timedelta(2)),
    ("min(1, s5)", {"s5": np.float64(0.5)}, 0.5),
    ("sum(s5)", {"s5": ONE}, 6),
    ("sum(s5)", {"s5": TWO}, [3, 5, 7]),
    ("sum(s5)", {"s5": np.int8([100, 100])}, 200),
    ("sum(s5)", {"s5": MASKED}, 4),
    ("sum(s5)", {"s5": OBJECTS}, Fraction(5, 6)),
    ("sum(s5)", {"s5": [timedelta(1), timedelta(2)]}, timedelta(3)),
    ("sum(s5)", {"s5": [Decimal("0.1")] * 3}, Decimal("0.3")),
    ("sum(s5)", {"s5": []}, 0),
    ("sum(s5, 1)", {"s5": [1j, 2]}, 3 + 1j),
    ("sorted(s5)", {"s5": ONE[::-1]}, [1, 2, 3]),
    ("len(s5)", {"s5": TWO}, 2),
    ("s5 > s6", {"s5": timedelta(2), "s6": timedelta(1)}, True),
    ("s5 + s6", {"s5": OBJECTS, "s6": OBJECTS}, [Fraction(1), Fraction(2, 3)]),
    ("s5 * 2", {"s5": OBJECTS}, [Fraction(1), Fraction(2, 3)]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "given", "expected"), VALUES)
def test_an_operator_works_element_by_element(text: str, given: dict[str, Any], expected: Any) -> None:
    assert plain(value(text, **given)) == expected


BITS = "more than 4096 bits"
LONG = "longer than"
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("s5 > 1 and s5 < 3", {"s5": ONE}, "in one chain, as in 0 < s1 < 10"),
    ("not s5", {"s5": ONE}, "neither true nor false"),
    ("max(s5, 2)", {"s5": ONE}, "neither true nor false"),
    ("s5 or 1", {"s5": Series(1, 2)}, "neither true nor false"),
    ("sorted(s5)", {"s5": TWO}, "sort a row, as in sorted(s1[0])"),
    ("s5 == s6", {"s5": ONE, "s6": ONE[:2]}, "could not be broadcast"),
    ("s5 ** 2", {"s5": "x"}, "takes numbers or arrays of numbers, not str and int"),
    ("s5 ** 2", {"s5": timedelta(1)}, "takes numbers"),
    ("2 ** s5", {"s5": {1}}, "takes numbers"),
    ("s5 ** 2", {"s5": OBJECTS}, "no array of objects"),
    ("s5 ** s6", {"s5": ONE, "s6": Fraction(10**9)}, "a plain number, not a Fraction"),
    ("s5 ** 5000", {"s5": Fraction(3, 2)}, BITS),
    ("s5 ** -5000", {"s5": Fraction(3, 2)}, BITS),
    ("2 ** s5", {"s5": Fraction(10**9)}, BITS),
    ("s5 ** s6", {"s5": np.int64(3), "s6": Fraction(10**9)}, BITS),
    ("s5 ** 99999999", {"s5": Series(1, 2)}, BITS),
    ("9 ** s5", {"s5": Series(10**9)}, BITS),
    ("s5 * s5", {"s5": Fraction(2**4000, 3)}, BITS),
    ("s5 * s5", {"s5": np.array([2**4000], dtype=object)}, BITS),
    ("sum(s5)", {"s5": [Fraction(1, number) for number in range(1, 10**5)]}, BITS),
    ("int(s5)", {"s5": Decimal("1e999999")}, BITS),
    ("round(s5)", {"s5": Decimal("1e999999")}, BITS),
    ("round(1, s5)", {"s5": np.int64(-(10**9))}, "at most 300 digits"),
    ("s5 + s6", {"s5": COLUMN, "s6": ROW}, LONG),
    ("s5 < s6", {"s5": COLUMN, "s6": ROW}, LONG),
    ("0 < s5 < s6", {"s5": COLUMN, "s6": ROW}, LONG),
    ("s5 ** s6", {"s5": COLUMN, "s6": ROW}, LONG),
    ("s5 + s6", {"s5": COLUMN, "s6": [1.0] * 10_000}, LONG),
    ("sum([s5, s6])", {"s5": COLUMN, "s6": ROW}, LONG),
    ("s5 + s6", {"s5": np.full((1000, 1), "x" * 1000), "s6": np.full((1, 1000), "y")}, LONG),
    ('"a" * s5', {"s5": np.int64(10**10)}, LONG),
    ("s5 * s6", {"s5": [1], "s6": np.int64(10**10)}, LONG),
    ("s5 * 99999999", {"s5": np.array(["a"], dtype=object)}, "not of text"),
    ("s5 % 3", {"s5": np.array(["%999999999d"], dtype=object)}, "not of text"),
]


@pytest.mark.parametrize(("text", "given", "says"), REFUSED)
def test_what_has_no_value_or_too_large_a_one_says_so_at_once(
    text: str, given: dict[str, Any], says: str
) -> None:
    began = time.process_time()
    with pytest.raises(EvaluationError) as caught:
        value(text, **given)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.process_time() - began < 1
