"""What all arguments of one call may come to together: one budget of items, characters, bytes and steps.

A value is weighed as the tree that it becomes where it is compared, written or checked: what is shared in it
counts as often as it occurs, so that a small object can't stand for endless work. Only values of Python's
own types can be weighed where others wait; what an operator of another class does, nobody can tell beforehand.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import sys
import uuid
from collections import ChainMap, OrderedDict, UserDict, UserList, deque
from contextlib import suppress
from itertools import islice
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from types import MappingProxyType, MemberDescriptorType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from llmorch.declare.text import kind_name
from llmorch.errors import EvaluationError
from llmorch.plan.arrays import of_objects, parts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MOST = 50_000_000
"""Characters or bytes that the arguments of one call may come to; an item or a step counts as eight."""
AT_ONCE = 4_000_000
"""The most of it that is computed where other calls wait for it: a tenth of a second at most."""
ITEM = 8
SLOW = 25 * ITEM
"""What Python's own code compares and computes with, and not the interpreter itself."""
CONTAINER = 10 * ITEM
"""A list or the like, without its items."""
KEYS = 10_000
"""The most keys of a dictionary that are looked at before one is looked up: to leave it to a thread costs as much."""

_WRITTEN = 1_000
"""Elements of an array that are written as text: of one with more NumPy, the largest, writes the ends."""
_ENDLESS = 10**15
"""As much as any larger weight."""
_SHORT = 200
"""The size of a ``Decimal`` in memory that has few digits; three digits take more than one byte."""
_FLAT = frozenset(
    {type(None), type(Ellipsis), bool, float, complex}
    | {getattr(datetime, name) for name in ("date", "timedelta", "timezone")}
)
_TEXTS = frozenset({str, bytes, bytearray})
_INTS = frozenset({int, bool})
_PLAIN = _FLAT | _TEXTS | _INTS
"""Values of which a check takes no time and makes no copy."""
_PATHS = frozenset({PurePath, PurePosixPath, PureWindowsPath, PosixPath, WindowsPath})
_TIMES = frozenset({datetime.datetime, datetime.time})
"""Their zone may be of somebody's class, which is asked whenever they are compared or written."""
_SINGLE = _FLAT | _TEXTS | _INTS | _PATHS | _TIMES | {decimal.Decimal, fractions.Fraction, uuid.UUID}
_BY_HASH = frozenset({dict, OrderedDict, set, frozenset})
_LISTS = frozenset({list, tuple, set, frozenset, deque})
_MAPPINGS = frozenset({dict, OrderedDict})
_HOLDING: tuple[Any, ...] = (list, tuple, dict, set, frozenset, deque)
_WRITING: tuple[Any, ...] = (SimpleNamespace, UserList, UserDict, ChainMap)
"""Classes that write what they hold; of those of other libraries an attribute says it."""
_FIELDS = ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_fields__")
_COMPARES = ("__eq__", "__lt__", "__contains__")
_KNOWN = _SINGLE | _LISTS | _MAPPINGS | {range}


class Uncounted(EvaluationError):
    """It can't be computed where others wait for it: by methods of somebody's class, or for long."""


