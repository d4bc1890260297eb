"""Game24: which answers it takes for right."""

from __future__ import annotations

import pytest

from examples.tools.game24 import solves


@pytest.mark.parametrize(
    ("puzzle", "answer", "right"),
    [
        ("4 4 6 8", "4 + 8 = 12, 6 - 4 = 2, 12 * 2 = 24", True),
        ("4 4 6 8", "(4 + 8) * (6 - 4) = 24", True),
        ("4 4 6 8", "The answer is (4 + 8) \u00d7 (6 - 4).", True),
        ("1 1 1 8", "1 + 1 = 2, 2 + 1 = 3, 3 * 8 = 24. Note 3 * 8 = 24.", True),
        ("4 4 6 8", "4 * 6 = 24", False),
        ("4 4 6 8", "4 + 8 = 12, 6 - 4 = 3, 12 * 2 = 24", False),
        ("4 4 6 8", "24", False),
        ("4 4 6 8", "(4 + 8) \u00d7 (6 \u2212 4)", True),
        ("4 4 6 8", "1" * 5000 + " + 1 = 2", False),
        ("3 3 8 8", "8 / (3 - 8 / 3)", True),
        ("1 1 1 1", "1 / (1 - 1) + 1", False),
    ],
)
def test_a_puzzle_is_solved_by_steps_or_an_expression(puzzle: str, answer: str, right: bool) -> None:
    assert solves(puzzle, answer) is right
