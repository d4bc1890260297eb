"""How far a benchmark is: a bar with the time left on a terminal, a line a run elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from benchmarks.records import Run


class Progress:
    """Hears of every step of one benchmark; a context manager while it lasts."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar: Any = None
        self._task: Any = None
        self._began = time.monotonic()
        self._first = 0

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TimeElapsedColumn(),
                progress.TextColumn("left"),
                progress.TimeRemainingColumn(elapsed_when_finished=False),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(self._name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def told(self, done: int, total: int, run: Run | None) -> None:
        """One run more is done, or at the start, with no run, those of an earlier time."""
        if run is None:
            self._first = done
            self._moved(done, total)
            if done:
                self.say(f"{self._name}: {done} of {total} runs are recorded already")
            return
        mark = "right" if run.right else "wrong" if run.answered else "FAILED"
        self.counted(
            done,
            total,
            f"{run.job.technique:<12} p={run.job.processors} "
            f"{run.job.question[:24]:<24} {mark:<6} {run.seconds:6.1f} s",
        )

    def counted(self, done: int, total: int, what: str) -> None:
        """One thing more is done, and what came of it."""
        self._moved(done, total)
        each = (time.monotonic() - self._began) / (done - self._first)
        self.say(f"{self._name} {done}/{total}  {what}  left {_clock(each * (total - done))}")

    def _moved(self, done: int, total: int) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)

    def say(self, line: str) -> None:
        """A line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
