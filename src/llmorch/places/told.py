"""What one process has been told of the program's variables, so that only what changed here goes again.

What a function keeps in a variable over there stays, as long as the program leaves its own as it is.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from llmorch.places.plain import NotPlainError, pickled
from llmorch.places.referred import MAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmorch.places.referred import Place

    Variable = tuple[str, str]
    """A module and a path in it."""
    Change = tuple[str, str, bytes]
    Sight = tuple[object, int]

_first: dict[tuple[str, str], Callable[[], object]] = {}
"""What was in the places of modules at the first look of all: what their import put there, presumably."""
_SIZED = {list, dict, set, str, bytes, bytearray}


class Told:
    """What a process has of the program's variables: plain data as bytes."""

    def __init__(self) -> None:
        self.overwritten = 0
        """How often a variable was told otherwise than before: other functions may rely on what it was."""
        self._has: dict[Variable, bytes] = {}
        self._others: dict[Variable, Sight] = {}
        """Larger ones, and what isn't plain, as they were when they were sent."""
        self._news: dict[Variable, bytes] = {}
        self._other_news: dict[Variable, Sight] = {}

    def begin(self) -> None:
        """Begin a message: what the one before told doesn't count if it wasn't sent."""
        self._news = {}
        self._other_news = {}

    def unsent(self, path: str, value: object) -> bool:
        """Whether the process has a variable of the main program; if not, the message that was begun tells it."""
        variable = MAIN, path
        has, before = self._has.get(variable), self._others.get(variable)
        try:
            found = pickled(value)
        except NotPlainError:
            self._news[variable] = b""  # not what it was
            self._other_news[variable] = seen = sight(value)
            self.overwritten += bool(has) or (before is not None and differs(before, seen))
            return False
        self._news[variable] = found
        self._others.pop(variable, None)
        self.overwritten += has is not None and has != found
        return has == found

    def sent(self) -> None:
        """The message that was begun has arrived."""
        self._has |= self._news
        self._others |= self._other_news
        self.begin()

    def forget(self) -> None:
        """Nobody knows what the process has."""
        self._has.clear()
        self._others.clear()
        self.begin()

    def change(self, place: Place, value: bytes) -> Change | None:
        """What to send of a small variable: nothing where it is as it was."""
        variable = place.module, place.path
        has = self._has.get(variable)
        if has == value:
            return None
        self.overwritten += has is not None
        self._news[variable] = value
        self._others.pop(variable, None)
        return (*variable, value)

    def has_been_told(self, place: Place) -> bool:
        """Whether the process has anything else in a place than what it put there itself."""
        variable = place.module, place.path
        return variable in self._has or variable in self._others

    def lacks(self, place: Place, value: object) -> bool:
        """Whether to send what isn't small plain data; the message that was begun tells it then."""
        variable = place.module, place.path
        seen = sight(value)
        sent = self._others.get(variable)
        if sent is not None and sent[0] is value and sent[1] == seen[1]:
            return False
        self.overwritten += sent is not None
        self._other_news[variable] = seen
        self._news[variable] = b""
        return True


def look(place: Place, value: object) -> None:
    """Remember what is in a place at the first look of all."""
    variable = place.module, place.path
    if variable not in _first:
        _first[variable] = _reference(value)


def is_set_anew(place: Place, value: object) -> bool:
    """Whether a place has another object than at the first look of all."""
    return _first[place.module, place.path]() is not value


def _reference(value: Any) -> Callable[[], object]:
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value


def sight(value: Any) -> Sight:
    """An object, and how many items it has: what of a large one is looked at."""
    return value, len(value) if type(value) in _SIZED else -1


def differs(one: Sight, other: Sight) -> bool:
    """Whether another thing is there, or another number of items in it."""
    return one[0] is not other[0] or one[1] != other[1]