class Budget:
    """What is left of it for the arguments of one call.

    ``apart`` says that nobody waits for what is computed: on a thread or in a process of its own. There
    all of it may be used, and methods of any class are called. Elsewhere ``Uncounted`` is raised instead.
    """

    __slots__ = ("apart", "left")

    def __init__(self, *, apart: bool = False) -> None:
        self.apart = apart
        self.left = MOST if apart else AT_ONCE

    def charge(self, amount: int) -> None:
        """Use so much of it. Raises ``EvaluationError`` where less is left."""
        self.left -= amount
        if self.left < 0:
            raise self._used_up()

    @property
    def used(self) -> int:
        """How much of it is used."""
        return (MOST if self.apart else AT_ONCE) - self.left

    def _used_up(self) -> EvaluationError:
        if not self.apart:
            return Uncounted("it takes too long to compute this here")
        return EvaluationError(
            f"the arguments would be longer than {MOST:,} characters, or {MOST // ITEM:,} items and steps"
        )

    def counted(self, *values: object) -> None:
        """Go on only if none of these runs code of its own where others wait for it."""
        if not self.apart:
            for value in values:
                kind = type(value)
                if kind in _TIMES:
                    self._single(value)
                elif kind is slice:
                    self.counted(value.start, value.stop, value.step)  # type: ignore[attr-defined]
                elif kind not in _KNOWN:
                    raise Uncounted(f"a {kind_name(value)} computes this itself")

    def counted_keys(self, held: Any) -> None:
        """Go on only if a key can be looked up without a word of the keys that are there."""
        if self.apart or type(held) not in _BY_HASH:
            return
        if len(held) > KEYS:
            raise Uncounted("it has many keys")
        self.charge(len(held))
        keys = dict.keys(held) if type(held) in _MAPPINGS else held  # an ``OrderedDict`` asks for hashes else
        if not _SINGLE.issuperset(kinds := set(map(type, keys))) or not _TIMES.isdisjoint(kinds):
            for key in keys:
                self._tree(key, self.left)

    def weigh(self, *values: object) -> int:
        """Charge for values as the trees that they become, and say how much."""
        weight = 0
        for value in values:
            if type(value) in _SINGLE:
                weight += ITEM + self._single(value)
            else:
                weight += self._tree(value, self.left)[0]
            if weight > self.left:
                raise self._used_up()
        self.left -= weight
        return weight

    def weigh_text(self, value: object) -> None:
        """Charge for a value as the text that it becomes, which is longer than the value."""
        if type(value) not in _FLAT:
            self.charge(2 * self._tree(value, self.left, text=True)[0])

    def counted_text(self, value: object) -> None:
        """Go on only if a text of a value runs no code of somebody's where others wait for it."""
        if not self.apart and type(value) not in _TEXTS and type(value) not in _FLAT:
            self._tree(value, self.left)

    def weigh_check(self, value: object) -> None:
        """Go on only if a check of a value's type, which may copy it, comes to little more than is there."""
        kind = type(value)
        if kind in _TEXTS or (kind is list and len(value) < KEYS and _PLAIN.issuperset(map(type, value))):  # type: ignore[arg-type, call-overload]
            return
        most = MOST if self.apart else AT_ONCE
        weight, there = self._tree(value, None if self.apart else most)
        if weight > max(most, 2 * there):
            raise self._used_up()

    def _tree(self, root: Any, most: int | None, *, text: bool = False) -> tuple[int, int]:
        """What a value comes to, maybe as text, and what of it is there. No more than ``most`` is looked at."""
        known: dict[int, int | None] = {}
        """The weight of each container by its identity; ``None`` of one that is being weighed."""
        kept: list[Any] = []
        """What a class of somebody's made of what is in it, and what would lose its identity."""
        there = strange = 0
        begun: list[tuple[Any, int, list[Any]]] = []
        ahead: list[Any] = [root]
        while ahead:
            item = ahead.pop()
            if item is begun:  # all within the last one that was begun is weighed
                item, flat, inner = begun.pop()
                strange -= type(item) not in _KNOWN
                known[id(item)] = min(flat + sum(known[id(one)] or 0 for one in inner), _ENDLESS)
                continue
            weight = known.get(id(item), -1)
            if weight is None and not strange:
                raise EvaluationError(f"a {kind_name(item)} contains itself")
            if weight is None or weight >= 0:  # an object may well lead to itself
                continue
            flat, inner = self._flat(item, most and most - there, text=text)
            there += ITEM if type(item) is range else flat
            if most is not None and there > most:
                raise self._used_up()
            if not inner:
                known[id(item)] = flat
                continue
            if type(item) not in _KNOWN:
                strange += 1
                kept.append(inner)
            known[id(item)] = None
            begun.append((item, flat, inner))
            ahead.append(begun)
            ahead += {id(one): one for one in inner}.values()
        return known[id(root)] or 0, there

    def _flat(self, value: Any, most: int | None, *, text: bool) -> tuple[int, list[Any]]:
        """What a value is by itself and by its plain items, and the containers among those."""
        kind = type(value)
        if kind in _SINGLE:
            return ITEM + self._single(value), []
        if kind is range:
            return ITEM * (1 if text else 1 + items_in(value)), []
        if kind in _LISTS or kind in _MAPPINGS:
            flat = CONTAINER + ITEM * len(value)
            if most is not None and flat > most:
                raise self._used_up()
            if kind in _LISTS:
                return self._items(value, flat)
            flat, inner = self._items(dict.keys(value), flat)
            more, held = self._items(dict.values(value), flat)
            return more, inner + held
        if kind is slice:
            return ITEM, [value.start, value.stop, value.step]
        if type(kind) is type and any("__next__" in above.__dict__ for above in kind.__mro__):
            raise EvaluationError(f"a {kind_name(value)} can be read only once, so a plan can't read it")
        self.counted(value)
        flat = CONTAINER
        size = getattr(value, "size", 0) if hasattr(kind, "size") else 0
        if text:
            flat += ITEM * min(size, _WRITTEN) if isinstance(size, int) else 0
        held = _held(value, kind, text=text)
        if of_objects(value):
            if most is not None and not text and isinstance(size, int) and ITEM * size > most:
                raise self._used_up()
            elements: Iterable[Any] = parts(value)
            if text and isinstance(size, int) and size > _WRITTEN:  # of others only the ends are written
                elements = (one for one in elements if type(one) not in _SINGLE)
            held += islice(elements, MOST)
        return self._items(held, flat + ITEM * len(held))

    def _items(self, items: Collection[Any], flat: int) -> tuple[int, list[Any]]:
        kinds = set(map(type, items))
        if kinds <= _FLAT:
            return flat, []
        if kinds <= _TEXTS:
            return flat + sum(map(len, items)), []
        if kinds <= _INTS:
            return flat + sum(map(int.bit_length, items)) // 3, []
        inner = []
        for item in items:
            kind = type(item)
            if kind in _TEXTS:
                flat += len(item)
            elif kind in _SINGLE:
                if kind not in _FLAT:
                    flat += self._single(item)
            else:
                inner.append(item)
        return flat, inner

    def _single(self, value: Any) -> int:
        """What a value without items is more than one item."""
        kind = type(value)
        if kind in _FLAT:
            return 0
        if kind in _TEXTS:
            return len(value)
        if kind is int:
            return value.bit_length() // 3  # type: ignore[no-any-return]
        if kind is decimal.Decimal:
            size = value.__sizeof__()
            return 0 if size < _SHORT else 3 * size
        if kind in _TIMES:
            if not self.apart and value.tzinfo is not None and not _is_known_zone(value.tzinfo):
                raise Uncounted(f"a {kind_name(value.tzinfo)} computes this itself")
            return ITEM
        if kind is fractions.Fraction:
            return SLOW + (int(value.numerator).bit_length() + int(value.denominator).bit_length()) // 3
        return SLOW + (len(str(value)) if kind in _PATHS else 0)


