"""Effects that are declared once for a class, and what they come to for one object of it.

Decides how an object is named among the things that calls touch, and which of its methods
are offered. This module must not know what a function is.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import partialmethod
from pathlib import PurePath
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar, overload

from llmorch.declare.options import read_option, refuse_braces
from llmorch.declare.text import brief
from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

C = TypeVar("C", bound=type[Any])

_EFFECTS = "__llmorch_stateful__"
_ARGUMENT = re.compile(r"\{(\w+)\}")
_OBJECT = re.compile(r"\{self(?:\.(\w+))?\}")


@dataclass(frozen=True)
class ClassEffects:
    """What a method reads and writes if it doesn't say: patterns that may hold ``{self}``."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]


@overload
def stateful(declared: C, /) -> C: ...
@overload
def stateful(*, reads: Sequence[str] = (), writes: Sequence[str] = ()) -> Callable[[C], C]: ...
def stateful(
    declared: C | None = None, /, *, reads: Sequence[str] = (), writes: Sequence[str] = ()
) -> C | Callable[[C], C]:
    """Say of a class that its objects have a state, which their methods read and write.

    An object, or single bound methods of it, can then be offered to an ``Orchestrator``.
    Calls of one object's methods keep the plan's order, those of two objects run together.
    A method that touches less, or something else, says so: ``@function(reads=["{self}"])``
    only reads, ``@function(effects="none")`` needs nothing that changes. ``{self}`` stands
    for a name of the object's own, and ``{self.number}`` for its attribute, as it is when
    the object is offered.

    ``reads`` and ``writes`` are what every other method touches; where neither is given, it
    writes ``"{self}*"``, the object and all its parts. Subclasses inherit it. Raises
    ``FunctionError`` for a declaration that can't be.
    """

    def declare(target: C) -> C:
        if not isinstance(target, type):
            raise FunctionError(f"{brief(target)}: only a class can be stateful")
        name = target.__name__
        said = ClassEffects(read_option(name, "reads", reads), read_option(name, "writes", writes))
        refuse_braces(name, "reads", said.reads, ["self"])
        refuse_braces(name, "writes", said.writes, ["self"])
        if not said.reads and not said.writes:
            said = ClassEffects((), ("{self}*",))
        try:
            setattr(target, _EFFECTS, said)
        except (AttributeError, TypeError):
            raise FunctionError(f"{name}: only a class written with class can be stateful") from None
        return target

    return declare if declared is None else declare(declared)


def class_effects(owner: object) -> ClassEffects | None:
    """What was declared of an object's class, if it is stateful."""
    said = getattr(type(owner), _EFFECTS, None)
    return said if isinstance(said, ClassEffects) else None


def is_stateful(declared: object) -> TypeGuard[type[Any]]:
    """Whether this is itself a class with ``@stateful``."""
    return isinstance(declared, type) and isinstance(getattr(declared, _EFFECTS, None), ClassEffects)


def of_object(said: Iterable[str], owner: object, name: str) -> tuple[str, ...]:
    """Patterns with the object they are about filled in. ``name`` is the method's, for errors."""

    def filled(found: re.Match[str]) -> str:
        attribute = found.group(1)
        if attribute is None:
            # The bracket ends it: no object's name is the beginning of another's.
            return f"{type(owner).__name__}({id(owner):x})"
        try:
            text = str(getattr(owner, attribute))
        except Exception as error:  # an attribute may be computed
            reason = f"{type(error).__name__}: {error}"
            raise FunctionError(f"{name}: {found.group()} can't be filled in: {reason}") from None
        if set(text) & set("{}*"):
            raise FunctionError(f"{name}: {found.group()} is {text!r}; a name has no braces and no *")
        return text

    return tuple(_OBJECT.sub(filled, pattern) for pattern in said)


def with_arguments(said: Iterable[str], bound: Mapping[str, object], name: str) -> tuple[str, ...]:
    """Patterns with the arguments filled in that a form of a function has bound. ``name`` is the function's."""

    def filled(found: re.Match[str]) -> str:
        value = bound.get(found.group(1), found)
        if value is found:
            return found.group()
        if not isinstance(value, str | int | PurePath) or set(str(value)) & set("{}*"):
            raise FunctionError(
                f"{name}: {found.group()} of what it reads or writes is bound to a {type(value).__name__}; "
                "declare what this form of it touches by reads= and writes="
            )
        return str(value)

    return tuple(_ARGUMENT.sub(filled, pattern) for pattern in said)


def public_methods(owner: object) -> dict[str, Callable[..., Any]]:
    """An object's methods without an underscore, bound, by name in the order in which they are written."""
    names = [name for declared in reversed(type(owner).__mro__) for name in vars(declared)]
    public = [name for name in dict.fromkeys(names) if not name.startswith("_")]
    return {
        name: getattr(owner, name)
        for name in public
        if _is_method(inspect.getattr_static(type(owner), name, None))
    }


def _is_method(found: object) -> bool:
    """Whether a class's attribute is a method of its objects: also one with arguments bound, or cached."""
    cached = hasattr(found, "cache_info") and isinstance(getattr(found, "__wrapped__", None), FunctionType)
    return isinstance(found, FunctionType | partialmethod) or cached
