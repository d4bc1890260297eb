"""Tasks on stateful systems: the systems' start states, and which calls each turn makes.

Knows the form of the files; the systems themselves, and what a call does, are elsewhere.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.questions import DataMissing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FOLDER = "bfcl_multi_turn"
PUBLISHED = "https://github.com/ShishirPatil/gorilla (Berkeley Function Calling Leaderboard, multi_turn_base)"


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


def tasks(data: Path) -> list[Task]:
    """Every task of the folder below ``data``. Raises ``DataMissing``."""
    cases, traces = (_read(data / FOLDER / name) for name in ("cases.json", "traces.json"))
    turns: dict[str, Any] = {str(trace.get("id")): trace.get("ground_truth") for trace in traces}
    made = []
    for place, case in enumerate(cases, 1):
        try:
            starts = case.get("initial_config", {})
            made.append(
                Task(
                    str(case["id"]),
                    {name: dict(starts.get(name, {})) for name in case["involved_classes"]},
                    [[TracedCall.of(call) for call in turn] for turn in turns[str(case["id"])]],
                )
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else error
            raise _missing(data / FOLDER, f"task {place}: {reason}") from None
    if not any(len(turn) > 1 for task in made for turn in task.turns):
        raise _missing(data / FOLDER, "no turn has two calls")
    return made


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataMissing(f"{path} can't be read ({error}); it is published at {PUBLISHED}") from None
    if not isinstance(found, list) or not found or not all(isinstance(item, dict) for item in found):
        raise _missing(path, "it is not a list of objects")
    return found


def _missing(path: Path, reason: str) -> DataMissing:
    return DataMissing(f"{path}: {reason}; the form is that of {PUBLISHED}")
