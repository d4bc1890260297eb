"""What calls took before: medians, who is who, and bounds."""

from __future__ import annotations

import json
from functools import partial, wraps
from statistics import median
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from llmorch import Function
from llmorch.declare.offered import as_functions, self_function
from llmorch.learned import MOST, SAMPLES, Learned, Sample, durations, known_as
from llmorch.places.files import load_file

if TYPE_CHECKING:
    from pathlib import Path

seconds = st.floats(0.0, 1e6)


@given(taken=st.lists(st.lists(seconds, min_size=1, max_size=40), min_size=1, max_size=4))
def test_the_median_of_the_last_samples_is_expected(taken) -> None:
    learned = Learned()
    for some in taken:
        learned.take("f", [Sample(value) for value in some])
    last = [float(f"{value:.4g}") for some in taken for value in some][-SAMPLES:]
    assert learned.seconds("f") == median(last)
    estimate = learned.estimate("f")
    assert estimate is not None
    assert (estimate.seconds, estimate.samples) == (median(last), len(last))
    assert durations(learned, {"here": "f", "there": "g"}) == {"here": median(last)}


def test_what_was_asked_of_the_model_is_expected_too() -> None:
    learned = Learned()
    learned.take("f", [Sample(1.0, 1, 100, 10), Sample(3.0, 2, 300, 30), Sample(2.0, 1, 200, 20)])
    estimate = learned.estimate("f")
    assert estimate is not None
    assert (estimate.seconds, estimate.requests) == (2.0, 1)
    assert (estimate.input_tokens, estimate.output_tokens, estimate.samples) == (200, 20, 3)


def test_the_functions_that_were_called_longest_ago_are_forgotten() -> None:
    learned = Learned()
    for number in range(MOST):
        learned.take(f"f{number}", [Sample(1.0)])
    learned.take("f0", [Sample(1.0)])
    learned.take("new", [Sample(1.0)])
    assert len(learned) == MOST
    assert [learned.seconds(name) for name in ("f0", "f1", "new")] == [1.0, None, 1.0]


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.lists(
            st.builds(Sample, seconds, st.integers(1, 9), st.integers(0, 999), st.integers(0, 999))
            | st.builds(Sample, seconds),
            min_size=1,
            max_size=5,
        ),
        max_size=4,
    )
)
def test_what_is_written_as_json_is_read_again(samples) -> None:
    learned = Learned()
    for name, some in samples.items():
        learned.take(name, some)
    again = Learned.from_json(json.loads(json.dumps(learned.as_json())))
    assert again.as_json() == learned.as_json()
    assert [again.estimate(name) for name in samples] == [learned.estimate(name) for name in samples]


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=20,
)


@given(data=_JSON, functions=_JSON, samples=_JSON)
def test_whatever_stands_in_the_file_is_no_error(data, functions, samples) -> None:
    Learned.from_json(data)
    Learned.from_json({"version": 1, "functions": functions})
    learned = Learned.from_json({"version": 1, "functions": {"f": samples}})
    found = learned.estimate("f")
    assert found is None or (found.seconds >= 0 and found.samples > 0)
    assert learned.seconds("f") == (None if found is None else found.seconds)


def test_functions_of_one_name_in_two_files_are_two(tmp_path: Path) -> None:
    names = set()
    for folder in ("a", "b"):
        path = tmp_path / folder / "tools_of_mine.py"
        path.parent.mkdir()
        path.write_text("from llmorch import function\n@function\ndef load(name: str) -> str: ...\n")
        (declared,) = as_functions([load_file(path).load]).values()
        names.add(known_as(declared, "local"))
        assert known_as(declared, "local") == known_as(declared, "openai:gpt")
    assert len(names) == 2


def test_a_function_is_the_same_behind_a_decorator_and_bound_to_an_object() -> None:
    class Shop:
        def load(self, name: str) -> str: ...

    @wraps(Shop.load)
    def logged(*args: object) -> object: ...

    def known(call: object) -> str:
        return known_as(Function("load", call=call), "local")

    assert known(Shop().load) == known(Shop().load) == known(logged) == known(partial(Shop().load))
    assert known(len) == "load (len in builtins)"
    assert known(Sample) != known(Learned)


def test_functions_typed_in_are_told_apart_by_what_they_do() -> None:
    found = set()
    for text in ("def f(x): return x", "def f(x): return x + 1"):
        there: dict[str, object] = {}
        exec(text, there)
        found.add(known_as(Function("f", call=there["f"]), "local"))
    assert len(found) == 2


def test_what_asks_the_model_is_known_for_each_model() -> None:
    asks = self_function("inout")
    assert known_as(asks, "local") != known_as(asks, "openai:gpt")
