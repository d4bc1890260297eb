"""Processes for calls that wait, of functions that a thread could not stop.

Decides how many processes there are. What is done to each is ``single.py``.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any

from llmorch.errors import CallError
from llmorch.machine import allowed_processors
from llmorch.places.handing import opened
from llmorch.places.pool import kill_all
from llmorch.places.single import Worker, new_starter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.declare.functions import Function

A_CPU, LIMIT = 8, 64
"""The most processes for each CPU, and in all. More of them than that, all starting or ending at
once, would hold up one another, and the keeper that has to stop them in time."""


class GrowingPool:
    """Runs calls in a process each, as many at a time as there are calls, up to a limit.

    No process is pinned, and each is kept for a later call. Calls past the limit wait.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit or min(LIMIT, A_CPU * allowed_processors())
        self._starter = new_starter()
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places: asyncio.Semaphore
        self._kill = weakref.finalize(self, kill_all, self._workers, self._starter)

    async def execute(self, function: Function, args: Mapping[str, Any]) -> Any:
        """Call ``function`` with ``args`` in a process and return what it returns."""
        return opened(await self.hand(function, args))

    async def hand(self, function: Function, args: Mapping[str, Any]) -> Any:
        """The same, but a large result stays ``Held``, and an argument may be a ``Later``."""
        if self._closed:
            raise CallError(f"{function.name} can't be called: its processor is closed")
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._places = loop, asyncio.Semaphore(self._limit)
        async with self._places:
            worker = self._idle.pop() if self._idle else self._new()
            try:
                return await worker.hand(function, args)
            finally:
                self._idle.append(worker)

    def _new(self) -> Worker:
        worker = Worker(starter=self._starter)
        self._workers.append(worker)
        return worker

    async def close(self) -> None:
        """End every process; may be called twice."""
        self._closed = True
        await asyncio.gather(*(worker.close() for worker in self._workers))
        self._kill()
