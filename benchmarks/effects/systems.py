"""The stateful systems and the tasks on them: their code, their start states, and what of a state can be seen.

The published systems are in a package of thirty dependencies, of which these modules need
one; so it is installed without them into a folder that is deleted at the end, unless it is
installed here already. Nothing of it is copied.
"""

from __future__ import annotations

import ast
import importlib
import random
import sys
import tempfile
import tomllib
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.environments import NotInstalledError, installed_by
from benchmarks.questions import DataMissing, json_of
from llmorch import function, stateful

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

FOLDER = "bfcl_multi_turn"
PUBLISHED = "the form is that of https://github.com/ShishirPatil/gorilla (BFCL, multi_turn_base)"
PACKAGES = ("bfcl-eval==2026.3.23", "mpmath==1.3.0")
_BY_HAND = f"by hand: pip install --no-deps {' '.join(PACKAGES)}"
_CODE = "bfcl_eval.eval_checker.multi_turn_eval.func_source_code"
MODULES: Mapping[str, str] = {
    "GorillaFileSystem": f"{_CODE}.gorilla_file_system",
    "MathAPI": f"{_CODE}.math_api",
    "MessageAPI": f"{_CODE}.message_api",
    "TicketAPI": f"{_CODE}.ticket_api",
    "TradingBot": f"{_CODE}.trading_bot",
    "TravelAPI": f"{_CODE}.travel_booking",
    "TwitterAPI": f"{_CODE}.posting_api",
    "VehicleControlAPI": f"{_CODE}.vehicle_control",
}
"""Where the class of each system is."""
DECLARED: Mapping[str, Mapping[str, str]] = tomllib.loads(
    Path(__file__).with_name("declared.toml").read_text(encoding="utf-8")
)
NOT_STATE = frozenset({"_last_modified", "_flight_cost_lookup"})
"""What no call shows: the time of a file's last change, and a cache that is filled before each look."""


@dataclass(frozen=True)
class TracedCall:
    """One call of a trace: a method, and its arguments as literals."""

    method: str
    text: str
    """As it is written after the method's name: ``(folder='a')``."""
    positional: tuple[Any, ...]
    named: Mapping[str, Any]

    @classmethod
    def of(cls, written: str) -> TracedCall:
        """Raises ``ValueError`` for what is no call with literal arguments."""
        try:
            call = ast.parse(written, mode="eval").body
        except (SyntaxError, TypeError, RecursionError, MemoryError):
            call = None
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError(f"{written!r} is not a call")
        return cls(
            call.func.id,
            f"({', '.join(ast.unparse(part) for part in (*call.args, *call.keywords))})",
            tuple(ast.literal_eval(argument) for argument in call.args),
            {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in call.keywords},
        )


@dataclass(frozen=True)
class Task:
    """A conversation: its systems by class name, with their start states, and its turns."""

    id: str
    systems: Mapping[str, Mapping[str, Any]]
    turns: Sequence[Sequence[TracedCall]]

    def started(self, classes: Mapping[str, type[Any]]) -> dict[str, Any]:
        """The systems as they are before the first turn. Raises ``DataMissing``."""
        systems = {}
        for name, start in self.systems.items():
            systems[name] = classes[name]()
            if hasattr(systems[name], "_load_scenario"):  # one without a state has nothing to load
                try:
                    systems[name]._load_scenario(deepcopy(dict(start)))
                except Exception as error:  # a system's own, of a state that is none of its
                    reason = f"{type(error).__name__}: {error}"
                    raise DataMissing(f"{self.id}: the start state of {name} is none: {reason}") from None
        return systems


def tasks(data: Path) -> list[Task]:
    """Every task of the folder below ``data``. Raises ``DataMissing``."""
    folder = data / FOLDER
    cases, traces = (json_of(folder / name, PUBLISHED) for name in ("cases.json", "traces.json"))
    made = []
    try:
        turns = {str(trace.get("id")): trace.get("ground_truth") for trace in traces}
        for case in cases:
            starts = case.get("initial_config", {})
            systems = {name: dict(starts.get(name, {})) for name in case["involved_classes"]}
            calls = [[TracedCall.of(call) for call in turn] for turn in turns[str(case["id"])]]
            made.append(Task(str(case["id"]), systems, calls))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise DataMissing(f"{folder}: task {len(made) + 1}: {reason}; {PUBLISHED}") from None
    if not any(len(turn) > 1 for task in made for turn in task.turns):
        raise DataMissing(f"{folder}: no turn has two calls; {PUBLISHED}")
    return made


@contextmanager
def installed(names: Collection[str]) -> Iterator[Mapping[str, type[Any]]]:
    """The classes of these systems, with their effects declared. Raises ``DataMissing``."""
    if unknown := set(names) - set(MODULES):
        raise DataMissing(
            f"there is no system {min(unknown)!r}; there are {', '.join(MODULES)}. A further one needs a line in "
            "benchmarks/effects/systems.py and its effects in declared.toml"
        )
    if not names or find_spec("bfcl_eval") is not None:
        yield {name: _class(name) for name in names}
        return
    with tempfile.TemporaryDirectory(prefix="llmorch-systems-") as folder:
        try:
            installed_by(sys.executable, "--no-deps", "--no-compile", "--target", folder, *PACKAGES)
        except NotInstalledError as error:
            raise DataMissing(f"the systems' code can't be installed: {error}; {_BY_HAND}") from None
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        try:
            yield {name: _class(name) for name in names}
        finally:
            sys.path.remove(folder)


def _class(name: str) -> type[Any]:
    """A system's class with its effects declared, from outside."""
    try:
        system: type[Any] = getattr(importlib.import_module(MODULES[name]), name)
    except (ImportError, AttributeError) as error:
        raise DataMissing(f"the code of {name} can't be loaded: {error}; {_BY_HAND}") from None
    stateful(system)
    for method, said in DECLARED[name].items():
        if method in vars(system):  # another version of the package may have others
            effects: dict[str, Any] = {"effects": "none"}
            if said != "none":
                parts = [[f"{{self}}/{part}" for part in side.split()] for side in f"{said} >".split(">")]
                effects = {"reads": parts[0], "writes": parts[1]}
            function(**effects)(getattr(system, method))
    return system


def seen(value: object, known: dict[int, int] | None = None) -> Any:
    """All that a later call could show of a value, as plain tuples that can be compared.

    The order of a mapping's keys is part of it, since a listing shows it, and so is whether
    two places hold the same object, since a change of one then is one of the other.
    """
    if value is None or isinstance(value, str | int | float | bool):
        return type(value).__name__, value
    known = {} if known is None else known
    if id(value) in known:
        return "again", known[id(value)]
    known[id(value)] = len(known)
    if isinstance(value, dict):
        return "dict", tuple((seen(key, known), seen(item, known)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return type(value).__name__, tuple(seen(item, known) for item in value)
    if isinstance(value, set | frozenset):
        return "set", tuple(sorted(repr(seen(item, known)) for item in value))
    if isinstance(value, random.Random):
        return "random", value.getstate()
    attributes = getattr(value, "__dict__", None)
    if attributes is None:
        return type(value).__name__, repr(value)
    parts = {name: part for name, part in attributes.items() if name not in NOT_STATE}
    return type(value).__name__, tuple((name, seen(part, known)) for name, part in parts.items())
