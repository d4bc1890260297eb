"""A JSON schema as a model reads it: keys, values to choose from, bounds, descriptions, in a few words.

Decides how much is said at which ``Detail``. It must not know whose parameter it is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from llmorch.declare.text import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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
        notes = [*_bounds(schema), *([said] if said else [])]
        return f"{self._plain(schema)} ({'; '.join(notes)})" if notes else self._plain(schema)

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
        fields = {name: inner._field(name, item, name in needed) for name, item in properties.items()}
        optional = [text for text in fields.values() if " = " in text]
        room = max(0, self.detail.choices - len(fields) + len(optional))
        if len(optional) > room:
            shown = [text for text in fields.values() if " = " not in text]
            return f"{{{', '.join([*shown, *optional[:room], '...'])}}}"
        return f"{{{', '.join(fields.values())}}}"

    def _field(self, name: str, schema: Mapping[str, Any], required: bool) -> str:
        said = shortened(str(schema.get("description", "")), self.detail.description)
        text = f"{literal_text(name)}: {self.type(schema, said if said != '...' else '')}"
        if required:
            return text
        default = literal_text(schema["default"]) if "default" in schema else "..."
        return f"{text} = {default_text(default, self.detail)}"


def _bounds(schema: Mapping[str, Any]) -> list[str]:
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
    return [", ".join(notes)] if notes else []


def _range(least: Any, most: Any, what: str = "") -> list[str]:
    if least is None and most is None:
        return []
    if least is None or most is None:
        return [f"at most {most}{what}" if least is None else f"at least {least}{what}"]
    return [f"{least}{what}" if what and least == most else f"{least} to {most}{what}"]
