"""An event loop on a virtual clock: nothing sleeps, and a second of waiting takes none."""

from __future__ import annotations

import asyncio
from selectors import DefaultSelector
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


class _Jumping(DefaultSelector):
    """Moves the clock to when something is due, instead of waiting for it."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout > 0:
            self.now += timeout
            timeout = 0
        return super().select(timeout)


def run_virtually(main: Coroutine[Any, Any, Any]) -> Any:
    """The coroutine's result, at once however long it would take; it may wait for no thread and no socket."""
    selector = _Jumping()

    class Loop(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return selector.now

    with asyncio.Runner(loop_factory=lambda: Loop(selector)) as runner:
        return runner.run(main)
