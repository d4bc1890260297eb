"""What is told of an exception is bounded and of one form, whatever the exception is."""

from __future__ import annotations

from typing import Any

import pytest

from llmorch.places.failure import KIND, MAX_KINDS, kind_of, kinds_of, known_kinds


def deep(levels: int) -> type[Exception]:
    """A class with that many others between it and ``ValueError``."""
    made: type[Exception] = ValueError
    for level in range(levels + 1):
        made = type(f"Level{level}Error", (made,), {})
    return made


def test_an_exceptions_kinds_are_its_classes_nearest_first() -> None:
    assert kinds_of(TimeoutError()) == (
        "builtins.TimeoutError",
        "builtins.OSError",
        "builtins.Exception",
        "builtins.BaseException",
    )


def test_of_very_many_kinds_the_nearest_and_the_most_general_are_named() -> None:
    lowest = deep(50)
    kinds = kinds_of(lowest())
    assert len(kinds) == MAX_KINDS
    assert {kind_of(lowest), kind_of(ValueError), kind_of(Exception)} <= set(kinds)


def test_a_name_is_bounded_and_still_matches() -> None:
    long = type("x" * 1000, (Exception,), {})
    assert kinds_of(long())[0] == kind_of(long)
    assert known_kinds(kinds_of(long())) == kinds_of(long())


def test_a_class_whose_name_cant_be_had_has_no_kinds() -> None:
    class Nameless(type):
        def __getattribute__(cls, name: str) -> Any:
            raise RuntimeError("no name")

    class OddError(Exception, metaclass=Nameless):
        pass

    assert kinds_of(OddError()) == ()


@pytest.mark.parametrize(
    "sent", [None, "builtins.Exception", ["a.B"], ("a.B", 3), ("x" * (KIND + 1),), ("a.B",) * (MAX_KINDS + 1)]
)
def test_kinds_of_another_form_are_none(sent: object) -> None:
    assert known_kinds(sent) == ()
