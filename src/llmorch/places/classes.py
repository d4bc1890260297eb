"""Taking apart what can't be imported on the other side, and building it there: classes, aliases, parameters of types.

Decides how each kind of class is made anew: with its slots, with the members of an
enumeration as they are, and without running again what ran when it was defined: its
metaclass's own code, ``__init_subclass__``, ``__init__`` of members. A class is made once
in a process and known by its number from then on.
"""

from __future__ import annotations

import abc
import enum
import functools
import types
import typing
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from cloudpickle import cloudpickle as inner

from llmorch.places.failure import UnknownHereError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Reduced = tuple[Any, ...]


_CREATED = ("__module__", "__qualname__", "__slots__")
"""Given to a class when it is made; everything else is set afterwards, when it may be referred to."""
_UNSENT = ("__dict__", "__weakref__", "_abc_impl", "__annotate_func__", *_CREATED)
_ENUM_UNSENT = (
    "_generate_next_value_",
    "_member_names_",
    "_member_map_",
    "_member_type_",
    "_value2member_map_",
    "_unhashable_values_",
    "_unhashable_values_map_",
    "_hashable_values_",
)
_MEMBER_UNSENT = ("_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_")
_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int.__pos__),
    (float, float.__pos__),
    (str, str.__str__),
    (bytes, lambda member: bytes.__getitem__(member, slice(None))),
    (tuple, lambda member: tuple.__getitem__(member, slice(None))),
)
"""What a member of an enumeration with such a base is without its class."""

_complete: WeakSet[type] = WeakSet()
"""Those that were made here from what another process sent."""
kept: dict[str, type] = {}
"""Those of them that the main program of the other process has under a name."""


def numbered(number: str) -> type:
    """The class of this process behind a copy of it."""
    try:
        found: type = inner._DYNAMIC_CLASS_TRACKER_BY_ID[number]
    except KeyError:
        raise UnknownHereError("the class of a value is gone: keep a reference to it") from None
    return found


def parameters_of(cls: type) -> tuple[type, tuple[Any, ...]] | None:
    """The model and the arguments behind ``Model[int]``, which pydantic makes where it is first written."""
    known = cls.__dict__.get("__pydantic_generic_metadata__")
    return (known["origin"], known["args"]) if known and known["origin"] and known["args"] else None


def reduced(
    cls: type, importable: Callable[[type], bool], has: Callable[[str, Any], bool], *, keep: bool
) -> Reduced:
    """How a class is pickled by value.

    ``has`` says which attributes the other side has as they are, and ``keep`` that the class stays there.
    """
    builder = next(one for one in type.mro(type(cls)) if importable(one))
    created = {name: cls.__dict__[name] for name in _CREATED if name in cls.__dict__}
    if "__slots__" in created and not isinstance(created["__slots__"], str):
        # One that was given by an iterator is used up.
        slots = tuple(name for name, value in cls.__dict__.items() if _is_slot(value, cls))
        created["__slots__"] = tuple(created["__slots__"]) or slots
    created["__qualname__"] = cls.__qualname__
    state = {
        name: value
        for name, value in cls.__dict__.items()
        if name not in _UNSENT
        and not _is_slot(value, cls)
        and (name.startswith("__") or not has(name, value))
    }
    registered = []
    if isinstance(cls, abc.ABCMeta):
        registered = [found for one in abc._get_dump(cls)[0] if (found := one()) is not None]  # type: ignore[attr-defined]
    bases, members, fields = _bases(cls, builder), None, {}
    if isinstance(cls, enum.EnumMeta):
        bases = cls.__bases__
        named: Mapping[str, enum.Enum] = cls.__members__
        members = [(name, _plain(member), member._value_) for name, member in named.items()]
        fields = {
            name: {key: value for key, value in vars(member).items() if key not in _MEMBER_UNSENT}
            for name, member in named.items()
        }
        for name in (*_ENUM_UNSENT, *fields):
            state.pop(name, None)
        created["_boundary_"] = getattr(cls, "_boundary_", None)
    number = inner._get_or_create_tracker_id(cls)
    parts = (number, type(cls), builder, cls.__name__, bases, created, members)
    return _made, parts, (state, registered, fields, keep), None, None, _completed


def _is_slot(value: object, cls: type) -> bool:
    return isinstance(value, types.MemberDescriptorType) and value.__objclass__ is cls


def _bases(cls: type, builder: type) -> tuple[Any, ...]:
    bases: tuple[Any, ...] = cls.__dict__.get("__orig_bases__", cls.__bases__)
    if builder is type and types.resolve_bases(bases) != cls.__bases__:
        return cls.__bases__  # what is written as its base made another class: a NamedTuple
    return bases


