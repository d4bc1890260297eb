"""JSON schemas put together: those of a function's parameters as one, with the definitions they point to.

Decides what a definition is called where two types have one name. It must not know what is
described.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

CLASS = "x-class"
"""The key of the name of the class that values are of, where that is all that can be said of them."""


def for_tools(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same without what is only for us."""
    cleaned: dict[str, Any] = _without_classes(dict(schema))
    return cleaned


def _without_classes(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_classes(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _without_classes(item) for key, item in node.items() if key != CLASS}


def together(schemas: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
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


def _pointing(node: Any, renamed: Mapping[str, str]) -> Any:
    """A schema whose pointers such as #/$defs/Item point to definitions under their new names."""
    if all(old == new for old, new in renamed.items()):
        return node
    if isinstance(node, list):
        return [_pointing(item, renamed) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _pointing(item, renamed) for key, item in node.items()}
    target = made.get("$ref")
    if isinstance(target, str):
        head, _, title = target.rpartition("/")
        made["$ref"] = f"{head}/{renamed.get(title, title)}"
    return made
