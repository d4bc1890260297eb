"""What this process has that a model or a place for calls may leave behind."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path


def in_use() -> dict[str, int]:
    """How many threads, child processes and open files; the latter two are known on Linux only."""
    found = {"threads": threading.active_count()}
    with suppress(OSError):
        lists = Path("/proc/self/task").glob("*/children")
        found["child processes"] = sum(len(children.read_text().split()) for children in lists)
        found["open files"] = len(list(Path("/proc/self/fd").iterdir()))
    return found


def assert_nothing_left(before: dict[str, int], within: float = 5.0) -> None:
    """There is no more of anything than ``before``; what was ended may take a moment to be gone."""
    until = time.monotonic() + within
    while more := {what: count for what, count in in_use().items() if count > before.get(what, count)}:
        assert time.monotonic() < until, f"there is more than before, {before}: {more}"
        time.sleep(0.01)
