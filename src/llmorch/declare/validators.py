"""Validators of one type: of the literals in a plan, as JSON is checked, and of results, as Python values.

What one accepts the other does too. Where pydantic alone would check only one of the two, or
tell them apart, its core schema is changed here. Importing this imports pydantic.
"""

from __future__ import annotations

import enum
from collections import abc
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError, SchemaValidator, core_schema

from llmorch.declare.core_schemas import rebuilt
from llmorch.declare.defaults import enum_value, literal_of, same_literal
from llmorch.declare.text import one_line
from llmorch.errors import FunctionError

ITERATORS = (abc.Iterator, abc.Generator)
UNCHECKED_PROTOCOL = "its type can't be checked: a Protocol is checked only with @runtime_checkable"
_NUMBERS = ("int", "float", "decimal", "fraction", "complex")
_CONTAINERS = ("list", "tuple", "set", "frozenset", "dict")
_OF_USERS = ("model", "dataclass", "call", "default")
_SHOWN = 12


def from_iterable(schema: Any) -> Any:
    """The schema of a list that is made of anything that can be iterated, except text."""
    lax = core_schema.no_info_before_validator_function(_as_list, schema)
    return core_schema.json_or_python_schema(
        schema, core_schema.lax_or_strict_schema(lax_schema=lax, strict_schema=schema)
    )


def _as_list(value: Any) -> Any:
    if isinstance(value, str | bytes | bytearray | abc.Mapping) or not isinstance(value, abc.Iterable):
        return value
    return list(value)


class ForLiterals:
    """Validates literals: JSON can't be an instance of anything, so what is made of it is looked at.

    Raises ``FunctionError`` for a schema that could not check anything.
    """

    def __init__(self, core: Any) -> None:
        self.has_numbers = False
        self.has_code = False
        """Whether a user's code may run in it, which must not see a value twice."""
        self.validator = SchemaValidator(rebuilt(core, self._change), None, _use_prebuilt=False)

    def _change(self, node: Any, made: Any, _: Any) -> Any:
        kind = made["type"]
        self.has_code |= kind.startswith("function") or kind in _OF_USERS
        self.has_numbers |= kind in _NUMBERS
        if kind == "union":  # errors call its ways as before they were changed
            made["choices"] = [
                (new, getattr(old.get("cls"), "__name__", old["type"])) if isinstance(new, dict) else new
                for new, old in zip(made["choices"], node["choices"], strict=True)
            ]
        changed = self._changed(kind, made)
        if changed is not made and "ref" in made:  # what points here now points to the whole of it
            changed["ref"] = made.pop("ref")
        return changed

    def _changed(self, kind: str, made: Any) -> Any:
        match kind:
            case "generator":
                rest = {key: made[key] for key in ("min_length", "max_length") if key in made}
                items = made.get("items_schema", core_schema.any_schema())
                return from_iterable(core_schema.list_schema(items, **rest))
            case "literal" if any(isinstance(item, enum.Enum) for item in made["expected"]):
                return core_schema.no_info_plain_validator_function(_one_of(made["expected"]))
            case "is-instance" if made["cls"] in ITERATORS:  # a field's, whose items are no longer known
                items = from_iterable(core_schema.list_schema())
                return core_schema.no_info_after_validator_function(iter, items)
            case "is-instance":
                refuse_unchecked(made["cls"])
        return self._changed_here(kind, made)

    def _changed_here(self, kind: str, made: Any) -> Any:
        match kind:
            case "is-instance" if made["cls"] is bytearray:
                return _bytearray()
            case "is-instance":
                return core_schema.no_info_plain_validator_function(_instance_of(made["cls"]))
            case "is-subclass":
                return core_schema.no_info_plain_validator_function(_no_class)
            case "enum":
                return core_schema.no_info_plain_validator_function(_member_of(made["cls"]))
            case "complex":
                return core_schema.no_info_plain_validator_function(_complex)
        return made


