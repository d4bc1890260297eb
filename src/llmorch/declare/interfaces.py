"""What a callable says of itself, in its signature and its docstring, as a plan and a model need it.

Decides which parameters a plan can pass, and what type a call's result has.
"""

from __future__ import annotations

import types
import typing
from collections import abc
from typing import TYPE_CHECKING, Any

from llmorch.declare import role
from llmorch.declare.callables import docstring, is_async, is_generator, is_pythons, unfit
from llmorch.declare.defaults import MADE, is_a
from llmorch.declare.parameters import Parameter
from llmorch.declare.signatures import parameters_of, returned_by, with_field
from llmorch.errors import FunctionError

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Sequence

_ITERATED = (abc.Iterator, abc.Generator, abc.Iterable)
_ITERATED_ASYNC = (abc.AsyncIterator, abc.AsyncGenerator, abc.AsyncIterable)
_FIELD = ("pydantic.fields", "FieldInfo")
_NAMES_ONLY = "and a plan passes every argument by its name"
_CALLING = "offer a function that calls it and has named parameters, as in def look_up(name: str): ..."


def interface_of(target: Callable[..., Any], name: str, *, asks_model: bool = False) -> dict[str, Any]:
    """What a callable says of itself, as fields of a ``Function``. Raises ``FunctionError``.

    Its docstring may be in Google's, NumPy's or the reST style.
    """
    import docstring_parser

    if reason := unfit(target):
        raise FunctionError(f"{name}: {reason}")
    text = docstring(target)
    try:
        doc = docstring_parser.parse(text)
    except docstring_parser.ParseError:
        doc = docstring_parser.Docstring()
        doc.short_description = text
    described = {parameter.arg_name: parameter.description or "" for parameter in doc.params}
    try:
        parameters = tuple(_parameter(item, described) for item in _named(parameters_of(target)))
    except FunctionError as error:
        raise FunctionError(f"{name}: {error}") from None
    return {
        "description": "\n\n".join(part for part in (doc.short_description, doc.long_description) if part),
        "parameters": parameters,
        "returns": _returned(target, asks_model=asks_model),
        "returns_description": (doc.returns.description or "") if doc.returns else "",
        "documented": len(text),
    }


def _named(taken: Sequence[inspect.Parameter]) -> list[inspect.Parameter]:
    """The parameters that have names: what a ``*args`` or a ``**kwargs`` would take beside them is left out."""
    named = [item for item in taken if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)]
    needless = any(item.kind is item.POSITIONAL_OR_KEYWORD or item.default is item.empty for item in named)
    for item in taken:
        if item.kind is item.POSITIONAL_ONLY:
            raise FunctionError(f"parameter {item.name} takes no name, {_NAMES_ONLY}; {_CALLING}")
        if item.kind is item.VAR_POSITIONAL and not needless:
            raise FunctionError(f"*{item.name} takes arguments without names, {_NAMES_ONLY}; {_CALLING}")
    if taken and not named:
        raise FunctionError(
            f"**{taken[0].name} takes arguments of any name, so nobody can tell a model which; {_CALLING}"
        )
    return named


def _parameter(item: inspect.Parameter, described: dict[str, str]) -> Parameter:
    annotation = Any
    if item.annotation is not item.empty:
        try:
            annotation = item.annotation.resolved()
        except FunctionError as error:
            raise FunctionError(f"parameter {item.name}: its type: {error}") from None
    description = _description_in(annotation)
    annotation, info = _without_default(annotation)
    default, field = item.default, None
    if is_a(default, *_FIELD):
        annotation, description = with_field(annotation, default), description or default.description or ""
        info = info if default.is_required() else default
        default = item.empty
    if info is not None and default is item.empty:
        default = info.default if info.default_factory is None else MADE
        field = info
    made = Parameter(
        name=item.name,
        annotation=annotation,
        required=default is item.empty,
        default=None if default is item.empty else default,
        description=description or described.get(item.name, ""),
        field=field,
    )
    if not role.only_calls:
        made.check_type()
    return made


def _without_default(annotation: Any) -> tuple[Any, Any]:
    """A type whose ``Annotated`` holds a ``Field`` with a default, without that default, and the ``Field``."""
    if typing.get_origin(annotation) is typing.Annotated:
        base, *metadata = typing.get_args(annotation)
        for info in metadata:
            if is_a(info, *_FIELD) and not info.is_required():
                return with_field(base, info, [item for item in metadata if item is not info]), info
    return annotation, None


def _description_in(annotation: Any) -> str:
    """What an ``Annotated`` says in words: a text, a ``Doc``, or a ``Field``'s description."""
    if typing.get_origin(annotation) is typing.Annotated:
        for item in typing.get_args(annotation)[1:]:
            for text in (item, getattr(item, "documentation", None), getattr(item, "description", None)):
                if isinstance(text, str) and text.strip():
                    return text
    return ""


def _returned(target: Callable[..., Any], *, asks_model: bool) -> Any:
    """The type of a call's result: of what yields, a list, unless it yields prompts and returns something else."""
    said = returned_by(target)
    try:
        annotation = Any if said is None else said.resolved()
    except FunctionError:  # nothing is checked by it
        return Any
    args = typing.get_args(annotation)
    kind = typing.get_origin(annotation) or annotation
    if kind is abc.Generator and (asks_model or is_async(target)):
        return args[2] if len(args) == 3 else Any
    if kind in (abc.Coroutine, abc.Awaitable):
        return args[-1] if args else Any
    if asks_model and is_generator(target):
        return Any
    if kind in _ITERATED or kind in _ITERATED_ASYNC:
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
