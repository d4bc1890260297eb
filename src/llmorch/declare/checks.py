"""A type as what checks values of it: literals of a plan as JSON is checked, results as Python values.

What one accepts the other does too. Where pydantic alone would check only one of the two, or tell
them apart, its core schema is changed here; and whatever is iterated is a list, so that it can be
iterated as often as one likes. Importing this imports pydantic; most functions need none of it.
"""

from __future__ import annotations

import enum
import json
import types
import typing
import warnings
from collections import abc
from functools import cached_property, partial
from itertools import islice
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, GetPydanticSchema, TypeAdapter, ValidationError
from pydantic.warnings import ArbitraryTypeWarning
from pydantic_core import PydanticCustomError, SchemaError, SchemaValidator, core_schema

from llmorch.declare.defaults import enum_value, literal_of, same_literal
from llmorch.declare.text import one_line
from llmorch.errors import FunctionError

_LISTS = (abc.Iterable, abc.Collection, abc.Container, abc.Reversible)
_ITERATORS = (abc.Iterator, abc.Generator)
_ASYNC = (abc.AsyncIterator, abc.AsyncIterable, abc.AsyncGenerator)
_NUMBERS = ("int", "float", "decimal", "fraction", "complex")
_CONTAINERS = ("list", "tuple", "set", "frozenset", "dict")
_OF_USERS = ("model", "dataclass", "call", "default")
_NOT_SCHEMAS = ("metadata", "expected", "default", "config", "cls", "members", "serialization", "ref")
"""Keys of a core schema below which there is no other one."""
_NO_USERS = (
    "abc",
    "builtins",
    "collections",
    "functools",
    "pathlib",
    "pydantic",
    "pydantic_core",
    "typing",
    "llmorch",
)
_WHOLE = 2**53
_MOST_ITEMS = 1_000
"""Items in what a plan could have written; a longer list is a result."""
_CHOICES = 12
_UNCHECKED = "its type can't be checked:"
_CONTAINS_ITSELF = (
    f"{_UNCHECKED} it names what isn't known, perhaps itself; write it as a class, or with TypeAliasType"
)
_PROTOCOL = f"{_UNCHECKED} a Protocol is checked only with @runtime_checkable"
_plain = core_schema.no_info_plain_validator_function


class Check:
    """Checks values of one type. Raises ``FunctionError`` for a type that can't be checked."""

    def __init__(self, annotation: Any) -> None:
        self._kinds: set[str] = set()
        self.runs_code = False
        """Whether somebody's code runs where a value is checked."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say is no user's of ours to mend
            warnings.simplefilter("error", ArbitraryTypeWarning)  # else anything would be of the type
            try:
                self.core = _core(_with_lists(annotation))
                self._literals = self._validator(_for_literals)
            except FunctionError:
                raise
            except Exception as error:
                raise FunctionError(_why(annotation, error)) from None

    def literal(self, value: object) -> None:
        """Check what a plan says: no text for a number, no number for text; 3.0 is a whole number."""
        _or_with_whole_numbers(lambda it: self._literals.validate_json(json.dumps(it), strict=True), value)

    def value(self, value: object) -> Any:
        """The value in the type: as it is, or converted where that loses nothing."""
        validate = self._values.validate_python
        if self._has_code:
            return validate(value)
        if not self._kinds.isdisjoint(_NUMBERS):
            try:  # what is of the type already needs no look at each number in it
                return validate(value, strict=True)
            except ValidationError:
                pass
        return _or_with_whole_numbers(validate, value)

    @property
    def by_class(self) -> type | None:
        """The class of which a value only has to be, and is passed as it is."""
        return typing.cast("type", self.core["cls"]) if self.core["type"] == "is-instance" else None

    def is_sure_of(self, value: object) -> bool:
        """Whether a value is of the type, as is seen without looking into it or asking its class."""
        kind = type(value)
        return self.core["type"] == "any" or (
            type(kind) is type and self.by_class is not None and self.by_class in kind.__mro__
        )

    @cached_property
    def _values(self) -> SchemaValidator:
        return self._validator(_for_values)

    @cached_property
    def _has_code(self) -> bool:
        """Whether a user's code may run in it, which must not see a value twice."""
        return any(kind.startswith("function") or kind in _OF_USERS for kind in self._kinds)

    def _validator(self, changed_for: abc.Callable[[str, Any], Any]) -> SchemaValidator:
        def change(node: Any, made: Any, _: Any) -> Any:
            kind = made["type"]
            self._kinds.add(kind)
            self.runs_code = self.runs_code or _runs_code(kind, node)
            if kind == "union":  # errors call its ways as before they were changed
                made["choices"] = [
                    (new, getattr(old.get("cls"), "__name__", old["type"])) if isinstance(new, dict) else new
                    for new, old in zip(made["choices"], node["choices"], strict=True)
                ]
            changed = _changed(kind, made) or changed_for(kind, made)
            if changed is not made and "ref" in made:  # what points here now points to the whole of it
                changed["ref"] = made.pop("ref")
            return changed

        return SchemaValidator(rebuilt(self.core, change), None, _use_prebuilt=False)


