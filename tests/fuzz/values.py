"""Random results: what functions return that plans then compute with, also objects of hostile classes."""

from __future__ import annotations

import datetime
from collections import OrderedDict, deque
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


@dataclass
class House:
    """A class of somebody's."""

    area: Any
    name: str = "house"

    @property
    def shape(self) -> int:
        raise ValueError("it has none")


class Point(NamedTuple):
    """Another."""

    a: Any
    b: Any


class Words(str):
    """A text that is no plain one."""

    __slots__ = ()


class Wrong(Exception):
    """What can't even say what it is."""

    def __str__(self) -> str:
        raise SystemExit(77)

    __repr__ = __str__


_METHODS = (
    *("__add__", "__radd__", "__lt__", "__eq__", "__hash__", "__len__", "__iter__", "__getitem__", "__contains__"),
    *("__str__", "__repr__", "__bool__", "__neg__", "__index__", "__float__", "__round__", "__getattr__"),
    *("__class__", "__missing__", "__getattribute__", "__dict__", "__fspath__", "keys", "__next__"),
)  # fmt: skip
_WORST: tuple[Callable[[], Any], ...] = (lambda: 1 / 0, lambda: 10**5_000, lambda: "s1", lambda: None)
_BASES: tuple[type, ...] = (object, object, list, dict, str, int, tuple, set, float, BaseException)


def _hostile(random: Random) -> Any:
    """An object some of whose methods raise, lie, or ask themselves again."""

    def method(self: Any, *_: Any) -> Any:
        match bad:
            case 0:
                raise random.choice(
                    (Wrong(), SystemExit(7), StopIteration(), KeyError(self), RecursionError, MemoryError)
                )
            case 1:
                return self
            case 2:
                return f"{self}"
        return random.choice(_WORST)()

    bad = random.randint(0, 3)
    methods = {name: method for name in _METHODS if random.random() < 0.3}
    if "__class__" in methods:
        methods["__class__"] = property(method)  # type: ignore[assignment]
    return type("Hostile", (random.choice(_BASES),), methods)()


_NUMBERS = (
    *(0, 1, -1, 7, 0.5, -0.0, 1e308, float("inf"), float("nan"), True, False, None, 10**30, -(10**400)),
    *(2**4096, 10**5_000, Decimal("1.5"), Decimal("1e9999999"), Decimal("NaN"), Fraction(1, 3), 1j),
)  # fmt: skip
_TEXTS = (
    *("", "a", "text {s1} of it", "\ud800", "é\u2028", "12", "1e5", "\x1b[31m", "9" * 5_000, "a" * 5_000, "{" * 100),
)  # fmt: skip
_OTHERS = (
    *(datetime.date(2026, 12, 1), datetime.datetime(1, 1, 1), datetime.timedelta.max, datetime.UTC, datetime.time(1)),
    *(b"bytes", bytearray(b"a"), range(5), range(10**12), range(0, -(10**30), -1), ..., int, len, memoryview(b"a")),
)  # fmt: skip


def value(random: Random, depth: int = 3) -> Any:
    """One result."""
    kind = random.randint(0, 14 if depth else 5)
    if kind <= 1:
        return random.choice(_NUMBERS[:9] if random.random() < 0.6 else _NUMBERS)
    if kind <= 3:
        return random.choice(_TEXTS)
    if kind <= 5:
        return random.choice(_OTHERS)
    items = [value(random, depth - 1) for _ in range(random.choice((0, 1, 2, 3, 5)))]
    match kind:
        case 6 | 7:
            return items
        case 8:
            return tuple(items)
        case 9:
            return {str(random.choice(("a", "area", "name", at))): item for at, item in enumerate(items)}
        case 10:
            try:
                return random.choice((set, frozenset, deque))(items)
            except BaseException:
                return items
        case 11:
            return random.choice((House, SimpleNamespace))(area=items) if items else Point(1, Words("a"))
        case 12:
            ordered = OrderedDict(enumerate(items))
            return random.choice((iter(items), (item for item in items), ordered, Point(items, 1)))
        case 13:
            return _hostile(random)
        case _:
            return _shared(random, items)


def _shared(random: Random, items: Any) -> Any:
    """A small value that stands for a large one: each level has the one below twice. Or one that contains itself."""
    shared: Any = items or [0]
    if random.random() < 0.1:
        shared.append(shared)
        return shared
    for _ in range(random.choice((3, 20, 40, 500))):
        shared = [shared, shared] if random.random() < 0.8 else {"a": shared, "b": shared}
    return shared
