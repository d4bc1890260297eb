"""The runs of a benchmark as JSON lines: written as each ends, read to go on after an interruption."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, astuple, dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Job:
    """One run that is to be made: everything that tells it from another."""

    benchmark: str
    technique: str
    policy: str
    model: str
    processors: int
    question: str
    asked: str
    """A digest of the question's text, what is right, and the delay: where one of them differs, it is another job.

    The pages and files that functions look things up in are not in it.
    """
    repeat: int

    @property
    def key(self) -> tuple[Any, ...]:
        return astuple(self)


@dataclass(frozen=True)
class Run:
    """What one run came to; times in seconds, and of a run without an answer none is a latency."""

    job: Job
    status: str
    right: bool
    seconds: float
    """From the query to the answer."""
    began: str
    """Date and time, in UTC."""
    answer: str = ""
    error: str | None = None
    executing: float = 0.0
    """Of the seconds, how long at least one call ran."""
    model_seconds: float = 0.0
    lower_bound: float = 0.0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    errors: int = 0
    """Calls that failed."""
    recoveries: int = 0
    plan: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    model_failed: bool = False
    """Whether a ``ModelError`` ended it: a failure now, but not done, so it is made again later."""

    @property
    def answered(self) -> bool:
        return self.status == "answered"


class Runs:
    """A file of runs, of which a job's last line counts.

    A line that is none is dropped: a killed program left it half written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._runs: dict[tuple[Any, ...], Run] = {}
        for line in path.read_bytes().split(b"\n") if path.exists() else ():
            if run := _read(line):
                self._runs[run.job.key] = run

    @property
    def all(self) -> list[Run]:
        """One run a job, in the order in which they were first made."""
        return list(self._runs.values())

    def get(self, job: Job) -> Run | None:
        """What is recorded of a job, done or not."""
        return self._runs.get(job.key)

    def __contains__(self, job: Job) -> bool:
        """Whether a job is done."""
        run = self.get(job)
        return run is not None and not run.model_failed

    def add(self, run: Run) -> None:
        """Keep a run, in memory and in the file."""
        self._runs[run.job.key] = run
        append(self.path, asdict(run))


def append(path: Path, record: dict[str, Any]) -> None:
    """Add a line to a file of JSON lines, whose last one an interruption may have left half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write(("" if whole else "\n") + json.dumps(record) + "\n")


def _read(line: bytes) -> Run | None:
    try:
        data = json.loads(line.decode())
        known = {item.name for item in fields(Run)}
        run = Run(
            **{name: value for name, value in data.items() if name in known} | {"job": Job(**data["job"])}
        )
        hash(run.job.key)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return run


class Progress:
    """Says how far a benchmark is, a line a step on standard error, with the time that is left."""

    def __init__(self, name: str) -> None:
        self._name, self._began, self._first = name, time.monotonic(), 0

    def told(self, done: int, total: int, run: Run | None) -> None:
        """One run more is done, or at the start, with no run, those of an earlier time."""
        if run is None:
            self._first = done
            if done:
                print(f"{self._name}: {done} of {total} runs are recorded already", file=sys.stderr)
            return
        mark = "right" if run.right else "wrong" if run.answered else "FAILED"
        what = f"{run.job.technique:<12} p={run.job.processors} {run.job.question[:24]:<24} {mark:<6}"
        self.counted(done, total, f"{what} {run.seconds:6.1f} s")

    def counted(self, done: int, total: int, what: str) -> None:
        """One thing more is done, and what came of it."""
        each = (time.monotonic() - self._began) / (done - self._first)
        hours, rest = divmod(round(each * (total - done)), 3600)
        left = f"{hours}:{rest // 60:02}:{rest % 60:02}"
        print(f"{self._name} {done}/{total}  {what}  left {left}", file=sys.stderr, flush=True)
