"""Argument expressions to values: typed, bounded, and rendered once."""

from __future__ import annotations

import pytest

from llmorch import function
from llmorch.declare.offered import as_functions
from llmorch.errors import EvaluationError
from llmorch.plan import evaluate, parse

RESULTS = {
    "s1": {"area": [268_596, 1], "name": "Texas", "_secret": 1},
    "s2": "costs $1 and {s1}",
    "s3": 30.5,
    "s4": [3, 1, 2],
}


def value(text: str, **more: object) -> object:
    """What ``f(x=TEXT)`` would be called with."""
    results = RESULTS | more
    above = "\n".join(f"{id_} = f()" for id_ in results)
    call = parse(f"{above}\nlast = f(x={text})")["last"]
    return evaluate(call.args["x"], results)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s4", [3, 1, 2]),
        ('"{s4}"', [3, 1, 2]),
        ('"{s3}"', 30.5),
        ('"all of {s4}"', "all of [3, 1, 2]"),
        ('"{s1[\\"name\\"]}: {s1.area[0]}"', "Texas: 268596"),
        ('"{s2}!"', "costs $1 and {s1}!"),
        ("s1", RESULTS["s1"]),
        ('s1["area"][0] / 2', 134_298.0),
        ("s3 * 2 + 1", 62.0),
        ("(s3 - 0.5) // 7 % 3 ** 2", 4.0),
        ("-s3", -30.5),
        ("not s3", False),
        ("0 < s3 <= 30.5 != 1", True),
        ("s3 > 1 and s1.name", "Texas"),
        ("s3 < 1 or 5", 5),
        ('"x" in s1.name', True),
        ('"y" not in s1.name', True),
        ("s4[0:2]", [3, 1]),
        ("s4[-1]", 2),
        ("sorted(s4)", [1, 2, 3]),
        ("max(s4) + len(s2) + round(s3)", 50),
        ("min(1, s3)", 1),
        ("sum(s4)", 6),
        ("abs(-1)", 1),
        ("int(s3)", 30),
        ('float("1.5")', 1.5),
        ("str(s4)", "[3, 1, 2]"),
        ('[s3, {"a": s4}, (1, 2)]', [30.5, {"a": [3, 1, 2]}, [1, 2]]),
        ("None", None),
    ],
)
def test_an_argument_has_the_value_that_python_would_give_it(text, expected) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


def test_what_a_result_contains_is_never_read_as_a_reference() -> None:
    assert (
        value('"{s5} {s2}"', s5="{s1} {s2} $1 {s3.__class__}")
        == "{s1} {s2} $1 {s3.__class__} costs $1 and {s1}"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("s3 / 0", "ZeroDivisionError"),
        ('s1["height"]', "'height'"),
        ("s1.height", "'area', 'name'"),
        ("s4[9]", "IndexError"),
        ("s2 + 1", "TypeError"),
        ('"a" * 999999999', "longer than"),
        ("s4 * 99999999", "longer than"),
        ("[1] * 99999999 * 9", "longer than"),
        ("9 ** 9 ** 9", "bits"),
        ("2 ** -9999999999", "bits"),
        ('"%s" % s3', "braces"),
        ("s2.upper", "no field upper"),
        ("s3.real.conjugate", "no field conjugate"),
        ("s4 ** 2", "numbers"),
        ('int("x")', "ValueError"),
        ("sum(s2)", "numbers"),
        ("len(1)", "TypeError"),
    ],
)
def test_what_has_no_value_says_why_in_one_line(text, says) -> None:
    with pytest.raises(EvaluationError) as caught:
        value(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_can_not_grow_without_bound() -> None:
    big = 2**4000
    with pytest.raises(EvaluationError, match="bits"):
        value("s5 * s5", s5=big)


def test_a_fields_value_may_come_from_an_object_but_not_its_methods() -> None:
    class Point:
        x = 3

        def move(self) -> None: ...

    assert value("s5.x", s5=Point()) == 3
    with pytest.raises(EvaluationError, match="no field move"):
        value("s5.move", s5=Point())


def test_a_value_that_lies_about_its_class_is_refused_where_a_default_could_be_meant() -> None:
    class Lies:
        __class__ = property(lambda self: 3)  # type: ignore[assignment]

    @function(pure=True)
    def count(items: list[str] | None = None) -> int:
        return 0

    with pytest.raises(ValueError, match="list"):
        as_functions([count])["count"].by_name["items"].accept({"a": Lies()})