def _runs_code(kind: str, node: Any) -> bool:
    """Whether a core schema calls what is neither Python's nor pydantic's nor ours."""
    if kind.startswith("function"):
        return _is_users(node["function"]["function"])
    if kind in (
        "is-instance",
        "is-subclass",
    ):  # its metaclass may say what is an instance, as an abstract class may
        wanted = node["cls"]
        hook = getattr(wanted, "__subclasshook__", None)
        return _is_users(type(wanted)) or _is_users(getattr(hook, "__func__", hook))
    if "default_factory" in node and _is_users(node["default_factory"]):
        return True
    return bool(node.get("post_init") or node.get("custom_init") or node.get("missing")) or kind == "call"


def _is_users(code: Any) -> bool:
    module = getattr(code, "__module__", None) or "functools"
    return module.partition(".")[0] not in _NO_USERS


def _or_with_whole_numbers(validate: abc.Callable[[Any], Any], value: object) -> Any:
    try:
        return validate(value)
    except ValidationError:
        whole = _with_whole_numbers(value)
        if whole is value:
            raise
        return validate(whole)


def _with_whole_numbers(value: Any) -> Any:
    """A literal with 3 for 3.0, wherever that stands in it; the literal itself if it has none."""
    if type(value) is float and value.is_integer() and abs(value) < _WHOLE:
        return int(value)
    if not isinstance(value, list | dict) or len(value) > _MOST_ITEMS:
        return value
    items = value if isinstance(value, list) else list(value.values())
    made = [_with_whole_numbers(item) for item in items]
    if all(new is old for new, old in zip(made, items, strict=True)):
        return value
    return made if isinstance(value, list) else dict(zip(value, made, strict=True))


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
        return _PROTOCOL
    if isinstance(error, ArbitraryTypeWarning | KeyError):
        return f"{_UNCHECKED} {one_line(annotation)} is no type"
    text = str(error) if isinstance(error, SchemaError) else str(error).split("\n", 1)[0]
    said = one_line(text.removeprefix("Unable to generate pydantic-core schema for "))
    return f"{_UNCHECKED} {said.partition('. Set `arbitrary_types_allowed')[0]}"


def _with_lists(annotation: Any) -> Any:
    """A type with lists for whatever is only iterated."""
    if annotation is typing.LiteralString:  # the same one that typing_extensions has
        return str
    origin = typing.get_origin(annotation)
    args = typing.get_args(annotation)
    kind = origin or annotation
    if kind in _ASYNC:
        raise FunctionError(f"{_UNCHECKED} no plan can write what is iterated with async for")
    if kind in _LISTS or kind in _ITERATORS:
        item = _with_lists(args[0]) if args else Any
        as_list = GetPydanticSchema(lambda source, handler: _from_iterable(handler(source)))
        made = Annotated[list[item], as_list]  # type: ignore[valid-type]
        return Annotated[made, AfterValidator(iter)] if kind in _ITERATORS else made
    if origin is Annotated:
        base = _with_lists(args[0])
        return annotation if base is args[0] else Annotated[base, *args[1:]]
    if origin is None or origin is typing.Literal or origin is abc.Callable:
        return annotation
    inner = tuple(_with_lists(arg) for arg in args)
    if all(new is old for new, old in zip(inner, args, strict=True)):
        return annotation
    if origin is typing.Union or origin is types.UnionType:
        return typing.Union[inner]  # noqa: UP007 - of as many as there are
    return origin[inner]


def rebuilt(
    node: Any, change: abc.Callable[[Any, Any, Any], Any], config: abc.Mapping[str, Any] | None = None
) -> Any:
    """A core schema with what ``change(node, made, config)`` makes of each one in it, the innermost first.

    ``made`` is the node with what was made of those in it, ``config`` what its model is configured with.
    """
    if isinstance(node, list | tuple):
        return type(node)(rebuilt(item, change, config) for item in node)
    if not isinstance(node, dict):
        return node
    kind = node.get("type")
    if not isinstance(kind, str):  # a dictionary of fields, one of which may be called type
        return {key: rebuilt(item, change, config) for key, item in node.items()}
    config = node.get("config") or ({} if kind in ("model", "dataclass") else config or {})
    made = {key: item if key in _NOT_SCHEMAS else rebuilt(item, change, config) for key, item in node.items()}
    return change(node, made, config)


