"""How fast a large value goes from one compute call to the next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.bare import Bare
from benchmarks.executing import executing
from benchmarks.figures import Figure, Series, interleaved
from benchmarks.work import consume, produce, touch
from llmorch import function

if TYPE_CHECKING:
    from benchmarks.executing import Execute


def measure(repeats: int, *, quick: bool) -> list[Figure]:
    """Megabytes a second out of a process and into one.

    Out is from the producing call's last line until the run has the value; in is from
    there until the consuming call has read a number of every page. Both processes and
    this one read the same monotonic clock.
    """
    import numpy as np

    size = 2_000_000 if quick else 50_000_000
    source = np.arange(size // 8, dtype=np.float64)
    target = np.zeros_like(source)
    room = memoryview(bytearray(size))
    functions = [function(kind="compute")(produce), function(kind="compute")(consume)]
    with executing(functions) as execute, Bare() as bare:
        execute(_plan(size))
        bare.stream(room)
        runs: dict[str, list[tuple[float, float]]] = interleaved(
            repeats,
            {
                "ours": lambda: _ways(execute, size),
                "memcpy": lambda: _both(lambda: np.copyto(target, source)),
                "a bare socket": lambda: _both(lambda: bare.stream(room)),
                "a bare shared file": lambda: _both(lambda: _file(bare, size)),
            },
        )
    ours = runs.pop("ours")
    floors = {name: Series([size / 1e6 / seconds for seconds, _ in spans]) for name, spans in runs.items()}
    return [
        Figure(
            f"array, {way}",
            f"{size // 1_000_000} MB of numpy array, {what}",
            "MB/s",
            Series([size / 1e6 / spans[index] for spans in ours]),
            floors,
            at_least=500.0,
        )
        for index, (way, what) in enumerate(
            [("out", "from the end of a compute call"), ("in", "into the next one, every page read")]
        )
    ]


def _plan(size: int) -> str:
    return f"s1 = produce(size={size})\ns2 = consume(parcel=s1)"


def _ways(execute: Execute, size: int) -> tuple[float, float]:
    """Seconds out of the first call and into the second."""
    here = 0.0

    def observe(message: Any, _: float) -> None:
        nonlocal here
        if type(message).__name__ == "CallCompleted" and message.call == "s1":
            here = time.monotonic()

    result, _ = execute(_plan(size), observer=observe)
    left = result.calls["s1"].result[1]
    _, read, arrived = result.answer
    if arrived != size:
        raise RuntimeError(f"{arrived} of {size} bytes arrived")
    return here - left, read - here


def _both(work: Any) -> tuple[float, float]:
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    return seconds, seconds


def _file(bare: Bare, size: int) -> None:
    """Written there, mapped and read here: out and in together."""
    import numpy as np

    touch(np.frombuffer(bare.file(size), dtype=np.float64))
