"""Game24: which answers it takes for right."""

from __future__ import annotations

from benchmarks.sets.game24 import solves


def test_game24_takes_a_typeset_minus() -> None:
    assert solves("4 4 6 8", "(4 + 8) \u00d7 (6 \u2212 4)")
