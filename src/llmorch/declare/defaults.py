"""What of a parameter's default a model may be told: a value that a plan can write.

Everything else is not shown: objects, what is made for each call, secrets, endless things.
This module must not know how a default is shown.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from llmorch.declare.fields import path_of

MAX_ITEMS = 50
MAX_DEPTH = 5
MAX_TEXT = 10_000
_BY_TEXT = (
    *(("decimal", "Decimal"), ("fractions", "Fraction"), ("uuid", "UUID"), ("ipaddress", "IPv4Address")),
    *(("ipaddress", "IPv6Address"), ("pydantic.networks", "AnyUrl")),
)
"""Classes whose values are written as their text. Who has such a value has imported its module."""


class Untold(Exception):
    """A default that no plan can write, or that is not to be told."""


class _Made:
    """Stands for a default that is made anew for each call."""

    def __repr__(self) -> str:
        return "..."

    def __reduce__(self) -> str:
        return "MADE"


MADE: Any = _Made()


def told_default(name: str, value: Any) -> Any:
    """A default as a plan writes it. Raises ``Untold``."""
    from llmorch.declare.secrets import hides

    written = _written(value, 0)
    if hides(name, written):
        raise Untold
    return written


def as_written(value: object) -> Any:
    """A value as a plan writes it, secret or not. Raises ``Untold``."""
    return _written(value, 0)


def enum_value(member: enum.Enum) -> Any:
    """How a plan names a member: by its value, or by its name where no plan can write that."""
    value = member.value
    return value if type(value) in (str, int, float, bool) else member.name


def _written(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise Untold
    if isinstance(value, enum.Enum):
        return enum_value(value)
    if value is None or type(value) in (bool, int, str):
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise Untold
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) in (list, tuple, deque):
        return [_written(item, depth + 1) for item in _few(value)]
    if type(value) in (set, frozenset):  # in one order in every process
        return sorted((_written(item, depth + 1) for item in _few(value)), key=repr)
    if type(value) is dict:
        return {_key(key): _written(item, depth + 1) for key, item in _few(value).items()}
    return _written_object(value, depth)


def _written_object(value: Any, depth: int) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise Untold from None
    if _is(value, "datetime", "date") or _is(value, "datetime", "time"):
        return value.isoformat()
    if isinstance(value, PurePath) or any(_is(value, *kind) for kind in _BY_TEXT):
        return str(value)
    models = sys.modules.get("pydantic")
    if models is not None and _is(value, "datetime", "timedelta"):
        return sys.modules["pydantic_core"].to_jsonable_python(value)
    if models is not None and isinstance(value, models.BaseModel):
        return _model(value, depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [item.name for item in dataclasses.fields(value) if item.init]
        return {_key_of(value, name): _written(getattr(value, name), depth + 1) for name in fields}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [_written(item, depth + 1) for item in _few(value)]
    raise Untold


def _model(value: Any, depth: int) -> Any:
    """A model by the keys that its fields are passed by, which needn't be those that it is dumped with."""
    kind = type(value)
    if getattr(kind, "__pydantic_root_model__", False):
        return _written(value.root, depth)
    return {_key_of(value, name): _field(value, name, depth) for name in kind.model_fields}


def _key_of(owner: Any, name: str) -> Any:
    """The key by which a field of a model, or of a dataclass, is passed."""
    kind = type(owner)
    info = getattr(kind, "__pydantic_fields__", {}).get(name)
    config = getattr(kind, "model_config", getattr(kind, "__pydantic_config__", {}))
    first, *rest = path_of(name, getattr(info, "validation_alias", None), config)
    if rest:
        raise Untold
    return first


def _field(model: Any, name: str, depth: int) -> Any:
    try:
        return _written(getattr(model, name), depth + 1)
    except Untold:  # of a class that only the model can write
        try:
            dumped = model.model_dump(mode="json", by_alias=False, include={name})
        except Exception:  # a field may hold anything
            raise Untold from None
        return _written(dumped.get(name), depth + 1)


def _is(value: object, module: str, name: str) -> bool:
    """Whether a value is of a class, of which the module needn't be imported to know."""
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and isinstance(value, found)


def _few(value: Any) -> Any:
    if len(value) > MAX_ITEMS:
        raise Untold
    return value


def _key(key: Any) -> Any:
    if isinstance(key, enum.Enum):
        return enum_value(key)
    if isinstance(key, str | int) and type(key) in (str, int, bool):
        return key
    raise Untold


def is_literal(value: Any) -> bool:
    """Whether Python writes a value as a plan does."""
    if type(value) in (list, tuple):
        return all(map(is_literal, value))
    if type(value) is dict:
        return all(map(is_literal, value)) and all(map(is_literal, value.values()))
    return value is None or type(value) in (bool, int, float, str)


def same(one: Any, other: Any) -> bool:
    """Whether two written values are one, of the same types throughout: 1 is not True."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(item, other[key]) for key, item in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
