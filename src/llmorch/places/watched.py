"""Variables and code that are looked at before each call, in as little time as can be.

Decides how a change is noticed: of small plain data by what it holds, of everything else by
whether another thing is in its place, or by how many items it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch.places.codes import functions_in
from llmorch.places.plain import SMALL, NotPlainError, OfScriptError, TooLargeError, pickled
from llmorch.places.referred import MAIN, MISSING, Place, Referred
from llmorch.places.told import differs, is_set_anew, look, sight

if TYPE_CHECKING:
    from types import CellType

    from llmorch.places.told import Change, Sight, Told

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
        self._others: list[tuple[Place, Sight, bool]] = []
        """All that isn't small plain data, as it was, and whether it is of no import's making."""
        self._seen = b""
        self.overwritten = 0
        """What ``Told.overwritten`` was at the last look."""
        self._along = [(place, _snapshot(place.value)) for place in referred.along]
        for place in self._data:
            if place.module != MAIN:
                look(place, place.value)
        self._sort()

    def _sort(self) -> None:
        self._small, self._others = [], []
        self._seen = b""
        left = SMALL
        for place in self._data:
            value = place.value
            try:
                left -= len(pickled(value, left))
                self._small.append(place)
            except (TooLargeError, OfScriptError) as error:
                self._others.append((place, sight(value), True))
                self.is_all &= place.module != MAIN or isinstance(error, TooLargeError)
            except NotPlainError:
                self._others.append((place, sight(value), False))
                self.is_all &= place.module != MAIN

    def is_current(self, told: Told) -> bool:
        """Whether nothing has changed since ``changes`` was asked for, here and in the process."""
        if told.overwritten != self.overwritten:
            return False
        for place, value in self.code:
            if place.space.get(place.name) is not value:
                return False
        for place, (seen, count), _ in self._others:
            value = place.space.get(place.name, MISSING)
            if value is not seen or (count >= 0 and len(value) != count):  # type: ignore[arg-type]
                return False
        if not self._small:
            return bool(self._seen)
        try:
            return self._now() == self._seen
        except NotPlainError:
            return False

    @property
    def values(self) -> list[Any]:
        """The code that is referred to."""
        return [value for _, value in self.code]

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
        """Whether a variable that goes along with the function isn't as it was, other than small plain data."""
        moved = [place for place, seen, _ in self._others if differs(sight(place.value), seen)]
        try:
            self._now()
        except NotPlainError:  # another kind of value is there, or more of it
            moved += self._small
        if moved:
            self._sort()
        along = any(_snapshot(place.value) != before for place, before in self._along)
        return along or any(place.module == MAIN for place in moved)

    def changes(self, told: Told) -> list[Change]:
        """The plain data that the process doesn't have as it is now, for a message that was begun."""
        self.moved_variables()
        now = self._now()
        if now == self._seen and told.overwritten == self.overwritten:
            return []
        self._seen = now
        found = [told.change(place, pickled(place.value)) for place in self._small]
        self.overwritten = told.overwritten
        return [change for change in found if change is not None]

    def other_changes(self, told: Told) -> list[tuple[Place, bool]]:
        """The same of larger values and of those that aren't plain, and whether each was set anew for certain."""
        found = []
        for place, (value, _), is_own in self._others:
            if place.module == MAIN:
                continue
            is_new = is_set_anew(place, value) or told.has_been_told(place)
            if (is_new or is_own) and told.lacks(place, value):
                found.append((place, is_new))
        return found

    def _now(self) -> bytes:
        return pickled([place.space.get(place.name, MISSING) for place in self._small], SMALL + _ROOM)


def _inside(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is in it yet
        return MISSING


def _snapshot(value: object) -> tuple[Sight, bytes]:
    """A variable as it is, for comparison: small plain data by what it holds."""
    try:
        return (None, -1), pickled(value)
    except NotPlainError:
        return sight(value), b""
