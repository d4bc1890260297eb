"""Plain data: what of a program's variables is compared before a call, and sent again when it has changed.

Decides what counts as plain: numbers, texts, times, containers and small objects of these, whose
pickling runs nobody's code and whose size is bounded. A model, a connection or a lock isn't.
"""

from __future__ import annotations

import io
import pickle
import types
from typing import Any

SMALL = 64 * 1024
"""Variables of up to so many bytes are compared by what they hold; larger ones by whether they were set anew."""
_ARRAY = 16
"""How many bytes of an array are compared in the time of one byte of anything else."""

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
            if obj.__module__ == "__main__":
                raise OfScriptError
        elif type(obj).__module__ == "__main__":
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
