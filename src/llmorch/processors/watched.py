"""Variables and code that are looked at before each call, in as little time as can be.

Decides how a change is noticed: of small plain data by what it holds, of everything else by
whether another thing is in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch.processors.codes import functions_in
from llmorch.processors.plain import SMALL, NotPlainError, TooLargeError, pickled
from llmorch.processors.referred import MAIN, MISSING, Place, Referred

if TYPE_CHECKING:
    from types import CellType

    from llmorch.processors.told import Change, Told

_ROOM = 1024


class Watched:
    """What a function refers to, as it was at the last look."""

    def __init__(self, call: Any, reference: tuple[str, str] | None) -> None:
        referred = Referred(call, reference)
        self.code = referred.code
        self.is_all = referred.is_all
        """Whether a look at this tells every change of a function that goes by value."""
        self._data = referred.data
        self._cells = [cell for function in functions_in(call) for cell in function.__closure__ or ()]
        self._contents = [_inside(cell) for cell in self._cells]
        self._small: list[Place] = []
        self._large: list[Place] = []
        self._others: list[tuple[Place, object]] = []
        """All that isn't small plain data, with what was there."""
        self._seen = b""
        self._sort()

    def _sort(self) -> None:
        self._small, self._large, self._others = [], [], []
        self._seen = b""
        left = SMALL
        for place in self._data:
            value = place.value
            try:
                left -= len(pickled(value, left))
                self._small.append(place)
            except TooLargeError:
                self._large.append(place)
                self._others.append((place, value))
            except NotPlainError:
                self._others.append((place, value))
                self.is_all &= place.module != MAIN

    def is_current(self) -> bool:
        """Whether nothing has changed since ``changes`` was asked for."""
        for place, value in self.code:
            if place.space.get(place.name) is not value:
                return False
        for place, seen in self._others:
            if place.space.get(place.name, MISSING) is not seen:
                return False
        if not self._small:
            return bool(self._seen)
        try:
            return self._now() == self._seen
        except NotPlainError:
            return False

    def moved_code(self) -> list[tuple[Place, Any]]:
        """The places where other code is now, with that code."""
        return [(place, place.value) for place, value in self.code if place.value is not value]

    def moved(self, *, closures: bool) -> bool:
        """Whether code, or with ``closures`` also what a closure holds, was set anew."""
        for place, value in self.code:
            if place.space.get(place.name) is not value:
                return True
        return closures and any(
            _inside(cell) is not before for cell, before in zip(self._cells, self._contents, strict=True)
        )

    def moved_variables(self) -> bool:
        """Whether a variable of the main program was set anew that isn't small plain data."""
        moved = [place for place, value in self._others if place.space.get(place.name, MISSING) is not value]
        if moved:
            self._sort()
        return any(place.module == MAIN for place in moved)

    def changes(self, told: Told) -> list[Change]:
        """The plain data that the process doesn't have as it is now, for the message that is begun with it."""
        self.moved_variables()
        try:
            now = self._now()
        except NotPlainError:  # another kind of value is there, or more of it
            self._sort()
            now = self._now()
        if now == self._seen:
            return []
        self._seen = now
        told.begin()
        found = [told.change(place, pickled(place.value)) for place in self._small]
        found += [told.large(place, place.value) for place in self._large if place.module != MAIN]
        return [change for change in found if change is not None]

    def _now(self) -> bytes:
        return pickled([place.space.get(place.name, MISSING) for place in self._small], SMALL + _ROOM)


def _inside(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is in it yet
        return MISSING
