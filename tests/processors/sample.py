"""Functions that the tests call, in a module that a worker process can import."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


class UnreadableError(Exception):
    """An exception whose text can't be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Point:
    """A value of a class of ours."""

    def __init__(self, x: int) -> None:
        self.x = x


class Stuck:
    """A value that pickles here and can't be rebuilt anywhere."""

    def __reduce__(self) -> Any:
        return int, ("not a number",)


def echo(value: Any) -> Any:
    return value


def fail(kind: str, text: str) -> None:
    kinds = (ValueError, KeyboardInterrupt, SystemExit, GeneratorExit)
    raise {made.__name__: made for made in kinds}[kind](text)


def fail_unreadably() -> None:
    raise UnreadableError


def nap(seconds: float, file: str) -> str:
    """Sleep, then write a file: the effect that a stopped call must not have."""
    time.sleep(seconds)
    Path(file).write_text("done")
    return file


async def async_echo(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def async_fail(kind: str, text: str) -> None:
    await asyncio.sleep(0)
    fail(kind, text)


async def async_fail_unreadably() -> None:
    raise UnreadableError


async def async_nap(seconds: float, file: str) -> str:
    await asyncio.sleep(seconds)
    return nap(0, file)


def move(point: Point) -> Point:
    return Point(point.x + 1)


def pid() -> int:
    return os.getpid()


def cpus() -> set[int]:
    return os.sched_getaffinity(0)


def exit_now(status: int) -> None:
    os._exit(status)


def die(name: str) -> None:
    os.kill(os.getpid(), getattr(signal, name))


def segfault() -> None:
    import ctypes

    ctypes.string_at(0)


def count_up() -> Any:
    yield 1


def count_up_now() -> Any:
    """A function that isn't a generator, and returns one."""
    return count_up()


def nested_generator() -> Any:
    return {"rows": [count_up()]}


def stuck() -> Any:
    return Stuck()


def shout(characters: int) -> str:
    print("x" * characters)
    print("\udcff")
    return "quiet"


def wander(folder: str) -> str:
    os.chdir(folder)
    os.environ["LLMORCH_TEST"] = "changed"
    os.environ.pop("HOME", None)
    return str(Path.cwd())


def whereabouts() -> tuple[str, str | None, str | None]:
    return str(Path.cwd()), os.environ.get("LLMORCH_TEST"), os.environ.get("HOME")


def start_child(seconds: float, file: str) -> None:
    """Start a process that sleeps, note its number in a file, and wait for it."""
    child = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"])
    Path(file).write_text(str(child.pid))
    child.wait()


def fork_and_die(status: int) -> None:
    """End while a forked child lives on for a while."""
    if os.fork() == 0:
        time.sleep(2)
        os._exit(0)
    os._exit(status)


def threads_alive() -> None:
    """Return and leave a thread that ends the process a moment later."""
    import threading

    threading.Timer(0.05, os._exit, [9]).start()


def double(array: Any) -> Any:
    array *= 2  # it can be written to, and the caller's stays as it is
    return array


def total(arrays: list[Any]) -> float:
    return float(sum(array.sum() for array in arrays))


def size_of(value: Any) -> int:
    return len(value)


def zeros(size: int) -> Any:
    import numpy

    return numpy.zeros(size, dtype=numpy.uint8)
