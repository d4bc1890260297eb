from __future__ import annotations

from llmorch.places.port import End
from llmorch.schedule import CallCompleted, CallStopped


def test_values_are_the_same_if_their_kind_and_their_fields_are() -> None:
    assert {CallCompleted("s1", 1), CallCompleted("s1", 1)} == {CallCompleted("s1", 1)}
    assert CallCompleted("s1", 1) != CallStopped("s1", 1)
    assert CallCompleted("s1", 1) != CallCompleted("s1", 2)


def test_an_end_is_only_the_same_as_itself_whatever_its_value_says() -> None:
    assert End() != End()
