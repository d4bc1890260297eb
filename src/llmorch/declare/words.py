"""A JSON schema as a model reads it: keys, values to choose from, bounds, descriptions, in a few words.

Decides how much is said at which ``Detail``. It must not know whose parameter it is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from llmorch.declare.text import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
_LENGTHS = (
    ("minLength", "maxLength", "characters"),
    ("minItems", "maxItems", "items"),
    ("minProperties", "maxProperties", "keys"),
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


class Wording:
    """Words for the schemas of one function, at one detail."""

    def __init__(self, definitions: Mapping[str, Any], detail: Detail) -> None:
        self._definitions = definitions
        self._detail = detail

    def type(self, schema: Mapping[str, Any]) -> str:
        """The type, with its bounds in parentheses."""
        return self._type(schema, 0, ())

    def _type(self, schema: Mapping[str, Any], level: int, within: tuple[str, ...], said: str = "") -> str:
        if "$ref" in schema:
            title = str(schema["$ref"]).rsplit("/", 1)[-1]
            target = self._definitions.get(title)
            if target is None or title in within:
                return str((target or {}).get("title", title)) if isinstance(target, dict) else "any"
            return self._type(target, level, (*within, title), said)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                ways = dict.fromkeys(self._type(way, level, within) for way in schema[key])
                return _with([*_some(list(ways), self._detail.choices)], said)
        if "allOf" in schema and len(schema["allOf"]) == 1:
            return self._type(schema["allOf"][0], level, within, said)
        if "const" in schema:
            return _with([literal_text(schema["const"])], said)
        if "enum" in schema:
            return _with(_some([literal_text(item) for item in schema["enum"]], self._detail.choices), said)
        name = self._plain(schema, level, within)
        notes = [*_bounds(schema), *([said] if said else [])]
        return f"{name} ({'; '.join(notes)})" if notes else name

    def _plain(self, schema: Mapping[str, Any], level: int, within: tuple[str, ...]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            return " | ".join(_NAMES.get(str(item), "any") for item in kind)
        if kind == "array":
            return self._array(schema, level, within)
        if kind == "object":
            return self._object(schema, level, within)
        return _NAMES.get(str(kind), str(schema.get(CLASS) or "any"))

    def _array(self, schema: Mapping[str, Any], level: int, within: tuple[str, ...]) -> str:
        if places := schema.get("prefixItems"):
            items = [self._place(item, level, within) for item in places]
            return f"[{', '.join(items)}]"
        items_schema = schema.get("items")
        if not isinstance(items_schema, dict) or not items_schema:
            return "list"
        return f"list[{self._type(items_schema, level, within)}]"

    def _place(self, schema: Mapping[str, Any], level: int, within: tuple[str, ...]) -> str:
        """One place of a tuple; of a named one, with its name."""
        title = schema.get("title")
        return self._type(schema, level, within, str(title).lower() if title and "$ref" not in schema else "")

    def _object(self, schema: Mapping[str, Any], level: int, within: tuple[str, ...]) -> str:
        properties = schema.get("properties") or {}
        if not properties:
            values = schema.get("additionalProperties")
            if isinstance(values, dict) and values:
                return f"dict[str, {self._type(values, level, within)}]"
            return "dict"
        if level >= self._detail.levels:
            return "dict"
        required = schema.get("required", ())
        fields = [
            self._field(name, item, name in required, level + 1, within) for name, item in properties.items()
        ]
        return f"{{{', '.join(_few(fields, self._detail.choices))}}}"

    def _field(
        self, name: str, schema: Mapping[str, Any], required: bool, level: int, within: tuple[str, ...]
    ) -> str:
        said = shortened(str(schema.get("description", "")), self._detail.description)
        text = f"{literal_text(name)}: {self._type(schema, level, within, said if said != '...' else '')}"
        if required:
            return text
        default = (
            default_text(literal_text(schema["default"]), self._detail) if "default" in schema else "..."
        )
        return f"{text} = {default}"


def _with(ways: Sequence[str], said: str) -> str:
    text = " | ".join(ways)
    return f"{text} ({said})" if said else text


def _some(ways: list[str], most: int) -> list[str]:
    """Some of several choices; None, which is short and matters, in any case."""
    return ways if len(ways) <= most else [*ways[:most], "..."] + (["None"] if "None" in ways[most:] else [])


def _few(fields: list[str], most: int) -> list[str]:
    """Fields, without the optional ones at the end where there are too many."""
    needed = [field for field in fields if " = " not in field]
    optional = [field for field in fields if " = " in field]
    room = max(0, most - len(needed))
    return fields if len(optional) <= room else [*needed, *optional[:room], "..."]


def _bounds(schema: Mapping[str, Any]) -> list[str]:
    notes = []
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if least is not None and most is not None:
        notes.append(f"{least} to {most}")
    else:
        notes += [f"at least {least}"] if least is not None else []
        notes += [f"at most {most}"] if most is not None else []
    notes += [f"more than {above}"] if above is not None else []
    notes += [f"less than {below}"] if below is not None else []
    if (step := schema.get("multipleOf")) is not None:
        notes.append(f"a multiple of {step}")
    for low, high, what in _LENGTHS:
        fewest, longest = schema.get(low), schema.get(high)
        if schema.get("prefixItems") and what == "items":
            continue
        if fewest and longest is not None:
            notes.append(f"{fewest} {what}" if fewest == longest else f"{fewest} to {longest} {what}")
        elif fewest:
            notes.append(f"at least {fewest} {what}")
        elif longest is not None:
            notes.append(f"at most {longest} {what}")
    if pattern := schema.get("pattern"):
        notes.append(f"like {shortened(str(pattern), 60)}")
    if form := schema.get("format"):
        notes.append(str(form))
    if schema.get("contentMediaType") == "application/json":
        notes.append("JSON")
    return [", ".join(notes)] if notes else []
