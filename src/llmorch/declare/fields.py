"""What pydantic's ``Field(...)`` says of a parameter: bounds, a description, a default.

Decides what of it belongs to the type and what to the default. Nothing is imported for it:
who has a ``Field`` has imported pydantic.
"""

from __future__ import annotations

import operator
import sys
import typing
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class FieldDefault(NamedTuple):
    """A default that a ``Field`` gives: a value, or what makes one for each call."""

    value: Any = None
    factory: Callable[[], Any] | None = None


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


def default_in(info: Any) -> FieldDefault | None:
    """The default that a ``Field`` gives; ``None`` where it gives none."""
    if info.is_required():
        return None
    if info.default_factory is None:
        return FieldDefault(info.default)
    return FieldDefault(factory=info.default_factory)


def without_default(annotation: Any) -> tuple[Any, FieldDefault | None]:
    """A type whose ``Annotated`` holds a ``Field`` with a default, without that default, and the default."""
    if typing.get_origin(annotation) is not Annotated:
        return annotation, None
    base, *metadata = typing.get_args(annotation)
    for info in metadata:
        if is_field(info) and (found := default_in(info)) is not None:
            rest = [item for item in metadata if item is not info]
            return annotated(with_field(base, info), rest), found
    return annotation, None


def said_of(annotation: Any) -> str:
    """What an ``Annotated`` says in words: a text, a ``Doc``, or a ``Field``'s description."""
    if typing.get_origin(annotation) is not Annotated:
        return ""
    for item in typing.get_args(annotation)[1:]:
        for text in (item, getattr(item, "documentation", None), getattr(item, "description", None)):
            if isinstance(text, str) and text.strip():
                return text
    return ""