class ForValues(ForLiterals):
    """Validates results: a truth is no number, a member goes by its name too, one complaint is enough."""

    def _changed_here(self, kind: str, made: Any) -> Any:
        match kind:
            case "is-instance" if made["cls"] is bytearray:
                return core_schema.union_schema([made, _bytearray()])
            case "is-instance" if getattr(made["cls"], "__module__", "") == "numbers":
                return core_schema.no_info_plain_validator_function(_instance_of(made["cls"]))
            case "enum":
                return core_schema.no_info_wrap_validator_function(_by_name_too(made["cls"]), made)
            case "json-or-python" if made["python_schema"]["type"] == "is-instance":
                # What a plan can write of it becomes an instance, as a result of the same form does.
                return core_schema.union_schema([made["python_schema"], made["json_schema"]])
            case _ if kind in _NUMBERS:
                lax = core_schema.no_info_before_validator_function(_refuse_truth, made)
                return core_schema.lax_or_strict_schema(
                    lax_schema=lax, strict_schema={**made, "strict": True}
                )
            case _ if kind in _CONTAINERS:
                return {**made, "fail_fast": True}
        return made


def refuse_unchecked(wanted: Any) -> None:
    """Raise ``FunctionError`` for a class of which nobody can say whether something is an instance."""
    try:
        isinstance(None, wanted)
    except TypeError as error:
        if getattr(wanted, "_is_protocol", False):
            raise FunctionError(UNCHECKED_PROTOCOL) from None
        raise FunctionError(f"its type can't be checked: {one_line(error)}") from None


def _bytearray() -> Any:
    return core_schema.no_info_after_validator_function(bytearray, core_schema.bytes_schema())


def _instance_of(wanted: Any) -> abc.Callable[[Any], Any]:
    name = getattr(wanted, "__name__", "another class")
    is_number = getattr(wanted, "__module__", "") == "numbers"

    def checked(value: Any) -> Any:
        if isinstance(value, wanted):
            return _refuse_truth(value) if is_number else value
        raise PydanticCustomError("is_instance_of", "Input should be an instance of {name}", {"name": name})

    return checked


def _no_class(_: Any) -> Any:
    raise PydanticCustomError("is_subclass_of", "Input should be a class")


def _refuse_truth(value: Any) -> Any:
    if type(value) is bool:
        raise PydanticCustomError("number_type", "Input should be a number, not True or False")
    return value


def _complex(value: Any) -> complex:
    if type(value) is not bool:
        try:
            return complex(value)
        except (TypeError, ValueError):
            pass
    raise PydanticCustomError("complex_type", 'Input should be a complex number, as in "1+2j"')


def _member_of(wanted: type[enum.Enum]) -> abc.Callable[[Any], Any]:
    """A member of an enum, by its value, or by its name where that is no other one's value."""
    takes_truths = _has_truths(wanted)

    def found(value: Any) -> Any:
        if type(value) is not bool or takes_truths:
            try:
                return wanted(value)
            except Exception:  # a _missing_ of the user's may raise anything
                pass
        if isinstance(value, str) and value in wanted.__members__:
            return wanted[value]
        choice = " or ".join(repr(enum_value(one)) for one in list(wanted)[:_SHOWN])
        raise PydanticCustomError("enum", "Input should be {choice}", {"choice": choice})

    return found


def _one_of(expected: list[Any]) -> abc.Callable[[Any], Any]:
    """One of several values, of which some are members of enums: by their values or names."""

    def found(value: Any) -> Any:
        for one in expected:
            if type(one) is type(value) and one == value:
                return one
            if isinstance(one, enum.Enum) and same_literal(value, enum_value(one)):
                return one
        for one in expected:
            if isinstance(one, enum.Enum) and value == one.name:
                return one
        choice = " or ".join(repr(literal_of(one)) for one in expected[:_SHOWN])
        raise PydanticCustomError("literal_error", "Input should be {choice}", {"choice": choice})

    return found


def _by_name_too(wanted: type[enum.Enum]) -> abc.Callable[[Any, Any], Any]:
    takes_truths, found = _has_truths(wanted), _member_of(wanted)

    def checked(value: Any, handler: Any) -> Any:
        if type(value) is bool and not takes_truths:
            return found(value)
        try:
            return handler(value)
        except ValidationError:
            if isinstance(value, str) and value in wanted.__members__:
                return wanted[value]
            raise

    return checked


def _has_truths(wanted: type[enum.Enum]) -> bool:
    return any(type(member.value) is bool for member in wanted)
