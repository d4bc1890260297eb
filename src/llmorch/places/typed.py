"""What only a type checker and pydantic read, made anew on the other side: aliases, parameters of types.

Decides how they are taken apart where they can't be imported, and so a function that pydantic's
``validate_call`` has wrapped. It must not know how they are pickled.
"""

from __future__ import annotations

import typing
from contextlib import suppress
from typing import Any

Reduced = tuple[Any, tuple[Any, ...]]

_ALIASES = (("typing", "TypeAliasType"), ("typing_extensions", "TypeAliasType"))
_VALIDATING = ("pydantic._internal._validate_call", "ValidateCallWrapper")


def is_alias(value: Any) -> bool:
    """Whether it is what ``type Name = ...`` makes."""
    return _named(value) in _ALIASES


def alias_reduced(alias: Any) -> Reduced:
    """How an alias is made anew."""
    return _alias, (type(alias), alias.__name__, alias.__value__, alias.__type_params__)


def _alias(kind: Any, name: str, value: Any, parameters: tuple[Any, ...]) -> Any:
    return kind(name, value, type_params=parameters)


def new_type(name: str, supertype: Any, module: str) -> Any:
    """``NewType`` of this process."""
    made: Any = typing.NewType(name, supertype)  # type: ignore[misc]  # its name isn't written here
    made.__module__ = module
    return made


def parameter_reduced(parameter: Any) -> Reduced:
    """How a ``ParamSpec`` or a ``TypeVarTuple`` is made anew."""
    return type(parameter), (parameter.__name__,)


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
