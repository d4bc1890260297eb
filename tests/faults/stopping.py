"""Calls that run past a limit, crash, eat memory or are cancelled: how soon each is over, and what is left."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from llmorch import Orchestrator
from llmorch.testing import ScriptedModel
from tests.faults import doomed
from tests.faults.wanted import Wanted, digits, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmorch import Result, Run

SOON = 0.3
"""Seconds after a limit in which a call has to be over."""
CASES = {
    "past their timeout": (("write_late",), 500, 16),
    "segmentation faults": (("crash",), 100, 6),
    "past their memory": (("eat",), 100, 6),
    "cancelled at random": (("cancelled_computing", "cancelled_waiting"), 100, 8),
}
"""Functions whose calls are stopped, how many calls, and how many in a quick run."""
OTHERS = 4
"""One call in so many is of ``square`` or ``double``, and nothing may happen to it."""
PROCESSORS = 2
SHARED = Path("/dev/shm")


@dataclass
class Outcome:
    """What became of one case's calls."""

    name: str
    calls: int
    stopped: int = 0
    late: list[float] = field(default_factory=list)
    """Seconds from when each was to be over to when it was."""
    right: int = 0
    others: int = 0
    effects: int = 0
    processes: int = 0
    shared: int = 0

    @property
    def left(self) -> int:
        return self.effects + self.processes + self.shared


def report(count: int | None = None, seed: int = 0) -> str:
    """Every case after the other."""
    outcomes = [measured(name, quick=count is not None, seed=seed) for name in CASES]
    return table(_COLUMNS, outcomes, wanted(outcomes))


def measured(name: str, *, quick: bool, seed: int = 0) -> Outcome:
    """Run one case."""
    names, count, few = CASES[name]
    outcome = Outcome(name, few if quick else count)
    with tempfile.TemporaryDirectory(prefix="llmorch-") as folder:
        for part in ("due", "effects"):
            (Path(folder) / part).mkdir()
        others = _processes(folder)
        asyncio.run(_played(outcome, names, folder, random.Random(seed)))
        outcome.effects = len(list((Path(folder) / "effects").iterdir()))
        outcome.processes = len(_processes(folder) - others)
        outcome.shared = len(list(SHARED.glob(f"{Path(folder).name}-*")))
    return outcome


async def _played(outcome: Outcome, names: Sequence[str], folder: str, chance: random.Random) -> None:
    plan, doomed_calls = _plan(outcome.calls, names, folder)
    over: dict[str, float] = {}
    started: dict[str, float] = {}

    def observe(message: Any, at: float) -> None:
        kind = type(message).__name__
        if kind == "Dispatch":
            started[message.call] = time.monotonic()
        elif kind in ("CallFailed", "CallCancelled", "CallCompleted"):
            over[message.call] = time.monotonic()

    model = ScriptedModel([])
    async with Orchestrator(
        doomed.FUNCTIONS, model=model, processors=PROCESSORS, optimize=False
    ) as orchestrator:
        run = orchestrator.start_plan(plan, observer=observe)
        due: dict[str, float] = {}
        if names[0].startswith("cancelled"):
            due = await _cancel(run, doomed_calls, started, chance)
        result = await run
        if "write_late" in names:  # whoever was not stopped would have its effect by then
            await asyncio.sleep(doomed.SLEEP - doomed.TIMEOUT)
    due |= _due(folder, doomed_calls)
    outcome.stopped = sum(result.calls[call].status in ("failed", "cancelled") for call in doomed_calls)
    outcome.late = [over[call] - due[call] for call in doomed_calls if call in due]
    _check_others(outcome, result, doomed_calls)


def _plan(count: int, names: Sequence[str], folder: str) -> tuple[str, dict[str, str]]:
    """A plan of independent calls; those that are stopped by their ids, with what they note themselves as."""
    lines, doomed_calls = [], {}
    for number in range(count):
        name = names[number % len(names)]
        doomed_calls[f"s{len(lines) + 1}"] = f"{name} {number}"
        lines.append(f"s{len(lines) + 1} = {name}(folder={folder!r}, number={number})")
        if number % OTHERS == 0:
            other = ("square", "double")[number // OTHERS % 2]
            lines.append(f"s{len(lines) + 1} = {other}(number={number})")
    return "\n".join(lines), doomed_calls


async def _cancel(
    run: Run, calls: dict[str, str], started: dict[str, float], chance: random.Random
) -> dict[str, float]:
    """Cancel every call at some time after its start; when each was."""
    due = {}
    after = {call: chance.uniform(0.0, 0.4) for call in calls}
    while len(due) < len(calls):
        await asyncio.sleep(0.002)
        for call in calls:
            if call not in due and call in started and time.monotonic() > started[call] + after[call]:
                due[call] = time.monotonic()
                run.cancel(call)
    return due


def _due(folder: str, calls: dict[str, str]) -> dict[str, float]:
    files = {call: Path(folder) / "due" / name for call, name in calls.items()}
    noted = {call: file.read_text() for call, file in files.items() if file.exists()}
    return {call: float(text) for call, text in noted.items() if text}  # it may be stopped before it is noted


def _check_others(outcome: Outcome, result: Result, calls: dict[str, str]) -> None:
    for record in result.calls:
        if record.id not in calls:
            number = result.plan[record.id].args["number"].value
            outcome.others += 1
            outcome.right += (
                record.result == {"square": number * number, "double": 2 * number}[record.function]
            )


def _processes(folder: str) -> set[str]:
    """The processes that functions started, or that run them for this one."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text(errors="replace")
        except OSError:  # it has just ended
            continue
        if folder in command or f", {os.getpid()}, " in command:
            found.add(process.name)
    return found


_COLUMNS: dict[str, Callable[[Outcome], object]] = {
    "calls": lambda one: one.name,
    "": lambda one: one.calls,
    "stopped": lambda one: one.stopped,
    "over after its limit, ms: median": lambda one: digits(1000 * median(one.late)),
    "95 %": lambda one: digits(1000 * quantiles(one.late, n=20, method="inclusive")[-1]),
    "longest": lambda one: digits(1000 * max(one.late)),
    "other calls right": lambda one: f"{one.right} of {one.others}",
    "files": lambda one: one.effects,
    "processes": lambda one: one.processes,
    "shared memory": lambda one: one.shared,
}


def wanted(outcomes: Sequence[Outcome]) -> list[Wanted]:
    """Each over soon, and nothing left of it."""
    calls, others = sum(one.calls for one in outcomes), sum(one.others for one in outcomes)
    stopped, right = sum(one.stopped for one in outcomes), sum(one.right for one in outcomes)
    late = [
        Wanted(
            one.name,
            f"{len(one.late)} calls, from its limit to its end",
            [1000 * seconds for seconds in one.late],
            at_most=1000 * SOON,
            unit="ms",
        )
        for one in outcomes
    ]
    left = [sum(one.left for one in outcomes)]
    return [
        *late,
        Wanted("stopped", f"of {calls} calls", [stopped], at_least=calls),
        Wanted("left behind", "files, processes and shared memory", left, at_most=0),
        Wanted("other calls right", "share", [right / others], at_least=1.0),
    ]
