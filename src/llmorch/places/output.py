"""What a worker process prints: passed on to our standard error, within bounds.

Decides how much of it anybody sees. The rest is read and dropped, so that a function that
prints without end neither fills a terminal nor waits for one.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from threading import Thread

from llmorch.places.forks import forgotten_in_children

LIMIT = 64 * 1024
"""Bytes that one call may print."""
PATIENCE = 0.05
"""Seconds that the last words of a process hold up the news of its end; they are passed on in any case."""
_DROPPED = b"\n[more output of this call is dropped]\n"


class Outlet:
    """A pipe that a process prints into, and the thread that reads it to its end."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        self._left = LIMIT
        self._passed: Future[None] = Future()

    def start(self) -> None:
        """Read from now on: the process has its end, ours is closed. Raises ``RuntimeError`` without a thread."""
        self._close_writing()
        Thread(target=self._pass_on, name="llmorch-output", daemon=True).start()
        forgotten_in_children(self)

    def drop(self) -> None:
        """Close it, before anything reads."""
        self._close_writing()
        self.forget()

    def _close_writing(self) -> None:
        writing, self.writing = self.writing, -1
        if writing >= 0:
            os.close(writing)

    def renew(self) -> None:
        """Another call begins."""
        self._left = LIMIT

    def drain(self) -> None:
        """Wait until what an ended process printed has been passed on; blocks."""
        with suppress(TimeoutError):
            self._passed.result(PATIENCE)

    async def drained(self) -> None:
        """The same, leaving the event loop free."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(self._passed), PATIENCE)

    def forget(self) -> None:
        """Close what a child of this process inherited."""
        reading, self._reading = self._reading, -1
        with suppress(OSError):
            os.close(reading)

    def _pass_on(self) -> None:
        with suppress(OSError):
            while piece := os.read(self._reading, LIMIT):
                if self._left <= 0:
                    continue
                part = piece[: self._left]
                self._left -= len(piece)
                with suppress(OSError):  # our own standard error may be closed, or its reader gone
                    os.write(2, part if self._left > 0 else part + _DROPPED)
        self.forget()
        with suppress(InvalidStateError, RuntimeError):  # nobody waits any more, or the loop is closed
            self._passed.set_result(None)
