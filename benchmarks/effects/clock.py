"""An event loop on a virtual clock: nothing sleeps, and a second of waiting takes none."""

from __future__ import annotations

import asyncio
from selectors import DefaultSelector
from typing import Any


class _Jumping(DefaultSelector):
    """Moves the clock to when something is due, instead of waiting for it."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += max(0.0, timeout or 0.0)
        return super().select(None if timeout is None else 0)


def run_virtually(main: Any) -> Any:
    """A coroutine's result, at once however long it would take; it may wait for no thread and no socket."""
    selector = _Jumping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main)
