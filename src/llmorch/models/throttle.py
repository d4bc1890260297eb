"""How many requests an endpoint is asked at once: as many as are wanted, until it says that they are too many.

A free tier takes one or two, and refuses the others at once. So a burst is sent in parts, each twice as large as the
one before and shortly after it: who is refused shows how many were taken, before all have been sent.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_FIRST = 4
_PART = 0.05
"""Seconds from one part of a burst to the next."""
_WELL = 20
"""After so many answers without a refusal one more may be asked."""


class Throttle:
    """The requests of one event loop to one endpoint."""

    def __init__(self, most: int | None = None) -> None:
        self._open = 0
        self._most = self._limit = math.inf if most is None else most
        self._taken = _FIRST
        """So many at once are known to be taken, or soon will be."""
        self._well = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._widening: asyncio.TimerHandle | None = None

    @property
    def alone(self) -> bool:
        """Whether no request is open."""
        return self._open == 0

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        """Wait until one more may be asked, and count it until the block ends."""
        await self._enter()
        try:
            yield
        finally:
            self._open -= 1
            self._wake()

    def refused(self) -> None:
        """Take note that the endpoint has refused one, beside those that are open still: it was one too many."""
        self._limit = max(1, min(self._limit, self._open))
        self._well = 0

    def answered(self) -> None:
        """Take note that one of them was answered."""
        self._well += 1
        if self._well >= _WELL and self._limit < self._most:
            self._limit, self._well = self._limit + 1, 0

    async def _enter(self) -> None:
        loop = asyncio.get_running_loop()
        while self._open >= min(self._limit, self._taken):
            if self._limit == self._most and self._widening is None:
                self._widening = loop.call_later(_PART, self._widen)
            waiting = loop.create_future()
            self._waiting.append(waiting)
            try:
                await waiting
            except asyncio.CancelledError:
                if waiting.done() and not waiting.cancelled():
                    self._wake()  # its turn is another's
                raise
            finally:
                if waiting in self._waiting:
                    self._waiting.remove(waiting)
        self._open += 1

    def _widen(self) -> None:
        self._widening = None
        self._taken *= 2
        self._wake()

    def _wake(self) -> None:
        free = min(self._limit, self._taken) - self._open
        while self._waiting and free > 0:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                free -= 1
