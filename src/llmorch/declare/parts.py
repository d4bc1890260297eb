"""What a declaration is made of: a callable's signature and docstring, and what is said beside them.

Each part is read or checked here, and refused with a ``FunctionError`` that says what to
write instead. This module must not know what a function is once it is declared.
"""

from __future__ import annotations

import inspect
import math
import re
import types
import typing
from collections import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llmorch.declare.annotations import UnknownType
from llmorch.declare.callables import docstring, is_async, is_generator, is_pythons, unfit
from llmorch.declare.defaults import MADE
from llmorch.declare.fields import default_in, is_field, said_of, with_field, without_default
from llmorch.declare.parameters import Parameter
from llmorch.declare.resources import amount_of
from llmorch.declare.role import only_calls
from llmorch.declare.signatures import Unreadable, parameters_of, returned_by
from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from docstring_parser import Docstring

Effects = Literal["unknown", "none"]
_ITERATED = (
    *(abc.Iterator, abc.Generator, abc.Iterable),
    *(abc.AsyncIterator, abc.AsyncGenerator, abc.AsyncIterable),
)
_CALLING = "offer a function that calls it and has named parameters, as in def look_up(name: str): ..."
_BRACES = re.compile(r"\{(\w+)(\.\w+)?\}")
MAX_RETRIES = 100
"""A bound on attempts; the time they may take ends most calls long before it."""


@dataclass(frozen=True)
class Written:
    """What a callable says of itself in its signature and docstring, which has ``documented`` characters."""

    description: str
    parameters: tuple[Parameter, ...]
    returns: Any
    returns_description: str
    documented: int


def written(call: Callable[..., Any], name: str, *, asks_model: bool = False) -> Written:
    """Read a callable's signature and docstring (Google, NumPy or reST)."""
    if reason := unfit(call):
        raise FunctionError(f"{name}: {reason}")
    text = docstring(call)
    doc = _parsed(text)
    described = {parameter.arg_name: parameter.description or "" for parameter in doc.params}
    try:
        taken = _named(name, parameters_of(call))
    except Unreadable as error:
        raise FunctionError(f"{name}: {error}; offer a function written with def that calls it") from None
    return Written(
        description="\n\n".join(part for part in (doc.short_description, doc.long_description) if part),
        parameters=tuple(_parameter(name, item, described) for item in taken),
        returns=_returned(call, asks_model=asks_model),
        returns_description=(doc.returns.description or "") if doc.returns else "",
        documented=len(text),
    )


def _named(function_name: str, taken: Sequence[inspect.Parameter]) -> list[inspect.Parameter]:
    """The parameters that have names: what a ``*args`` or a ``**kwargs`` would take beside them is left out."""
    named = [item for item in taken if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)]
    by_place = next((item for item in taken if item.kind is item.POSITIONAL_ONLY), None)
    if by_place is not None:
        raise FunctionError(
            f"{function_name}: parameter {by_place.name} takes no name, and a plan passes every argument by its "
            f"name; {_CALLING}"
        )
    args = next((item for item in taken if item.kind is item.VAR_POSITIONAL), None)
    if args is not None and not any(
        item.kind is item.POSITIONAL_OR_KEYWORD or item.default is item.empty for item in named
    ):
        raise FunctionError(
            f"{function_name}: *{args.name} takes arguments without names, and a plan passes every argument by "
            f"its name; {_CALLING}"
        )
    if taken and not named:
        raise FunctionError(
            f"{function_name}: **{taken[0].name} takes arguments of any name, so nobody can tell a model which; "
            f"{_CALLING}"
        )
    return named


def _parsed(text: str) -> Docstring:
    import docstring_parser

    try:
        return docstring_parser.parse(text)
    except docstring_parser.ParseError:
        doc = docstring_parser.Docstring()
        doc.short_description = text
        return doc


def _returned(call: Callable[..., Any], *, asks_model: bool) -> Any:
    """The type of a call's result: of what yields, a list, unless it yields prompts and returns something else."""
    said = returned_by(call)
    try:
        annotation = Any if said is None else said.resolved()
    except UnknownType:  # nothing is checked by it
        return Any
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    kind = origin or annotation
    if kind is abc.Generator and (asks_model or is_async(call)):
        return args[2] if len(args) == 3 else Any
    if kind in (abc.Coroutine, abc.Awaitable):
        return args[-1] if args else Any
    if asks_model and is_generator(call):
        return Any
    if kind in _ITERATED:
        item = args[0] if args else Any
        return list if item is Any else list[item]  # type: ignore[valid-type]
    return annotation


