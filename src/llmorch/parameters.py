"""What one parameter of a function is: its type, its schema, and the values it takes.

This module must not know where a parameter was read from, nor of the function it belongs to.
"""

from __future__ import annotations

import json
import sys
import typing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pydantic import TypeAdapter

_UNCHANGED = {str, bytes, list, dict, tuple, set, frozenset}
"""What pydantic returns as it is where the class is exactly this, or an equal copy of it."""
_PLAIN: dict[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (float, int), bool: (bool,)}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function: its annotation, default and description."""

    name: str
    annotation: Any = Any
    required: bool = True
    default: Any = None
    description: str = ""

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        from pydantic import ConfigDict, PydanticUserError, TypeAdapter

        try:
            return TypeAdapter(self.annotation, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:  # models and dataclasses bring their own configuration
            pass
        try:
            return TypeAdapter(self.annotation)
        except PydanticUserError as error:
            reason = str(error).split("\n", 1)[0]
            raise FunctionError(f"parameter {self.name}: its type can't be checked: {reason}") from None

    @property
    def is_plain(self) -> bool:
        """Whether most values are checked without pydantic."""
        return self.annotation is Any or self.annotation in _PLAIN

    def takes(self, kinds: Sequence[str]) -> bool:
        """Whether every value of a class is accepted as it is, given the names of it and of those above it.

        A ``False`` says nothing: such a value has to be looked at.
        """
        wanted = self.annotation
        if wanted is Any:
            return True
        if not isinstance(wanted, type) or typing.get_args(wanted) or not kinds:
            return False
        name = f"{wanted.__module__}.{wanted.__qualname__}"
        if wanted in _UNCHANGED:
            return kinds[0] == name
        return name in kinds and _found(wanted.__module__, wanted.__qualname__) is wanted and self._by_class

    @cached_property
    def _by_class(self) -> bool:
        """Whether a value only has to be of the class, and is passed as it is."""
        try:
            schema = self._adapter.core_schema
        except FunctionError:
            return False
        return schema["type"] == "is-instance" and schema["cls"] is self.annotation

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The parameter's JSON schema; empty where its type has none."""
        from pydantic.errors import PydanticInvalidForJsonSchema

        try:
            schema = self._adapter.json_schema()
        except PydanticInvalidForJsonSchema:
            schema = {}
        if self.description:
            schema = schema | {"description": self.description}
        if not self.required and isinstance(self.default, str | int | float | bool):
            if self.default in (float("inf"), float("-inf")) or self.default != self.default:
                schema = {name: value for name, value in schema.items() if name != "default"}  # not JSON
            else:
                schema = schema | {"default": self.default}
        return schema

    def check(self, literal: object) -> None:
        """Check a literal as JSON is checked: no text for a number, no number for text.

        Raises ``ValueError`` with a message of one line.
        """
        if type(literal) in _PLAIN.get(self.annotation, ()):
            return
        _validated(lambda: self._adapter.validate_json(json.dumps(literal), strict=True))

    def mismatches(self, literal: object) -> list[tuple[tuple[int | str, ...], str, str]]:
        """Every place where a literal is not of the type: indices and keys, a kind of error, one line.

        Nothing where that can't be said place by place, as with a validator of the user's.
        """
        from pydantic import ValidationError

        try:
            self._adapter.validate_json(json.dumps(literal), strict=True)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            return [(item["loc"], item["type"], _reason(item)) for item in found]
        except Exception:  # ``check`` reports it, where the whole argument is a literal
            return []
        return []

    def accept(self, value: object) -> Any:
        """Check a value that has arrived and return it in the annotated type.

        Where that loses nothing a value is converted (``"12"`` to 12, a mapping to a
        nested model). Raises ``ValueError`` with a message of one line.
        """
        if type(value) in _PLAIN.get(self.annotation, ()) or self.annotation is Any:
            return value
        return _validated(lambda: self._adapter.validate_python(value))


def _validated(validate: Callable[[], Any]) -> Any:
    """What a validation returns; its first complaint as ``ValueError``, on one line."""
    from pydantic import ValidationError

    try:
        return validate()
    except ValidationError as error:
        raise ValueError(_reason(error.errors(include_url=False, include_input=False)[0])) from None
    except FunctionError:
        raise
    except Exception as error:  # a validator of the user's may raise anything
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _reason(found: Any) -> str:
    where = "".join(f"[{part!r}]" for part in found["loc"])
    return f"{where + ': ' if where else ''}{found['msg'][:1].lower()}{found['msg'][1:]}"


def _found(module: str, path: str) -> Any:
    """What another process finds under this name, too."""
    found: Any = None if module == "__main__" else sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def schema_of(parameters: Iterable[Parameter]) -> dict[str, Any]:
    """The JSON schema of a function's arguments, one object."""
    properties, definitions, required = {}, {}, []
    for parameter in parameters:
        schema = dict(parameter.schema)
        # A pointer such as #/$defs/Item begins at the root, which is this object.
        definitions.update(schema.pop("$defs", {}))
        properties[parameter.name] = schema
        if parameter.required:
            required.append(parameter.name)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        **({"$defs": definitions} if definitions else {}),
    }


def type_name(annotation: Any) -> str:
    """A type as a model reads it."""
    if annotation is Any:
        return "any"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        fields = getattr(annotation, "model_fields", None)
        if fields:
            inner = ", ".join(f'"{name}": {type_name(info.annotation)}' for name, info in fields.items())
            return f"{{{inner}}}"
        return "None" if annotation is type(None) else annotation.__name__
    if typing.get_origin(annotation) is typing.Annotated:
        base, *rest = typing.get_args(annotation)
        bounds = [str(item) for item in rest if not isinstance(item, str) and "(" in str(item)]
        name = type_name(base)
        return f"{name} ({', '.join(bounds)})" if bounds and len(str(bounds)) < 80 else name
    return str(annotation).replace("typing.", "")
