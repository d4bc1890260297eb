"""Whether a call is one that was made already, by what it is given: told within bounds, and rather yes than no."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import dataclass
from typing import Any

import pytest

from llmorch.techniques.recovery import _text


@dataclass
class Point:
    x: int


class Never:
    def __repr__(self) -> str:
        raise SystemExit


def shared() -> Any:
    found: list[Any] = [0]
    for _ in range(40):
        found = [found, found]
    return found


def nested() -> Any:
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


ORDINARY: list[Any] = [
    *(
        None,
        True,
        1,
        2,
        1.5,
        "1",
        "a",
        b"a",
        [1],
        [1, 2],
        (1,),
        {1},
        {"a": 1},
        {"a": [1]},
        Point(1),
        Point(2),
    ),
    *("x" * 99_999, "y" + "x" * 99_998, list(range(5_000)), list(range(5_001)), "x" * 2_000_000),
    *("x" * 1_000_000 + "y" + "x" * 999_999, b"x" * 200_000, b"x" * 100_000 + b"y" + b"x" * 99_999),
]


def test_values_that_differ_are_told_apart() -> None:
    texts = [_text(value) for value in ORDINARY]
    assert len({*texts}) == len(texts)
    assert _text(1) == _text(1.0)
    assert _text("x" * 2_000_000) == _text("x" * 2_000_000)


@pytest.mark.parametrize(
    "made", [shared, nested, lambda: ["x" * 100] * 1_000_000, lambda: "x" * 50_000_000, Never]
)
def test_a_value_is_bounded_before_it_is_a_text(made: Any) -> None:
    value = made()
    tracemalloc.start()
    began = time.process_time()
    text = _text(value)
    taken, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 3
    assert peak < 40_000_000
    assert len(text) <= 100_000
    assert text == _text(made())
