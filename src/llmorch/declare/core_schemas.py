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

    from llmorch.declare.fields import Path

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
    """Fields by the keys that they are passed by; those that are passed as parts, last, within what holds them."""
    by_path = {
        path_of(name, item.get("validation_alias"), config): {
            key: said for key, said in item.items() if key != "validation_alias"
        }
        for name, item in fields.items()
    }
    made = _grouped({path: by_path[path] for path in sorted(by_path, key=lambda path: len(path) > 1)})
    return {str(key): item for key, item in made.items()}


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
    schema: Any
    if any(isinstance(key, int) and key < 0 for key in fields):  # counted from the end
        schema = core_schema.list_schema()
    elif all(isinstance(key, int) for key in fields):
        nothing = {"schema": core_schema.any_schema()}
        positions = range(max(int(key) for key in fields) + 1)
        schema = core_schema.tuple_schema([fields.get(key, nothing)["schema"] for key in positions])
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
