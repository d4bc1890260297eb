"""Core schemas of pydantic's: walked, and with the keys by which fields are really passed.

What pydantic writes as a JSON schema doesn't know of all of them: of a field that is passed by
its name alone, as a part of something else, or not at all. Importing this imports pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import core_schema

from llmorch.declare.fields import path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NO_CONFIG: Mapping[str, Any] = {}
_NOT_SCHEMAS = frozenset(
    ("metadata", "expected", "default", "config", "cls", "members", "serialization", "ref")
)
"""Keys of a core schema below which there is no other one."""


def rebuilt(node: Any, change: Callable[[Any, Any, Mapping[str, Any]], Any], config: Any = _NO_CONFIG) -> Any:
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
    config = node.get("config") or (_NO_CONFIG if kind in ("model", "dataclass") else config)
    made = {key: item if key in _NOT_SCHEMAS else rebuilt(item, change, config) for key, item in node.items()}
    return change(node, made, config)


def as_accepted(core: Any) -> Any:
    """The same core schema, in which each field has the one key that a model is told."""
    return rebuilt(core, _accepted)


def _accepted(_: Any, made: Any, config: Mapping[str, Any]) -> Any:
    if made["type"] in ("model-fields", "typed-dict"):
        made["fields"] = _fields(made["fields"], config)
    elif made["type"] == "dataclass-args":
        passed = {item["name"]: item for item in made["fields"] if item.get("init", True)}
        made["fields"] = [{**item, "name": key} for key, item in _fields(passed, config).items()]
    return made


def _fields(fields: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by the keys that they are passed by; those that are passed as parts, within what holds them."""
    made: dict[str, Any] = {}
    parts: dict[str, dict[tuple[str | int, ...], Any]] = {}
    for name, item in fields.items():
        first, *rest = path_of(name, item.get("validation_alias"), config)
        plain = {key: said for key, said in item.items() if key != "validation_alias"}
        if rest:
            parts.setdefault(str(first), {})[tuple(rest)] = plain
        else:
            made[str(first)] = plain
    for key, within in parts.items():
        if key not in made:  # else it is told with all that it holds
            kind = next(iter(within.values()))["type"]
            made[key] = {"type": kind, **_holding(within)}
    return made


def _holding(within: Mapping[tuple[str | int, ...], Any]) -> dict[str, Any]:
    """What holds some fields: the schema of one more field, which is needed if one of them is."""
    heads: dict[str | int, dict[tuple[str | int, ...], Any]] = {}
    for (first, *rest), item in within.items():
        heads.setdefault(first, {})[tuple(rest)] = item
    inner = {head: found[()] if () in found else _holding(found) for head, found in heads.items()}
    needed = {
        head: bool(item.get("required", item["schema"]["type"] != "default")) for head, item in inner.items()
    }
    schema: Any
    if any(isinstance(head, int) and head < 0 for head in heads):  # counted from the end
        schema = core_schema.list_schema()
    elif all(isinstance(head, int) for head in heads):
        positions = range(max(int(head) for head in heads) + 1)
        schema = core_schema.tuple_schema(
            [
                inner[position]["schema"] if position in inner else core_schema.any_schema()
                for position in positions
            ]
        )
    else:
        schema = core_schema.typed_dict_schema(
            {
                str(head): core_schema.typed_dict_field(
                    item["schema"], required=needed[head], metadata=item.get("metadata")
                )
                for head, item in inner.items()
            }
        )
    if not any(needed.values()):
        schema = core_schema.with_default_schema(schema, default_factory=dict)
    return {"schema": schema}
