"""What slices and formats of results copy is counted; views are free."""

from __future__ import annotations

import array
from typing import Any

import pytest

from llmorch import Orchestrator, function
from llmorch.errors import EvaluationError
from llmorch.plan import evaluate, parse


class Many(list):  # type: ignore[type-arg]
    """A list of somebody's."""


def computed(text: str, value: Any) -> Any:
    (_, call) = parse(f"s1 = g()\ns2 = f(x={text})").calls
    return evaluate(call.args["x"], {"s1": value})


@pytest.mark.parametrize("made", [lambda: Many(range(10**6)), lambda: array.array("q", range(10**6))])
def test_copies_of_any_sequence_are_counted(made: Any) -> None:
    assert len(computed("s1[:10]", made())) == 10
    with pytest.raises(EvaluationError, match="would be longer than"):
        computed(f"[{', '.join(['s1[0:]'] * 30)}]", made())


def test_views_are_free() -> None:
    assert computed("s1[5:]", range(10**9)) == range(5, 10**9)
    numpy = pytest.importorskip("numpy")
    assert computed("s1[5:]", numpy.zeros(10**7)).shape == (10**7 - 5,)


@pytest.mark.parametrize("text", ["%1000000000d", b"%1000000000d", bytearray(b"%1000000000d")])
def test_no_text_is_formatted(text: Any) -> None:
    with pytest.raises(EvaluationError, match="can't format text"):
        computed("s1 % 5", text)


@pytest.mark.parametrize("raised", [RuntimeError, RecursionError, StopIteration, SystemExit, GeneratorExit])
def test_what_a_class_raises_while_an_effect_is_named_fails_its_call(raised: type[BaseException]) -> None:
    class Meta(type):
        def __hash__(cls) -> int:
            raise raised("no")

    class Odd(metaclass=Meta):
        pass

    @function(untrusted=False)
    def make() -> object:
        return [[Odd()]]

    @function(writes=["file:{path}"])
    def write(path: list) -> str:  # type: ignore[type-arg]
        return "written"

    orchestrator = Orchestrator([make, write], processors=1, learn=False)
    result = orchestrator.execute_sync("s1 = make()\ns2 = write(path=s1)", deadline=20)
    assert result.status == "unresolved"
    assert raised.__name__ in str(result.error)
