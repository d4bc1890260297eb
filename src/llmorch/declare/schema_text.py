"""A JSON schema as a model is told it: as it is, with no more in it than there is room for, or in a few words.

Decides how much is said at which ``Detail``, and what a definition is called where two types have
one name. What a plan needs stays: keys, types, choices, bounds. Importing this doesn't import pydantic.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from llmorch.declare.text import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

CLASS = "x-class"
"""The key of the name of the class that values are of, where that is all that can be said of them."""


class Detail(NamedTuple):
    """How much is told: levels of fields, values to choose from, characters of a default and of a description."""

    levels: int
    choices: int
    default: int
    description: int


DETAILS = (
    Detail(levels=4, choices=40, default=400, description=400),
    Detail(levels=3, choices=20, default=80, description=120),
    Detail(levels=2, choices=12, default=40, description=60),
    Detail(levels=1, choices=8, default=24, description=30),
    Detail(levels=1, choices=4, default=12, description=0),
    Detail(levels=0, choices=2, default=8, description=0),
)
"""From all there is to hardly anything."""

MOST = 1_000
"""Characters of values and descriptions in one tool, beside those of its docstring."""
EXAMPLES = ("default", "examples", "example")
OMITTED = object()
_BY_NAME = ("properties", "$defs", "patternProperties", "dependentSchemas")
_VALUES = (*EXAMPLES, "enum", "const", "required", "discriminator")
"""Keywords with values in which there is no schema."""
_TITLE = 80
_NAMES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "array": "list",
    "object": "dict",
}
_MORE = (
    ("exclusiveMinimum", "more than"),
    ("exclusiveMaximum", "less than"),
    ("multipleOf", "a multiple of"),
)
_LENGTHS = (
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " keys"),
)


def literal_text(value: object) -> str:
    """A value as a plan has it: a Python literal, with texts in double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(literal_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal_text(key)}: {literal_text(item)}' for key, item in value.items())}}}"
    return repr(value)


def default_text(text: str, detail: Detail) -> str:
    """A default, unless it is longer than is told."""
    return text if len(text) <= detail.default else "..."


