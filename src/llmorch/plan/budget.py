"""What all arguments of one call may come to together: one budget of items, characters, bytes and steps.

A value is weighed as the tree that it becomes where it is compared, written or checked: what is shared in it
counts as often as it occurs, so that a small object can't stand for endless work. Only values of Python's
own types can be weighed; what an operator of another class does, nobody can tell beforehand.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import uuid
from collections import OrderedDict, deque
from dataclasses import fields, is_dataclass
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from llmorch.declare.text import kind_name
from llmorch.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Collection

MOST = 50_000_000
"""Characters or bytes that the arguments of one call may come to; an item or a step counts as eight."""
AT_ONCE = 4_000_000
"""The most of it that is computed where other calls wait for it: a tenth of a second at most."""
ITEM = 8

_WRITTEN = 1_000
"""Elements of an array that are written as text: of one with more NumPy, the largest, writes the ends."""
_ENDLESS = 10**15
"""As much as any larger weight."""
_SMALL = frozenset(
    {type(None), type(Ellipsis), bool, float, complex, decimal.Decimal, fractions.Fraction, uuid.UUID}
    | {PurePath, PurePosixPath, PureWindowsPath, PosixPath, WindowsPath}
    | {getattr(datetime, name) for name in ("date", "datetime", "time", "timedelta", "timezone")}
)
_TEXTS = frozenset({str, bytes, bytearray})
_LISTS = frozenset({list, tuple, set, frozenset, deque})
_MAPPINGS = frozenset({dict, OrderedDict, MappingProxyType})
_HOLDING: tuple[Any, ...] = (list, tuple, dict, set, frozenset, deque)
_KNOWN = _SMALL | _TEXTS | _LISTS | _MAPPINGS | {int, range, slice}


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
                if type(value) not in _KNOWN:
                    raise Uncounted(f"a {kind_name(value)} computes this itself")

    def weigh(self, *values: object) -> None:
        """Charge for values as the trees that they become."""
        for value in values:
            kind = type(value)
            if kind in _SMALL:
                self.charge(ITEM)
            elif kind in _TEXTS:
                self.charge(ITEM + len(value))  # type: ignore[arg-type]
            else:
                self.charge(self._tree(value, self.left)[0])

    def weigh_text(self, value: object) -> None:
        """Charge for a value as the text that it becomes, which is longer than the value."""
        if type(value) not in _SMALL:
            self.charge(2 * self._tree(value, self.left, text=True)[0])

    def counted_text(self, value: object) -> None:
        """Go on only if a text of a value runs no code of somebody's where others wait for it."""
        if not self.apart and type(value) not in _TEXTS and type(value) not in _SMALL:
            self._tree(value, self.left)

    def weigh_check(self, value: object) -> None:
        """Go on only if a check of a value's type, which may copy it, comes to little more than is there."""
        most = MOST if self.apart else AT_ONCE
        weight, there = self._tree(value, None if self.apart else most)
        if weight > max(most, 2 * there):
            raise self._used_up()

    def _tree(self, root: Any, most: int | None, *, text: bool = False) -> tuple[int, int]:
        """What a value comes to, maybe as text, and what of it is there. No more than ``most`` is looked at."""
        known: dict[int, int | None] = {}
        """The weight of each container by its identity; ``None`` of one that is being weighed."""
        there = 0
        begun: list[tuple[Any, int, list[Any]]] = []
        ahead: list[Any] = [root]
        while ahead:
            item = ahead.pop()
            if item is begun:  # all within the last one that was begun is weighed
                item, flat, inner = begun.pop()
                known[id(item)] = min(flat + sum(known[id(one)] or 0 for one in inner), _ENDLESS)
                continue
            weight = known.get(id(item), -1)
            if weight is None:
                raise EvaluationError(f"a {kind_name(item)} contains itself")
            if weight >= 0:
                continue
            flat, inner = self._flat(item, most and most - there, text=text)
            there += ITEM if type(item) is range else flat
            if most is not None and there > most:
                raise self._used_up()
            if not inner:
                known[id(item)] = flat
                continue
            known[id(item)] = None
            begun.append((item, flat, inner))
            ahead.append(begun)
            ahead += {id(one): one for one in inner}.values()
        return known[id(root)] or 0, there

    def _flat(self, value: Any, most: int | None, *, text: bool) -> tuple[int, list[Any]]:
        """What a value is by itself and by its plain items, and the containers among those."""
        kind = type(value)
        if kind in _SMALL:
            return ITEM, []
        if kind is int:
            return ITEM + value.bit_length() // 3, []
        if kind in _TEXTS:
            return ITEM + len(value), []
        if kind is range:
            return ITEM * (1 if text else 1 + items_in(value)), []
        if kind in _LISTS or kind in _MAPPINGS:
            flat = ITEM * (1 + len(value))
            if most is not None and flat > most:
                raise self._used_up()
            if kind in _LISTS:
                return self._items(value, flat)
            flat, inner = self._items(value, flat)
            more, held = self._items(value.values(), flat)
            return more, inner + held
        silent = type(kind) is type
        if silent and hasattr(kind, "__next__"):
            raise EvaluationError(f"a {kind_name(value)} can be read only once, so a plan can't read it")
        self.counted(value)
        if silent and is_dataclass(kind):  # its text has that of its fields
            return ITEM, [getattr(value, one.name, None) for one in fields(kind)]
        for base in _HOLDING if silent else ():
            if base in kind.__mro__:  # what it holds, whatever its own methods say
                held = list(base.__iter__(value))
                if base is dict:
                    held += dict.values(value)
                return self._items(held, ITEM * (1 + len(held)))
        size = getattr(value, "size", 0) if text and hasattr(kind, "size") else 0
        return ITEM * (1 + min(size, _WRITTEN) if isinstance(size, int) else 1), []

    def _items(self, items: Collection[Any], flat: int) -> tuple[int, list[Any]]:
        kinds = set(map(type, items))
        if kinds <= _SMALL:
            return flat, []
        if kinds <= _TEXTS:
            return flat + sum(map(len, items)), []
        inner = []
        for item in items:
            kind = type(item)
            if kind is int:
                flat += item.bit_length() // 3
            elif kind in _TEXTS:
                flat += len(item)
            elif kind not in _SMALL:
                inner.append(item)
        return flat, inner


def items_in(value: range) -> int:
    """The length of a range, also of one that is too long for ``len``."""
    return max(0, -((value.start - value.stop) // value.step))
