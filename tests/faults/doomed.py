"""Calls that are stopped or end badly, and each would leave something behind if it could.

Every function notes in a file of its own when it should have ended: by its timeout, by its
death, or by taking too much memory. What happens after that must not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from llmorch import function

TIMEOUT = 0.3
MEMORY = 64 * 1024**2
SLEEP = 2.0
"""Seconds after which a call that wasn't stopped would have its effect."""


def _due(folder: str, name: str, seconds: float) -> None:
    """Note when this call should have ended, on the clock that all processes share."""
    (Path(folder) / "due" / name).write_text(repr(time.monotonic() + seconds))


def _litter(folder: str, name: str, number: int) -> None:
    """Leave something that outlives a careless end: in turn a deaf process, shared memory, nothing."""
    if number % 4 == 0:
        sleep = (
            f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)  # {folder}"
        )
        subprocess.Popen([sys.executable, "-S", "-c", sleep], start_new_session=True)
    elif number % 4 == 1:
        from multiprocessing.shared_memory import SharedMemory

        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # Python says that it is forgotten, as it should be
        SharedMemory(f"{Path(folder).name}-{name}-{number}", create=True, size=100_000)


@function(timeout=TIMEOUT)
def write_late(folder: str, number: int) -> int:
    """Sleep past the timeout, then write a file."""
    _due(folder, f"write_late {number}", TIMEOUT)
    _litter(folder, "write_late", number)
    time.sleep(SLEEP)
    (Path(folder) / "effects" / f"write_late {number}").write_text("done")
    return number


@function(kind="compute")
def crash(folder: str, number: int) -> int:
    """End by a segmentation fault."""
    _litter(folder, "crash", number)
    _due(folder, f"crash {number}", 0.0)
    os.kill(os.getpid(), signal.SIGSEGV)
    return number


@function(kind="compute", memory=MEMORY, timeout=60)
def eat(folder: str, number: int) -> int:
    """Take memory until there is none."""
    _litter(folder, "eat", number)
    held, step = [], 2 * 1024**2
    for taken in range(0, 100 * MEMORY, step):
        if MEMORY <= taken < MEMORY + step:
            _due(folder, f"eat {number}", 0.0)
        held.append(bytearray(step))
        time.sleep(0.001)
    (Path(folder) / "effects" / f"eat {number}").write_text("done")
    return number


@function(kind="compute")
def cancelled_computing(folder: str, number: int) -> int:
    """Be cancelled at some time; a file is written after it."""
    return _cancelled(folder, number, "cancelled_computing")


@function(timeout=60)
def cancelled_waiting(folder: str, number: int) -> int:
    """Be cancelled at some time; a file is written after it."""
    return _cancelled(folder, number, "cancelled_waiting")


def _cancelled(folder: str, number: int, name: str) -> int:
    _litter(folder, name, number)
    time.sleep(30)
    (Path(folder) / "effects" / f"{name} {number}").write_text("done")
    return number


@function(kind="compute")
def square(number: int) -> int:
    """A call that nothing should happen to, on the same processors."""
    return number * number


@function(timeout=60)
def double(number: int) -> int:
    """A call that nothing should happen to, on the same processes."""
    return number + number


FUNCTIONS = [write_late, crash, eat, cancelled_computing, cancelled_waiting, square, double]
