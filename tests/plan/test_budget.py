"""What an argument may come to: small values that stand for endless work are refused at once, within little memory."""

from __future__ import annotations

import time
import tracemalloc
from collections import defaultdict, deque
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import count, repeat
from typing import Any, NamedTuple

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
]


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


def test_nothing_large_is_made_before_it_is_refused() -> None:
    tracemalloc.start()
    try:
        for text in REFUSED:
            with pytest.raises(EvaluationError):
                evaluate(_argument(text), RESULTS, Budget())
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()


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
    ],
)
def test_what_takes_no_time_is_computed_however_large_the_values_are(text: str, value: Any) -> None:
    assert evaluate(_argument(text), RESULTS, Budget()) == value


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