def _plain(member: enum.Enum) -> tuple[Any, ...]:
    for base, plain in _PLAIN:
        if isinstance(member, base):
            return (plain(member),)
    return () if getattr(type(member), "_member_type_", object) is object else (member._value_,)


class _Quiet:
    """Stands before the bases of a class while it is made: it was defined elsewhere."""

    __slots__ = ()

    def __init_subclass__(cls, **given: object) -> None:
        pass

    @classmethod
    def __pydantic_init_subclass__(cls, **given: object) -> None:
        pass


_LOUD = ("__init_subclass__", "__pydantic_init_subclass__")


def _made(number: str, *parts: Any) -> Any:
    """The class of this number, without what is set afterwards."""
    known = inner._DYNAMIC_CLASS_TRACKER_BY_ID.get(number)
    if known is not None:
        return known
    *of_class, members = parts
    made = _made_class(*of_class) if members is None else _made_enum(*parts)
    return inner._lookup_class_or_track(number, made)


def _made_class(
    metaclass: type, builder: type, name: str, stated: tuple[Any, ...], created: Mapping[str, Any]
) -> type:
    bases = types.resolve_bases(stated)
    namespace = dict(created)
    if bases is not stated:
        namespace["__orig_bases__"] = stated
    above = (one for base in bases for one in getattr(base, "__mro__", ()))
    quiet = any(word in one.__dict__ for one in above if one in _complete for word in _LOUD)
    made: Any = builder.__new__(metaclass, name, ((_Quiet, *bases) if quiet else bases), namespace)
    if quiet:
        made.__bases__ = bases
    return made  # type: ignore[no-any-return]


def _made_enum(
    metaclass: Any,
    builder: Any,
    name: str,
    bases: tuple[type, ...],
    created: Mapping[str, Any],
    members: Sequence[tuple[str, tuple[Any, ...], Any]],
) -> type:
    """An enumeration, with its members."""

    def new(cls: Any, plain: tuple[Any, ...], value: object) -> Any:
        kind = next((base for base, _ in _PLAIN if issubclass(cls, base)), object)
        member = kind.__new__(cls, *(plain if kind is not object else ()))
        member._value_ = value
        return member

    created = dict(created)
    boundary = created.pop("_boundary_")
    namespace = builder.__prepare__(name, bases)
    namespace.update(created | {"__new__": new, "__init__": lambda *_: None})
    namespace.update({key: (plain, value) for key, plain, value in members})
    given = {} if boundary is None else {"boundary": boundary}
    made = builder.__new__(metaclass, name, bases, namespace, **given)
    for added in ("__new_member__", "__init__"):
        if added in made.__dict__:
            type.__delattr__(made, added)
    return made  # type: ignore[no-any-return]


def _completed(cls: type, state: tuple[Mapping[str, Any], Sequence[type], Mapping[str, Any], bool]) -> type:
    """Set what refers to other things, perhaps to the class itself."""
    attributes, registered, fields, keep = state
    for name, value in attributes.items():
        type.__setattr__(cls, name, value)  # as it is, whatever its metaclass thinks of that
    for one in registered:
        cls.register(one)  # type: ignore[attr-defined]
    for name, given in fields.items():
        cls[name].__dict__.update(given)  # type: ignore[index]
    _complete.add(cls)
    if keep:
        kept[cls.__qualname__] = cls
    return cls


ALIASES = ("typing.TypeAliasType", "typing_extensions.TypeAliasType")
"""What ``type Name = ...`` makes."""
VALIDATING = "pydantic._internal._validate_call.ValidateCallWrapper"
"""What stands before a function that is decorated with ``validate_call``."""


def alias_reduced(alias: Any) -> Reduced:
    """How an alias is made anew."""
    kind: Any = type(alias)
    make = functools.partial(kind, type_params=alias.__type_params__)
    return make, (alias.__name__, alias.__value__)


def validating_reduced(wrapper: Any) -> Reduced:
    """How it is made anew: from the types as they are here, since texts can't be looked up over there."""
    function = wrapper.schema_type
    hints = None
    with suppress(Exception):  # a name that is known nowhere: it fails over there as it would here
        spaces = wrapper.ns_resolver.types_namespace
        hints = typing.get_type_hints(function, spaces.globals, spaces.locals, include_extras=True)
    config = wrapper.config_wrapper.config_dict
    return _validating, (type(wrapper), wrapper.function, function, hints, config, wrapper.validate_return)


def _validating(
    kind: Any, called: Any, function: Any, hints: dict[str, Any] | None, config: Any, returns: bool
) -> Any:
    if hints is not None:
        function.__annotations__ = hints
    return kind(called, config, returns, None)
