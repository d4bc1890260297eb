"""Clients of an endpoint: one for each event loop of each process, ended with its loop.

This module decides who uses whose connections: a loop its own, and a forked child none of its
parent's. It must not know what is sent over them.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from openai import AsyncOpenAI


class ClosedMeanwhile(Exception):
    """The client was closed while somebody waited for something from it."""


class Client:
    """One event loop's client, and the deadlines of all who wait for something from it."""

    def __init__(self, api: AsyncOpenAI) -> None:
        self.api = api
        self.closed = False
        self._waiting: set[asyncio.Timeout] = set()
        self._life = self._live()
        self._closing: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Tie the client to the running loop: one that ends, ends its asynchronous generators."""
        await anext(self._life)

    @asynccontextmanager
    async def waiting(self, deadline: float | None = None) -> AsyncGenerator[None, None]:
        """Wait until ``deadline``, which is a ``TimeoutError``, but not past the client's end."""
        if self.closed:
            raise ClosedMeanwhile
        try:
            async with asyncio.timeout_at(deadline) as limit:
                self._waiting.add(limit)
                try:
                    yield
                finally:
                    self._waiting.discard(limit)
        except TimeoutError:
            if self.closed:
                raise ClosedMeanwhile from None
            raise

    def end(self) -> None:
        """Let those who wait know, and begin to close the connections; for the client's own loop."""
        if not self.closed:
            self._closing = asyncio.get_running_loop().create_task(self.close())

    async def close(self) -> None:
        """Let those who wait know, and close the connections; for the client's own loop."""
        if not self.closed:
            self._tell()
            await self._life.aclose()

    def _tell(self) -> None:
        self.closed = True
        for limit in self._waiting:
            if not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time())

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._tell()
            await self.api.close()


class Clients:
    """The clients of one model, by process and event loop.

    Those that a forked child finds here are its parent's: they are kept as they are, for to close
    them would disturb what the two share.
    """

    def __init__(self, make: Callable[[], AsyncOpenAI]) -> None:
        self._make = make
        # No lock, which a fork could leave locked: what is done to this is done at once.
        self._open: dict[tuple[int, asyncio.AbstractEventLoop], Client] = {}

    async def mine(self) -> Client:
        """The client of the running loop."""
        at = os.getpid(), asyncio.get_running_loop()
        client = self._open.get(at)
        if client is None or client.closed:
            for known, old in list(self._open.items()):
                if known[0] == at[0] and (old.closed or known[1].is_closed()):
                    self._open.pop(known, None)
            client = self._open[at] = Client(self._make())
            await client.begin()
        return client

    async def close(self) -> None:
        """End the clients of all loops of this process, those of other loops by their own loops."""
        pid, mine = os.getpid(), asyncio.get_running_loop()
        for known, client in list(self._open.items()):
            if known[0] != pid or self._open.pop(known, None) is None:
                continue
            if known[1] is mine:
                await client.close()
            else:
                with suppress(RuntimeError):  # that loop has ended
                    known[1].call_soon_threadsafe(client.end)
