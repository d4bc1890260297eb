"""Who watches a run: each gets every event and command, and nothing that it does ends or stops the run."""

from __future__ import annotations

import asyncio
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Protocol

from llmorch.places.coroutines import PATIENCE, leave
from llmorch.runtime.logs import log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from llmorch.schedule import Command, Event


REST = 10.0
"""Seconds that an async observer has at the end of its run, for what it hasn't heard; then it is cancelled."""


class Observer(Protocol):
    """Sees every event and command of a run, as it happens. What it raises is logged, and ends nothing."""

    def __call__(self, message: Event | Command, at: float) -> Awaitable[None] | None:
        """``at`` is in seconds from the start of execution. What is returned is awaited, one after the other."""


class Observing:
    """One run's observer. What an async one returns is awaited by a task of its own, in order, beside the run."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._queue: asyncio.Queue[Awaitable[None] | None] | None = None
        self._task: asyncio.Task[None] | None = None

    def tell(self, messages: Iterable[Event | Command | None], at: float) -> None:
        """Tell what happened at a time."""
        for message in messages:
            if message is None:
                continue
            try:
                returned = self._observer(message, at)
                awaits = isawaitable(returned)
            except (Exception, asyncio.CancelledError):
                log.exception("an observer raised at %s", type(message).__name__)
                continue
            if awaits and returned is not None:
                if self._queue is None:
                    self._queue = asyncio.Queue()
                    self._task = asyncio.get_running_loop().create_task(_awaited(self._queue))
                self._queue.put_nowait(returned)

    async def end(self, error: BaseException | None) -> BaseException | None:
        """Wait until it has heard all, but not long; what the run ends with, this error or a cancellation meanwhile."""
        task, queue = self._task, self._queue
        if task is None or queue is None:
            return error
        queue.put_nowait(None)
        if error is None:
            error = await _waited(task, REST)
            if error is None and not task.done():
                log.error("an observer has not ended %g s after its run, and is cancelled", REST)
        task.cancel()
        error = await _waited(task, PATIENCE) or error
        if not task.done():
            leave(task)
        return error


async def _waited(task: asyncio.Task[None], seconds: float) -> BaseException | None:
    """Wait for a task, not longer than this; the cancellation that ended that, if one did."""
    try:
        await asyncio.wait([task], timeout=seconds)
    except asyncio.CancelledError as cancelled:
        return cancelled.with_traceback(None)
    return None


async def _awaited(waiting: asyncio.Queue[Awaitable[None] | None]) -> None:
    """Await one after the other; of a run that is cancelled none that hasn't begun."""
    try:
        while (returned := await waiting.get()) is not None:
            try:
                await returned
            except (Exception, asyncio.CancelledError):
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise  # the run is over
                log.exception("an observer raised")
    finally:
        while not waiting.empty():
            left = waiting.get_nowait()
            if iscoroutine(left):
                left.close()
