"""A type as what checks values of it: literals of a plan as JSON is checked, results as Python values.

Decides what a type means here that pydantic takes otherwise: whatever is iterated is a list, so
that it can be iterated as often as one likes. Importing this imports pydantic; most functions
need none of it.
"""

from __future__ import annotations

import json
import types
import typing
import warnings
from collections import abc
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic.warnings import ArbitraryTypeWarning
from pydantic_core import SchemaError

from llmorch.declare.fields import annotated
from llmorch.declare.text import one_line
from llmorch.declare.validators import ITERATORS, UNCHECKED_PROTOCOL, ForLiterals, ForValues, from_iterable
from llmorch.errors import FunctionError

_LISTS = (abc.Iterable, abc.Collection, abc.Container, abc.Reversible)
_ASYNC = (abc.AsyncIterator, abc.AsyncIterable, abc.AsyncGenerator)
_WHOLE = 2**53
_CONTAINS_ITSELF = (
    "its type can't be checked: it names what isn't known, perhaps itself; "
    "write it as a class, or with TypeAliasType"
)
_WRITTEN = 1_000
"""Items in what a plan could have written; a longer list is a result."""


class Check:
    """Checks values of one type. Raises ``FunctionError`` for a type that can't be checked."""

    def __init__(self, annotation: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say is no user's of ours to mend
            warnings.simplefilter("error", ArbitraryTypeWarning)  # else anything would be of the type
            try:
                self.core = _core(_with_lists(annotation))
                self._literals = ForLiterals(self.core).validator
            except FunctionError:
                raise
            except Exception as error:
                raise FunctionError(_why(annotation, error)) from None

    @cached_property
    def _values(self) -> ForValues:
        return ForValues(self.core)

    def literal(self, value: object) -> None:
        """Check what a plan says: no text for a number, no number for text; 3.0 is a whole number."""
        _or_with_whole_numbers(lambda it: self._literals.validate_json(json.dumps(it), strict=True), value)

    def value(self, value: object) -> Any:
        """The value in the type: as it is, or converted where that loses nothing."""
        validate = self._values.validator.validate_python
        if self._values.has_code:
            return validate(value)
        if self._values.has_numbers:
            try:  # what is of the type already needs no look at each number in it
                return validate(value, strict=True)
            except ValidationError:
                pass
        return _or_with_whole_numbers(validate, value)

    @property
    def by_class(self) -> type | None:
        """The class of which a value only has to be, and is passed as it is."""
        return typing.cast("type", self.core["cls"]) if self.core["type"] == "is-instance" else None


def _or_with_whole_numbers(validate: abc.Callable[[Any], Any], value: object) -> Any:
    try:
        return validate(value)
    except ValidationError:
        whole = _with_whole_numbers(value)
        if whole is value:
            raise
        return validate(whole)


def _core(annotation: Any) -> Any:
    """The core schema of a type."""
    # Models and dataclasses don't take a configuration; inside a list they do, as far as they have none.
    config = ConfigDict(arbitrary_types_allowed=True)
    core: Any = TypeAdapter(list[annotation], config=config).core_schema
    if not isinstance(core, dict):  # what there is where a name isn't known
        raise FunctionError(_CONTAINS_ITSELF)
    if core["type"] == "definitions":
        return {**core, "schema": core["schema"]["items_schema"]}
    return core["items_schema"]


def _why(annotation: Any, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return _CONTAINS_ITSELF
    if getattr(annotation, "_is_protocol", False) or "to 'isinstance'" in str(error):
        return UNCHECKED_PROTOCOL
    if isinstance(error, ArbitraryTypeWarning | KeyError):
        return f"its type can't be checked: {one_line(annotation)} is no type"
    text = str(error) if isinstance(error, SchemaError) else str(error).split("\n", 1)[0]
    said = one_line(text.removeprefix("Unable to generate pydantic-core schema for "))
    said = said.partition(". Set `arbitrary_types_allowed")[0]
    return f"its type can't be checked: {said}"


def _with_lists(annotation: Any) -> Any:
    """A type with lists for whatever is only iterated, so that it can be iterated as often as one likes."""
    if annotation is typing.LiteralString:  # the same one that typing_extensions has
        return str
    origin = typing.get_origin(annotation)
    args = typing.get_args(annotation)
    kind = origin or annotation
    if kind in _ASYNC:
        raise FunctionError("its type can't be checked: no plan can write what is iterated with async for")
    if kind in _LISTS or kind in ITERATORS:
        item = _with_lists(args[0]) if args else Any
        made = Annotated[list[item], _Iterated()]  # type: ignore[valid-type]
        return Annotated[made, AfterValidator(iter)] if kind in ITERATORS else made
    if origin is Annotated:
        base = _with_lists(args[0])
        return annotation if base is args[0] else annotated(base, list(args[1:]))
    if origin is None or origin is typing.Literal or origin is abc.Callable:
        return annotation
    inner = tuple(_with_lists(arg) for arg in args)
    if all(new is old for new, old in zip(inner, args, strict=True)):
        return annotation
    if origin is typing.Union or origin is types.UnionType:
        return typing.Union[inner]  # noqa: UP007 - of as many as there are
    return origin[inner]


class _Iterated:
    """Marks a list that is made of anything that can be iterated, except text."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return from_iterable(handler(source))


def _with_whole_numbers(value: Any) -> Any:
    """A literal with 3 for 3.0, wherever that stands in it; the literal itself if it has none."""
    if type(value) is float and value.is_integer() and abs(value) < _WHOLE:
        return int(value)
    if not isinstance(value, list | dict) or len(value) > _WRITTEN:
        return value
    items = value if isinstance(value, list) else list(value.values())
    made = [_with_whole_numbers(item) for item in items]
    if all(new is old for new, old in zip(made, items, strict=True)):
        return value
    return made if isinstance(value, list) else dict(zip(value, made, strict=True))
