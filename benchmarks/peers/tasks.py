"""The functions that every executor calls, and the bare process that shows what the machine can do.

Only the standard library: this module is imported by every peer. Each result says which call it
is of, so that whoever reads a model's request can tell what has reached the model.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

FAILING = 2
"""The number for which ``step`` raises."""


def burn(number: int, rounds: int) -> str:
    """Compute in pure Python.

    Args:
        number: Which call this is.
        rounds: How long to compute.
    """
    total = number
    for step_ in range(rounds):
        total ^= step_
    return said("burnt", number, total)


def doze(number: int, seconds: float) -> str:
    """Wait.

    Args:
        number: Which call this is.
        seconds: How long to wait.
    """
    time.sleep(seconds)
    return said("dozed", number)


def write(number: int, path: str, text: str, seconds: float) -> str:
    """Store a text under a path, after a while.

    Args:
        number: Which call this is.
        path: Where to store it.
        text: What to store.
        seconds: How long to wait before it is stored.
    """
    time.sleep(seconds)
    Path(path).write_text(text, encoding="utf-8")
    return said("stored", number)


def read(number: int, path: str) -> str:
    """Read what is stored under a path.

    Args:
        number: Which call this is.
        path: Where to look.
    """
    return said("found", number, Path(path).read_text(encoding="utf-8"))


def step(number: int) -> str:
    """Do one of several things, one of which can't be done.

    Args:
        number: Which of them.
    """
    if number == FAILING:
        raise ValueError(f"<step {number} can't be done>")
    return said("stepped", number)


def late(path: str, seconds: float) -> str:
    """Write a file, after a while; beside it one that tells that this has begun.

    Args:
        path: Which file.
        seconds: How long to wait before.
    """
    begun(path).touch()
    time.sleep(seconds)
    Path(path).write_text("late", encoding="utf-8")
    return "<late>"


def said(what: str, number: int, value: object = "") -> str:
    """What a call returns."""
    return f"<{what} {number}: {value}>"


def begun(path: str) -> Path:
    """The file that ``late`` makes at once."""
    return Path(f"{path}.begun")


if __name__ == "__main__":  # a bare process: one call a line, one result a line
    for line in sys.stdin:
        print(burn(*map(int, line.split())), flush=True)
