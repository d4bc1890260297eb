"""Fields as pydantic has them: what ``Field(...)`` says of a parameter, and the key a model's field is passed by.

Decides what of a ``Field`` belongs to the type and what to the default. Nothing is imported for
it: who has a ``Field`` has imported pydantic.
"""

from __future__ import annotations

import operator
import sys
import typing
from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Path = tuple[str | int, ...]


def is_field(value: object) -> bool:
    """Whether a value is what ``Field(...)`` returns."""
    fields = sys.modules.get("pydantic.fields")
    return fields is not None and isinstance(value, fields.FieldInfo)


def with_field(annotation: Any, info: Any) -> Any:
    """The type with all that a ``Field`` says of values, and without what it says of a default."""
    metadata = list(info.metadata)
    if info.discriminator is not None:
        from pydantic import Field

        metadata.append(Field(discriminator=info.discriminator))
    if info.description:
        metadata.append(info.description)
    return annotated(annotation, metadata)


def annotated(annotation: Any, metadata: list[Any]) -> Any:
    """``Annotated`` with these, if there are any."""
    return operator.getitem(Annotated, (annotation, *metadata)) if metadata else annotation


def without_default(annotation: Any) -> tuple[Any, Any]:
    """A type whose ``Annotated`` holds a ``Field`` with a default, without that default, and the ``Field``."""
    if typing.get_origin(annotation) is Annotated:
        base, *metadata = typing.get_args(annotation)
        for info in metadata:
            if is_field(info) and not info.is_required():
                rest = [item for item in metadata if item is not info]
                return annotated(with_field(base, info), rest), info
    return annotation, None


def description_in(annotation: Any) -> str:
    """What an ``Annotated`` says in words: a text, a ``Doc``, or a ``Field``'s description."""
    if typing.get_origin(annotation) is Annotated:
        for item in typing.get_args(annotation)[1:]:
            for text in (item, getattr(item, "documentation", None), getattr(item, "description", None)):
                if isinstance(text, str) and text.strip():
                    return text
    return ""


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
