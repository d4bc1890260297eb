"""What arrays and tables say of themselves: their shape, the type of their elements, and the elements.

An array is known by that, and not by its class: this module must not know NumPy or pandas. What is asked here
runs code of the array's class, so it is asked only where nobody waits for it.
"""

from __future__ import annotations

from itertools import islice, zip_longest
from math import prod
from numbers import Number
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_PARTS = 1_000_000
_MAX_RANK = 64
ONE = frozenset({int, float, bool, complex, str, bytes, type(None)})
"""Types of values that have no shape."""


def shape(value: Any) -> tuple[int, ...] | None:
    """How many elements an array has in each direction; ``None`` where it doesn't say."""
    found = getattr(value, "shape", None)
    return found if isinstance(found, tuple) and all(isinstance(one, int) for one in found) else None


def element_kind(value: Any) -> str:
    """The letter by which NumPy knows the type of an array's elements; nothing of what is no array."""
    found = getattr(getattr(value, "dtype", None), "kind", "")
    return found if isinstance(found, str) else ""


def of_objects(value: Any) -> bool:
    """Whether the elements of an array, or of a column of a table, are any Python values."""
    if type(value) in ONE:
        return False
    columns = getattr(value, "dtypes", ())
    if element_kind(value) == "O":
        return True
    return hasattr(columns, "__iter__") and any(getattr(one, "kind", "") == "O" for one in columns)


def parts(value: Any) -> Iterable[Any]:
    """The elements of an array of whatever kind; the value itself where it is no array."""
    if isinstance(value, Number) or not hasattr(type(value), "__iter__"):
        return (value,)
    if not hasattr(value, "flat") and not callable(getattr(value, "values", len)):
        value = value.values  # of a table, which is iterated by the names of its columns
    return value.flat if hasattr(value, "flat") else islice(value, _MAX_PARTS)


def numbers_in(*values: Any) -> int:
    """How many numbers an operator makes of an array, or of two: a column and a row make a table."""
    if all(type(value) in ONE or shape(value) is None for value in values):
        return 0
    sizes = [_sizes(value) for value in values]
    width = max(map(_width, values))
    return width * prod(map(max, zip_longest(*map(reversed, sizes), fillvalue=1)))


def _sizes(value: Any) -> tuple[int, ...]:
    """The shape that a value has, or gets beside an array."""
    said = shape(value)
    if said is not None:
        return said
    sizes: list[int] = []
    while isinstance(value, list | tuple) and len(sizes) < _MAX_RANK:
        sizes.append(len(value))
        value = value[0] if value else None
    return tuple(sizes)


def _width(value: Any) -> int:
    """How many numbers are as large as one element."""
    size = getattr(getattr(value, "dtype", None), "itemsize", 8)
    return max(1, size // 8) if isinstance(size, int) else 1