def _held(value: Any, kind: Any, *, text: bool) -> list[Any]:
    """What an object of somebody's class holds that its class may compare, or write where it comes to a text."""
    if kind is MappingProxyType:
        return [*value, *value.values()]
    held: list[Any] = []
    for base in _HOLDING:
        if base in kind.__mro__:  # whatever its own methods say
            held = list(base.__iter__(value))
            if base is dict:
                held += dict.values(value)
            break
    writes = issubclass(kind, _WRITING) or any(hasattr(kind, name) for name in _FIELDS)
    compares = any(getattr(kind, name, None) is not getattr(object, name, None) for name in _COMPARES)
    if not writes and (text or not compares):
        return held
    own = getattr(value, "__dict__", None)
    held += own.values() if type(own) is dict else ()
    for above in kind.__mro__:
        for slot in above.__dict__.values():
            if type(slot) is MemberDescriptorType:
                with suppress(AttributeError):  # it is empty
                    held.append(slot.__get__(value))
    return held


def _is_known_zone(zone: Any) -> bool:
    library = sys.modules.get("zoneinfo")  # who has made one has imported it
    return type(zone) is datetime.timezone or type(zone) is getattr(library, "ZoneInfo", None)


def items_in(value: range) -> int:
    """The length of a range, also of one that is too long for ``len``."""
    return max(0, -((value.start - value.stop) // value.step))
