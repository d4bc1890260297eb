"""What runs in processes, for LLMOrch and without it: a bare one at the end of a socket pair is the floor.

Run as a program it answers; ``Bare`` starts it and asks. This module must import nothing of LLMOrch.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from typing import Any

PAGE = 4096
ECHO, BURN, FILE = range(3)
_QUESTION = struct.Struct("<BQ")
_ANSWER = b"."


def burn(rounds: int) -> int:
    """Pure Python that holds the interpreter: two seconds or so for 30 million rounds."""
    total = 0
    for number in range(rounds):
        total ^= number
    return total


def rounds_in(seconds: float) -> int:
    """How many rounds take this long here, roughly."""
    probe, fastest = 200_000, float("inf")
    for _ in range(5):
        began = time.perf_counter()
        burn(probe)
        fastest = min(fastest, time.perf_counter() - began)
    return max(1, int(probe * seconds / fastest))


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


class Bare:
    """A process started beforehand, on a CPU of its own where the platform can."""

    def __init__(self, index: int = 0) -> None:
        self.connection, theirs = socket.socketpair()
        cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [-1]
        command = [
            sys.executable,
            "-m",
            "benchmarks.bare",
            str(theirs.fileno()),
            str(cpus[index % len(cpus)]),
        ]
        with theirs:
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        self.ask(ECHO)

    def __enter__(self) -> Bare:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self._process.wait()

    def ask(self, question: int, amount: int = 0) -> None:
        """Send a question and wait for the answer."""
        self.send(question, amount)
        self.receive()

    def send(self, question: int, amount: int = 0) -> None:
        """Ask without waiting."""
        self.connection.sendall(_QUESTION.pack(question, amount))

    def receive(self) -> None:
        """Wait for the answer."""
        if self.connection.recv(1) != _ANSWER:
            raise EOFError("a bare process ended")

    def file(self, size: int) -> mmap.mmap:
        """Have as many bytes written to an anonymous file, and map it."""
        self.send(FILE, size)
        _, descriptors, _, _ = socket.recv_fds(self.connection, 1, 1)
        try:
            return mmap.mmap(descriptors[0], size, access=mmap.ACCESS_COPY)
        finally:
            os.close(descriptors[0])


def main(descriptor: int, cpu: int) -> None:
    """Answer until the other side hangs up."""
    if cpu >= 0 and sys.platform == "linux":
        os.sched_setaffinity(0, {cpu})
    connection = socket.socket(fileno=descriptor)
    array: Any = b""
    while question := connection.recv(_QUESTION.size, socket.MSG_WAITALL):
        kind, amount = _QUESTION.unpack(question)
        if kind == FILE:
            array = array if len(array) == amount else bytearray(b"x") * amount
            with os.fdopen(_anonymous(), "wb", buffering=0) as file:
                done = 0
                while done < amount:
                    done += os.pwrite(file.fileno(), memoryview(array)[done:], done)
                socket.send_fds(connection, [_ANSWER], [file.fileno()])
        else:
            burn(amount if kind == BURN else 0)
            connection.sendall(_ANSWER)


def _anonymous() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("bare")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
