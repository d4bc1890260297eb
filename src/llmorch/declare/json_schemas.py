"""JSON schemas as they are: those of a function's parameters as one, with no more in it than there is room for.

Decides what a definition is called where two types have one name, and what is cut. What a plan
needs stays: keys, types, choices, bounds. This module must not know what is described.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch.declare.schema_text import CLASS, DETAILS, literal_text
from llmorch.declare.text import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmorch.declare.schema_text import Detail

MOST = 1_000
"""Characters of values and descriptions in one tool, beside those of its docstring."""
EXAMPLES = ("default", "examples", "example")
OMITTED = object()
_BY_NAME = ("properties", "$defs", "patternProperties", "dependentSchemas")
_VALUES = (*EXAMPLES, "enum", "const", "required", "discriminator")
"""Keywords with values in which there is no schema."""
_TITLE = 80


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


def for_tools(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same without what is only for us."""
    made: dict[str, Any] = rewritten(
        schema, lambda _, node, keyword: OMITTED if keyword == CLASS else node[keyword]
    )
    return made


def merged(schemas: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schemas of several parameters, and the definitions of them all: no two of one name that differ."""
    properties, definitions = {}, dict[str, Any]()
    for name, schema in schemas.items():
        own = dict(schema)
        found = own.pop("$defs", {})
        renamed = {}
        for title, definition in found.items():
            free, number = title, 2
            while free in definitions and definitions[free] != definition:
                free, number = f"{title}{number}", number + 1
            renamed[title] = free
        for title, definition in found.items():
            definitions[renamed[title]] = _pointing(definition, renamed)
        properties[name] = _pointing(own, renamed)
    return properties, definitions


def _pointing(schema: Any, renamed: Mapping[str, str]) -> Any:
    """A schema whose pointers such as #/$defs/Item point to definitions under their new names."""

    def target(pointer: str) -> str:
        head, _, title = pointer.rpartition("/")
        return f"{head}/{renamed.get(title, title)}"

    def change(_: str, node: dict[str, Any], keyword: str) -> Any:
        said = node[keyword]
        if keyword == "$ref":
            return target(said)
        if keyword == "discriminator" and "mapping" in said:
            return said | {"mapping": {value: target(pointer) for value, pointer in said["mapping"].items()}}
        return said

    return schema if all(old == new for old, new in renamed.items()) else rewritten(schema, change)


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
