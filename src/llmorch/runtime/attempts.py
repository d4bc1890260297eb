"""One attempt to make a call, as long as it runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from llmorch.runtime.batching import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmorch.calls import CallId, FunctionCall
    from llmorch.requests import Usage
    from llmorch.schedule import Dispatch


class Cancellable(Protocol):
    """A call that runs: a task, or a thread's job."""

    def cancel(self) -> object:
        """Stop it, or drop what comes of it."""


class Attempt:
    """One attempt to make a call. A revised plan may give it another id while it runs."""

    __slots__ = ("call", "device", "given_up", "number", "processors", "shown", "spent", "unwanted", "work")

    def __init__(self, call: FunctionCall, number: int, started: Dispatch) -> None:
        self.call = call
        self.number = number
        self.processors = () if started.processor is None else (started.processor, *started.beside)
        self.device = started.device
        self.shown: Mapping[CallId, str] = {}
        """How a model is shown the results that it uses."""
        self.spent: Usage | None = None
        """What it asked of the model, if it did."""
        self.work: Cancellable | None = None
        self.unwanted = False
        """Whether it was cancelled from outside, and hasn't ended yet."""
        self.given_up = False
        """Whether the core cancelled it."""

    def stop(self, stopped: Callable[[], object]) -> None:
        """Stop the work; ``stopped`` is called once nothing of it runs, unless its end is told anyway."""
        assert self.work is not None
        self.work.cancel()
        if isinstance(self.work, asyncio.Task | Part):  # others tell by themselves
            self.work.add_done_callback(lambda _: stopped())

    @property
    def key(self) -> tuple[CallId, int]:
        """What tells it from every other attempt now."""
        return self.call.id, self.number
