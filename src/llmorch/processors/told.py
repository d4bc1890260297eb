"""What one process has been told of the program's variables, so that only what changed here goes again.

What a function keeps in a variable over there stays, as long as the program leaves its own as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.processors.plain import LARGE, NotPlainError, pickled
from llmorch.processors.referred import MAIN, MISSING

if TYPE_CHECKING:
    from llmorch.processors.referred import Place

    Variable = tuple[str, str]
    """A module and a path in it."""
    Change = tuple[str, str, bytes]


class Told:
    """What a process has of the program's variables: plain data as bytes."""

    def __init__(self) -> None:
        self._has: dict[Variable, bytes] = {}
        self._large: dict[Variable, object] = {}
        """Larger ones, as they were when they were sent."""
        self._news: dict[Variable, bytes] = {}

    def begin(self) -> None:
        """Begin a message: what the one before told doesn't count if it wasn't sent."""
        self._news = {}

    def unsent(self, path: str, value: object) -> bool:
        """Whether the process has a variable of the main program; if not, the message that was begun tells it."""
        try:
            found = pickled(value)
        except NotPlainError:
            return False
        self._news[MAIN, path] = found
        return self._has.get((MAIN, path)) == found

    def sent(self) -> None:
        """The message that was begun has arrived."""
        self._has |= self._news
        self._news = {}

    def forget(self) -> None:
        """Nobody knows what the process has."""
        self._has.clear()
        self._large.clear()
        self._news = {}

    def change(self, place: Place, value: bytes) -> Change | None:
        """What to send of a small variable: nothing where it is as it was."""
        variable = place.module, place.path
        if self._has.get(variable) == value:
            return None
        self._news[variable] = value
        return (*variable, value)

    def large(self, place: Place, value: object) -> Change | None:
        """The same of a large one, which is looked at only when it was set anew."""
        variable = place.module, place.path
        if self._large.get(variable, MISSING) is value:
            return None
        self._large[variable] = value
        self._has.pop(variable, None)
        try:
            return (*variable, pickled(value, LARGE))
        except NotPlainError:
            return None
