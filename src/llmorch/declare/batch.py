"""The batch form of a function: one call of it in the place of several of the function.

Decides how one is declared, and what it says about it. This module must not know which
calls go together, nor what becomes of them.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from llmorch.declare.callables import name_of
from llmorch.declare.text import brief
from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
Q = ParamSpec("Q")
R_co = TypeVar("R_co", covariant=True)
F = TypeVar("F", bound="Callable[..., Any]")

SIZE = 64
"""Calls in one batch where the author doesn't say how many."""
_FORM = "__llmorch_batch_of__"
_OBJECT = ("self", "cls")


@dataclass(frozen=True)
class Batch:
    """What makes several calls of a function as one: ``call``, by its only ``parameter``.

    At most ``size`` calls go together. ``of_object`` says that it takes the object first.
    """

    call: Callable[..., Any]
    parameter: str
    size: int = SIZE
    of_object: bool = False

    def bound(self, owner: object) -> Batch:
        """The form of a method, for its object."""
        return replace(self, call=MethodType(self.call, owner), of_object=False) if self.of_object else self


class BatchDecorator:
    """What ``search.batch`` is: a decorator that declares the batch form of ``search``."""

    def __init__(self, single: Callable[..., Any], name: str, *, refused: str = "") -> None:
        self.declared: Batch | None = None
        self._name = name
        self._refused = refused
        self._of_object = _takes_object(single)

    @overload
    def __call__(self, form: F, /) -> F: ...
    @overload
    def __call__(self, /, *, size: int = SIZE) -> Callable[[F], F]: ...
    def __call__(self, form: F | None = None, /, *, size: int = SIZE) -> F | Callable[[F], F]:
        """Declare the batch form, which itself stays as it is.

        It takes a list of mappings, one for each call, of all parameters to their values,
        and returns a list of as many results in the same order; in the place of a result
        there may be an exception, of which that call alone fails. At most ``size`` calls
        go together. Raises ``FunctionError`` for a form that can't be.
        """

        def declare(target: F) -> F:
            written: Any = target.__func__ if isinstance(target, staticmethod | classmethod) else target
            self.declared = self._read(written, size)
            setattr(written, _FORM, self._name)
            return target

        return declare if form is None else declare(form)

    def _read(self, form: Callable[..., Any], size: int) -> Batch:
        of = f"{self._name}: its batch form"
        if self._refused:
            raise FunctionError(f"{self._name}: {self._refused}")
        if self.declared is not None:
            raise FunctionError(f"{of} is declared already: {name_of(self.declared.call)}")
        if isinstance(size, bool) or not isinstance(size, int) or size < 2:
            raise FunctionError(
                f"{of} takes a whole number of calls, 2 or more, as its size, not {brief(size)}"
            )
        if not inspect.isfunction(form):
            raise FunctionError(f"{of} is a function written with def, not a {type(form).__name__}")
        of = f"{of}, {name_of(form)},"
        if inspect.isgeneratorfunction(form) or inspect.isasyncgenfunction(form):
            raise FunctionError(f"{of} can't be a generator; return a list")
        parameters = list(inspect.signature(form).parameters.values())
        mine = parameters[1:] if self._of_object else parameters
        if (self._of_object and (not parameters or parameters[0].name not in _OBJECT)) or len(mine) != 1:
            takes = "self and one parameter" if self._of_object else "one parameter"
            names = ", ".join(parameter.name for parameter in parameters) or "none"
            raise FunctionError(f"{of} takes {takes}, the list of calls, not {names}")
        only = mine[0]
        if only.kind not in (only.POSITIONAL_OR_KEYWORD, only.KEYWORD_ONLY):
            raise FunctionError(f"{of} takes one parameter that has a name, not {only}")
        return Batch(form, only.name, size, self._of_object)

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        # A function that is sent to another process by value takes its attributes along.
        return type(None), ()


class DeclaredFunction(Protocol[P, R_co]):
    """A function that is offered to plans: itself, and what declares its batch form."""

    __name__: str
    __qualname__: str

    @property
    def batch(self) -> BatchDecorator: ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    @overload
    def __get__(self, owner: None, kind: type, /) -> DeclaredFunction[P, R_co]: ...
    @overload
    def __get__(
        self: DeclaredFunction[Concatenate[Any, Q], R_co], owner: object, kind: type | None = None, /
    ) -> DeclaredFunction[Q, R_co]: ...


def attach(target: Callable[..., Any], name: str, *, refused: str = "") -> None:
    """Let ``target.batch`` declare a batch form, unless it has something else of that name."""
    if isinstance(getattr(target, "batch", None), BatchDecorator | None):
        with suppress(AttributeError):  # of an object that has a property of that name
            target.batch = BatchDecorator(target, name, refused=refused)  # type: ignore[attr-defined]


def batch_of(target: object) -> Batch | None:
    """The batch form that was declared for a function, or for what a decorator made of it."""
    batching = getattr(target, "batch", None)
    return batching.declared if isinstance(batching, BatchDecorator) else None


def single_of(target: object) -> str | None:
    """The name of the function whose batch form this is."""
    name = getattr(target, _FORM, None)
    return name if isinstance(name, str) else None


def _takes_object(single: Callable[..., Any]) -> bool:
    """Whether a function is written in the body of a class, and takes its object or its class first."""
    if not inspect.isfunction(single):  # what is bound, or no function, has its object
        return False
    code = inspect.unwrap(single).__code__
    return bool(code.co_argcount) and code.co_varnames[0] in _OBJECT
