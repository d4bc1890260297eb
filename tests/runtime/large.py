"""Functions with large results, in a module that a worker process can import."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from llmorch import function

LONG = 300_000


class Seal:
    """A large value that can't be rebuilt anywhere."""

    def __init__(self) -> None:
        self.array = np.zeros(LONG)

    def __reduce__(self) -> Any:
        return _break, (self.array,)


def _break(array: Any) -> None:
    raise ValueError(f"the seal of {array.nbytes:,} bytes is broken")


def open_files() -> int:
    """How many descriptors and mappings of anonymous files this process has."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself is closed by now
            links.append(str(entry.readlink()))
    maps = Path("/proc/self/maps").read_text().splitlines()
    return sum("memfd:llmorch" in text for text in (*links, *maps))


@function(kind="compute", pure=True)
def made(what: str, n: int) -> Any:
    """A value of a kind and a length."""
    numbers = range(n)
    return {
        "array": lambda: np.arange(n, dtype=np.float64),
        "list": lambda: [float(number) for number in numbers],
        "words": lambda: [str(number) for number in numbers],
        "text": lambda: "x" * (n * 8),
        "digits": lambda: "7" * (n * 8),
        "bytes": lambda: b"x" * (n * 8),
        "dict": lambda: {str(number): number for number in numbers},
        "pair": lambda: (np.arange(n), "end"),
    }[what]()


@function(kind="compute")
def scale(x: np.ndarray, by: float = 2.0) -> np.ndarray:
    return x * by


@function(kind="compute", resources={"cpu": 2}, pure=True)
def total(x: np.ndarray) -> float:
    return float(x.sum())


@function(kind="compute")
def spoil(x: Any) -> float:
    """Change the argument in place."""
    x += 1
    return float(x[0])


@function(kind="compute", pure=True)
def first(x: Any) -> float:
    return float(x[0])


@function(kind="compute")
def same(x: Any, y: Any) -> bool:
    return x is y


@function(kind="compute")
def files_here(after: Any) -> int:
    """How many files are still open when nothing large was given to the call."""
    return open_files()


@function(kind="compute")
def die(x: Any, how: str) -> None:
    assert len(x)
    if how == "raise":
        raise RuntimeError("no")
    os.kill(os.getpid(), getattr(signal, how))


@function(kind="compute", timeout=0.3)
def late(x: Any) -> None:
    time.sleep(30)


@function(kind="inout", timeout=30)
def fetch(x: Any) -> int:
    """An inout call that runs in a process of its own."""
    return len(x)


@function(kind="compute", pure=True)
def sealed() -> Any:
    return Seal()


@function(kind="compute")
def without_memfd() -> Any:
    """A result that lies in a temporary file."""
    os.__dict__.pop("memfd_create", None)
    return np.ones(LONG)


@function(kind="compute")
def take_any(x: Any) -> str:
    return told(x)


@function(kind="compute")
def take_list(x: list) -> str:  # type: ignore[type-arg]
    return told(x)


@function(kind="compute")
def take_numbers(x: list[float]) -> str:
    return told(x)


@function(kind="compute")
def take_integers(x: list[int]) -> str:
    return told(x)


@function(kind="compute")
def take_text(x: str) -> str:
    return told(x)


@function(kind="compute")
def take_bytes(x: bytes) -> str:
    return told(x)


@function(kind="compute")
def take_array(x: np.ndarray) -> str:
    return told(x)


@function(kind="compute")
def take_dict(x: dict[str, float]) -> str:
    return told(x)


@function(kind="compute")
def take_number(x: float) -> str:
    return told(x)


def told(x: Any) -> str:
    """What arrived, whatever its length: its type, and those at its ends."""
    text = type(x).__name__
    if isinstance(x, dict):
        text += f" of {type(next(iter(x)))} {type(next(iter(x.values())))}"
    elif isinstance(x, list | tuple):
        text += f" of {[told(x[0]), told(x[-1])]}"
    return text


TAKING = [
    take_any,
    take_list,
    take_numbers,
    take_integers,
    take_text,
    take_bytes,
    take_array,
    take_dict,
    take_number,
]
FUNCTIONS = [
    made,
    scale,
    total,
    spoil,
    first,
    same,
    files_here,
    die,
    late,
    fetch,
    sealed,
    without_memfd,
    *TAKING,
]