class SchemaText(NamedTuple):
    """Words for the schemas of one function: at one detail, so many levels deep, within these definitions."""

    definitions: Mapping[str, Any]
    detail: Detail
    level: int = 0
    within: tuple[str, ...] = ()

    def type(self, schema: Mapping[str, Any], said: str = "") -> str:
        """The type, with its bounds and what is said of it in parentheses."""
        if "$ref" in schema:
            title = str(schema["$ref"]).rsplit("/", 1)[-1]
            target = self.definitions.get(title)
            if target is None:
                return "any"
            if title in self.within:
                return str(target.get("title", title))
            return self._replace(within=(*self.within, title)).type(target, said)
        if "allOf" in schema and len(schema["allOf"]) == 1:
            return self.type(schema["allOf"][0], said)
        ways = schema.get("anyOf", schema.get("oneOf"))
        if ways is not None:
            return self._choices(dict.fromkeys(map(self.type, ways)), said)
        if "const" in schema:
            return self._choices([literal_text(schema["const"])], said)
        if "enum" in schema:
            return self._choices(map(literal_text, schema["enum"]), said)
        notes = "; ".join(note for note in (_bounds(schema), said) if note)
        return f"{self._plain(schema)} ({notes})" if notes else self._plain(schema)

    def _choices(self, ways: Iterable[str], said: str) -> str:
        """Some of several choices; None, which is short and matters, in any case."""
        ways, most = list(ways), self.detail.choices
        if len(ways) > most:
            ways = [*ways[:most], "..."] + (["None"] if "None" in ways[most:] else [])
        text = " | ".join(ways)
        return f"{text} ({said})" if said else text

    def _plain(self, schema: Mapping[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            return " | ".join(_NAMES.get(str(item), "any") for item in kind)
        if kind == "object":
            return self._object(schema)
        if kind != "array":
            return _NAMES.get(str(kind), str(schema.get(CLASS) or "any"))
        if positions := schema.get("prefixItems"):
            return f"[{', '.join(map(self._position, positions))}]"
        items = schema.get("items")
        return f"list[{self.type(items)}]" if isinstance(items, dict) and items else "list"

    def _position(self, schema: Mapping[str, Any]) -> str:
        """One position of a tuple; of a named one, with its name."""
        title = schema.get("title")
        return self.type(schema, str(title).lower() if title and "$ref" not in schema else "")

    def _object(self, schema: Mapping[str, Any]) -> str:
        """Its fields, without the optional ones at the end where there are too many."""
        properties = schema.get("properties")
        if not properties:
            values = schema.get("additionalProperties")
            return f"dict[str, {self.type(values)}]" if isinstance(values, dict) and values else "dict"
        if self.level >= self.detail.levels:
            return "dict"
        inner = self._replace(level=self.level + 1)
        needed = schema.get("required", ())
        fields = [inner._field(name, item, name in needed) for name, item in properties.items()]
        optional = [text for text in fields if " = " in text]
        room = max(0, self.detail.choices - len(fields) + len(optional))
        if len(optional) > room:
            fields = [*(text for text in fields if " = " not in text), *optional[:room], "..."]
        return f"{{{', '.join(fields)}}}"

    def _field(self, name: str, schema: Mapping[str, Any], required: bool) -> str:
        said = shortened(str(schema.get("description", "")), self.detail.description)
        text = f"{literal_text(name)}: {self.type(schema, said if said != '...' else '')}"
        if required:
            return text
        default = literal_text(schema["default"]) if "default" in schema else "..."
        return f"{text} = {default_text(default, self.detail)}"


def _bounds(schema: Mapping[str, Any]) -> str:
    notes = _range(schema.get("minimum"), schema.get("maximum"))
    for keyword, words in _MORE:
        if (bound := schema.get(keyword)) is not None:
            notes.append(f"{words} {bound}")
    for low, high, what in _LENGTHS:
        if not (schema.get("prefixItems") and low == "minItems"):
            notes += _range(schema.get(low) or None, schema.get(high), what)
    if pattern := schema.get("pattern"):
        notes.append(f"like {shortened(str(pattern), 60)}")
    if form := schema.get("format"):
        notes.append(str(form))
    if schema.get("contentMediaType") == "application/json":
        notes.append("JSON")
    return ", ".join(notes)


def _range(least: Any, most: Any, what: str = "") -> list[str]:
    if least is None and most is None:
        return []
    if least is None or most is None:
        return [f"at most {most}{what}" if least is None else f"at least {least}{what}"]
    return [f"{least}{what}" if what and least == most else f"{least} to {most}{what}"]


def rewritten(node: Any, change: Callable[[str, dict[str, Any], str], Any], name: str = "") -> Any:
    """A schema with what ``change(name, node, keyword)`` makes of each keyword, unless that is ``OMITTED``.

    ``name`` is what it is the schema of.
    """
    if isinstance(node, list):
        return [rewritten(item, change, name) for item in node]
    if not isinstance(node, dict):
        return node
    made = {}
    for keyword, said in node.items():
        if keyword in _BY_NAME and isinstance(said, dict):
            made[keyword] = {inner: rewritten(item, change, inner) for inner, item in said.items()}
        elif (item := change(name, node, keyword)) is not OMITTED:
            made[keyword] = item if keyword in _VALUES else rewritten(item, change, name)
    return made


def merged(schemas: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schemas of several parameters, and the definitions of them all: no two of one name that differ."""
    properties, definitions = {}, dict[str, Any]()
    for name, schema in schemas.items():
        found, renamed = schema.get("$defs", {}), {}
        for title, definition in found.items():
            free, number = title, 2
            while free in definitions and definitions[free] != definition:
                free, number = f"{title}{number}", number + 1
            renamed[title] = free
        definitions |= {renamed[title]: _pointing(item, renamed) for title, item in found.items()}
        own = {keyword: said for keyword, said in schema.items() if keyword != "$defs"}
        properties[name] = _pointing(own, renamed)
    return properties, definitions


def _pointing(schema: Any, renamed: Mapping[str, str]) -> Any:
    """A schema whose pointers such as #/$defs/Item point to definitions under their new names."""

    def target(pointer: str) -> str:
        head, _, title = pointer.rpartition("/")
        return f"{head}/{renamed.get(title, title)}"

    def change(_: str, node: dict[str, Any], keyword: str) -> Any:
        said = node[keyword]
        if keyword == "discriminator" and "mapping" in said:
            return said | {"mapping": {value: target(pointer) for value, pointer in said["mapping"].items()}}
        return target(said) if keyword == "$ref" else said

    return rewritten(schema, change)


def trimmed(schemas: Mapping[str, dict[str, Any]], documented: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schemas of a function's parameters, and the definitions they point to, with what there is room for."""
    made: dict[str, dict[str, Any]] = {}
    for detail, whole in ((DETAILS[0], True), *((detail, False) for detail in DETAILS)):
        made, characters = {}, 0
        for name, schema in schemas.items():
            made[name], used = _trimmed(schema, detail, whole=whole)
            characters += used
        if characters <= MOST + documented:
            break
    return merged(made)


def _trimmed(schema: dict[str, Any], detail: Detail, *, whole: bool) -> tuple[Any, int]:
    """One parameter's, and how much it says in values and descriptions.

    Its own description may be its author's docstring, which is told as it is where ``whole`` is.
    """
    characters = 0

    def change(_: str, node: dict[str, Any], keyword: str) -> Any:
        nonlocal characters
        said = node[keyword]
        if keyword in EXAMPLES:
            if (length := len(literal_text(said))) > detail.default:
                return OMITTED
            characters += length
        elif keyword == "description" and isinstance(said, str):
            if not (whole and node is schema):
                if not detail.description:
                    return OMITTED
                said = said if len(said) <= detail.description else shortened(said, detail.description)
            characters += len(said)
        elif keyword == "title" and isinstance(said, str):
            return shortened(said, _TITLE)
        return said

    return rewritten(schema, change), characters
