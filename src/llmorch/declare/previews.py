"""What is long, on a few lines: its type and size, how it begins and how it ends.

Decides how a value looks where all of it would be too much. It looks at no more of a value
than it shows, whatever the value is, and raises nothing: values are other people's. Arrays and
data frames are known by what they have, ``shape`` and ``columns``, not by their class.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from llmorch.declare.text import interrupted, is_a, kind_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ELEMENTS = 1_000
"""More elements than this make an array or a data frame long, however short its own text is."""
_Item: TypeAlias = tuple[str, object]
"""Something, with its name or key before it."""
_LISTS = (list, tuple, set, frozenset, deque)
_BRACKETS = {list: "[]", tuple: "()", set: "{}", frozenset: "{}", deque: "[]"}
_ROWS = 3
_COLUMNS = 50
_GAP = "..."
_SHARES = 6
"""An item of a collection has at most so small a share of its room, so that several are in it."""
_LEAST = 24
"""Characters that an item of a collection is given at least, where there are that many."""


def is_long(value: object, limit: int) -> bool:
    """Whether a value certainly has more than ``limit`` characters as text; looks at no more than that."""
    left, stack = limit, [value]
    while stack:
        item = stack.pop()
        try:
            weight, inner = _weighed(item, left)
            left -= weight
            if left < 0:
                return True
            stack.extend(inner)
        except BaseException as error:  # whatever it is, its own methods raise
            if interrupted(error):
                raise
            left -= 1
    return False


def _weighed(value: Any, left: int) -> tuple[int, Iterable[object]]:
    """At least so many characters does a value have as text, beside those of what is in it."""
    if is_a(value, str):
        return str.__len__(value), ()
    if is_a(value, (bytes, bytearray)):
        return len(value), ()
    if is_a(value, int):
        return int(value).bit_length() * 3 // 10, ()
    if is_a(value, _LISTS):
        size = 2 * len(value)
        return size, () if size > left else itertools.islice(value, left)
    if is_a(value, dict):
        size = 4 * len(value)
        return size, () if size > left else [*dict.keys(value), *dict.values(value)]
    if (fields := _fields(value)) is not None:
        return 2 * len(fields), fields.values()
    if (shape := _shape(value)) is not None:
        return (left + 1 if math.prod(shape) > ELEMENTS else 1), ()
    if is_a(value, (range, type)):
        return 1, ()
    length = getattr(type(value), "__len__", None)
    return (1 if length is None else min(int(length(value)), left + 1)), ()


def preview(value: object, limit: int) -> str:
    """A value's type and size, its beginning and its end, in at most ``limit`` characters."""
    try:
        head = _head(value)
    except BaseException as error:
        if interrupted(error):
            raise
        head = _name(value)
    room = limit - len(head) - 2
    try:
        body = _body(value, room) if room > 0 else ""
    except BaseException as error:
        if interrupted(error):
            raise
        body = f"it can't be shown ({kind_name(error)})"
    return (f"{head}: {body}" if body else head)[:limit]


def _name(value: object) -> str:
    return kind_name(value)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _head(value: Any) -> str:
    """The type and the size."""
    name = _name(value)
    if is_a(value, str):
        return f"{name} of {_counted(str.__len__(value), 'character')}"
    if is_a(value, (bytes, bytearray)):
        return f"{name} of {_counted(len(value), 'byte')}"
    if is_a(value, int):
        return f"{name} of about {value.bit_length() * 3 // 10 + 1:,} digits"
    if is_a(value, dict):
        return f"{name} of {_counted(len(value), 'key')}"
    if (fields := _fields(value)) is not None:
        return f"{name} with {_counted(len(fields), 'field')}"
    if is_a(value, _LISTS):
        return f"{name} of {_counted(len(value), 'item')}"
    if (shape := _shape(value)) is not None:
        if _columns(value) is not None and len(shape) == 2:
            return f"{name} {shape[0]:,} rows x {shape[1]:,} columns"
        return f"{name} {_cut(str(getattr(value, 'dtype', '')), 40)} {shape}".replace("  ", " ")
    length = getattr(type(value), "__len__", None)
    return name if length is None else f"{name} of {_counted(int(length(value)), 'item')}"


