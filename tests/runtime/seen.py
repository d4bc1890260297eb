"""What a test of a run waits for: that something has happened to a call."""

from __future__ import annotations

import asyncio
from typing import Any

from llmorch.schedule import CallCancelled, CallCompleted, Dispatch


class Seen:
    """An observer of one run, which can be waited for to see what a test waits for."""

    def __init__(self) -> None:
        self._heard: set[tuple[str, type[Any]]] = set()

    def __call__(self, message: Any, at: float) -> None:
        if isinstance(message, Dispatch | CallCompleted | CallCancelled):
            self._heard.add((message.call, type(message)))

    async def started(self, call: str) -> None:
        """Wait until a call runs."""
        await self.heard(call, Dispatch)

    async def heard(self, call: str, what: type[Any]) -> None:
        """Wait until this has happened to a call."""
        async with asyncio.timeout(10):
            while (call, what) not in self._heard:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.005)
