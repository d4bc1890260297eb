"""The five columns: what is asked of an executor in one turn, and what is looked at.

This module runs in each peer's environment and must import nothing but the standard library. It
knows no executor: an adapter gets functions and a script, and returns what runs one turn.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.bare import rounds_in
from benchmarks.peers import tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Outcome = dict[str, Any]
    Turn = Sequence[tuple[Callable[..., Any], dict[str, Any]]]

PROCESSES = 2
"""How many bare processes are the floor of ``cpu``, and how many processors we get."""
GRACE = 0.4  # seconds that a call's file may come late on a busy machine


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
        self._asked, self._count = False, 0

    def begin(self, calls: Turn) -> None:
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

    def heard(self, what: str, number: int, value: object = "") -> bool:
        """Whether the result of a call has reached the model."""
        return self.told is not None and tasks.said(what, number, value) in self.told


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


class Measuring:
    """Measures one column's outcome, as JSON has it.

    ``adapter`` sets an executor up; what it returns runs one turn, from the user's message to the answer, and may
    be run several times. It raises ``NoLimitError`` for a limit that the executor doesn't offer.
    """

    def __init__(
        self, adapter: Callable[[Setup], Callable[[], object]], folder: Path, sizes: Sizes, *, option: bool
    ) -> None:
        self._adapter, self._folder, self._sizes, self._option = adapter, folder, sizes, option
        self._script = Script()
        self._run: Callable[[], object] = lambda: None

    def _set_up(self, column: str, *functions: Callable[..., Any], limit: float | None = None) -> Script:
        setup = Setup(functions, self._script, column, limit, self._option)
        self._run = self._adapter(setup)
        return self._script

    def _turn(self, turn: Turn) -> tuple[float, str]:
        """How long one turn took, and how it ended: an executor's exception is an outcome."""
        self._script.begin(turn)
        began = time.perf_counter()
        try:
            self._run()
            ended = "answered"
        except Exception as error:
            ended = _described(error)
        return time.perf_counter() - began, ended

    def cpu(self) -> Outcome:
        script = self._set_up("cpu", tasks.burn)
        numbers, rounds = range(1, self._sizes.burns + 1), rounds_in(self._sizes.burn)
        # What is imported or started once is there when the turn that counts begins.
        self._turn([(tasks.burn, {"number": number, "rounds": 1}) for number in numbers])
        with _Bare() as bare:
            before = bare.seconds(numbers, rounds)
            began = time.perf_counter()
            results = [tasks.burn(number, rounds) for number in numbers]
            serial = time.perf_counter() - began
            together, ended = self._turn(
                [(tasks.burn, {"number": number, "rounds": rounds}) for number in numbers]
            )
            floors = [before, bare.seconds(numbers, rounds)]
        complete = script.told is not None and all(result in script.told for result in results)
        times = {"serial": serial, "together": together, "floors": floors}
        return times | {"ended": ended, "complete": complete}

    def sleep(self) -> Outcome:
        script, seconds = self._set_up("sleep", tasks.doze), self._sizes.doze
        numbers = range(1, self._sizes.dozes + 1)
        self._turn([(tasks.doze, {"number": 0, "seconds": 0.0})])
        took, ended = self._turn([(tasks.doze, {"number": number, "seconds": seconds}) for number in numbers])
        complete = all(script.heard("dozed", number) for number in numbers)
        return {"seconds": took, "sleep": seconds, "ended": ended, "complete": complete}

    def order(self) -> Outcome:
        script = self._set_up("order", tasks.write, tasks.read)
        reads: list[str | None] = []
        ended = "answered"
        for number in range(1, self._sizes.orders + 1):
            path = self._folder / f"value{number}.txt"
            path.write_text("old", encoding="utf-8")
            there = {"number": number, "path": str(path)}
            stored = there | {"text": "new", "seconds": self._sizes.write}
            _, ended = self._turn([(tasks.write, stored), (tasks.read, there)])
            seen = [text for text in ("old", "new") if script.heard("found", number, text)]
            reads.append(seen[0] if len(seen) == 1 else None)
        return {"reads": reads, "ended": ended}

    def failure(self) -> Outcome:
        script = self._set_up("failure", tasks.step)
        numbers = range(1, self._sizes.steps + 1)
        _, ended = self._turn([(tasks.step, {"number": number}) for number in numbers])
        good = [number for number in numbers if number != tasks.FAILING]
        kept = sum(script.heard("stepped", number) for number in good)
        left = sum(tasks.said("stepped", number) in script.left for number in good)
        return {"ended": ended, "wanted": len(good), "kept": kept, "left": left}

    def timeout(self) -> Outcome:
        limit, late = self._sizes.limit, self._sizes.late
        outcome: Outcome = {"limit": limit, "late": late, "offered": True, "refused": None}
        try:
            script = self._set_up("timeout", tasks.late, limit=limit)
        except NoLimitError:
            script = self._set_up("timeout", tasks.late)
            outcome["offered"] = False
        except Exception as error:
            return outcome | {"refused": _described(error)}
        self._turn([(tasks.late, {"path": str(self._folder / "early.txt"), "seconds": 0.0})])
        path = self._folder / "late.txt"
        path.unlink(missing_ok=True)
        began = time.perf_counter()
        seconds, ended = self._turn([(tasks.late, {"path": str(path), "seconds": late})])
        # The model hears of it, or whoever asked: what comes first is the report.
        reported = seconds if script.told_at is None else script.told_at - began
        # A file that isn't there a while later won't be.
        time.sleep(max(0.0, began + late + GRACE - time.perf_counter()))
        there = {"begun": tasks.begun(str(path)).exists(), "file": path.exists()}
        return outcome | {"reported": reported, "seconds": seconds, "ended": ended} | there


COLUMNS = ("cpu", "sleep", "order", "failure", "timeout")
"""The methods of ``Measuring``."""


def _described(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".split("\n", 1)[0].rstrip()[:300]


class _Bare:
    """Processes with nothing in them but ``burn``, which are up and wait."""

    def __enter__(self) -> _Bare:
        command, pipe = [sys.executable, "-m", tasks.__name__], subprocess.PIPE
        options: Any = {"stdin": pipe, "stdout": pipe, "text": True, "bufsize": 1}
        self._processes: Any = [subprocess.Popen(command, **options) for _ in range(PROCESSES)]
        self.seconds(range(PROCESSES), 1)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.communicate()

    def seconds(self, numbers: Sequence[int], rounds: int) -> float:
        """How long these calls take, shared evenly."""
        began = time.perf_counter()
        shares = [numbers[index::PROCESSES] for index in range(PROCESSES)]
        for process, share in zip(self._processes, shares, strict=True):
            process.stdin.write("".join(f"{number} {rounds}\n" for number in share))
        for process, share in zip(self._processes, shares, strict=True):
            for _ in share:
                process.stdout.readline()
        return time.perf_counter() - began