def is_own_iterator(annotation: Any) -> bool:
    """Whether a type is, or may be, a class of somebody's own whose objects are iterated only once."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Annotated, typing.Union, types.UnionType):
        return any(map(is_own_iterator, args))
    kind = origin or annotation
    return isinstance(kind, type) and not is_pythons(kind) and hasattr(kind, "__next__")


def _parameter(function_name: str, item: inspect.Parameter, described: dict[str, str]) -> Parameter:
    annotation = Any
    if item.annotation is not item.empty:
        try:
            annotation = item.annotation.resolved()
        except UnknownType as error:
            raise FunctionError(f"{function_name}: parameter {item.name}: its type: {error}") from None
    said = said_of(annotation)
    annotation, field = without_default(annotation)
    default = item.default
    if is_field(default):
        annotation, said = with_field(annotation, default), said or default.description or ""
        field = default_in(default) or field
        default = item.empty
    required = default is item.empty and field is None
    if default is item.empty:
        default = None if field is None else MADE if field.factory is not None else field.value
    made = Parameter(
        name=item.name,
        annotation=annotation,
        required=required,
        default=default,
        description=said or described.get(item.name, ""),
        field=field,
    )
    if not only_calls():
        try:
            made.check_type()
        except FunctionError as error:
            raise FunctionError(f"{function_name}: {error}") from None
    return made


def effects_of(name: str, said: Effects | None, *, pure: bool, named: bool) -> Effects | None:
    """What is said of effects at all; ``named`` tells that some are said by reads and writes."""
    if not isinstance(pure, bool):
        raise FunctionError(f"{name}: pure is True or False, not {pure!r}")
    if said not in (None, "unknown", "none"):
        raise FunctionError(f'{name}: effects is "unknown", "none" or left out, not {said!r}')
    if pure and said == "unknown":
        raise FunctionError(f"{name}: it is either pure or its effects are unknown")
    if pure and named:
        raise FunctionError(f"{name}: it is either pure or touches what reads and writes say")
    if said is not None and named:
        raise FunctionError(f"{name}: effects are either {said} or said by reads and writes")
    return "none" if pure else said


def patterns(name: str, which: str, said: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """The patterns of what is read or written: names of things with parameters in braces and a star at the end.

    ``known`` are the parameters' names; of the object, ``self``, there may be an attribute.
    """
    if isinstance(said, str) or not all(isinstance(item, str) and item for item in said):
        raise FunctionError(f'{name}: {which} is a list of names, as in ["file:{{path}}"]')
    for pattern in said:
        plain = _BRACES.sub(lambda found: "" if _is_known(found, known) else found.group(), pattern)
        if "{" in plain or "}" in plain:
            raise FunctionError(
                f"{name}: {which}: braces in {pattern!r} hold a parameter's name: {', '.join(sorted(known))}"
            )
        if "*" in plain.removesuffix("*"):
            raise FunctionError(f"{name}: {which}: * can stand only at the end of {pattern!r}")
    return tuple(said)


MIN_MEMORY = 1024**2


def memory_of(name: str, said: object) -> int | None:
    """A size in bytes: a number of them, or a text such as ``"2GiB"`` or ``"500MB"``."""
    if said is None:
        return None
    try:
        size = amount_of(said)
    except ValueError:
        size = 0
    if size < MIN_MEMORY:
        raise FunctionError(
            f'{name}: memory is a size of at least 1 MiB, as in "2GiB" or "500MB", not {said!r}'
        )
    return size


def _is_known(found: re.Match[str], known: Collection[str]) -> bool:
    name, attribute = found.groups()
    return name in known and (attribute is None or name == "self")


def retries_of(name: str, said: object) -> int:
    """How often a failed call is made again."""
    if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= MAX_RETRIES:
        raise FunctionError(f"{name}: retries is a whole number from 0 to {MAX_RETRIES}, not {said!r}")
    return said


def retry_on_of(name: str, said: object, retries: int) -> tuple[type[BaseException], ...]:
    """The exceptions after which a call is made again; any ``Exception`` where nothing is said."""
    if said is None:
        return (Exception,)
    kinds = tuple(said) if isinstance(said, Sequence) else (said,)
    if not kinds or not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        raise FunctionError(
            f"{name}: retry_on takes classes of exceptions, as in (ConnectionError, TimeoutError), not {said!r}"
        )
    if not retries:
        raise FunctionError(f"{name}: retry_on does nothing without retries; write retries=3")
    return kinds


def show_of(name: str, said: object) -> Callable[[Any], str] | None:
    """What makes a result's text for a model."""
    if said is None:
        return None
    example = "as in show=lambda rows: f'{len(rows)} rows'"
    if not callable(said) or inspect.iscoroutinefunction(said) or inspect.isgeneratorfunction(said):
        raise FunctionError(
            f"{name}: show is a plain function that makes a text of a result, {example}, not {said!r}"
        )
    try:
        signature = inspect.signature(said)
    except (TypeError, ValueError):  # of a function in C, which may have none
        return said
    try:
        signature.bind(None)
    except TypeError:
        raise FunctionError(
            f"{name}: show takes one argument, the result, {example}; not {signature}"
        ) from None
    return said


def backoff_of(name: str, said: object) -> float:
    """The first pause in seconds."""
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said < math.inf:
        raise FunctionError(f"{name}: backoff is a number of seconds, 0 or more, not {said!r}")
    return said
