"""A value as JSON has it: copied into plain lists, dictionaries and texts, within bounds.

What is shared counts as often as it would be written, and no method of somebody's class is called on the way.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

MAX_ITEMS = 1_000_000
"""Items of a value that is written as JSON."""
MAX_CHARACTERS = 50_000_000
"""Characters of all its texts together."""
MAX_DEPTH = 200
"""How deep a value is nested that is written as JSON: Python's own writer goes only a little deeper."""

_MAX_BITS = 14_280
"""Of a whole number that Python still reads and writes: it has 4,300 digits."""


class NotHeldError(Exception):
    """A value that JSON can't hold."""


class TooMuchError(Exception):
    """A value that is more than what is written of it; the message says of what there is too much."""


def plain(value: Any) -> Any:
    """The value as it would come out of JSON again. Raises ``NotHeldError`` and ``TooMuchError``.

    JSON's keys are texts: a dict in which two keys are the same text, as in ``{1: "a", "1": "b"}``, can't be held.
    """
    return _Copying().copied(value, MAX_DEPTH)


class _Copying:
    """One value as it is copied."""

    def __init__(self) -> None:
        self._items = MAX_ITEMS
        self._characters = MAX_CHARACTERS

    def copied(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if value is None or kind is bool:
            return value
        if issubclass(kind, str):
            return self._text(value)
        if issubclass(kind, int):
            return _number(value)
        if issubclass(kind, float):
            return _finite(value)
        if not issubclass(kind, (list, tuple, dict)):
            raise NotHeldError
        if not depth:
            raise TooMuchError(f"nested more than {MAX_DEPTH} deep")
        if issubclass(kind, dict):
            return self._dictionary(value, depth - 1)
        made = []
        of: Any = list if issubclass(kind, list) else tuple
        self._count(of.__len__(value))
        for item in of.__iter__(value):
            made.append(self.copied(item, depth - 1))
        return made

    def _dictionary(self, value: Any, depth: int) -> dict[str, Any]:
        self._count(dict.__len__(value))
        made: dict[str, Any] = {}
        for key, item in dict.items(value):
            name = self._text(_key(key))
            if name in made:
                raise NotHeldError
            made[name] = self.copied(item, depth)
        return made

    def _count(self, items: int) -> None:
        self._items -= items
        if self._items < 0:
            raise TooMuchError(f"more than {MAX_ITEMS:,} items")

    def _text(self, text: str) -> str:
        self._characters -= str.__len__(text)
        if self._characters < 0:
            raise TooMuchError(f"more than {MAX_CHARACTERS:,} characters")
        return text if type(text) is str else str.__str__(text)


def _number(value: int) -> int:
    if int.bit_length(value) > _MAX_BITS:
        raise NotHeldError
    return int.__int__(value)


def _finite(value: float) -> float:
    value = float.__float__(value)
    if not isfinite(value):
        raise NotHeldError
    return value


def _key(key: Any) -> str:
    """A key as JSON writes it."""
    kind = type(key)
    if issubclass(kind, str):
        return key  # type: ignore[no-any-return]
    if key is None:
        return "null"
    if kind is bool:
        return "true" if key else "false"
    if issubclass(kind, int):
        return int.__repr__(_number(key))
    if issubclass(kind, float):
        return float.__repr__(_finite(key))
    raise NotHeldError
