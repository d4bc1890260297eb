"""The parameters that a caller can name, and what is annotated of them, for a callable of any form.

What a partial has bound is not among them. A wrapper's own parameters decide what can be
passed; those that it only passes on are those of what it wraps, and so are the types that it
doesn't give itself. This module must not know what a plan may pass, nor check any type.
"""

from __future__ import annotations

import inspect
import sys
from functools import partial, partialmethod
from inspect import Parameter
from types import FunctionType, MethodType
from typing import Any

from llmorch.declare.annotations import Annotation
from llmorch.declare.callables import attribute, bound_late, code_of, name_of
from llmorch.declare.defaults import MADE
from llmorch.declare.fields import is_by_name, path_of, with_field
from llmorch.declare.text import one_line

_VARIABLE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_DEPTH = 50


class Unreadable(Exception):
    """A callable of which nobody can say what it takes; its message is one line."""


def parameters_of(call: Any) -> list[Parameter]:
    """What can be passed, in order; each annotation is an ``Annotation`` or ``Parameter.empty``.

    Raises ``Unreadable``.
    """
    return _parameters(call, 0)


def returned_by(call: Any) -> Annotation | None:
    """The annotation of what it returns, if there is one; of a class, the class."""
    for _ in range(_DEPTH):
        if isinstance(call, type):
            return Annotation(call, call)
        if isinstance(call, partial | partialmethod):
            call = call.func
            continue
        signature = attribute(call, "__signature__")
        if isinstance(signature, inspect.Signature):
            said = signature.return_annotation
            return None if said is Parameter.empty else Annotation(said, call)
        code = code_of(call)
        annotations = attribute(code, "__annotations__")
        annotations = annotations if isinstance(annotations, dict) else getattr(code, "__annotations__", None)
        if isinstance(annotations, dict) and "return" in annotations:
            return Annotation(annotations["return"], code)
        wrapped = attribute(code, "__wrapped__") or attribute(call, "__wrapped__")
        if wrapped is None:
            return None
        call = wrapped
    return None


def _parameters(call: Any, depth: int) -> list[Parameter]:
    if depth > _DEPTH:
        raise Unreadable("it wraps itself")
    depth += 1
    if isinstance(call, partial):
        return _unbound(_parameters(call.func, depth), call.args, call.keywords, call)
    if isinstance(call, MethodType):
        rest = _unbound(_parameters(call.__func__, depth), (call.__self__,), {}, call)
        return [  # a type may be named in the class of the object
            item
            if item.annotation is item.empty
            else item.replace(annotation=item.annotation._replace(owner=call.__self__))
            for item in rest
        ]
    if isinstance(call, staticmethod):
        return _parameters(call.__func__, depth)
    if (late := bound_late(call)) is not None:
        found = _parameters(late.func, depth)
        return [*found[:1], *_unbound(found[1:], late.args, late.keywords, call)]
    if isinstance(call, type):
        return _of_class(call)
    wrapped = attribute(call, "__wrapped__")
    signed = attribute(call, "__signature__")
    if wrapped is None and signed is None and not inspect.isroutine(call):
        return _of_object(call, depth)
    if wrapped is None or isinstance(signed, inspect.Signature):
        return _own(call)
    try:
        own = _own(call)
    except Unreadable:
        return _parameters(wrapped, depth)
    return _wrapper(own, _parameters(wrapped, depth))


def _own(call: Any) -> list[Parameter]:
    """What a callable says itself, whatever it wraps."""
    try:
        signature = inspect.signature(call, follow_wrapped=False)
    except Exception as error:  # of something in C, or with a __signature__ that is none
        raise Unreadable(f"its signature can't be read: {one_line(error)}") from None
    return [
        item if item.annotation is item.empty else item.replace(annotation=Annotation(item.annotation, call))
        for item in signature.parameters.values()
    ]


def _of_object(call: Any, depth: int) -> list[Parameter]:
    """Of an object with ``__call__``: what that takes beside the object."""
    above = inspect.getattr_static(type(call), "__call__", None)
    if isinstance(above, FunctionType | partialmethod):
        bound = getattr(call, "__call__", None)  # noqa: B004 - it is the method that is looked at
        if isinstance(bound, MethodType | partial):
            return _parameters(bound, depth)
    if isinstance(above, staticmethod):
        return _parameters(above, depth)
    return _own(call)


def _wrapper(own: list[Parameter], wrapped: list[Parameter]) -> list[Parameter]:
    """What a wrapper takes: its own parameters, and the wrapped one's where it passes on whatever is named."""
    types = {item.name: item for item in wrapped}
    named = [_typed(item, types.get(item.name)) for item in own if item.kind not in _VARIABLE]
    if not any(item.kind is Parameter.VAR_KEYWORD for item in own):
        return [*named, *(item for item in own if item.kind in _VARIABLE)]
    known = {item.name for item in named}
    passed_on = [item for item in wrapped if item.name not in known]
    by_place = [item for item in named if item.kind in _BY_POSITION]
    return [*by_place, *passed_on, *(item for item in named if item not in by_place)]


def _typed(item: Parameter, wrapped: Parameter | None) -> Parameter:
    """A wrapper's parameter with the wrapped one's type, unless the wrapper gives another."""
    if wrapped is None or wrapped.annotation is Parameter.empty:
        return item
    said = item.annotation
    # ``functools.wraps`` copies the annotations: then they mean what they mean at the wrapped one.
    copied = isinstance(said, Annotation) and said.written is wrapped.annotation.written
    return item.replace(annotation=wrapped.annotation) if said is Parameter.empty or copied else item


def _unbound(
    parameters: list[Parameter], args: tuple[Any, ...], keywords: dict[str, Any], call: Any
) -> list[Parameter]:
    """The parameters that are left once some have got their arguments, by place or by name."""
    left, positions = [], len(args)
    for item in parameters:
        if positions and item.kind in _BY_POSITION:
            positions -= 1
        elif item.name not in keywords or item.kind in _VARIABLE:
            left.append(item)
        if item.kind is Parameter.VAR_POSITIONAL:
            positions = 0
    names = {item.name for item in parameters}
    taken = any(item.kind is Parameter.VAR_KEYWORD for item in parameters)
    if positions or not (taken or names.issuperset(keywords)):
        raise Unreadable(f"the arguments that are bound don't fit {name_of(call)}")
    return left


def _of_class(call: type) -> list[Parameter]:
    """What makes an object of a class: of a model that pydantic makes, its fields."""
    models = sys.modules.get("pydantic.main")
    made: Any = call
    if (
        models is None
        or not issubclass(call, models.BaseModel)
        or made.__init__ is not models.BaseModel.__init__
    ):
        return _own(call)
    fields = [_field(name, info, call) for name, info in made.model_fields.items()]
    return [item for item in fields if item is not None]


def _field(name: str, info: Any, model: Any) -> Parameter | None:
    """A model's field, under the name by which it is passed; ``None`` where none needs to be."""
    config = model.model_config
    path = (name,) if is_by_name(config) else path_of(name, info.validation_alias, config)
    key = ".".join(map(str, path))
    default = Parameter.empty
    if not info.is_required():  # the class fills it in itself
        default = info.default if info.default_factory is None else MADE
    type_ = Annotation(with_field(info.annotation, info), model)
    try:
        return Parameter(key, Parameter.KEYWORD_ONLY, default=default, annotation=type_)
    except ValueError:
        if default is not Parameter.empty:
            return None
        raise Unreadable(f"its field {name} is passed as {key!r}, which is no name") from None
