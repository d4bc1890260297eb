"""How fast a large value goes from one compute call to the next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.bare import Bare
from benchmarks.executing import executing
from benchmarks.figures import Figure, Series, interleaved
from benchmarks.work import consume, produce, rescale, touch
from llmorch import Released, function

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.executing import Execute


def measure(repeats: int, *, quick: bool) -> list[Figure]:
    """Megabytes a second from one compute call to the next, and the two halves of the way.

    A plan of three calls hands an array on twice: each time it is written once, to shared
    memory, and read from there. The way is from the making call's last line until the using
    call has read a number of every page. It is out until the run knows that the making
    call has ended, then in. All processes read the same monotonic clock.
    """
    import numpy as np

    size = 2_000_000 if quick else 50_000_000
    source = np.arange(size // 8, dtype=np.float64)
    target = np.zeros_like(source)
    room = memoryview(bytearray(size))
    functions = [function(kind="compute")(work) for work in (produce, rescale, consume)]
    with executing(functions) as execute, Bare() as bare:
        execute(_plan(size))
        bare.stream(room)
        runs: dict[str, list[tuple[float, ...]]] = interleaved(
            repeats,
            {
                "ours": lambda: _ways(execute, size),
                "memcpy": lambda: _timed(lambda: np.copyto(target, source)),
                "a bare socket": lambda: _timed(lambda: bare.stream(room)),
                "a bare shared file": lambda: _file(bare, size),
            },
        )
    ours = runs.pop("ours")
    floors = {name: Series([size / 1e6 / seconds for (seconds,) in spans]) for name, spans in runs.items()}
    return [
        Figure(
            f"array, {way}",
            f"{size // 1_000_000} MB of numpy array, {what}",
            "MB/s",
            Series([size / 1e6 / spans[index] for spans in ours]),
            floors,
            at_least=wanted,
        )
        for index, (way, what, wanted) in enumerate(
            [
                (
                    "call to call",
                    "from a compute call's last line until the next has read every page",
                    1500.0,
                ),
                ("out", "from a compute call's last line until its end is known", 500.0),
                ("in", "from there until the next call has read every page", 500.0),
            ]
        )
    ]


def _plan(size: int) -> str:
    return f"s1 = produce(size={size})\ns2 = rescale(parcel=s1)\ns3 = consume(parcel=s2)"


def _ways(execute: Execute, size: int) -> tuple[float, float, float]:
    """Seconds from call to call, out of one and into the next: each the mean of two."""
    ended = []

    def observe(message: Any, _: float) -> None:
        if type(message).__name__ == "CallCompleted":
            ended.append(time.monotonic())

    result, _ = execute(_plan(size), observer=observe)
    (first, read, second, read_again), arrived = result.answer
    if arrived != size:
        raise RuntimeError(f"{arrived} of {size} bytes arrived")
    if not all(isinstance(result.calls[call].result, Released) for call in ("s1", "s2")):
        raise RuntimeError("an array was opened on its way")
    out = (ended[0] - first + ended[1] - second) / 2
    whole = (read - first + read_again - second) / 2
    return whole, out, whole - out


def _timed(work: Callable[[], object]) -> tuple[float]:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began,)


def _file(bare: Bare, size: int) -> tuple[float]:
    """Written there, mapped and read here: the same way. Freeing it again, which takes long, is no part of it."""
    import numpy as np

    began = time.perf_counter()
    memory = bare.file(size)
    touch(np.frombuffer(memory, dtype=np.float64))
    return (time.perf_counter() - began,)
