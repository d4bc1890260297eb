"""A turn that one asker has at a time, whatever thread and event loop each is in.

Who has waited longest is next, in a loop that hasn't ended.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@dataclass(eq=False, slots=True)
class _Asker:
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    called: asyncio.Event = field(default_factory=asyncio.Event)


class Turn:
    """Something that one asker has at a time."""

    def __init__(self) -> None:
        self._account = threading.Lock()
        self._waiting: deque[_Asker] = deque()
        self._having: _Asker | None = None

    @asynccontextmanager
    async def taken(self) -> AsyncGenerator[None, None]:
        """Wait for the turn, and have it until the block ends."""
        asker = _Asker()
        with self._account:
            self._waiting.append(asker)
            self._call()
        try:
            await asker.called.wait()
            yield
        finally:  # perhaps cancelled: while it waited, or with the turn on its way here
            with self._account:
                if asker in self._waiting:
                    self._waiting.remove(asker)
                elif asker is self._having:
                    self._having = None
                    self._call()

    def _call(self) -> None:
        """Call the next asker where nobody has the turn, or had it in a loop that ended meanwhile."""
        while self._waiting and (self._having is None or self._having.loop.is_closed()):
            self._having = self._waiting.popleft()
            with suppress(RuntimeError):  # its loop has ended as well
                self._having.loop.call_soon_threadsafe(self._having.called.set)
