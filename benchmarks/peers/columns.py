"""The five columns: what is asked of an executor in one turn, and what is looked at.

This module runs in each peer's environment and must import nothing but the standard library. It
knows no executor: an adapter gets functions and a script, and returns what runs one turn.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.peers import tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COLUMNS = ("cpu", "sleep", "order", "failure", "timeout")
PROCESSES = 2
"""How many bare processes are the floor of ``cpu``, and how many processors we get."""

GRACE = 0.4
"""How many seconds late a call's file may come on a busy machine."""


@dataclass(frozen=True)
class Sizes:
    """How much is asked for; times in seconds."""

    burns: int = 4
    burn: float = 1.0
    dozes: int = 40
    doze: float = 0.5
    orders: int = 5
    write: float = 0.1
    steps: int = 4
    limit: float = 0.3
    late: float = 1.5


QUICK = Sizes(burn=0.02, dozes=8, doze=0.05, orders=2, write=0.05, limit=0.15, late=0.4)
"""To see that it works; the times say nothing."""


@dataclass(frozen=True)
class Call:
    """One call that the model asks for."""

    id: str
    function: str
    arguments: dict[str, Any]


class Script:
    """What the fake model says, and what it was told: one turn with calls, then an answer."""

    def __init__(self) -> None:
        self.told: str | None = None
        """The request after the calls; ``None`` while there was none."""
        self.told_at: float | None = None
        self.left = ""
        """What a run that failed leaves to whoever started it, in any form."""
        self._calls: list[Call] = []
        self._asked = False
        self._count = 0

    def begin(self, calls: Sequence[tuple[Callable[..., Any], dict[str, Any]]]) -> None:
        """Make these the calls of the next turn."""
        self.told, self.told_at, self.left, self._asked = None, None, "", False
        self._calls = []
        for function, arguments in calls:
            self._count += 1  # an id is never used again, whatever a conversation remembers
            self._calls.append(Call(f"call{self._count:03}", function.__name__, arguments))

    def request(self, text: str) -> Sequence[Call]:
        """The model is asked: the calls the first time, and nothing once it has their results.

        ``text`` is the whole request in any form in which results can be found.
        """
        if not self._asked:
            self._asked = True
            return self._calls
        if self.told is None:
            self.told, self.told_at = text, time.perf_counter()
        return ()

    def heard(self, result: str) -> bool:
        """Whether a result has reached the model."""
        return self.told is not None and result in self.told


@dataclass(frozen=True)
class Setup:
    """What an adapter sets up: its functions, the model, and how.

    ``limit`` is each call's time limit in seconds, if it is to have one. ``option`` asks for the
    setting that the executor offers for this column, which the table of peers names.
    """

    functions: Sequence[Callable[..., Any]]
    script: Script
    column: str
    limit: float | None = None
    option: bool = False


class NoLimitError(Exception):
    """The executor offers no time limit for a call of a synchronous function."""


class Adapter(Protocol):
    """Sets an executor up; what it returns runs one turn, from the user's message to the answer.

    It may be run several times. Raises ``NoLimitError`` for a limit that the executor doesn't offer,
    and whatever the executor itself raises.
    """

    def __call__(self, setup: Setup) -> Callable[[], object]: ...


def measure(column: str, adapter: Adapter, folder: Path, sizes: Sizes, *, option: bool) -> dict[str, Any]:
    """One column's outcome, as JSON has it."""
    return _MEASURES[column](adapter, folder, sizes, option)


def _cpu(adapter: Adapter, _folder: Path, sizes: Sizes, option: bool) -> dict[str, Any]:
    script = Script()
    run = adapter(Setup([tasks.burn], script, "cpu", option=option))
    rounds = tasks.rounds_in(sizes.burn)
    turn = [(tasks.burn, {"number": number, "rounds": rounds}) for number in range(1, sizes.burns + 1)]
    _warmed(run, script, [(function, arguments | {"rounds": 1}) for function, arguments in turn])
    numbers = range(1, sizes.burns + 1)
    with _Bare() as bare:
        before = bare.seconds(numbers, rounds)
        began = time.perf_counter()
        results = [function(**arguments) for function, arguments in turn]
        serial = time.perf_counter() - began
        together, ended = _turn(run, script, turn)
        after = bare.seconds(numbers, rounds)
    return {
        "serial": serial,
        "together": together,
        "floors": [before, after],
        "ended": ended,
        "complete": all(map(script.heard, results)),
    }


def _sleep(adapter: Adapter, _folder: Path, sizes: Sizes, option: bool) -> dict[str, Any]:
    script = Script()
    run = adapter(Setup([tasks.doze], script, "sleep", option=option))
    turn = [(tasks.doze, {"number": number, "seconds": sizes.doze}) for number in range(1, sizes.dozes + 1)]
    _warmed(run, script, [(tasks.doze, {"number": 0, "seconds": 0.0})])
    seconds, ended = _turn(run, script, turn)
    complete = all(script.heard(tasks.dozed(number)) for number in range(1, sizes.dozes + 1))
    return {"seconds": seconds, "sleep": sizes.doze, "ended": ended, "complete": complete}


