"""What an argument may come to: small values that stand for endless work are refused at once, within little memory."""

from __future__ import annotations

import time
import tracemalloc
from collections import UserList, defaultdict, deque
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import count, repeat
from pathlib import PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import numpy
import pytest

from llmorch import function
from llmorch.declare.functions import declaration_of
from llmorch.errors import EvaluationError
from llmorch.plan import evaluate, parse
from llmorch.plan.budget import AT_ONCE, ITEM, MOST, Budget, Uncounted
from llmorch.plan.evaluate import accepted


def _doubled(times: int, kind: Any = list) -> Any:
    made: Any = kind([0])
    for _ in range(times):
        made = kind([made, made])
    return made


def _endless() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


class Pair(NamedTuple):
    one: Any
    other: Any


class Rows(list[Any]):
    """A list of somebody's own."""


@dataclass
class Held:
    rows: Any


class Rows2:
    """A class that compares and writes what it holds, by a method of its own."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __eq__(self, other: object) -> bool:
        return self.rows == other.rows  # type: ignore[attr-defined, no-any-return]

    __hash__ = None  # type: ignore[assignment]


class Slotted(Rows2):
    __slots__ = ("rows",)


class Parent(Rows2):
    """It leads to itself, as parents and children do."""

    def __init__(self) -> None:
        super().__init__([self])

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # type: ignore[assignment]


def _array(*items: Any) -> Any:
    made = numpy.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        made[index] = item
    return made


def _pairs() -> Any:
    made = Pair(0, 1)
    for _ in range(45):
        made = Pair(0, (made, made))
    return made


def _own() -> Any:
    return _doubled(45, Rows)


RESULTS = {
    **{name: _pairs() for name in ("pairs", "pairs2")},
    **{name: _own() for name in ("rows_of_own", "rows_of_own2")},
    **{name: Held(_own()) for name in ("held", "held2")},
    **{name: defaultdict(list, {"a": _own()}) for name in ("defaults", "defaults2")},
    "deep": _doubled(45),
    "deep2": _doubled(45),
    "deep_tuple": _doubled(45, tuple),
    "long": range(10**12),
    "longest": range(10**30),
    "counting": count(),
    "same": repeat(1),
    "rows": [[0] * 1_000_000] * 1_000_000,
    "text": "x" * 1_000_000,
    "large": Decimal("1e9999999"),
    "endless": _endless(),
    "table": {"a": _doubled(45)},
    "bytes": [b"\0" * 1_000_000] * 1_000,
    "queue": deque([[0] * 1_000_000] * 1_000),
    "number": 10**1_000_000,
    "fraction": Fraction(10**1_000_000, 3),
    **{name: _array(_doubled(45)) for name in ("objects", "objects2")},
    **{name: UserList(_doubled(45)) for name in ("user", "user2")},
    **{name: Rows2(_doubled(45)) for name in ("by_method", "by_method2")},
    **{name: Slotted(_doubled(45)) for name in ("slotted", "slotted2")},
    **{name: SimpleNamespace(a=_doubled(45)) for name in ("space", "space2")},
    **{name: MappingProxyType({"a": _doubled(45)}) for name in ("proxy", "proxy2")},
    **{name: slice(_doubled(45)) for name in ("sliced", "sliced2")},
    "digits": Decimal("9" * 1_000_000),
    "path": PurePosixPath("/x" * 500_000),
    "thirds": [Fraction(n, 3) for n in range(300_000)],
    "small": [[n] for n in range(400_000)],
    "small2": [[n] for n in range(400_000)],
    "zeros": numpy.zeros(1_000_000),
    "places": numpy.arange(1_000_000),
    "list": [0] * 1_000_000,
    "matrix": [[0.5] * 60 for _ in range(40_000)],
    "parent": Parent(),
    "other": Parent(),
}
REFUSED = [
    "pairs == pairs2",
    "{pairs: 1}",
    "'{pairs}!'",
    "[rows_of_own] == [rows_of_own2]",
    "str(rows_of_own)",
    "held == held2",
    "str(held)",
    "defaults == defaults2",
    "deep == deep2",
    "deep < deep2",
    "deep in [deep2]",
    "sorted([deep, deep2])",
    "min(deep, deep2)",
    "max([deep, deep2])",
    "table == {'a': deep2}",
    "{deep_tuple: 1}",
    "table[deep_tuple]",
    "{'a': 1}[deep_tuple]",
    "sorted(long)",
    "sum(long)",
    "max(long)",
    "0.5 in long",
    "1 in counting",
    "sum(counting)",
    "2 in same",
    "sorted(same)",
    "min(same)",
    "int(large)",
    "round(large)",
    "str(deep)",
    "'{deep} and more'",
    "str(rows)",
    "str(endless)",
    "endless == [endless]",
    "'{text}' * 1000",
    "text * 1000",
    "[0] * 50000000",
    "[" + "[0] * 3000000, " * 40 + "]",
    "sum([[0] * 1000] * 40000, [])",
    "sum(rows, [])",
    "'" + "{text}" * 60 + "'",
    "str(bytes)",
    "bytes == [[]] + bytes",
    "sorted(rows)",
    "queue == queue",
    "[text[1:], " + "text[1:], " * 60 + "]",
    "number * number",
    "number // 3",
    "fraction + fraction",
    "int('9' * 100000)",
    "objects == objects2",
    "'{objects}!'",
    "objects in [objects2]",
    "[objects] == [objects2]",
    "user == user2",
    "str(user)",
    "by_method == by_method2",
    "by_method in [by_method2]",
    "slotted == slotted2",
    "space == space2",
    "str(space)",
    "proxy == proxy2",
    "'{proxy}!'",
    "sliced == sliced2",
    "'" + "{digits}" * 5000 + "'",
    "'" + "{path}" * 5000 + "'",
    "sorted([digits, digits] * 100000)",
    "max([digits] * 100000)",
    "sorted(thirds)",
    "sum(thirds)",
    "sorted(matrix)",
    "small == small2",
    "[" + "-number, " * 10000 + "]",
    "[" + "abs(fraction), " * 2000 + "]",
    "float(fraction)",
    "[" + "list[1:], " * 9000 + "]",
    "[" + "zeros + 1, " * 5000 + "]",
    "[" + "-zeros, " * 5000 + "]",
    "[" + "zeros[places], " * 5000 + "]",
    "[" + "round(zeros), " * 5000 + "]",
]


IN_ARRAYS = 400_000_000
"""Bytes of the arrays that one call may make: fifty million numbers."""


def _argument(text: str) -> Any:
    names = "\n".join(f"{name} = give()" for name in RESULTS)
    return parse(f"{names}\ns1 = take(x={text})")["s1"].args["x"]


@pytest.mark.parametrize("text", REFUSED)
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "apart"])
def test_what_would_take_long_is_refused_soon_and_within_little_memory(text: str, apart: bool) -> None:
    expression = _argument(text)
    began = time.thread_time()
    with pytest.raises(EvaluationError) as caught:
        evaluate(expression, RESULTS, Budget(apart=apart))
    assert time.thread_time() - began < 3
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "apart"])
def test_nothing_large_is_made_before_it_is_refused(apart: bool) -> None:
    tracemalloc.start()
    try:
        for text in REFUSED:
            if "small" in text or "matrix" in text or (apart and text[0] not in "['"):
                continue  # they make nothing, and to trace what they weigh takes long
            expression = _argument(text)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with pytest.raises(EvaluationError):
                evaluate(expression, RESULTS, Budget(apart=apart))
            most = (
                IN_ARRAYS + 20_000_000 if apart and "zeros" in text else 200_000_000 if apart else 60_000_000
            )
            assert tracemalloc.get_traced_memory()[1] - before < most, text
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", REFUSED)
def test_the_event_loop_is_not_held_for_long(text: str) -> None:
    expression = _argument(text)
    began = time.thread_time()
    with pytest.raises(EvaluationError):
        evaluate(expression, RESULTS, Budget())
    assert time.thread_time() - began < 0.5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("len(long)", 10**12),
        ("len(longest)", 10**30),
        ("5 in long", True),
        ("long[-1]", 10**12 - 1),
        ("len(rows)", 1_000_000),
        ("rows[3][0]", 0),
        ("table['a'][0][1] == 0", False),
        ("sum([[1], [2, 3]], [])", [1, 2, 3]),
        ("sum([1, 2.5], 3)", 6.5),
        ("text == text", True),
        ("large > 5", True),
        ("len(text + text)", 2_000_000),
        ("thirds[3] + thirds[6]", 3),
        ("sorted([thirds[2], thirds[1]])[0]", Fraction(1, 3)),
        ("list[1:3]", [0, 0]),
    ],
)
def test_what_takes_no_time_is_computed_however_large_the_values_are(text: str, value: Any) -> None:
    assert evaluate(_argument(text), RESULTS, Budget()) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sum(zeros)", 0.0),
        ("len(zeros * 2 + 1)", 1_000_000),
        ("parent == other", False),
        ("parent == parent", True),
        ("parent in [other]", False),
    ],
)
def test_what_classes_of_others_compute_is_computed_apart(text: str, value: Any) -> None:
    with pytest.raises(Uncounted):
        evaluate(_argument(text), RESULTS, Budget())
    assert evaluate(_argument(text), RESULTS, Budget(apart=True)) == value


@function
def total(x: list[list[int]]) -> int:
    """Add up."""
    return 0


@function
def count_all(x: list[int]) -> int:
    """Count."""
    return 0


@pytest.mark.parametrize("name", ["rows", "deep", "long", "counting", "endless", "queue"])
def test_a_type_is_not_checked_of_what_shares_its_parts(name: str) -> None:
    parameter = declaration_of(count_all if name == "long" else total).parameters[0]
    began = time.thread_time()
    with pytest.raises(EvaluationError):
        accepted(parameter, RESULTS[name], Budget(apart=True))
    assert time.thread_time() - began < 3


def test_the_type_of_a_large_value_that_is_all_there_is_checked() -> None:
    parameter = declaration_of(total).parameters[0]
    rows = [list(range(n, n + 1_000)) for n in range(2_000)]
    with pytest.raises(Uncounted):  # it takes a moment, for which others would wait
        accepted(parameter, rows, Budget())
    assert accepted(parameter, rows, Budget(apart=True)) == rows


def test_all_arguments_of_a_call_share_one_budget() -> None:
    budget = Budget(apart=True)
    expression = _argument("[0] * 4000000")
    evaluate(expression, RESULTS, budget)
    with pytest.raises(EvaluationError, match=f"longer than {MOST:,} characters, or {MOST // ITEM:,} items"):
        evaluate(expression, RESULTS, budget)
    with pytest.raises(Uncounted):
        Budget().charge(AT_ONCE + 1)
