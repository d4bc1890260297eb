"""That stopped calls leave nothing, at a small size; how soon they stop is for ``python -m tests.faults`` to say."""

from __future__ import annotations

import sys

import pytest

from tests.faults import stopping

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which processes belong together")


@linux
@pytest.mark.parametrize("name", stopping.CASES)
def test_nothing_is_left_of_stopped_calls_and_the_others_are_right(name: str) -> None:
    outcome = stopping.measured(name, quick=True)
    assert outcome.stopped == outcome.calls
    assert (outcome.effects, outcome.processes, outcome.shared) == (0, 0, 0)
    assert outcome.right == outcome.others > 0
    assert outcome.late


def test_a_call_that_was_not_stopped_or_left_something_is_missed() -> None:
    good = stopping.Outcome("good", 2, stopped=2, late=[0.1, 0.2], right=1, others=1)
    assert all(one.met for one in stopping.wanted([good]))
    for change in ({"stopped": 1}, {"late": [0.1, 0.4]}, {"effects": 1}, {"processes": 1}, {"right": 0}):
        outcome = stopping.Outcome(**(vars(good) | change))
        assert [one.met for one in stopping.wanted([outcome])].count(False) == 1
