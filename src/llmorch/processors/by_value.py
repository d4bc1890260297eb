"""Pickling what can't be imported on the other side: classes and functions of scripts.

Decides what goes by value and what comes back by name. A class that a worker got from its
parent goes back as a reference to the parent's own class: by value, it would be rebuilt
over the original, which ruins a dataclass or a model.
"""

from __future__ import annotations

import dataclasses
import io
import weakref
from collections import ChainMap
from typing import TYPE_CHECKING, Any

import cloudpickle
from cloudpickle import cloudpickle as inner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pickle import PickleBuffer

_made_here: weakref.WeakSet[type] = weakref.WeakSet()


def dumps(
    value: object,
    *,
    worker: bool,
    buffer_callback: Callable[[PickleBuffer], Any] | None = None,
    reducers: Mapping[type, Callable[[Any], tuple[Any, ...]]] | None = None,
) -> bytes:
    """The value as bytes; ``worker`` says on which side this is, ``reducers`` how some classes are pickled."""
    file = io.BytesIO()
    _Pickler(file, worker, buffer_callback, reducers or {}).dump(value)
    return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(
        self,
        file: io.BytesIO,
        worker: bool,
        buffer_callback: Callable[[PickleBuffer], Any] | None,
        reducers: Mapping[type, Callable[[Any], tuple[Any, ...]]],
    ) -> None:
        self.dispatch_table = ChainMap(
            dict(reducers), cloudpickle.Pickler.dispatch_table
        )  # read by what follows
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)
        self._worker = worker

    def reducer_override(self, obj: Any) -> Any:
        if obj is dataclasses.MISSING:  # compared by identity over there
            return getattr, (dataclasses, "MISSING")
        if isinstance(obj, type) and self._worker:
            number = inner._DYNAMIC_CLASS_TRACKER_BY_CLASS.get(obj)
            if number is not None and obj not in _made_here:
                return _own_class, (number,)
            if obj.__module__ == "__main__" or "<locals>" in obj.__qualname__:
                _made_here.add(obj)
        elif type(obj).__module__ == "llmorch.functions" and type(obj).__name__ == "Function":
            return type(None), ()  # what ``@function`` noted on a function is of no use over there
        return super().reducer_override(obj)


def _own_class(number: str) -> type:
    """The parent's class behind a worker's copy of it."""
    found: type = inner._DYNAMIC_CLASS_TRACKER_BY_ID[number]
    return found
