"""The execution coordinator: decides where a submitted call runs, and when.

It knows processors by number, and that a compute call occupies one until it ends.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from llmorch.schedule.policy import Needs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmorch.calls import CallId
    from llmorch.schedule.policy import Policy, Waiting

_PLANNING = ""
"""Stands for the model's own work on the plan, which is no call."""


class Coordinator:
    """Gives submitted calls a processor each, in the policy's order.

    A compute call gets a processor of its own until it ends; an inout call starts at
    once and takes none. Calls that ask a local model take turns at it.
    """

    def __init__(self, processors: int, policy: Policy) -> None:
        self._policy = policy
        self._free = list(range(processors))
        self._held: dict[CallId, tuple[Needs, int | None]] = {}
        self._model_free = 1
        self._planning = False

    def submit(self, calls: Sequence[Waiting]) -> None:
        """Take a set of calls that became ready together."""
        if calls:
            self._policy.push(calls)

    def dispatch(self) -> list[tuple[CallId, int | None]]:
        """The calls to start now, each with its processor."""
        started = []
        while (call := self._policy.pop(self._fits, len(self._held) - self._planning)) is not None:
            started.append((call.id, self._hold(call.id, call.needs)))
        return started

    def release(self, call: CallId) -> None:
        """Give back what a call held."""
        needs, processor = self._held.pop(call)
        self._model_free += needs.model
        if processor is not None:
            heappush(self._free, processor)

    def occupy(self) -> None:
        """Set a processor and the model aside while the model writes the plan.

        Where every processor is busy the model has to share one: the plan comes first.
        """
        self._planning = True
        self._model_free -= 1
        processor = None
        if self._free:
            processor = max(self._free)
            self._free.remove(processor)
            heapify(self._free)
        self._held[_PLANNING] = (Needs(model=1), processor)

    def vacate(self) -> None:
        """Take back what ``occupy`` set aside."""
        self._planning = False
        self.release(_PLANNING)

    def withdraw(self) -> None:
        """Forget every call that waits."""
        self._policy.clear()

    def reorder(self, urgency: dict[CallId, float]) -> None:
        """Hand better estimates to the policy."""
        self._policy.reorder(urgency)

    def _fits(self, needs: Needs) -> bool:
        return needs.processors <= len(self._free) and needs.model <= self._model_free

    def _hold(self, call: CallId, needs: Needs) -> int | None:
        processor = heappop(self._free) if needs.processors else None
        self._model_free -= needs.model
        self._held[call] = (needs, processor)
        return processor