def _body(value: Any, room: int) -> str:
    """The beginning and the end, where the head says what it is."""
    if is_a(value, str):
        return _quoted(value, room)
    if is_a(value, (bytes, bytearray)):
        return _ends(repr(bytes(value[:room])), repr(bytes(value[-(room // 3 + 1) :])), room)
    if is_a(value, int):
        return ""
    if (shape := _shape(value)) is not None:
        columns = _columns(value)
        return _ends_of_array(value, shape, room) if columns is None else _ends_of_frame(value, columns, room)
    return _text(value, room, outermost=True)


def _ends_of_array(value: Any, shape: tuple[int, ...], room: int) -> str:
    flat = getattr(value, "flat", None)
    if flat is None:
        return ""
    first, last = flat[:_ROWS].tolist(), flat[-_ROWS:].tolist()
    return _items(_plain(first), _plain(reversed(last)), math.prod(shape), "[]", room)


def _ends_of_frame(value: Any, columns: list[object], room: int) -> str:
    """The names of the columns, and the first and last rows where there are few columns."""
    names = _items(_plain(columns), _plain(reversed(columns)), len(columns), "[]", room // 3)
    named = f"columns {names}"
    try:
        if len(columns) > _COLUMNS:
            return named
        first, last = (part.to_dict("records") for part in (value.head(_ROWS), value.tail(_ROWS)))
        left = room - len(named) - len("; rows ")
        return f"{named}; rows {_items(_plain(first), _plain(reversed(last)), len(value), '[]', left)}"
    except Exception:  # it is a frame of another kind
        return named


def _text(value: Any, room: int, *, outermost: bool = False) -> str:
    """A value within a text, in at most ``room`` characters."""
    try:
        return _cut(_printed(value, room, outermost=outermost), room)
    except BaseException as error:
        if interrupted(error):
            raise
        return _cut(f"<{_name(value)}>", room)


def _printed(value: Any, room: int, *, outermost: bool) -> str:
    if is_a(value, str):
        return _quoted(value, room)
    if value is None or is_a(value, (bool, float)):
        return str(value)
    if is_a(value, int):
        return str(value) if value.bit_length() < 4 * room else f"<{_head(value)}>"
    if is_a(value, (bytes, bytearray)) or (_shape(value) is not None and not outermost):
        return f"<{_head(value)}>"
    if is_a(value, dict):
        first, last = (
            ((f"{_text(key, 60)}: ", dict.__getitem__(value, key)) for key in keys)
            for keys in (value, reversed(value))
        )
        return _items(first, last, len(value), "{}", room)
    if (fields := _fields(value)) is not None:
        name = _name(value)
        pairs = [(f"{key}=", item) for key, item in fields.items()]
        return name + _items(iter(pairs), reversed(pairs), len(pairs), "()", room - len(name))
    if is_a(value, _LISTS):
        brackets = next(pair for kind, pair in _BRACKETS.items() if is_a(value, kind))
        reverse = reversed(value) if is_a(value, (list, tuple, deque)) else ()
        return _items(_plain(value), _plain(reverse), len(value), brackets, room)
    if is_long(value, room):
        return "" if outermost else f"<{_head(value)}>"
    return _ends(text := str(value), text, room)


def _plain(items: Iterable[object]) -> Iterator[_Item]:
    return (("", item) for item in items)


def _items(first: Iterator[_Item], last: Iterator[_Item], count: int, brackets: str, room: int) -> str:
    """All items if they are few, else as many from the beginning as two thirds of the room hold, then from the end."""
    opening, closing = brackets[0], brackets[1]
    room -= 2
    each = min(room - 2, max(_LEAST, room // max(1, min(count, _SHARES)) - 2))
    if each < 2:
        return f"{opening}{_GAP}{closing}"
    head, used = _fitting(first, count, each, room if count <= _SHARES else room * 2 // 3)
    tail, _ = _fitting(last, count - len(head), each, room - used - len(_GAP) - 2)
    if len(head) + len(tail) == count:
        return f"{opening}{', '.join([*head, *reversed(tail)])}{closing}"
    end = f"{_GAP} {', '.join(reversed(tail))}" if tail else _GAP
    return f"{opening}{', '.join([*head, end])}{closing}"


def _fitting(items: Iterator[_Item], count: int, each: int, room: int) -> tuple[list[str], int]:
    texts: list[str] = []
    used = 0
    for before, item in itertools.islice(items, count):
        if used + 3 > room:
            break
        text = _cut(before, each)
        text += _text(item, each - len(text))
        if used + len(text) + 2 > room:
            break
        texts.append(text)
        used += len(text) + 2
    return texts, used


def _quoted(text: str, room: int) -> str:
    """A text in quotes: all of it, or its two ends."""
    length = str.__len__(text)
    if length + 2 <= room:
        return f'"{text}"'
    keep = room - len('"" ... ""')
    if keep < 2:
        return _GAP[: max(room, 0)]
    head = keep - keep // 2
    return f'"{text[:head]}" {_GAP} "{text[length - keep // 2 :]}"'


def _ends(head: str, tail: str, room: int) -> str:
    """The beginning of one text and the end of the other, where they don't fit as they are."""
    if len(head) <= room:
        return head
    keep = max(room - len(_GAP) - 2, 0)
    return f"{head[: keep - keep // 3]} {_GAP} {tail[len(tail) - keep // 3 :]}"


def _cut(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    return f"{text[: max(room - len(_GAP), 0)]}{_GAP}"[: max(room, 0)]


def _fields(value: Any) -> dict[str, object] | None:
    """What is in an object whose text shows just that: a dataclass, a named tuple, a model."""
    names = getattr(type(value), "_fields", None) if is_a(value, tuple) else None
    if isinstance(names, tuple):
        return dict(zip(map(str, names), value, strict=False))
    if is_dataclass(value) or isinstance(getattr(type(value), "model_fields", None), dict):
        own = getattr(value, "__dict__", None)
        if isinstance(own, dict):
            return {str(name): item for name, item in own.items()}
    return None


def _shape(value: object) -> tuple[int, ...] | None:
    shape = getattr(value, "shape", None) if not is_a(value, type) else None
    if not isinstance(shape, tuple) or not all(isinstance(size, int) for size in shape):
        return None
    return tuple(int(size) for size in shape)


def _columns(value: object) -> list[object] | None:
    columns = getattr(value, "columns", None)
    return None if columns is None or callable(columns) else list(itertools.islice(columns, ELEMENTS))
