"""Clients of an endpoint: one for each event loop of each process, ended with its loop.

This module decides who uses whose connections: a loop its own, and a forked child none of its parent's.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
import weakref
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from llmorch.models.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from openai import AsyncOpenAI


class ClosedMeanwhile(Exception):
    """The client was closed while somebody waited for something from it."""


class Client:
    """One event loop's client, and the deadlines of all who wait for something from it."""

    def __init__(self, api: AsyncOpenAI, among: _Open, at: _Where, most: int | None) -> None:
        self.api = api
        self._among = among
        self._at = at
        self.closed = False
        self.throttle = Throttle(most)
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

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        """Wait until one more may be asked, but not past the client's end."""
        async with AsyncExitStack() as stack:
            async with self.waiting():
                await stack.enter_async_context(self.throttle.turn())
            yield

    def end(self) -> None:
        """``close``, from a callback of the client's own loop."""
        self._closing = asyncio.get_running_loop().create_task(self.close())

    async def close(self) -> None:
        """Let those who wait know, and close the connections; for the client's own loop."""
        if not self.closed:
            self._tell()
            await self._life.aclose()

    def _tell(self) -> None:
        if self._among.get(self._at) is self:
            del self._among[self._at]
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


_Where: TypeAlias = tuple[int, asyncio.AbstractEventLoop]
_Open: TypeAlias = dict[_Where, Client]
_inherited: set[Client] = set()
"""Those of a parent whose model is no more: for to close them would disturb what it has open."""


class Clients:
    """The clients of one model, by process and event loop. They end with it, too.

    Each asks for at most so many replies at once.
    """

    def __init__(self, make: Callable[[], AsyncOpenAI], most: int | None = None) -> None:
        self._make = make
        self._most = most
        # No lock, which a fork could leave locked: what is done to this is done at once.
        self._open: _Open = {}
        weakref.finalize(self, _end, self._open).atexit = False

    async def mine(self) -> Client:
        """The client of the running loop."""
        at = os.getpid(), asyncio.get_running_loop()
        client = self._open.get(at)
        if client is None:
            for known in list(self._open):
                if known[0] == at[0] and known[1].is_closed():  # by hand, with its generators unended
                    self._open.pop(known, None)
            client = self._open[at] = Client(self._make(), self._open, at, self._most)
            await client.begin()
        return client

    async def close(self) -> None:
        """End the clients of all loops of this process, those of other loops by their own loops."""
        client = self._open.get((os.getpid(), asyncio.get_running_loop()))
        if client is not None:
            await client.close()
        _end(self._open)


def _end(clients: _Open) -> None:
    for (process, loop), client in list(clients.items()):
        if process != os.getpid():
            _inherited.add(client)
        else:
            with suppress(RuntimeError):  # that loop has ended
                loop.call_soon_threadsafe(client.end)


async def package() -> Any:
    """The openai package, imported when first needed, off the event loop: it takes most of a second."""
    if "openai" not in sys.modules:
        await asyncio.to_thread(importlib.import_module, "openai")
    # Another thread may be amid the import: this waits for it, where sys.modules has half a package.
    return importlib.import_module("openai")
