"""Functions and variables in a worker process, as its parent has them.

Decides how a function is found there, whether code there is other than the parent's, and how a
variable is set. It must import quickly.
"""

from __future__ import annotations

import importlib
import pickle
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmorch.places.codes import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def loaded(reference: tuple[str, str] | bytes) -> Callable[..., Any]:
    """A function by its module and its path there, or as it was pickled."""
    found: Any
    if isinstance(reference, bytes):
        found = pickle.loads(reference)
    else:
        module, path = reference
        found = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    return found  # type: ignore[no-any-return]


def others(checks: Sequence[tuple[str, str, int]]) -> list[int]:
    """Which of these places have other code than the parent, by module, path and the digest of its code."""
    return [index for index, (module, path, expected) in enumerate(checks) if not _is(module, path, expected)]


def _is(module: str, path: str, expected: int) -> bool:
    try:
        owner, name = _owner(module, path)
        return digest(vars(owner)[name]) == expected
    except ImportError:  # who imports it will hear of that
        return True
    except (LookupError, AttributeError):
        return False


def _owner(module: str, path: str) -> tuple[Any, str]:
    above, _, name = path.rpartition(".")
    if module == "__main__" and above:
        from llmorch.places.classes import kept

        return kept[above], name
    owner: Any = importlib.import_module(module)
    for part in above.split(".") if above else ():
        owner = getattr(owner, part)
    return owner, name


def set_variables(changes: Sequence[tuple[str, str, bytes]]) -> None:
    """Set variables of modules and of classes in them, if they aren't so already.

    Another object with the same content stays: others may refer to it.
    """
    for module, path, value in changes:
        owner, name = _owner(module, path)
        with suppress(Exception):
            if pickle.dumps(vars(owner)[name], 5) == value:
                continue
        setattr(owner, name, pickle.loads(value))
