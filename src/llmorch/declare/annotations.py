"""Annotations as types, also those that are text: names are looked up where a function was written.

Decides where that is: the function's module and what it wraps, then the functions and classes
around it, while they run. This module must not know what a type is good for.
"""

from __future__ import annotations

import sys
import typing
from dataclasses import InitVar
from types import FrameType, FunctionType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from llmorch.declare.callables import attribute, class_around, code_of, innermost
from llmorch.declare.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WRITTEN_OUT = (list, dict, tuple, set, frozenset, int, float, complex, bytes)
"""Classes whose values are no types, whatever is annotated with them."""


class UnknownType(Exception):
    """An annotation that is no type, or of which a name isn't known here; its message is one line."""


class Annotation(NamedTuple):
    """An annotation as it was written, the callable that it was written at, and the object that this is bound to."""

    written: Any
    at: Any
    owner: Any = None

    def resolved(self) -> Any:
        """The type. Raises ``UnknownType``."""
        if type(self.written) is type:  # as most are
            return self.written
        found = self.written
        if not isinstance(found, _WRITTEN_OUT):
            found = _resolved(found, _spaces(self.at, self.owner))
        if isinstance(found, InitVar):
            return self._replace(written=found.type).resolved()
        if isinstance(found, _WRITTEN_OUT):
            kind = type(found).__name__
            hint = f"; write {kind}[...]" if kind in ("list", "dict", "tuple", "set") else ""
            raise UnknownType(f"{one_line(repr(found))} is no type{hint}")
        return found


class _Space(NamedTuple):
    """Where a name may be found: a module's names, and what stands before them."""

    module: dict[str, Any]
    nearer: Mapping[str, Any]


def _resolved(written: Any, spaces: Iterator[_Space]) -> Any:
    # ``get_type_hints`` reads text inside other types too, and leaves None and Annotated as they should be.
    holder = SimpleNamespace(__annotations__={"it": written})
    missing: NameError | None = None
    for space in spaces:
        try:
            return typing.get_type_hints(holder, space.module, space.nearer, include_extras=True)["it"]
        except NameError as error:
            missing = missing or error
        except SyntaxError:
            raise UnknownType(f"{written!r} is no type but text") from None
        except RecursionError:
            raise UnknownType("it is nested too deeply") from None
        except Exception as error:  # text in an annotation is code: its names may raise anything
            raise UnknownType(f"{one_line(written)}: {type(error).__name__}: {one_line(error)}") from None
    name = getattr(missing, "name", None) or one_line(written)
    raise UnknownType(
        f"{name} isn't known where the function is offered; import it, or decorate it where it is"
    )


def _spaces(at: Any, owner: Any) -> Iterator[_Space]:
    """Where to look, the nearest first."""
    functions = list(_functions(at))
    # Of a class and of those above it, of which it has its fields.
    kind = innermost(at)
    kinds = (kind if isinstance(kind, type) else type(kind)).__mro__[:-1]
    named = [getattr(item, "__module__", None) for item in [*(functions or [at]), *kinds]]
    modules = [vars(sys.modules[name]) for name in named if name in sys.modules] or [{}]
    frames = list(_frames())
    for function in functions:  # where it is written while that runs: in its body, not in that of a class
        inside = [
            frame
            for frame in frames
            if frame.f_globals is function.__globals__
            and function.__qualname__.startswith(f"{frame.f_code.co_qualname}.<locals>.")
        ]
        yield _Space(function.__globals__, _Names(_cells(function), inside))
    for module in modules:
        yield _Space(module, {})
    # Last what else is there: the class that a method is in, and whoever is calling.
    yield _Space(modules[0], _Names(_class_names(at, owner), frames))


def _functions(at: Any) -> Iterator[FunctionType]:
    """The function itself and what it wraps: a wrapper has taken over the annotations of that."""
    found: Any = code_of(at)
    for _ in range(32):
        if isinstance(found, type):
            found = found.__dict__.get("__init__")
        if isinstance(found, FunctionType):
            yield found
        found = attribute(found, "__wrapped__")
        if found is None:
            return
        found = code_of(found)


def _cells(function: FunctionType) -> dict[str, Any]:
    """The variables of enclosing functions that a function uses."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    return found


def _class_names(at: Any, owner: Any) -> dict[str, Any]:
    """The names in the class body that a method stands in."""
    found = class_around(code_of(at))
    owner = owner if isinstance(owner, type) else type(owner)
    names: dict[str, Any] = {}
    for one in reversed(owner.__mro__[:-1]):
        names |= vars(one)
    return names | (dict(vars(found)) if isinstance(found, type) else {})


def _frames() -> Iterator[FrameType]:
    """Everything that runs now and calls what follows, the innermost first; nothing of this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not str(frame.f_globals.get("__name__", "")).startswith("llmorch."):
            yield frame
        frame = frame.f_back


class _Names(dict[str, Any]):
    """Names of what runs, read only when one is asked for."""

    def __init__(self, first: dict[str, Any], frames: list[FrameType]) -> None:
        super().__init__(first)
        self._frames = frames

    def __missing__(self, name: str) -> Any:
        for frame in self._frames:
            names = frame.f_locals
            if name in names:
                return names[name]
        raise KeyError(name)