def _order(adapter: Adapter, folder: Path, sizes: Sizes, option: bool) -> dict[str, Any]:
    script = Script()
    run = adapter(Setup([tasks.write, tasks.read], script, "order", option=option))
    reads: list[str | None] = []
    ended = "answered"
    for number in range(1, sizes.orders + 1):
        path = folder / f"value{number}.txt"
        path.write_text("old", encoding="utf-8")
        stored = {"number": number, "path": str(path), "text": "new", "seconds": sizes.write}
        turn = [(tasks.write, stored), (tasks.read, {"number": number, "path": str(path)})]
        _, ended = _turn(run, script, turn)
        seen = [text for text in ("old", "new") if script.heard(tasks.found(number, text))]
        reads.append(seen[0] if len(seen) == 1 else None)
    return {"reads": reads, "ended": ended}


def _failure(adapter: Adapter, _folder: Path, sizes: Sizes, option: bool) -> dict[str, Any]:
    script = Script()
    run = adapter(Setup([tasks.step], script, "failure", option=option))
    numbers = range(1, sizes.steps + 1)
    _, ended = _turn(run, script, [(tasks.step, {"number": number}) for number in numbers])
    good = [number for number in numbers if number != tasks.FAILING]
    return {
        "ended": ended,
        "wanted": len(good),
        "kept": sum(script.heard(tasks.stepped(number)) for number in good),
        "left": sum(tasks.stepped(number) in script.left for number in good),
    }


def _timeout(adapter: Adapter, folder: Path, sizes: Sizes, option: bool) -> dict[str, Any]:
    script = Script()
    outcome: dict[str, Any] = {"limit": sizes.limit, "late": sizes.late, "offered": True, "refused": None}
    try:
        run = adapter(Setup([tasks.late], script, "timeout", limit=sizes.limit, option=option))
    except NoLimitError:
        run = adapter(Setup([tasks.late], script, "timeout", option=option))
        outcome["offered"] = False
    except Exception as error:
        return outcome | {"refused": _described(error)}
    _warmed(run, script, [(tasks.late, {"path": str(folder / "early.txt"), "seconds": 0.0})])
    path = folder / "late.txt"
    path.unlink(missing_ok=True)
    began = time.perf_counter()
    seconds, ended = _turn(run, script, [(tasks.late, {"path": str(path), "seconds": sizes.late})])
    # The model hears of it, or whoever asked: what comes first is the report.
    reported = seconds if script.told_at is None else script.told_at - began
    # A file that isn't there a while later won't be.
    time.sleep(max(0.0, began + sizes.late + GRACE - time.perf_counter()))
    return outcome | {
        "reported": reported,
        "seconds": seconds,
        "ended": ended,
        "begun": tasks.begun(str(path)).exists(),
        "file": path.exists(),
    }


_MEASURES: dict[str, Callable[[Adapter, Path, Sizes, bool], dict[str, Any]]] = {
    "cpu": _cpu,
    "sleep": _sleep,
    "order": _order,
    "failure": _failure,
    "timeout": _timeout,
}


def _turn(run: Callable[[], object], script: Script, turn: Sequence[Any]) -> tuple[float, str]:
    """How long one turn took, and how it ended: an executor's exception is an outcome."""
    script.begin(turn)
    began = time.perf_counter()
    try:
        run()
        ended = "answered"
    except Exception as error:
        ended = _described(error)
    return time.perf_counter() - began, ended


def _warmed(run: Callable[[], object], script: Script, turn: Sequence[Any]) -> None:
    """A turn before the one that counts: what is imported or started once is there."""
    _turn(run, script, turn)


def _described(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".split("\n", 1)[0].rstrip()[:300]


class _Bare:
    """Processes with nothing in them but ``burn``, which are up and wait."""

    def __enter__(self) -> _Bare:
        command = [sys.executable, "-m", tasks.__name__]
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
            for _ in range(PROCESSES)
        ]
        self.seconds(range(PROCESSES), 1)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.communicate()

    def seconds(self, numbers: Sequence[int], rounds: int) -> float:
        """How long these calls take, shared evenly."""
        began = time.perf_counter()
        shares = [numbers[index :: len(self._processes)] for index in range(len(self._processes))]
        for process, share in zip(self._processes, shares, strict=True):
            assert process.stdin is not None
            process.stdin.write("".join(f"{number} {rounds}\n" for number in share))
        for process, share in zip(self._processes, shares, strict=True):
            assert process.stdout is not None
            for _ in share:
                process.stdout.readline()
        return time.perf_counter() - began


def main(adapter: Adapter, version: str) -> None:
    """The program of every adapter: measure one column and print one line of JSON."""
    parser = argparse.ArgumentParser(description="One column of one peer, in the peer's environment.")
    parser.add_argument("column", choices=COLUMNS)
    parser.add_argument("folder", type=Path, help="an empty folder for what is written")
    parser.add_argument("--option", action="store_true", help="with the setting that the peer offers for it")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    sizes = QUICK if given.quick else Sizes()
    with redirect_stdout(sys.stderr):  # executors print what they do
        outcome = measure(given.column, adapter, given.folder, sizes, option=given.option)
    line = {"column": given.column, "option": given.option, "version": version, "outcome": outcome}
    print(json.dumps(line), flush=True)
