"""A JSON schema for a native tool, in which not more is said than in a prompt.

What is needed stays: keys, types, choices, bounds. Values to show and descriptions are as long
as there is room for. This module must not know what is described.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch.declare.definitions import together
from llmorch.declare.text import shortened
from llmorch.declare.words import DETAILS, literal_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.declare.words import Detail

MOST = 1_000
"""Characters of values and descriptions in one tool, beside those of its docstring."""
_SHOWN = ("default", "examples", "example")
_BY_NAME = ("properties", "$defs", "patternProperties", "dependentSchemas")
_TITLE = 80


def trimmed(schemas: Mapping[str, dict[str, Any]], documented: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schemas of a function's parameters, and the definitions they point to, with what there is room for."""
    made: dict[str, dict[str, Any]] = {}
    for detail, whole in ((DETAILS[0], True), *((detail, False) for detail in DETAILS)):
        made = {name: _parameter(schema, detail, whole=whole) for name, schema in schemas.items()}
        if sum(map(_said, made.values())) <= MOST + documented:
            break
    return together(made)


def _parameter(schema: dict[str, Any], detail: Detail, *, whole: bool) -> dict[str, Any]:
    """One parameter's; its own description may be its author's docstring, which is told as it is."""
    made: dict[str, Any] = _trimmed(schema, detail)
    if whole and "description" in schema:
        made["description"] = schema["description"]
    return made


def _trimmed(node: Any, detail: Detail) -> Any:
    if isinstance(node, list):
        return [_trimmed(item, detail) for item in node]
    if not isinstance(node, dict):
        return node
    made: dict[str, Any] = {}
    for key, item in node.items():
        if key in _BY_NAME and isinstance(item, dict):
            made[key] = {name: _trimmed(one, detail) for name, one in item.items()}
        elif key in _SHOWN:
            if len(literal_text(item)) <= detail.default:
                made[key] = item
        elif key == "description" and isinstance(item, str):
            if detail.description:
                made[key] = item if len(item) <= detail.description else shortened(item, detail.description)
        elif key == "title" and isinstance(item, str):
            made[key] = shortened(item, _TITLE)
        elif key in ("enum", "const"):
            made[key] = item
        else:
            made[key] = _trimmed(item, detail)
    return made


def _said(node: Any) -> int:
    """Characters of what is shown and described in a schema."""
    if isinstance(node, list):
        return sum(map(_said, node))
    if not isinstance(node, dict):
        return 0
    total = 0
    for key, item in node.items():
        if key in _BY_NAME and isinstance(item, dict):
            total += sum(map(_said, item.values()))
        elif key in _SHOWN:
            total += len(literal_text(item))
        elif key == "description" and isinstance(item, str):
            total += len(item)
        elif key not in ("enum", "const"):
            total += _said(item)
    return total
