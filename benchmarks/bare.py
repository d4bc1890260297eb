"""A process at the end of a socket pair, and nothing else: the floor of what crosses.

Run as a program it answers; ``Bare`` starts it and asks. Nothing here uses LLMOrch.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import subprocess
import sys
from typing import Any

from benchmarks.work import burn

ECHO, BURN, STREAM, FILE = range(4)
_QUESTION = struct.Struct("<BQ")
_ANSWER = b"."


def cpus() -> list[int]:
    """The CPUs this process may use, in the order in which workers get them."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [-1]


class Bare:
    """A process started beforehand, on a CPU of its own where the platform can."""

    def __init__(self, index: int = 0) -> None:
        self.connection, theirs = socket.socketpair()
        cpu = cpus()[index % len(cpus())]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.bare", str(theirs.fileno()), str(cpu)],
                pass_fds=[theirs.fileno()],
            )
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

    def stream(self, into: memoryview) -> None:
        """Have as many bytes sent over the socket."""
        self.send(STREAM, len(into))
        done = 0
        while done < len(into):
            done += self.connection.recv_into(into[done:])

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
        if kind in (STREAM, FILE) and len(array) != amount:
            array = bytearray(b"x") * amount
        if kind == STREAM:
            connection.sendall(array)
        elif kind == FILE:
            _send_file(connection, memoryview(array))
        else:
            if kind == BURN:
                burn(amount)
            connection.sendall(_ANSWER)


def _send_file(connection: socket.socket, array: memoryview) -> None:
    import tempfile

    with (
        tempfile.TemporaryFile()
        if not hasattr(os, "memfd_create")
        else os.fdopen(os.memfd_create("bare"), "wb", buffering=0) as file
    ):
        done = 0
        while done < len(array):
            done += os.pwrite(file.fileno(), array[done:], done)
        socket.send_fds(connection, [_ANSWER], [file.fileno()])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
