"""What a function returns as an iterator becomes a list, once: a plan uses a result as often as it likes.

Decides what such an iterator is and how many items may come of one. It is used where the
function ran, also in worker processes, so it must import quickly.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence, Set
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from llmorch.declare.text import interrupted, is_a, kind_name
from llmorch.places.failure import raised

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

MAX_ITEMS = 1_000_000
"""The most items that may come of one result."""
MAX_DEPTH = 20
"""How deep iterators may be in one another."""
MAX_LOOKED_AT = 1_000
"""Items of a list, a tuple or a dictionary among which iterators are looked for."""
PLAIN = frozenset({str, int, float, bool, type(None), bytes})
"""Types of results that are passed on without a further look."""
_CONTAINERS = frozenset({list, tuple, dict})
_HOLD_NONE = PLAIN | _CONTAINERS

_A_TURN = 1_000
_STOPPED = ("CancelledError", "GeneratorExit")
"""How a coroutine is stopped."""
_OF_COROUTINE = 0x100
"""The flag of a function that ``types.coroutine`` was applied to."""


class Endless(Exception):
    """An iterator from which more items come than a result may have; its name begins the line that says so."""


def awaits(result: object, *, batch: bool = False) -> bool:
    """Whether it takes an event loop to know what a function came to, or what one result of its batch form is."""
    if type(result) in PLAIN:
        return False
    if is_awaitable(result) or _is_iterator(result, "__anext__", "__aiter__"):
        return True
    return batch and is_a(result, (list, tuple)) and any(map(awaits, items_of(result)))


def draws(result: object, *, batch: bool = False) -> bool:
    """Whether ``listed`` changes what a function came to."""
    if _is_iterator(result):
        return True
    if batch:
        return is_a(result, (list, tuple)) and any(map(draws, items_of(result)))
    return _holds(result)


def listed(result: Any, *, batch: bool = False, wanted: Callable[[], bool] = lambda: True) -> Any:
    """What a function came to, as a list if it is an iterator; each result of a batch form too.

    It ends early once the result isn't ``wanted`` any more. Raises what the iterator raises, and
    ``Endless``; in a batch that is the failure of one call.
    """
    drawing = _Drawing(wanted)
    if _is_iterator(result):
        result = list(drawing.items(result)) if batch else drawing.all_of(result)
    elif not batch and _holds(result):
        result = drawing.inside(result)
    if not batch or not draws(result, batch=True):
        return result
    found = []
    for item in items_of(result):
        try:
            found.append(listed(item, wanted=wanted))
        except BaseException as error:
            found.append(raised(error))
    return found


async def awaited(result: Any, *, batch: bool = False) -> Any:
    """What a function came to, as far as an event loop is needed; each result of a batch form too.

    A synchronous iterator is left to ``listed``. Raises as that does.
    """
    for _ in range(MAX_DEPTH):
        if not is_awaitable(result):
            break
        result = await result
    if _is_iterator(result, "__anext__", "__aiter__"):
        result = await _gathered(result)
    elif _keeps_to_its_thread(result):
        result = await _gathered(_from_here(result))
    if not batch or not awaits(result, batch=True):
        return result
    found = []
    for item in items_of(result):
        try:
            found.append(await awaited(item))
        except BaseException as error:
            if interrupted(error) or kind_name(error) in _STOPPED:
                raise
            found.append(raised(error))
    return found


def is_awaitable(result: object) -> bool:
    """Whether it is to be awaited, also as a generator that ``types.coroutine`` made a coroutine of."""
    if _has(type(result), "__await__"):
        return True
    return type(result) is GeneratorType and bool(result.gi_code.co_flags & _OF_COROUTINE)


def _is_iterator(value: object, step: str = "__next__", begin: str = "__iter__") -> bool:
    """Whether its items can be had once only. An open file is more than its lines, and stays what it is."""
    kind = type(value)
    if kind is GeneratorType and is_awaitable(value):
        return False
    if kind in PLAIN or not _has(kind, step) or not _has(kind, begin):
        return False
    return not is_a(value, (io.IOBase, Sequence, Mapping, Set)) and not _has(kind, "readline")


def _has(kind: type, name: str) -> bool:
    """Whether a class has an attribute; no, where its metaclass raises."""
    try:
        return hasattr(kind, name)
    except BaseException as error:
        if interrupted(error):
            raise
        return False


def items_of(batch: Any) -> Iterator[Any]:
    """The items of a list or a tuple, which a class of somebody's own may hide."""
    return list.__iter__(batch) if issubclass(type(batch), list) else tuple.__iter__(batch)


def _holds(result: Any) -> bool:
    """Whether an iterator is directly in what a function came to."""
    kind = type(result)
    if kind not in _CONTAINERS or not 0 < len(result) <= MAX_LOOKED_AT:
        return False
    items = result.values() if kind is dict else result
    # The types first, which takes nanoseconds an item: most results hold none but plain values.
    if _HOLD_NONE.issuperset(map(type, items)):
        return False
    return any(map(_is_iterator, items))


def _keeps_to_its_thread(value: object) -> bool:
    """Whether items can be had only on the thread that made it."""
    sqlite = sys.modules.get("sqlite3")
    return sqlite is not None and is_a(value, sqlite.Cursor)


async def _from_here(iterator: Iterator[Any]) -> AsyncIterator[Any]:
    for item in iterator:
        yield item


async def _gathered(iterator: AsyncIterator[Any]) -> list[Any]:
    from asyncio import sleep

    items: list[Any] = []
    async for item in iterator:
        if len(items) == MAX_ITEMS:
            raise _endless()
        items.append(item)
        if not len(items) % _A_TURN:  # one that never waits must not hold up all others
            await sleep(0)
    return items


class _Drawing:
    """Draws the items of an iterator, and of the iterators among them, while they are wanted."""

    def __init__(self, wanted: Callable[[], bool]) -> None:
        self._wanted = wanted
        self._left = MAX_ITEMS

    def items(self, iterator: Iterator[Any]) -> Iterator[Any]:
        """The items as they are, so many as there may be."""
        for item in iterator:
            if not self._wanted():
                break
            if not self._left:
                raise _endless()
            self._left -= 1
            yield item

    def all_of(self, iterator: Iterator[Any], depth: int = 1) -> list[Any]:
        """The items, those of an iterator among them before it is asked for more, as ``groupby`` wants it."""
        return [
            self.inside(item, depth) if type(item) is tuple and _holds(item) else self._item(item, depth)
            for item in self.items(iterator)
        ]

    def inside(self, container: Any, depth: int = 0) -> Any:
        """A list, a tuple or a dictionary with a list for each iterator in it."""
        if type(container) is dict:
            return {key: self._item(item, depth) for key, item in container.items()}
        return type(container)([self._item(item, depth) for item in container])

    def _item(self, item: Any, depth: int) -> Any:
        if not _is_iterator(item):
            return item
        if depth == MAX_DEPTH:
            raise Endless(f"it returned iterators in iterators, more than {MAX_DEPTH} deep; return lists")
        return self.all_of(item, depth + 1)


def _endless() -> Endless:
    return Endless(
        f"more than {MAX_ITEMS:,} items come of the iterator that it returned; return fewer, as a list"
    )
