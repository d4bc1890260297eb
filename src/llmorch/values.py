"""Values that are made for every call: what goes in and out of the core, and of places. And how records are written.

Logs, debuggers and asyncio ask for the ``repr`` of what they pass on. What functions returned may be large or
raise there, so a record writes its own fields only: of what it holds for others, the class and the size.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

REPR = 300
"""The longest ``repr`` of a record, in characters."""
_TEXT = 60
_ITEMS = 4
_BITS = 200
_SIZED = (str, bytes, bytearray, list, tuple, dict, set, frozenset)
_FOREIGN = ("answer", "result")
"""Fields that hold what a function or a model returned."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(*, eq: bool = True) -> Callable[[type[T]], type[T]]:
    """A dataclass that type checkers hold to be frozen.

    Python isn't asked to: a dataclass that is frozen while the program runs takes four times as long to make.
    """

    def made(kind: type[T]) -> type[T]:
        if "__repr__" not in vars(kind):
            kind.__repr__ = short  # type: ignore[method-assign]
        return dataclass(slots=True, eq=eq, unsafe_hash=eq)(kind)

    return made


def short(record: Any) -> str:
    """A record's fields in at most ``REPR`` characters. It is the ``__repr__`` of classes that may hold much."""
    return _cut(_fields(record, 2), REPR)


def sized(value: object) -> str:
    """The class of a value, and its size if it is a builtin: nothing else is asked of it."""
    kind = type(value)
    name = str.__str__(type.__getattribute__(kind, "__name__"))[:_TEXT]
    return f"<{name} of {len(value):,}>" if kind in _SIZED else f"<{name}>"  # type: ignore[arg-type]


def _fields(record: Any, depth: int) -> str:
    texts: list[str] = []
    for one in fields(record):
        if one.repr:
            own = vars(record) if one.name in _FOREIGN else {}  # what nobody has opened stays so
            item = own[one.name] if one.name in own else getattr(record, one.name)
            texts.append(f"{one.name}={sized(item) if one.name in _FOREIGN else _written(item, depth)}")
        if sum(map(len, texts)) > REPR:
            break
    return f"{type(record).__name__}({', '.join(texts)})"


def _written(item: Any, depth: int) -> str:
    kind = type(item)
    if item is None or kind is bool or kind is float or (kind is int and item.bit_length() < _BITS):
        return repr(item)
    if kind is str:
        return repr(item) if len(item) <= _TEXT else f"{item[:_TEXT]!r}..."
    if kind is tuple and depth and len(item) <= _ITEMS:
        inner = ", ".join(_written(one, depth - 1) for one in islice(item, _ITEMS))
        return f"({inner},)" if len(item) == 1 else f"({inner})"
    if depth and type.__getattribute__(kind, "__repr__") is short:
        return _fields(item, depth - 1)
    return sized(item)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 4]}...)"
