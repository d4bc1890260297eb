"""The parameters that a caller can name, and what is annotated of them, for a callable of any form.

What a partial has bound is not among them. A wrapper's own parameters decide what can be
passed; those that it only passes on are those of what it wraps, and so are the types that it
doesn't give itself. An annotation that is text is looked up where its function was written: in its
module and that of what it wraps, then in the functions and classes around it, while they run.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections import ChainMap
from contextlib import suppress
from dataclasses import InitVar
from functools import partial, partialmethod
from inspect import Parameter
from types import FrameType, FunctionType, MethodType, SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from llmorch.declare.callables import attribute, class_around, code_of, innermost, name_of, partialmethod_of
from llmorch.declare.defaults import MADE, is_by_name, path_of
from llmorch.declare.text import one_line
from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_VARIABLE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_DEPTH = 50
_INSTEAD = "; offer a function written with def that calls it"
_VALUES = (list, dict, tuple, set, frozenset, int, float, complex, bytes)
"""Classes whose values are no types, whatever is annotated with them."""


class Annotation(NamedTuple):
    """An annotation as it was stated, the callable that it was stated at, and the object that this is bound to."""

    stated: Any
    at: Any
    owner: Any = None

    def resolved(self) -> Any:
        """The type. Raises ``FunctionError`` for what is no type, or where a name isn't known here."""
        if type(self.stated) is type:  # as most are
            return self.stated
        found = self.stated
        if not isinstance(found, _VALUES):
            found = _resolved(found, _spaces(self.at, self.owner))
        if isinstance(found, InitVar):
            return self._replace(stated=found.type).resolved()
        if isinstance(found, _VALUES):
            kind = type(found).__name__
            hint = f"; write {kind}[...]" if kind in ("list", "dict", "tuple", "set") else ""
            raise FunctionError(f"{one_line(repr(found))} is no type{hint}")
        return found


def parameters_of(target: Any, depth: int = 0) -> list[Parameter]:
    """What can be passed, in order; each annotation is an ``Annotation`` or ``Parameter.empty``.

    ``depth`` is how many callables lie around it. Raises ``FunctionError``.
    """
    if depth > _DEPTH:
        raise FunctionError(f"it wraps itself{_INSTEAD}")
    depth += 1
    if isinstance(target, partial):
        return _unbound(parameters_of(target.func, depth), target.args, target.keywords, target)
    if isinstance(target, MethodType):
        rest = _unbound(parameters_of(target.__func__, depth), (target.__self__,), {}, target)
        return [  # a type may be named in the class of the object
            item
            if item.annotation is item.empty
            else item.replace(annotation=item.annotation._replace(owner=target.__self__))
            for item in rest
        ]
    if isinstance(target, staticmethod):
        return parameters_of(target.__func__, depth)
    if (method := partialmethod_of(target)) is not None:
        found = parameters_of(method.func, depth)
        return [*found[:1], *_unbound(found[1:], method.args, method.keywords, target)]
    if isinstance(target, type):
        return _of_class(target)
    wrapped = attribute(target, "__wrapped__")
    signed = attribute(target, "__signature__")
    if wrapped is None and signed is None and not inspect.isroutine(target):
        return _of_object(target, depth)
    if wrapped is None or isinstance(signed, inspect.Signature):
        return _own(target)
    try:
        own = _own(target)
    except FunctionError:
        return parameters_of(wrapped, depth)
    return _wrapper(own, parameters_of(wrapped, depth))


def returned_by(target: Any) -> Annotation | None:
    """The annotation of what it returns, if there is one; of a class, the class."""
    for _ in range(_DEPTH):
        if isinstance(target, type):
            return Annotation(target, target)
        if isinstance(target, partial | partialmethod):
            target = target.func
            continue
        signature = attribute(target, "__signature__")
        if isinstance(signature, inspect.Signature):
            said = signature.return_annotation
            return None if said is Parameter.empty else Annotation(said, target)
        code = code_of(target)
        annotations = getattr(code, "__annotations__", None)
        if isinstance(annotations, dict) and "return" in annotations:
            return Annotation(annotations["return"], code)
        wrapped = attribute(code, "__wrapped__") or attribute(target, "__wrapped__")
        if wrapped is None:
            return None
        target = wrapped
    return None


def _own(target: Any) -> list[Parameter]:
    """What a callable says itself, whatever it wraps."""
    try:
        signature = inspect.signature(target, follow_wrapped=False)
    except Exception as error:  # of something in C, or with a __signature__ that is none
        raise FunctionError(f"its signature can't be read: {one_line(error)}{_INSTEAD}") from None
    return [
        item
        if item.annotation is item.empty
        else item.replace(annotation=Annotation(item.annotation, target))
        for item in signature.parameters.values()
    ]


def _of_object(target: Any, depth: int) -> list[Parameter]:
    """Of an object with ``__call__``: what that takes beside the object."""
    above = inspect.getattr_static(type(target), "__call__", None)
    if isinstance(above, FunctionType | partialmethod | staticmethod):
        return parameters_of(above.__get__(target), depth)
    return _own(target)


