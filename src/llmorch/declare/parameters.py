"""What one parameter of a function is: its type, its schema, and the values it takes."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llmorch.declare.defaults import MADE, NoLiteral, literal_default, literal_of, same_literal
from llmorch.declare.text import MESSAGE, described, interrupted, quoted, shortened
from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmorch.declare.checks import Check

_SCALARS = (str, int, float, bool)
_CONTAINERS = (list, dict, tuple, set, frozenset)
_UNCHANGED = (str, bytes, *_CONTAINERS)
"""What pydantic returns as it is where the class is exactly this, or an equal copy of it."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function: its annotation, default and description.

    ``field`` is the ``Field`` with a default that Python would not fill in itself. ``text`` says how a model reads
    its type, where that is not to be seen from the annotation. A default may be a key: the ``repr`` has none.
    """

    name: str
    annotation: Any = Any
    required: bool = True
    default: Any = dataclasses.field(default=None, repr=False)
    description: str = ""
    field: Any = dataclasses.field(default=None, repr=False)
    text: str = ""

    @cached_property
    def is_plain(self) -> bool:
        """Whether most values are checked without pydantic."""
        return self.annotation is Any or self._is_scalar

    @cached_property
    def is_well_known(self) -> bool:
        """Whether its type is made of Python's own that are always checked, so that it needs no look."""
        return well_known(self.annotation)

    @cached_property
    def is_number(self) -> bool:
        """Whether it takes nothing but a number."""
        return self._is_scalar and self.annotation is not str

    @cached_property
    def _is_scalar(self) -> bool:
        """Whether any value of exactly its class is right as it is."""
        return any(self.annotation is kind for kind in _SCALARS)

    @cached_property
    def is_text(self) -> bool:
        """Whether it takes nothing but text, or ``None``."""
        wanted = self.annotation
        if typing.get_origin(wanted) is typing.Annotated:
            wanted = typing.get_args(wanted)[0]
        if typing.get_origin(wanted) in (typing.Union, types.UnionType):
            others = [one for one in typing.get_args(wanted) if one is not type(None)]
            wanted = others[0] if len(others) == 1 else None
        return wanted is str

    @cached_property
    def _none_by_default(self) -> bool:
        return not self.required and self.default is None

    @cached_property
    def _check(self) -> Check:
        from llmorch.declare.checks import Check

        try:
            return Check(self.annotation)
        except FunctionError as error:
            raise FunctionError(f"parameter {self.name}: {error}") from None

    def check_type(self) -> None:
        """Raise ``FunctionError`` for a type of which values can't be checked."""
        if not self.is_well_known:
            self._check  # noqa: B018 - it is made, and kept

    def made(self) -> Any:
        """The default as a call gets it that leaves the argument out."""
        factory = getattr(self.field, "default_factory", None)
        return self.default if factory is None else factory()

    @property
    def bare(self) -> Parameter:
        """The same with no more than what checks need: it goes to another process."""
        if self.required:
            return Parameter(self.name, self.annotation)
        try:
            default = literal_of(self.default)
        except NoLiteral:
            default = MADE
        return Parameter(self.name, self.annotation, required=False, default=default)

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
        if name not in kinds or _found(wanted.__module__, wanted.__qualname__) is not wanted:
            return False
        try:
            return self._check.by_class is wanted
        except FunctionError:
            return False

    @cached_property
    def full_schema(self) -> dict[str, Any]:
        """The JSON schema of the type, with the names of classes that JSON knows nothing of."""
        from llmorch.declare.schemas import json_schema

        return json_schema(self._check.core, self.name)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The parameter's JSON schema; empty where its type has none."""
        from llmorch.declare.schema_text import CLASS, OMITTED, rewritten

        schema: dict[str, Any] = rewritten(
            self.full_schema, lambda _, node, keyword: OMITTED if keyword == CLASS else node[keyword]
        )
        if schema and self._none_by_default:
            try:
                self._check.literal(None)
            except Exception:  # a validator of the user's may raise anything
                definitions = {key: schema.pop(key) for key in ("$defs",) if key in schema}
                schema = {"anyOf": [schema, {"type": "null"}], **definitions}
        if self.description:
            schema["description"] = self.description
        with suppress(NoLiteral):
            default = None if self.required else literal_default(self.name, self.default)
            if isinstance(default, str | int | float):
                schema["default"] = default
        return schema

    def check(self, literal: object) -> None:
        """Check a literal as JSON is checked: no text for a number, no number for text.

        Raises ``ValueError`` with a message of one line.
        """
        if not self._is_right(literal) and not self._is_whole_float(literal):
            self._validated(self._check.literal, literal)

    def mismatches(self, literal: object) -> list[tuple[tuple[int | str, ...], str, str]]:
        """Every path at which a literal is not of the type: its indices and keys, a kind of error, one line.

        Nothing where that can't be said path by path, as with a validator of the user's.
        """
        from pydantic import ValidationError

        found: Sequence[Any] = ()
        try:
            self._check.literal(literal)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
        except Exception:  # ``check`` reports it, where the whole argument is a literal
            pass
        return [(item["loc"], item["type"], _reason(item)) for item in found]

    def is_sure_of(self, value: object) -> bool:
        """Whether a value is of the type, as is seen without looking into it."""
        if self.annotation is Any or (self._is_scalar and type(value) is self.annotation):
            return True
        if value is None and self._none_by_default:
            return True
        return not self.is_well_known and self._check.is_sure_of(value)

    @cached_property
    def runs_code(self) -> bool:
        """Whether code of somebody's runs in the check of a value."""
        return not self.is_well_known and self._check.runs_code

    def accept(self, value: object) -> Any:
        """Check a value that has arrived and return it in the annotated type.

        Where that loses nothing a value is converted (``"12"`` to 12, 5 to 5.0, a mapping to a
        nested model). Raises ``ValueError`` with a message of one line.
        """
        if self.annotation is Any or self._is_right(value):
            return value
        if self._is_whole_float(value):
            return float(typing.cast("int", value))
        return self._validated(self._check.value, value)

    def _is_right(self, value: object) -> bool:
        """Whether a value is seen at once to be of the type."""
        return (self._is_scalar and type(value) is self.annotation) or (
            value is None and self._none_by_default
        )

    def _is_whole_float(self, value: object) -> bool:
        return type(value) is int and self.annotation is float and abs(value) < 2**1023

    def _validated(self, validate: Callable[[object], Any], value: object) -> Any:
        """What a validation returns; where it complains, the default, which needn't be of the type, or the reason."""
        from pydantic import ValidationError

        try:
            value.__class__  # noqa: B018 - pydantic would ask, and print what this raises instead of raising it
            return validate(value)
        except ValidationError as error:
            reason = _reason(error.errors(include_url=False, include_input=False)[0])
        except BaseException as error:  # a validator of the user's, or the value itself, may raise anything
            if interrupted(error):
                raise
            reason = described(error)
        try:
            if not self.required and same_literal(literal_of(self.default), literal_of(value)):
                return value if self.default is MADE or type(value) is type(self.default) else self.default
        except NoLiteral:
            pass
        except BaseException as error:  # the value's class may raise anything
            if interrupted(error):
                raise
        raise ValueError(reason)


def _reason(found: Any) -> str:
    where = "".join(f"[{quoted(part, 60)}]" for part in found["loc"][:10])
    said = shortened(found["msg"], MESSAGE)
    return f"{where + ': ' if where else ''}{said[:1].lower()}{said[1:]}"


def _found(module: str, path: str) -> Any:
    """What another process finds under this name, too."""
    found: Any = None if module == "__main__" else sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def well_known(annotation: Any) -> bool:
    """Whether a type is made of text, numbers, truths, ``None``, anything, choices, and containers of these."""
    if annotation is Any or annotation is None or annotation is types.NoneType or annotation is ...:
        return True
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None:
        return isinstance(annotation, type) and annotation in (*_SCALARS, *_CONTAINERS)
    if origin is typing.Literal:
        return all(value is None or type(value) in (str, int, bool) for value in args)
    if origin in _CONTAINERS and not (origin is tuple or len(args) == (2 if origin is dict else 1)):
        return False
    if ... in args and (origin is not tuple or len(args) != 2 or args[1] is not ...):
        return False
    if origin in _CONTAINERS:
        return all(map(well_known, args))
    return origin in (typing.Union, types.UnionType) and all(map(well_known, args))
