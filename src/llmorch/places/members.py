"""Members of enumerations, which cross to another process by their names.

Their values needn't equal themselves there: an object, a function, not-a-number. It must import quickly.
"""

from __future__ import annotations

from enum import Enum
from typing import Any


def reduced(value: Any) -> Any:
    """How a member is pickled; anything else, such as a combination of flags, as it is."""
    if isinstance(value, Enum) and type(value).__members__.get(value._name_) is value:
        return _member, (type(value), value._name_)
    return NotImplemented


def _member(cls: type[Enum], name: str) -> Enum:
    return cls[name]