def _wrapper(own: list[Parameter], wrapped: list[Parameter]) -> list[Parameter]:
    """What a wrapper takes: its own parameters, and the wrapped one's where it passes on whatever is named."""
    types = {item.name: item for item in wrapped}
    named = [_typed(item, types.get(item.name)) for item in own if item.kind not in _VARIABLE]
    if not any(item.kind is Parameter.VAR_KEYWORD for item in own):
        return [*named, *(item for item in own if item.kind in _VARIABLE)]
    known = {item.name for item in named}
    passed_on = [item for item in wrapped if item.name not in known]
    by_position = [item for item in named if item.kind in _BY_POSITION]
    return [*by_position, *passed_on, *(item for item in named if item not in by_position)]


def _typed(item: Parameter, wrapped: Parameter | None) -> Parameter:
    """A wrapper's parameter with the wrapped one's type, unless the wrapper gives another."""
    if wrapped is None or wrapped.annotation is Parameter.empty:
        return item
    said = item.annotation
    # ``functools.wraps`` copies the annotations: then they mean what they mean at the wrapped one.
    copied = isinstance(said, Annotation) and said.stated is wrapped.annotation.stated
    return item.replace(annotation=wrapped.annotation) if said is Parameter.empty or copied else item


def _unbound(
    parameters: list[Parameter], args: tuple[Any, ...], keywords: dict[str, Any], target: Any
) -> list[Parameter]:
    """The parameters that are left once some have got their arguments, by position or by name."""
    by_position = [item.name for item in parameters if item.kind in _BY_POSITION][: len(args)]
    kinds = {item.kind for item in parameters}
    more = len(by_position) < len(args) and Parameter.VAR_POSITIONAL not in kinds
    unknown = keywords.keys() - {item.name for item in parameters}
    if more or (unknown and Parameter.VAR_KEYWORD not in kinds):
        raise FunctionError(f"the arguments that are bound don't fit {name_of(target)}{_INSTEAD}")
    bound = {*by_position, *keywords}
    return [item for item in parameters if item.kind in _VARIABLE or item.name not in bound]


def _of_class(target: type) -> list[Parameter]:
    """What makes an object of a class: of a model that pydantic makes, its fields."""
    models = sys.modules.get("pydantic.main")
    made: Any = target
    if (
        models is None
        or not issubclass(target, models.BaseModel)
        or made.__init__ is not models.BaseModel.__init__
    ):
        return _own(target)
    fields = [_field(name, info, target) for name, info in made.model_fields.items()]
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
        raise FunctionError(f"its field {name} is passed as {key!r}, which is no name{_INSTEAD}") from None


def with_field(annotation: Any, info: Any, more: Sequence[Any] = ()) -> Any:
    """The type with all that a ``Field`` says of values, without what it says of a default, and ``more``."""
    metadata = list(info.metadata)
    if info.discriminator is not None:
        from pydantic import Field

        metadata.append(Field(discriminator=info.discriminator))
    if info.description:
        metadata.append(info.description)
    metadata += more
    return Annotated[annotation, *metadata] if metadata else annotation


def _resolved(stated: Any, spaces: Iterator[tuple[dict[str, Any], Mapping[str, Any]]]) -> Any:
    # ``get_type_hints`` reads text inside other types too, and leaves None and Annotated as they should be.
    holder = SimpleNamespace(__annotations__={"it": stated})
    missing: NameError | None = None
    for module, nearer in spaces:
        try:
            return typing.get_type_hints(holder, module, nearer, include_extras=True)["it"]
        except NameError as error:
            missing = missing or error
        except SyntaxError:
            raise FunctionError(f"{stated!r} is no type but text") from None
        except RecursionError:
            raise FunctionError("it is nested too deeply") from None
        except Exception as error:  # text in an annotation is code: its names may raise anything
            raise FunctionError(f"{one_line(stated)}: {type(error).__name__}: {one_line(error)}") from None
    name = getattr(missing, "name", None) or one_line(stated)
    raise FunctionError(
        f"{name} isn't known where the function is offered; import it, or decorate it where it is"
    )


def _spaces(at: Any, owner: Any) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    """Where to look, the nearest first: a module's names, and what stands before them."""
    functions = list(_functions(at))
    # Of a class and of those above it, of which it has its fields.
    kind = innermost(at)
    kinds = (kind if isinstance(kind, type) else type(kind)).__mro__[:-1]
    named = [getattr(item, "__module__", None) for item in [*(functions or [at]), *kinds]]
    modules = [vars(sys.modules[name]) for name in named if name in sys.modules] or [{}]
    frames = list(_frames())
    for function in functions:  # where it is written while that runs: in its body, not in that of a class
        inside = [
            frame.f_locals
            for frame in frames
            if frame.f_globals is function.__globals__
            and function.__qualname__.startswith(f"{frame.f_code.co_qualname}.<locals>.")
        ]
        yield function.__globals__, ChainMap(_cells(function), *inside)
    for module in modules:
        yield module, {}
    # Last what else is there: the class that a method stands in, its object's, and whoever is calling.
    around, owner = class_around(code_of(at)), owner if isinstance(owner, type) else type(owner)
    classes = [*([around] if isinstance(around, type) else []), *owner.__mro__[:-1]]
    yield modules[0], ChainMap(*(dict(vars(one)) for one in classes), *(frame.f_locals for frame in frames))


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
        with suppress(ValueError):  # it is not set yet
            found[name] = cell.cell_contents
    return found


def _frames() -> Iterator[FrameType]:
    """Everything that runs now and calls what follows, the innermost first; nothing of this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not str(frame.f_globals.get("__name__", "")).startswith("llmorch."):
            yield frame
        frame = frame.f_back
