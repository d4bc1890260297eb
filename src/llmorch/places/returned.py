"""What a function returned as its worker process sends it: plain data as it is, anything else taken apart.

Decides what is told of a result, so that nobody has to open it to know. It must import quickly.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from itertools import islice
from typing import Any

from llmorch.declare.text import is_a, kind_name
from llmorch.errors import shortage, without_middle
from llmorch.places.failure import Raised, described, kinds_of, raised
from llmorch.places.handles import LARGE
from llmorch.places.iterators import PLAIN, items_of
from llmorch.places.shown import Shown
from llmorch.places.wire import INLINE, Parcel, Pickled, pack, parcel_of, pickled

MAX_DESCRIPTION = 200
"""Characters in which a value is described."""


def returned(result: Any, plain: int, large: int, closed: int) -> Parcel:
    """A result as a message of one of these kinds: for plain data, for what is large, for all else."""
    value, text, made, classes = _taken_apart(result)
    parcel = parcel_of(plain, made)
    if parcel.size > LARGE:
        parcel.label(large, _about(value, text, made, classes))
    elif text or not made.is_plain:
        parcel = pack(closed, _parts(value, text, made, classes), worker=True)
    parcel.write()
    return parcel


def each_returned(
    results: Any, count: int, plain: int, closed: int, each: int, failed: int, refused: int
) -> Parcel:
    """What a batch form of so many calls returned, as a message in which each result is taken apart by itself.

    One that raised has ``failed`` before it, and one that can't be sent ``refused``.
    """
    if is_a(results, Sequence) and not is_a(results, (str, bytes, bytearray, list, tuple)):
        results = list(islice(results, count + 1))  # a sequence of somebody's own
    if not is_a(results, (list, tuple)):
        parcel = pack(closed, _parts(*_taken_apart(results)), worker=True)
    elif type(results) is list and all(type(item) in PLAIN for item in results):
        parcel = pack(plain, results, worker=True)
    else:
        parcel = pack(each, [_one(item, closed, failed, refused) for item in items_of(results)], worker=True)
    parcel.write()
    return parcel


def _one(item: Any, closed: int, failed: int, refused: int) -> tuple[int, tuple[Any, ...]]:
    if is_a(item, BaseException):
        item = raised(item)
    if type(item) is Raised:
        return failed, tuple(item)
    try:
        return closed, _parts(*_taken_apart(item))
    except BaseException as error:
        return refused, unsendable(item, error)


def unsendable(result: object, error: BaseException) -> tuple[str, str]:
    """What is said of a result that can't be pickled, as a line and a traceback."""
    result = result.result if type(result) is Shown else result
    text, detail = described(error)
    name = kind_name(result)
    one = f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
    if isinstance(error, OSError | MemoryError):
        why = shortage(error) or text
        return f"returned {one} that is too large to send to another process: {why}", detail
    why = "" if f"{name}' object" in text or "." in name else f" ({text})"
    return f"returned {one}, which can't be sent to another process{why}: return plain data", detail


def _taken_apart(result: Any) -> tuple[Any, tuple[Any, ...], Pickled, list[str]]:
    """The value, its text for a model, how it was pickled, and the classes of the program that it refers to."""
    value, *text = result if type(result) is Shown else (result,)
    classes: list[str] = []
    if type(value) in PLAIN:  # most are
        return value, tuple(text), Pickled(pickle.dumps(value, 5), [], is_plain=True), classes
    return value, tuple(text), pickled(value, worker=True, classes=classes), classes


def _about(value: Any, text: tuple[Any, ...], made: Pickled, classes: list[str]) -> tuple[Any, ...]:
    return kinds_of(value), _described(value, made.size), text, tuple(classes)


def _parts(value: Any, text: tuple[Any, ...], made: Pickled, classes: list[str]) -> tuple[Any, ...]:
    stream = made.stream if len(made.stream) <= INLINE else pickle.PickleBuffer(made.stream)
    return made.is_plain, *_about(value, text, made, classes), stream, made.buffers


def _described(value: Any, size: int) -> str:
    name = kind_name(value)
    try:
        dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
        if type(shape) is tuple:
            name += f" {'' if dtype is None else f'{dtype} '}{shape}"
        elif is_a(value, str):
            name += f" of {len(value):,} characters"
        elif is_a(value, (list, tuple, dict, set, frozenset)):
            name += f" of {len(value):,} items"
    except BaseException:  # a value's own attributes may raise anything
        pass
    return f"{without_middle(name, MAX_DESCRIPTION)}, {_size(size)}"


def _size(size: int) -> str:
    return f"{size / 1e6:,.3g} MB" if size >= 1e5 else f"{size:,} bytes"
