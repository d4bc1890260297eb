"""Arithmetic that a model writes: what is computed, and what never is."""

from __future__ import annotations

import pytest

from examples.tools.arithmetic import NotArithmetic, computed, evaluated


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("-(2 ** 3) // 3 % 5", 2),
        ("max(1, 2.5, min(3, 4)) + abs(-1) + round(2.567, 1)", 6.6),
        ("sum([1, 2, 3]) / 3", 2),
        ("sum(1, 2, 3) / sum(3)", 2),
        ("sqrt(16) + math.sqrt(9)", 7),
        ("0.1 + 0.2", 0.3),
        ("(30030000 + 22240000) / (695662 + 170312)", 60.3597798548),
        ("1e6", 1e6),
    ],
)
def test_arithmetic_is_computed(text: str, value: float) -> None:
    assert evaluated(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "open('x')",
        "(lambda: 1)()",
        "[x for x in (1,)]",
        "a",
        "'a' * 100",
        "True + 1",
        "1 if 1 else 2",
        "(1).real",
        "max",
        "max(*[1, 2])",
        "round(number=1.5)",
        "1; 2",
        "a = 1",
        "[1, 2]",
        "[1] * 2",
        "1j",
        "-" * 500 + "1",
        "(" * 500 + "1" + ")" * 500,
        "1" + " + 1" * 2000,
        "",
        "\0",
        "1 +",
    ],
)
def test_nothing_but_arithmetic_is_ever_computed(text: str) -> None:
    with pytest.raises(NotArithmetic):
        evaluated(text)


@pytest.mark.parametrize(
    "text",
    [
        "1 / 0",
        "2 ** 1000",
        "9 ** 9 ** 9",
        "10 ** 60",
        "1e999",
        "9" * 100,
        "(-8) ** 0.5",
        "sqrt(-1)",
        "1 % 0",
        "max()",
    ],
)
def test_arithmetic_without_a_result_or_out_of_bounds_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"computed|large|no number|domain"):
        evaluated(text)


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("10984 * 1.15", 12631.6),
        ("```python\n10984 * 1.15\n```", 12631.6),
        ("`10984 * 1.15`", 12631.6),
        ("depth = 10984\nresult = depth * 1.15\nprint(result)", 12631.6),
        ("Expression: 10984 * 1.15", 12631.6),
        ("10,984 * 1.15 = 12,631.6", 12631.6),
        ("10984 m * 1.15 = 12631.6 m", 12631.6),
        ("It grows by 15%:\n\n10984 * 1.15\n\nThe result is 12631.6.", 12631.6),
        ("We multiply, which gives 10984 * 1.15 in all.", 12631.6),
        ("10984 \u00d7 1.15", 12631.6),
        (r"$10984 \times 1.15$", 12631.6),
        ("10984 + 15%", 12631.6),
        ("10984 * 15%", 1647.6),
        ("20 million / 10,000", 2000),
        ("max(8,376, 10,984)", 10984),
        ("max(1,200)", 200),
        ("2^10", 1024),
        ("500 people / 10 km^2", 50),
        ("The depth is 10984 metres.", 10984),
        ("10984 * 1.15\nQuestion: 5 + 5\nExpression: 10", 12631.6),
    ],
)
def test_an_expression_is_found_in_a_reply(reply: str, value: float) -> None:
    assert computed(reply).value == value


@pytest.mark.parametrize(
    "reply", ["missing", "", "depth * 3", "I don't know", "__import__('os')", "[1, 2]", "(" * 9999]
)
def test_a_reply_without_an_expression_has_none(reply: str) -> None:
    with pytest.raises(NotArithmetic):
        computed(reply)
