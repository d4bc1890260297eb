"""The stateful systems: where their code comes from, how one starts, and what of it can be seen.

The published systems are in a package of thirty dependencies, of which these modules need
one; so it is installed without them into a folder that is deleted at the end, unless it is
installed here already. Nothing of it is copied.
"""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from copy import deepcopy
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from benchmarks.effects.declared import declare
from benchmarks.peers.environments import reason_in, surroundings
from benchmarks.questions import DataMissing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from benchmarks.effects.traces import Task

PACKAGES = ("bfcl-eval==2026.3.23", "mpmath==1.3.0")
INSTALLING = 300.0
"""The most seconds that an installation may take."""

_PUBLISHED = "bfcl_eval.eval_checker.multi_turn_eval.func_source_code"
_OURS = "benchmarks.effects.toys"
MODULES: Mapping[str, str] = {
    "GorillaFileSystem": f"{_PUBLISHED}.gorilla_file_system",
    "MathAPI": f"{_PUBLISHED}.math_api",
    "MessageAPI": f"{_PUBLISHED}.message_api",
    "TicketAPI": f"{_PUBLISHED}.ticket_api",
    "TradingBot": f"{_PUBLISHED}.trading_bot",
    "TravelAPI": f"{_PUBLISHED}.travel_booking",
    "TwitterAPI": f"{_PUBLISHED}.posting_api",
    "VehicleControlAPI": f"{_PUBLISHED}.vehicle_control",
    "Pantry": _OURS,
    "Till": _OURS,
}
"""Where the class of each system is."""

NOT_STATE = frozenset({"_last_modified", "_flight_cost_lookup"})
"""What no call shows: the time of a file's last change, and a cache that is filled before each look."""


@contextmanager
def installed(names: Collection[str]) -> Iterator[Mapping[str, type[Any]]]:
    """The classes of these systems, with their effects declared. Raises ``DataMissing``."""
    if unknown := set(names) - set(MODULES):
        raise DataMissing(
            f"there is no system {min(unknown)!r}; there are {', '.join(MODULES)}. A further one needs a line in "
            "benchmarks/effects/systems.py and its effects in declared.py"
        )
    modules = {MODULES[name] for name in names}
    if not any(module.startswith(_PUBLISHED) for module in modules) or find_spec("bfcl_eval") is not None:
        yield _classes(names)
        return
    with tempfile.TemporaryDirectory(prefix="llmorch-systems-") as folder:
        _install(folder)
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        try:
            yield _classes(names)
        finally:
            sys.path.remove(folder)


def _classes(names: Collection[str]) -> Mapping[str, type[Any]]:
    found = {}
    for name in names:
        try:
            found[name] = getattr(importlib.import_module(MODULES[name]), name)
        except (ImportError, AttributeError) as error:
            raise DataMissing(f"the code of {name} can't be loaded: {error}; {_BY_HAND}") from None
        declare(found[name])
    return found


_BY_HAND = f"by hand: pip install --no-deps {' '.join(PACKAGES)}"


def _install(folder: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            [*command, "--no-deps", "--no-compile", "--target", folder, *PACKAGES],
            capture_output=True,
            text=True,
            timeout=INSTALLING,
            env=surroundings(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DataMissing(
            f"the systems' code was not installed after {INSTALLING:.0f} s; {_BY_HAND}"
        ) from None
    if done.returncode != 0:
        reason = reason_in(done.stderr or done.stdout)
        raise DataMissing(f"the systems' code can't be installed: {reason}; {_BY_HAND}")


def started(task: Task, classes: Mapping[str, type[Any]]) -> dict[str, Any]:
    """The task's systems as they are before its first turn. Raises ``DataMissing``."""
    systems = {}
    for name, start in task.systems.items():
        systems[name] = classes[name]()
        if hasattr(systems[name], "_load_scenario"):  # one without a state has nothing to load
            try:
                systems[name]._load_scenario(deepcopy(dict(start)))
            except Exception as error:  # a system's own, of a state that is none of its
                reason = f"{type(error).__name__}: {error}"
                raise DataMissing(f"{task.id}: the start state of {name} is none: {reason}") from None
    return systems


def seen(value: object) -> Any:
    """All that a later call could show of a value, as plain tuples that can be compared.

    The order of a mapping's keys is part of it, since a listing shows it, and so is whether
    two places hold the same object, since a change of one then is one of the other.
    """
    return _seen(value, {})


def _seen(value: object, known: dict[int, int]) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return type(value).__name__, value
    if id(value) in known:
        return "again", known[id(value)]
    known[id(value)] = len(known)
    if isinstance(value, dict):
        return "dict", tuple((_seen(key, known), _seen(item, known)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return type(value).__name__, tuple(_seen(item, known) for item in value)
    if isinstance(value, set | frozenset):
        return "set", tuple(sorted(repr(_seen(item, known)) for item in value))
    if isinstance(value, random.Random):
        return "random", value.getstate()
    attributes = getattr(value, "__dict__", None)
    if attributes is None:
        return type(value).__name__, repr(value)
    parts = {name: part for name, part in attributes.items() if name not in NOT_STATE}
    return type(value).__name__, tuple((name, _seen(part, known)) for name, part in parts.items())