def _changed(kind: str, made: Any) -> Any:
    """What is checked in a way of ours wherever a value comes from; ``None`` for anything else."""
    if kind == "generator":
        rest = {key: made[key] for key in ("min_length", "max_length") if key in made}
        return _from_iterable(
            core_schema.list_schema(made.get("items_schema", core_schema.any_schema()), **rest)
        )
    if kind == "literal" and any(isinstance(item, enum.Enum) for item in made["expected"]):
        return _plain(partial(_one_of, made["expected"]))
    if kind != "is-instance":
        return None
    wanted = made["cls"]
    if wanted in _ITERATORS:  # a field's, whose items are no longer known
        return core_schema.no_info_after_validator_function(iter, _from_iterable(core_schema.list_schema()))
    try:
        isinstance(None, wanted)
    except TypeError as error:
        if getattr(wanted, "_is_protocol", False):
            raise FunctionError(_PROTOCOL) from None
        raise FunctionError(f"{_UNCHECKED} {one_line(error)}") from None
    return _plain(partial(_instance_of, wanted)) if _is_abstract_number(wanted) else None


def _for_literals(kind: str, made: Any) -> Any:
    """JSON can't be an instance of anything, so what is made of it is looked at."""
    match kind:
        case "is-instance" if made["cls"] is bytearray:
            return _BYTEARRAY
        case "is-instance":
            return _plain(partial(_instance_of, made["cls"]))
        case "is-subclass":
            return _plain(_no_class)
        case "enum":
            return _plain(partial(_member_of, made["cls"]))
        case "complex":
            return _plain(_complex)
    return made


def _for_values(kind: str, made: Any) -> Any:
    """A truth is no number, a member goes by its name too, one complaint is enough."""
    match kind:
        case "is-instance" if made["cls"] is bytearray:
            return core_schema.union_schema([made, _BYTEARRAY])
        case "enum":
            return core_schema.no_info_wrap_validator_function(partial(_by_name_too, made["cls"]), made)
        case "json-or-python" if made["python_schema"]["type"] == "is-instance":
            # What a plan can write of it becomes an instance, as a result of the same form does.
            return core_schema.union_schema([made["python_schema"], made["json_schema"]])
        case _ if kind in _NUMBERS:
            lax = core_schema.no_info_before_validator_function(_refuse_truth, made)
            return core_schema.lax_or_strict_schema(lax_schema=lax, strict_schema={**made, "strict": True})
        case _ if kind in _CONTAINERS:
            return {**made, "fail_fast": True}
    return made


def _from_iterable(schema: Any) -> Any:
    """The schema of a list that is made of anything that can be iterated, except text."""
    lax = core_schema.no_info_before_validator_function(_as_list, schema)
    return core_schema.json_or_python_schema(
        schema, core_schema.lax_or_strict_schema(lax_schema=lax, strict_schema=schema)
    )


def _as_list(value: Any) -> Any:
    if isinstance(value, str | bytes | bytearray | abc.Mapping) or not isinstance(value, abc.Iterable):
        return value
    return list(value)


def _is_abstract_number(wanted: Any) -> bool:
    return getattr(wanted, "__module__", "") == "numbers"


def _instance_of(wanted: Any, value: Any) -> Any:
    if isinstance(value, wanted):
        return _refuse_truth(value) if _is_abstract_number(wanted) else value
    name = getattr(wanted, "__name__", "another class")
    raise PydanticCustomError("is_instance_of", "Input should be an instance of {name}", {"name": name})


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


def _member_of(wanted: type[enum.Enum], value: Any) -> Any:
    """A member of an enum, by its value, or by its name where that is no other one's value."""
    if _may_name(wanted, value):
        try:
            return wanted(value)
        except Exception:  # a _missing_ of the user's may raise anything
            pass
    if isinstance(value, str) and value in wanted.__members__:
        return wanted[value]
    raise _not_among("enum", map(enum_value, wanted))


def _by_name_too(wanted: type[enum.Enum], value: Any, by_value: abc.Callable[[Any], Any]) -> Any:
    if not _may_name(wanted, value):
        return _member_of(wanted, value)
    try:
        return by_value(value)
    except ValidationError:
        if isinstance(value, str) and value in wanted.__members__:
            return wanted[value]
        raise


def _may_name(wanted: type[enum.Enum], value: Any) -> bool:
    """Whether a value may be a member's: a truth only if one has a truth."""
    return type(value) is not bool or any(type(member.value) is bool for member in wanted)


def _one_of(expected: list[Any], value: Any) -> Any:
    """One of several values, of which some are members of enums: by their values or names."""
    for one in expected:
        if type(one) is type(value) and one == value:
            return one
        if isinstance(one, enum.Enum) and same_literal(value, enum_value(one)):
            return one
    for one in expected:
        if isinstance(one, enum.Enum) and value == one.name:
            return one
    raise _not_among("literal_error", map(literal_of, expected))


def _not_among(kind: typing.LiteralString, choices: abc.Iterable[Any]) -> PydanticCustomError:
    choice = " or ".join(map(repr, islice(choices, _CHOICES)))
    return PydanticCustomError(kind, "Input should be {choice}", {"choice": choice})


_BYTEARRAY = core_schema.no_info_after_validator_function(bytearray, core_schema.bytes_schema())
