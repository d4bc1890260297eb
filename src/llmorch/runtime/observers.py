"""Who watches a run: every event and command is told, and nothing that comes of it ends the run."""

from __future__ import annotations

import asyncio
import logging
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from llmorch.schedule import Command, Event

_log = logging.getLogger("llmorch")


class Observer(Protocol):
    """Sees every event and command of a run, as it happens. What it raises is logged, and ends nothing."""

    def __call__(self, message: Event | Command, at: float) -> Awaitable[None] | None:
        """``at`` is in seconds from the start of execution. What is returned is awaited, one after the other."""


class Observing:
    """One run's observer. What an async one returns is awaited by a task of ``group``, in order, beside the run."""

    def __init__(self, observer: Observer, group: asyncio.TaskGroup) -> None:
        self._observer = observer
        self._group = group
        self._told: asyncio.Queue[Awaitable[None] | None] | None = None

    def tell(self, messages: Iterable[Event | Command | None], at: float) -> None:
        """Tell what happened at a time."""
        for message in messages:
            if message is None:
                continue
            try:
                told = self._observer(message, at)
            except (Exception, asyncio.CancelledError):
                _log.exception("an observer raised at %s", type(message).__name__)
                continue
            if isawaitable(told):
                if self._told is None:
                    self._told = asyncio.Queue()
                    self._group.create_task(_awaited(self._told))
                self._told.put_nowait(told)

    def end(self) -> None:
        """Nothing more will be told."""
        if self._told is not None:
            self._told.put_nowait(None)


async def _awaited(waiting: asyncio.Queue[Awaitable[None] | None]) -> None:
    """Await one after the other; of a run that is cancelled none that hasn't begun."""
    try:
        while (told := await waiting.get()) is not None:
            try:
                await told
            except (Exception, asyncio.CancelledError):
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise  # the run is over
                _log.exception("an observer raised")
    finally:
        while not waiting.empty():
            left = waiting.get_nowait()
            if iscoroutine(left):
                left.close()
