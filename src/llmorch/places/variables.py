"""The program's variables: how one is compared with what it was, and what a process has been sent of them.

Decides what counts as small plain data, which is compared by what it holds: numbers, texts, times,
containers and small objects of these, whose pickling runs nobody's code. Anything else, such as a
model, a connection or much data, is compared by whether another object is in it, or by how many
items it has. What a function keeps in a variable over there stays, as long as the program leaves its
own as it is.
"""

from __future__ import annotations

import io
import pickle
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Sight = bytes | tuple[object, int]
    """A variable as it was: what small plain data holds; any other object, and how many items it has."""

MAIN = "__main__"
SMALL = 64 * 1024
"""Variables of up to so many bytes are compared by what they hold."""
_ARRAY = 16
"""How many bytes of an array are compared in the time of one byte of anything else."""
_SIZED = {list, dict, set, str, bytes, bytearray}
_VALUES = {"builtins", "collections", "datetime", "decimal", "fractions", "ipaddress", "numpy", "pathlib"}
_VALUES |= {"re", "types", "uuid", "zoneinfo"}
_MARKED = ("__dataclass_fields__", "__pydantic_fields__", "_fields", "_member_map_")
"""What classes of values have: dataclasses, models, named tuples, enumerations."""
_HOOKS = ("__reduce_ex__", "__reduce__", "__getstate__")


class NotPlainError(Exception):
    """Something else than plain data, or too much of it."""


class TooLargeError(NotPlainError):
    """Too much of it."""


class OfScriptError(NotPlainError):
    """A class or a function of the main program is in it, which no import of a module can have put there."""


class Sent:
    """What a process has of the program's variables. What a message brings counts once it has arrived."""

    def __init__(self) -> None:
        self.overwritten = 0
        """How often a variable was sent otherwise than before: other functions may rely on what it was."""
        self._has: dict[tuple[str, str], Sight] = {}
        self._news: dict[tuple[str, str], Sight] = {}

    def begin(self) -> None:
        """Begin a message: what the one before brought doesn't count if it hasn't arrived."""
        self._news = {}

    def arrived(self) -> None:
        """The process has what the message brought."""
        self._has |= self._news
        self.begin()

    def forget(self) -> None:
        """Nobody knows what the process has."""
        self._has.clear()
        self.begin()

    def knows(self, module: str, path: str) -> bool:
        """Whether the process was ever sent this variable."""
        return (module, path) in self._has

    def has_other(self, module: str, path: str, seen: Sight) -> bool:
        """Whether the process was sent something else there."""
        before = self._has.get((module, path))
        return before is not None and differs(before, seen)

    def lacks(self, module: str, path: str, seen: Sight) -> bool:
        """Whether the process doesn't have a variable so; the message that was begun sends it then."""
        before = self._has.get((module, path))
        self._news[module, path] = seen
        if before is not None and not differs(before, seen):
            return False
        self.overwritten += before is not None
        return True

    def has(self, path: str, value: object) -> bool:
        """Whether the process has a variable of the main program, which the message that was begun sends if not."""
        seen = sight(value)
        # What is not compared by what it holds may hold something else.
        return not self.lacks(MAIN, path, seen) and isinstance(seen, bytes)


def sight(value: object) -> Sight:
    """A variable as it is now."""
    try:
        return pickled(value)
    except NotPlainError:
        return look(value)


def look(value: Any) -> tuple[object, int]:
    """An object, and how many items it has: what is compared of a large one."""
    return value, len(value) if type(value) in _SIZED else -1


def differs(one: Sight, other: Sight) -> bool:
    """Whether a variable isn't as it was."""
    if isinstance(one, bytes) or isinstance(other, bytes):
        return type(one) is not type(other) or one != other
    return one[0] is not other[0] or one[1] != other[1]


def pickled(value: object, limit: int = SMALL) -> bytes:
    """Plain data as bytes, the same ones for the same data. Raises ``NotPlainError``."""
    file = _Bounded(limit)
    try:
        _Pickler(file, 5).dump(value)
    except NotPlainError:
        raise
    except Exception as error:  # what is in it may raise anything
        raise NotPlainError from error
    return file.getvalue()


class _Bounded(io.BytesIO):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit

    def write(self, data: Any) -> int:
        is_array = isinstance(data, pickle.PickleBuffer)
        self._left -= data.raw().nbytes // _ARRAY if is_array else len(data)
        if self._left < 0:
            raise TooLargeError
        return super().write(data)


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        """Called for all but numbers, texts and Python's own containers."""
        if isinstance(obj, type | types.FunctionType):
            if obj.__module__ == MAIN:
                raise OfScriptError
        elif type(obj).__module__ == MAIN:
            raise OfScriptError
        elif not _is_value(type(obj)):
            raise NotPlainError
        return NotImplemented


def _is_value(cls: type) -> bool:
    module = cls.__module__
    if module.partition(".")[0] in _VALUES:
        return not issubclass(cls, BaseException)
    return any(hasattr(cls, mark) for mark in _MARKED) or all(
        getattr(cls, hook, None) is getattr(object, hook, None) for hook in _HOOKS
    )
