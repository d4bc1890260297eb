"""The JSON schema of a type: what a model is told of it, and its native tools are declared with.

A type that JSON knows nothing of has an empty schema and the name of its class under a key of
ours, which is not for tools. No value in it is a secret. Fields have the keys by which they are
really passed, of which pydantic's own schema doesn't know all: not of those that are passed by
their name alone, or as a part of something else. Importing this imports pydantic.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError, core_schema

from llmorch.declare.checks import rebuilt
from llmorch.declare.defaults import NoLiteral, enum_value, literal_of, path_of
from llmorch.declare.schema_text import CLASS, EXAMPLES, OMITTED, rewritten
from llmorch.declare.secrets import hides

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.declare.defaults import Path

_SCALARS = (str, int, float, bool)
_KEYWORDS = frozenset(
    f"""
    $ref $defs type title description default examples example const enum anyOf oneOf allOf not if then else
    discriminator mapping propertyName properties required additionalProperties patternProperties propertyNames
    minProperties maxProperties items prefixItems minItems maxItems uniqueItems contains minLength maxLength
    pattern format contentMediaType contentSchema contentEncoding minimum maximum exclusiveMinimum
    exclusiveMaximum multipleOf dependentRequired dependentSchemas deprecated readOnly writeOnly {CLASS}
    """.split()
)
"""What JSON Schema says itself; anything else is a note of its author's to somebody else."""


def json_schema(core: Any, name: str) -> dict[str, Any]:
    """The JSON schema of a core schema of pydantic's, for values of a name; empty where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = _Generator(by_alias=True).generate(rebuilt(core, _with_keys), mode="validation")
    except Exception:  # of a type that makes its schema itself, or that nothing can be said of
        return {}
    cleaned: dict[str, Any] = rewritten(made, _without_secrets, name)
    return cleaned


def _without_secrets(name: str, node: dict[str, Any], keyword: str) -> Any:
    """What a keyword says, unless it is a value that must not be told, or a note to somebody else."""
    said = node[keyword]
    if keyword not in _KEYWORDS:
        return OMITTED
    if keyword in EXAMPLES:
        secret = bool(node.get("writeOnly")) or node.get("format") == "password"
        return OMITTED if secret or hides(name, said) else said
    return said


class _Generator(GenerateJsonSchema):
    """Pydantic's, with something for every type."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Any:
        """Nothing can be said of such a value, and anything may be passed."""
        return {}

    def is_instance_schema(self, schema: Any) -> Any:
        """The class is told by its name."""
        name = getattr(schema["cls"], "__name__", "")
        return {CLASS: name} if isinstance(name, str) and name else {}

    def callable_schema(self, schema: Any) -> Any:
        """A function, which no plan can write."""
        return {CLASS: "function"}

    def is_subclass_schema(self, schema: Any) -> Any:
        """A class, which no plan can write."""
        return {CLASS: "type"}

    def encode_default(self, dft: Any) -> Any:
        """A default as a plan writes it."""
        try:
            return literal_of(dft)
        except NoLiteral:
            raise PydanticSerializationError("") from None

    def enum_schema(self, schema: Any) -> Any:
        """The values, or the names of those that no plan can write."""
        members = schema["members"]
        if all(type(member.value) in _SCALARS for member in members):
            return super().enum_schema(schema)
        return {"title": schema["cls"].__name__, "enum": [enum_value(member) for member in members]}


def _with_keys(_: Any, made: Any, config: Mapping[str, Any]) -> Any:
    """A core schema in which each field has the one key that a model is told."""
    if made["type"] in ("model-fields", "typed-dict"):
        made["fields"] = _fields(made["fields"], config)
    elif made["type"] == "dataclass-args":
        passed = {item["name"]: item for item in made["fields"] if item.get("init", True)}
        made["fields"] = [{**item, "name": key} for key, item in _fields(passed, config).items()]
    return made


def _fields(fields: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by the keys that they are passed by; those that are passed as parts, last, within what holds them."""
    by_path = {
        path_of(name, item.get("validation_alias"), config): {
            key: said for key, said in item.items() if key != "validation_alias"
        }
        for name, item in fields.items()
    }
    whole_first = sorted(by_path.items(), key=lambda found: len(found[0]) > 1)
    return {str(key): item for key, item in _grouped(dict(whole_first)).items()}


def _grouped(by_path: Mapping[Path, Any]) -> dict[str | int, Any]:
    """Fields by the first keys of their paths; a key that leads to a field itself is that field."""
    groups: dict[str | int, dict[Path, Any]] = {}
    for (first, *rest), item in by_path.items():
        groups.setdefault(first, {})[tuple(rest)] = item
    return {
        key: found[()]
        if () in found
        else {"type": next(iter(found.values()))["type"], "schema": _holding(_grouped(found))}
        for key, found in groups.items()
    }


def _holding(fields: Mapping[str | int, Any]) -> Any:
    """The schema of what holds some fields, which is needed if one of them is."""
    needed = {
        key: bool(item.get("required", item["schema"]["type"] != "default")) for key, item in fields.items()
    }
    positions = [key for key in fields if isinstance(key, int)]
    schema: Any
    if any(key < 0 for key in positions):  # counted from the end
        schema = core_schema.list_schema()
    elif len(positions) == len(fields):
        nothing = {"schema": core_schema.any_schema()}
        schema = core_schema.tuple_schema(
            [fields.get(key, nothing)["schema"] for key in range(max(positions) + 1)]
        )
    else:
        schema = core_schema.typed_dict_schema(
            {
                str(key): core_schema.typed_dict_field(
                    item["schema"], required=needed[key], metadata=item.get("metadata")
                )
                for key, item in fields.items()
            }
        )
    return schema if any(needed.values()) else core_schema.with_default_schema(schema, default_factory=dict)
