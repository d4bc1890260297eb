"""What is long, in few characters: bounded for any value, and never an error."""

from __future__ import annotations

import time
from collections import deque, namedtuple
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from llmorch.declare.previews import is_long, preview
from llmorch.errors import EvaluationError
from llmorch.plan.evaluate import as_text
from llmorch.techniques.prompts.results import MAX_SHOWN, value_text


class Hostile:
    """Nothing that it is asked does it answer."""

    def _raise(self, *_: object) -> Any:
        raise RuntimeError("no")

    __repr__ = __str__ = __len__ = __iter__ = __getitem__ = __getattr__ = __eq__ = __hash__ = __bool__ = (
        _raise
    )


class HostileList(list[Any]):
    __iter__ = __len__ = __reversed__ = __repr__ = Hostile._raise


@dataclass
class Report:
    name: str
    rows: list[Any] = field(default_factory=list)


class Model(BaseModel):
    name: str
    rows: list[int]


Point = namedtuple("Point", "x y")

plain = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=80)
    | st.binary(max_size=40)
    | st.builds(Hostile)
    | st.just(Hostile)
    | st.builds(np.zeros, st.integers(0, 2000))
)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.lists(inner).map(deque)
        | st.lists(inner, max_size=3).map(lambda items: items * 400)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner)
        | st.builds(Report, st.text(max_size=5), st.lists(inner))
        | st.builds(Point, inner, inner)
    ),
    max_leaves=12,
)


@given(value=values, limit=st.integers(1, 8_000))
def test_a_preview_is_bounded_and_says_the_type_whatever_the_value(value, limit) -> None:
    text = preview(value, limit)
    assert len(text) <= limit
    assert text.startswith(type(value).__name__[:limit])


@given(value=values, limit=st.integers(0, 3_000))
def test_what_counts_as_long_has_more_characters_than_that(value, limit) -> None:
    try:
        text = as_text(value)
    except EvaluationError:
        return
    holds_array = "array(" in text or "\n" in text or isinstance(value, np.ndarray)
    if is_long(value, limit) and not holds_array:
        assert len(text) > limit


@given(value=values)
def test_what_is_short_is_told_as_it_stands_in_a_string(value) -> None:
    told = value_text(value)
    assert len(told) <= MAX_SHOWN
    try:
        text = as_text(value)
    except EvaluationError:
        return
    if len(text) <= MAX_SHOWN and not is_long(value, MAX_SHOWN):
        assert told == text


class Frame:
    """As much of a data frame as is looked at."""

    columns = ("name", "age")

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), 2

    def __len__(self) -> int:
        return len(self.rows)

    def head(self, count: int) -> Frame:
        return Frame(self.rows[:count])

    def tail(self, count: int) -> Frame:
        return Frame(self.rows[-count:])

    def to_dict(self, how: str) -> list[dict[str, Any]]:
        assert how == "records"
        return self.rows

    def __str__(self) -> str:
        raise AssertionError("all of it would be written")


class Tensor:
    shape = (3, 1000, 1000)
    dtype = "float32"


people = Frame([{"name": f"n{at}", "age": at} for at in range(10_000)])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (list(range(12_000)), "list of 12,000 items: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ... 11998, 11999]"),
        (["ab" * 20_000], 'list of 1 item: ["ababababababababababababab" ... "babababababababababababab"]'),
        (
            dict.fromkeys(range(5000), "x"),
            'dict of 5,000 keys: {0: "x", 1: "x", 2: "x", 3: "x", ... 4999: "x"}',
        ),
        (tuple(range(9000)), "tuple of 9,000 items: (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ... 8998, 8999)"),
        (b"x" * 9000, "bytes of 9,000 bytes: b'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx ... xxxxxxxxxxxxxxxx'"),
        (
            np.arange(9000.0).reshape(3000, 3),
            "ndarray float64 (3000, 3): [0.0, 1.0, 2.0, ... 8997.0, 8998.0, 8999.0]",
        ),
        (Tensor(), "Tensor float32 (3, 1000, 1000)"),
        (Report("a", list(range(9000))), 'Report with 2 fields: Report(name="a", rows=[0, 1, 2, ...])'),
        (
            Model(name="a", rows=list(range(9000))),
            'Model with 2 fields: Model(name="a", rows=[0, 1, 2, ...])',
        ),
        (10**9000, "int of about 8,970 digits"),
        (range(10**9), "range(0, 1000000000)"),
        (Hostile(), "Hostile: it can't be shown (RuntimeError)"),
        (
            Report("", [Hostile(), *"x" * 9000]),
            'Report with 2 fields: Report(name="", rows=[<Hostile>, ...])',
        ),
    ],
    ids=lambda item: "" if isinstance(item, str) else type(item).__name__,
)
def test_a_preview_has_type_size_beginning_and_end(value, text) -> None:
    assert value_text(value, 80) == text


def test_a_data_frame_is_told_by_its_rows_and_columns() -> None:
    assert value_text(people, 300) == (
        'Frame 10,000 rows x 2 columns: columns ["name", "age"]; rows [{"name": "n0", "age": 0}, '
        '{"name": "n1", "age": 1}, {"name": "n2", "age": 2}, ... {"name": "n9997", "age": 9997}, '
        '{"name": "n9998", "age": 9998}, {"name": "n9999", "age": 9999}]'
    )


def test_repeated_lists_that_have_no_end_as_text_are_looked_at_within_bounds() -> None:
    bomb: list[Any] = [0]
    for _ in range(60):
        bomb = [bomb] * 10
    assert value_text(bomb).startswith("list of 10 items: [[[")
    bomb.append(bomb)
    assert is_long(bomb, 10**5)


@pytest.mark.parametrize(
    "value",
    [
        [[np.zeros(1_000)] * 400] * 400,
        Report("arrays", [[np.zeros(1_000)] * 400] * 400),
        [Report("rows", [deque([0] * 1_000)] * 400)] * 400,
        [["x" * 1_000_000] * 400] * 400,
    ],
    ids=["arrays", "a dataclass of arrays", "deques", "long texts"],
)
def test_a_text_that_would_take_minutes_or_gigabytes_is_refused_at_once(value) -> None:
    began = time.process_time()
    with pytest.raises(EvaluationError, match=r"items can't be written as text|longer than"):
        as_text(value)
    assert time.process_time() - began < 10


def test_of_a_long_result_no_text_is_made() -> None:
    class Rows(list[int]):
        def __repr__(self) -> str:
            raise AssertionError("all of it would be written")

    assert value_text({"rows": Rows(range(10**6))}).startswith('dict of 1 key: {"rows": [0, 1, 2,')
