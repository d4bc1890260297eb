"""The key by which a field of a model is passed: its name, its alias, or a path of keys.

Decides it as pydantic does. Nothing is imported for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Path = tuple[str | int, ...]


def path_of(name: str, alias: Any, config: Mapping[str, Any]) -> Path:
    """The keys that lead to a field's value, mostly one: an alias may point into what another key holds."""
    if not alias or config.get("validate_by_alias") is False:
        return (name,)
    if isinstance(alias, str):
        return (alias,)
    ways = alias.convert_to_aliases() if hasattr(alias, "convert_to_aliases") else alias
    paths = ways if isinstance(ways[0], list) else [ways]
    for path in paths:
        if len(path) == 1:
            return (path[0],)
    return (name,) if by_name(config) else tuple(paths[0])


def by_name(config: Mapping[str, Any]) -> bool:
    """Whether a field is found under its name, whatever its alias is."""
    return bool(config.get("validate_by_name") or config.get("populate_by_name"))
