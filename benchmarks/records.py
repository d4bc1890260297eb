"""The runs of a benchmark as JSON lines: written as each ends, read to go on after an interruption."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

Key: TypeAlias = tuple[str, str, str, str, int, str, str, int]


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
    def key(self) -> Key:
        return (
            self.benchmark,
            self.technique,
            self.policy,
            self.model,
            self.processors,
            self.question,
            self.asked,
            self.repeat,
        )


@dataclass(frozen=True)
class Run:
    """What one run came to; times in seconds, and of a run without an answer none is a latency."""

    job: Job
    status: str
    right: bool
    answer: str
    error: str | None
    seconds: float
    """From the query to the answer."""
    executing: float
    """Of those, how long at least one call ran."""
    model_seconds: float
    lower_bound: float
    requests: int
    input_tokens: int
    output_tokens: int
    errors: int
    """Calls that failed."""
    recoveries: int
    began: str
    """Date and time, in UTC."""
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
        self._runs: dict[Key, Run] = {}
        if path.exists():
            for line in path.read_bytes().split(b"\n"):
                run = _read(line)
                if run is not None:
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
        run = self._runs.get(job.key)
        return run is not None and not run.model_failed

    def add(self, run: Run) -> None:
        """Keep a run, in memory and in the file."""
        self._runs[run.job.key] = run
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = not self.path.exists() or self.path.read_bytes()[-1:] in (b"", b"\n")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("" if whole else "\n") + json.dumps(asdict(run)) + "\n")


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
