"""The JSON schema of a type: what a model is told of it, and its native tools are declared with.

A type that JSON knows nothing of has an empty schema and the name of its class under a key of
ours, which is not for tools. No value in it is a secret. Importing this imports pydantic.
"""

from __future__ import annotations

import warnings
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError

from llmorch.declare.core_schemas import as_accepted
from llmorch.declare.defaults import NoLiteral, enum_value, literal_of
from llmorch.declare.json_schemas import EXAMPLES, OMITTED, rewritten
from llmorch.declare.schema_text import CLASS
from llmorch.declare.secrets import hides

_SCALARS = (str, int, float, bool)
_KEYWORDS = frozenset(
    (
        *("$ref", "$defs", "type", "title", "description", "default", "examples", "example", "const", "enum"),
        *("anyOf", "oneOf", "allOf", "not", "if", "then", "else", "discriminator", "mapping", "propertyName"),
        *("properties", "required", "additionalProperties", "patternProperties", "propertyNames"),
        *("minProperties", "maxProperties", "items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
        *("contains", "minLength", "maxLength", "pattern", "format", "contentMediaType", "contentSchema"),
        *("contentEncoding", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("dependentRequired", "dependentSchemas", "deprecated", "readOnly", "writeOnly", CLASS),
    )
)
"""What JSON Schema says itself; anything else is a note of its author's to somebody else."""


def json_schema(core: Any, name: str) -> dict[str, Any]:
    """The JSON schema of a core schema of pydantic's, for values of a name; empty where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = _Generator(by_alias=True).generate(as_accepted(core), mode="validation")
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
