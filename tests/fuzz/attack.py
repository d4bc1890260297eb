"""Inputs by the thousand, each put to its targets: what was raised that should not have been, what took long or much.

Input ``n`` of a seed is the same in every run, so that one that failed can be made alone.
"""

from __future__ import annotations

import signal
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from llmorch.declare.text import message_of
from tests.fuzz.grammar import json_input, plan_input
from tests.fuzz.targets import JSON_TARGETS, PLAN_TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Target = Callable[[str, Random], Iterator[None]]

SECONDS = 0.5
"""Of one core, for any input of up to 100 kB and any target."""
MEGABYTES = 200
_JSON = 0.15
"""The share of inputs that are JSON."""
_ENDLESS = 10.0
"""Seconds after which a target is taken to go on for ever."""
_TARGETS = 3
"""Of a plan's: more inputs find more than more targets for each."""
_SHRINKING = 20.0
"""Seconds that are taken to make an input small that failed."""


class Stuck(BaseException):
    """A target that doesn't come to an end; no code that is tried takes it for an error of its own."""


@dataclass(frozen=True)
class Failure:
    """One input, and what it came to that it should not have."""

    seed: int
    number: int
    target: str
    reason: str
    text: str
    detail: str = ""
    """Where it was raised, if it was."""

    @property
    def kind(self) -> tuple[str, str, str]:
        """What failures of one cause have in common."""
        return self.target, self.reason.partition(":")[0], self.detail.rstrip().rpartition("\n")[2]

    def __str__(self) -> str:
        text = (
            repr(self.text) if len(self.text) <= 1_000 else f"{self.text[:500]!r} ... of {len(self.text):,}"
        )
        at = f"input {self.number} of seed {self.seed}, {self.target}"
        return f"{at}: {self.reason}\n  {text}\n{self.detail}"


@dataclass
class Report:
    """What came of it."""

    inputs: int = 0
    seconds: float = 0.0
    characters: int = 0
    failures: list[Failure] = field(default_factory=list)
    slowest: tuple[float, str, int, int] = (0.0, "", 0, 0)
    """Seconds, target, number of the input, and its characters."""
    peak: tuple[float, int, int] = (0.0, 0, 0)
    """Megabytes more than before the first input, number of the input, and its characters."""

    def __str__(self) -> str:
        seconds, target, number, size = self.slowest
        megabytes, at, length = self.peak
        return (
            f"{self.inputs:,} inputs, {self.characters / 1e6:,.1f} million characters, in {self.seconds:.1f} s: "
            f"{len(self.failures)} failed\n"
            f"slowest: {seconds:.3f} s, {target} of input {number:,}, {size:,} characters\n"
            f"peak memory: {megabytes:.0f} MB more, input {at:,}, {length:,} characters"
        )


def made(seed: int, number: int) -> tuple[str, tuple[Target, ...]]:
    """One input, and what is to read it."""
    random = Random(f"{seed} {number}")
    if random.random() < _JSON:
        return json_input(random), JSON_TARGETS
    text = plan_input(random)
    return text, tuple(random.sample(PLAN_TARGETS, _TARGETS))


def attack(
    seed: int, numbers: Iterable[int], *, most_seconds: float = float("inf"), failures: int = 20
) -> Report:
    """Put inputs to their targets, until there are none, the time is over, or so many have failed."""
    report, begun = Report(), time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a model's text is worth no warning to the user
        before = _peak()
        for number in numbers:
            text, targets = made(seed, number)
            for target in targets:
                seconds, failure = tried(target, text, seed, number)
                if failure is not None and failure.kind not in {other.kind for other in report.failures}:
                    report.failures.append(shrunk(failure, target))
                report.slowest = max(report.slowest, (seconds, target.__name__, number, len(text)))
            more = _peak() - before
            if more > report.peak[0]:
                if more > MEGABYTES >= report.peak[0]:
                    reason = f"{more:.0f} MB more than before"
                    report.failures.append(Failure(seed, number, "memory", reason, text))
                report.peak = (more, number, len(text))
            report.inputs += 1
            report.characters += len(text)
            report.seconds = time.monotonic() - begun
            if report.seconds > most_seconds or len(report.failures) >= failures:
                break
    return report


def tried(target: Target, text: str, seed: int, number: int) -> tuple[float, Failure | None]:
    """How long a target took to read once, and what it raised. What takes long is tried again: machines are shared."""
    seconds = float("inf")
    signal.signal(signal.SIGPROF, _stop)
    for _ in range(4):
        random, longest, begun = Random(f"{seed} {number} {target.__name__}"), 0.0, time.process_time()
        try:
            signal.setitimer(signal.ITIMER_PROF, _ENDLESS)
            for _ in target(text, random):
                begun, before = time.process_time(), begun
                longest = max(longest, begun - before)
        except BaseException as error:  # hostile values raise SystemExit, too
            if isinstance(error, KeyboardInterrupt):
                raise
            where = traceback.extract_tb(error.__traceback__)[1:][-6:]
            detail = "".join(f"  {Path(one.filename).name}:{one.lineno} {one.line}\n" for one in where)
            reason = f"{type(error).__name__}: {message_of(error)[:300]}"
            return 0.0, Failure(seed, number, target.__name__, reason, text, detail)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        seconds = min(seconds, max(longest, time.process_time() - begun))
        if seconds <= SECONDS:
            return seconds, None
    return seconds, Failure(seed, number, target.__name__, f"{seconds:.2f} s", text)


def _stop(*_: object) -> None:
    raise Stuck(f"more than {_ENDLESS:.0f} s")


def shrunk(failure: Failure, target: Target) -> Failure:
    """The same failure of a shorter text, if leaving pieces out leads to one soon."""
    until = time.monotonic() + _SHRINKING
    text, size = failure.text, len(failure.text) // 2
    if not failure.detail:
        return failure  # of what takes long a half takes half as long
    while size:
        at = 0
        while at < len(text) and time.monotonic() < until:
            shorter = text[:at] + text[at + size :]
            _, again = tried(target, shorter, failure.seed, failure.number)
            if again is not None and again.kind == failure.kind:
                text, failure = shorter, again
            else:
                at += size
        size //= 2
    return failure


def _peak() -> float:
    """Megabytes that this process has had at once."""
    for line in Path("/proc/self/status").read_text().split("\n"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
