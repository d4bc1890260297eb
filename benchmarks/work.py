"""What runs in processes: the same functions for LLMOrch's and for bare ones.

This module must import nothing of LLMOrch.
"""

from __future__ import annotations

import time
from typing import Any

PAGE = 4096


def burn(rounds: int) -> int:
    """Pure Python that holds the interpreter: two seconds or so for 30 million rounds."""
    total = 0
    for number in range(rounds):
        total ^= number
    return total


def rounds_in(seconds: float) -> int:
    """How many rounds take this long here, roughly."""
    probe = 200_000
    fastest = min(_seconds(probe) for _ in range(5))
    return max(1, int(probe * seconds / fastest))


def _seconds(rounds: int) -> float:
    began = time.perf_counter()
    burn(rounds)
    return time.perf_counter() - began


def nothing() -> None:
    """Return at once."""


def produce(size: int) -> Any:
    """An array of ``size`` bytes, all written, and when it was ready to leave."""
    import numpy as np

    array = np.arange(size // 8, dtype=np.float64)
    return array, [time.monotonic()]


def rescale(parcel: Any) -> Any:
    """Another array of that size, made of one that arrived; and when that had been read, and this was ready."""
    array, times = parcel
    touch(array)
    read = time.monotonic()
    made = array * 2
    return made, [*times, read, time.monotonic()]


def consume(parcel: Any) -> tuple[list[float], int]:
    """The times of the array's way, with when each of its pages had been read here, and its size."""
    array, times = parcel
    touch(array)
    return [*times, time.monotonic()], array.nbytes


def touch(array: Any) -> float:
    """Read one number of every page: what is mapped has arrived only then."""
    return float(array[:: PAGE // array.itemsize].sum())
