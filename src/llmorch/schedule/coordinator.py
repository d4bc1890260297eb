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


class Coordinator:
    """Gives submitted calls a processor each, in the policy's order.

    A compute call gets a processor of its own until it ends; an inout call starts at
    once and takes none. Calls that ask a local model take turns at it.
    """

    def __init__(self, processors: int, policy: Policy) -> None:
        self._policy = policy
        self._free = list(range(processors))
        self._running = 0
        self._model_free = 1
        self._unwanted: set[CallId] = set()
        """Calls that wait in the policy and are passed over."""
        self._planning: tuple[Needs, int | None] | None = None
        """What the model holds while it works on the plan, which is no call."""

    def submit(self, calls: Sequence[Waiting]) -> None:
        """Take a set of calls that became ready together."""
        if calls:
            self._policy.push(calls)

    def dispatch(self) -> list[tuple[CallId, int | None]]:
        """The calls to start now, each with its processor."""
        started = []
        while (call := self._policy.pop(self._fits, self._running)) is not None:
            if call.id in self._unwanted:
                self._unwanted.remove(call.id)
                continue
            processor = heappop(self._free) if call.needs.processors else None
            self._model_free -= call.needs.model
            self._running += 1
            started.append((call.id, processor))
        return started

    def drop(self, call: CallId) -> None:
        """Forget one call that waits."""
        self._unwanted.add(call)

    def release(self, needs: Needs, processor: int | None) -> None:
        """Give back what a call held."""
        self._running -= 1
        self._give_back(needs, processor)

    def occupy(self) -> None:
        """Set a processor and the model aside while the model writes the plan.

        Where every processor is busy the model has to share one: the plan comes first.
        """
        processor = None
        if self._free:
            processor = max(self._free)
            self._free.remove(processor)
            heapify(self._free)
        self._planning = (Needs(model=1), processor)
        self._model_free -= 1

    def vacate(self) -> None:
        """Take back what ``occupy`` set aside."""
        assert self._planning is not None
        self._give_back(*self._planning)
        self._planning = None

    def _give_back(self, needs: Needs, processor: int | None) -> None:
        self._model_free += needs.model
        if processor is not None:
            heappush(self._free, processor)

    def withdraw(self) -> None:
        """Forget every call that waits."""
        self._unwanted.clear()
        self._policy.clear()

    def reorder(self, urgency: dict[CallId, float]) -> None:
        """Hand better estimates to the policy."""
        self._policy.reorder(urgency)

    def _fits(self, needs: Needs) -> bool:
        return needs.processors <= len(self._free) and needs.model <= self._model_free
