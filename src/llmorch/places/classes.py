"""Taking apart what can't be imported on the other side, and building it there: classes, aliases, parameters of types.

Decides how each kind of class is made anew: with its slots, with the members of an
enumeration as they are, and without running again what ran when it was defined: its
metaclass's own code, ``__init_subclass__``, ``__init__`` of members. A class is made once
in a process and known by its number from then on. It must not know how they are pickled.
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
        raise LookupError("the class of a value is gone: keep a reference to it") from None
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
        created["__slots__"] = tuple(created["__slots__"]) or _slots_left(cls)
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
    number = inner._get_or_create_tracker_id(cls)
    if isinstance(cls, enum.EnumMeta):
        named: Mapping[str, enum.Enum] = cls.__members__
        members = [(name, _plain(member), member._value_) for name, member in named.items()]
        fields = {name: _fields(member) for name, member in named.items()}
        for name in (*_ENUM_UNSENT, *fields):
            state.pop(name, None)
        boundary = getattr(cls, "_boundary_", None)
        parts = (type(cls), builder, cls.__name__, cls.__bases__, created, members, boundary, number)
        return _made_enum, parts, (state, registered, fields, keep), None, None, _completed
    made = (type(cls), builder, cls.__name__, _bases(cls, builder), created, number)
    return _made, made, (state, registered, {}, keep), None, None, _completed


def _is_slot(value: object, cls: type) -> bool:
    return isinstance(value, types.MemberDescriptorType) and value.__objclass__ is cls


def _slots_left(cls: type) -> tuple[str, ...]:
    """The slots of a class that were given by an iterator, which is used up."""
    return tuple(name for name, value in cls.__dict__.items() if _is_slot(value, cls))


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


def _fields(member: enum.Enum) -> dict[str, Any]:
    """What a member has beside its name and its value."""
    return {name: value for name, value in vars(member).items() if name not in _MEMBER_UNSENT}


class _Quiet:
    """Stands before the bases of a class while it is made: it was defined elsewhere."""

    __slots__ = ()

    def __init_subclass__(cls, **given: object) -> None:
        pass

    @classmethod
    def __pydantic_init_subclass__(cls, **given: object) -> None:
        pass


_LOUD = ("__init_subclass__", "__pydantic_init_subclass__")


def _made(
    metaclass: type,
    builder: type,
    name: str,
    written: tuple[Any, ...],
    created: Mapping[str, Any],
    number: str,
) -> type:
    """The class of this number, without what is set afterwards."""
    known = inner._DYNAMIC_CLASS_TRACKER_BY_ID.get(number)
    if known is not None:
        return known  # type: ignore[no-any-return]
    bases = types.resolve_bases(written)
    namespace = dict(created)
    if bases is not written:
        namespace["__orig_bases__"] = written
    above = (one for base in bases for one in getattr(base, "__mro__", ()))
    quiet = any(word in one.__dict__ for one in above if one in _complete for word in _LOUD)
    made: Any = builder.__new__(metaclass, name, ((_Quiet, *bases) if quiet else bases), namespace)
    if quiet:
        made.__bases__ = bases
    found: type = inner._lookup_class_or_track(number, made)
    return found


def _made_enum(
    metaclass: Any,
    builder: Any,
    name: str,
    bases: tuple[type, ...],
    created: Mapping[str, Any],
    members: Sequence[tuple[str, tuple[Any, ...], Any]],
    boundary: Any,
    number: str,
) -> type:
    """The same for an enumeration, with its members."""
    known = inner._DYNAMIC_CLASS_TRACKER_BY_ID.get(number)
    if known is not None:
        return known  # type: ignore[no-any-return]

    def new(cls: Any, plain: tuple[Any, ...], value: object) -> Any:
        kind = next((base for base, _ in _PLAIN if issubclass(cls, base)), object)
        member = kind.__new__(cls, *(plain if kind is not object else ()))
        member._value_ = value
        return member

    namespace = builder.__prepare__(name, bases)
    for key, given in created.items():
        namespace[key] = given
    namespace["__new__"] = new
    namespace["__init__"] = lambda *_: None
    for key, plain, value in members:
        namespace[key] = (plain, value)
    given = {} if boundary is None else {"boundary": boundary}
    made = builder.__new__(metaclass, name, bases, namespace, **given)
    for added in ("__new_member__", "__init__"):
        if added in made.__dict__:
            type.__delattr__(made, added)
    found: type = inner._lookup_class_or_track(number, made)
    return found


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


_ALIASES = (("typing", "TypeAliasType"), ("typing_extensions", "TypeAliasType"))
_VALIDATING = ("pydantic._internal._validate_call", "ValidateCallWrapper")


def is_alias(value: Any) -> bool:
    """Whether it is what ``type Name = ...`` makes."""
    return _named(value) in _ALIASES


def alias_reduced(alias: Any) -> Reduced:
    """How an alias is made anew."""
    kind: Any = type(alias)
    make = functools.partial(kind, type_params=alias.__type_params__)
    return make, (alias.__name__, alias.__value__)


def is_validating(value: Any) -> bool:
    """Whether it is what stands before a function that is decorated with ``validate_call``."""
    return _named(value) == _VALIDATING


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


def _named(value: Any) -> tuple[str, str]:
    return type(value).__module__, type(value).__name__
