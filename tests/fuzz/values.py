"""Random results: what functions return that plans then compute with."""

from __future__ import annotations

import datetime
from collections import OrderedDict, deque
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
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


_NUMBERS = (
    *(0, 1, -1, 7, 0.5, -0.0, 1e308, float("inf"), float("nan"), True, False, None, 10**30, -(10**400), 2**4096, 10**5_000),
    *(Decimal("1.5"), Decimal("1e9999999"), Decimal("NaN"), Decimal("-Infinity"), Fraction(1, 3), 1j),
)
_TEXTS = ("", "a", "text {s1} of it", "\ud800", "é\u2028", "12", "1e5", "\x1b[31m", "9" * 5_000, "a" * 5_000, "{" * 100)
_TIMES = (
    datetime.date(2026, 12, 1),
    datetime.datetime(1, 1, 1),
    datetime.timedelta.max,
    datetime.timezone.utc,
    datetime.time(1),
)
_OTHERS = (b"bytes", bytearray(b"a"), range(5), range(10**12), range(0, -(10**30), -1), ..., int, len, memoryview(b"a"))


def value(random: Random, depth: int = 3) -> Any:
    """One result."""
    kind = random.randint(0, 13 if depth else 5)
    if kind <= 1:
        return random.choice(_NUMBERS[:9] if random.random() < 0.6 else _NUMBERS)
    if kind <= 3:
        return random.choice(_TEXTS)
    if kind <= 5:
        return random.choice((*_TIMES, *_OTHERS))
    items = [value(random, depth - 1) for _ in range(random.choice((0, 1, 2, 3, 5)))]
    match kind:
        case 6 | 7:
            return items
        case 8:
            return tuple(items)
        case 9:
            return {str(random.choice(("a", "area", "name", at))): item for at, item in enumerate(items)}
        case 10:
            return random.choice((set, frozenset, deque))(filter(_hashable, items))
        case 11:
            return random.choice((House, SimpleNamespace))(area=items) if items else Point(1, Words("a"))
        case 12:
            return random.choice((iter(items), (item for item in items), OrderedDict(enumerate(items)), Point(items, 1)))
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


def _hashable(item: Any) -> bool:
    try:
        hash(item)
    except Exception:
        return False
    return True
