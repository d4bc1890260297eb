"""What of a parameter's default a model may be told: a value that a plan can write.

Everything else is left out: objects, what is made for each call, secrets, endless things.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
MAX_ITEMS = 50
MAX_DEPTH = 5
MAX_TEXT = 10_000
_BY_TEXT = (
    *(("decimal", "Decimal"), ("fractions", "Fraction"), ("uuid", "UUID"), ("ipaddress", "IPv4Address")),
    *(("ipaddress", "IPv6Address"), ("pydantic.networks", "AnyUrl")),
)
"""Classes whose values are written as their text. Who has such a value has imported its module."""


class NoLiteral(Exception):
    """A default that no plan can write, or that is not to be told."""


class _Made:
    """Stands for a default that is made anew for each call."""

    def __repr__(self) -> str:
        return "..."

    def __reduce__(self) -> str:
        return "MADE"


MADE: Any = _Made()


def literal_default(name: str, value: Any) -> Any:
    """A default as a plan writes it. Raises ``NoLiteral``."""
    from llmorch.declare.secrets import hides

    found = literal_of(value)
    if hides(name, found):
        raise NoLiteral
    return found


def enum_value(member: enum.Enum) -> Any:
    """How a plan names a member: by its value, or by its name where no plan can write that."""
    return member.value if type(member.value) in (str, int, float, bool) else member.name


def literal_of(value: Any, depth: int = 0) -> Any:
    """A value as a plan writes it, secret or not. Raises ``NoLiteral``."""
    kind = type(value)
    if depth > MAX_DEPTH:
        raise NoLiteral
    if isinstance(value, enum.Enum):
        return enum_value(value)
    if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
        return _no_longer_than(MAX_TEXT, value) if kind is str else value
    if kind in (list, tuple, deque) or (isinstance(value, tuple) and hasattr(value, "_fields")):
        return [literal_of(item, depth + 1) for item in _no_longer_than(MAX_ITEMS, value)]
    if kind in (set, frozenset):  # in one order in every process
        return sorted((literal_of(item, depth + 1) for item in _no_longer_than(MAX_ITEMS, value)), key=repr)
    if kind is dict:
        items = _no_longer_than(MAX_ITEMS, value).items()
        return {_key(key): literal_of(item, depth + 1) for key, item in items}
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise NoLiteral from None
    if is_a(value, "datetime", "date") or is_a(value, "datetime", "time"):
        return value.isoformat()
    if isinstance(value, PurePath) or any(is_a(value, *kind) for kind in _BY_TEXT):
        return str(value)
    return _object_literal(value, depth)


def _no_longer_than(most: int, value: Any) -> Any:
    if len(value) > most:
        raise NoLiteral
    return value


def _key(key: Any) -> Any:
    if isinstance(key, enum.Enum):
        return enum_value(key)
    if type(key) in (str, int, bool):
        return key
    raise NoLiteral


def is_a(value: object, module: str, name: str) -> bool:
    """Whether a value is of a class, of which the module needn't be imported to know."""
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and isinstance(value, found)


def _object_literal(value: Any, depth: int) -> Any:
    """What is made of fields, by the keys that these are passed by: they needn't be those it is dumped with."""
    kind = type(value)
    if is_a(value, "pydantic", "BaseModel"):
        depth += 1
        if getattr(kind, "__pydantic_root_model__", False):
            return literal_of(value.root, depth)
        names = list(kind.model_fields)
    elif dataclasses.is_dataclass(kind):
        names = [item.name for item in dataclasses.fields(kind) if item.init]
    elif is_a(value, "datetime", "timedelta") and "pydantic_core" in sys.modules:
        return sys.modules["pydantic_core"].to_jsonable_python(value)
    else:
        raise NoLiteral
    return {_key_of(kind, name): _field_literal(value, name, depth + 1) for name in names}


def _key_of(kind: Any, name: str) -> Any:
    """The key by which a field of a model, or of a dataclass, is passed."""
    info = getattr(kind, "__pydantic_fields__", {}).get(name)
    config = getattr(kind, "model_config", getattr(kind, "__pydantic_config__", {}))
    first, *rest = path_of(name, getattr(info, "validation_alias", None), config)
    if rest:
        raise NoLiteral
    return first


def _field_literal(owner: Any, name: str, depth: int) -> Any:
    try:
        return literal_of(getattr(owner, name), depth)
    except NoLiteral:  # of a class that only a model can write
        try:
            dumped = owner.model_dump(mode="json", by_alias=False, include={name})
        except Exception:  # there is no model, or a field holds anything
            raise NoLiteral from None
        return literal_of(dumped.get(name), depth)


def is_literal(value: Any) -> bool:
    """Whether Python writes a value as a plan does."""
    if type(value) in (list, tuple):
        return all(map(is_literal, value))
    if type(value) is dict:
        return all(map(is_literal, value)) and all(map(is_literal, value.values()))
    return value is None or type(value) in (bool, int, float, str)


def same_literal(one: Any, other: Any) -> bool:
    """Whether two written values are one, of the same types throughout: 1 is not True."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same_literal(item, other[key]) for key, item in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_literal, one, other))
    return bool(one == other)


def path_of(name: str, alias: Any, config: Mapping[str, Any]) -> Path:
    """The keys that lead to a field's value, mostly one, decided as pydantic does.

    A field is passed by its name, by its alias, or as a part of what another key holds.
    """
    if not alias or config.get("validate_by_alias") is False:
        return (name,)
    if isinstance(alias, str):
        return (alias,)
    ways = alias.convert_to_aliases() if hasattr(alias, "convert_to_aliases") else alias
    paths = ways if isinstance(ways[0], list) else [ways]
    for path in paths:
        if len(path) == 1:
            return (path[0],)
    return (name,) if is_by_name(config) else tuple(paths[0])


def is_by_name(config: Mapping[str, Any]) -> bool:
    """Whether a field is found under its name, whatever its alias is."""
    return bool(config.get("validate_by_name") or config.get("populate_by_name"))
