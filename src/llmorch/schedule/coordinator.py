"""The execution coordinator: decides where a submitted call runs, and when.

A call starts when all that it needs is free, and takes all of it at once, so that no two
calls ever wait for each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.schedule.queueing import Queueing
from llmorch.schedule.room import Needs, Room

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmorch.calls import CallId
    from llmorch.schedule.policy import Policy, Urgency, Waiting
    from llmorch.schedule.room import Capacity, Place

_PLANNING = Needs(model=1)


class Coordinator:
    """Gives submitted calls their place, in the policy's order as far as they fit.

    A compute call gets processors of its own until it ends; an inout call takes none. Calls
    that ask a local model take turns at it.
    """

    def __init__(self, capacity: Capacity, policy: Policy) -> None:
        self._policy = policy
        self._room = Room(capacity)
        self._queueing = Queueing(self._room)
        self._mixed = False
        """Whether any call ever needed more than a processor; in most plans none does."""
        self._running = 0
        self._planning: Place | None = None
        """What the model holds while it works on the plan, which is no call."""

    @property
    def held(self) -> Mapping[str, int]:
        """What calls hold of what is shared with other runs."""
        return {name: amount for name, amount in self._room.held.items() if amount}

    @property
    def alone(self) -> bool:
        """Whether nothing is held but by calls of this run: neither by others nor for the plan."""
        return self._planning is None and self._room.alone

    @property
    def wanted(self) -> Mapping[str, int]:
        """What is set aside, of what is shared with other runs, for calls that wait too long."""
        return self._queueing.wanted

    def submit(self, calls: Sequence[Waiting]) -> None:
        """Take a set of calls that became ready together."""
        if calls:
            self._mixed = self._mixed or any(not call.needs.simple or call.needs.limits for call in calls)
            self._policy.push(calls)

    def dispatch(self) -> list[tuple[tuple[CallId, ...], Place]]:
        """The calls to start now, each with its place, or several with one that they share."""
        started = []
        while (found := self._next()) is not None:
            call, place = found
            calls = [call]
            if call.needs.batch:
                calls += self._policy.along(call.needs, call.needs.size - 1)
                calls.sort(key=lambda waiting: waiting.order)
            started.append((tuple([waiting.id for waiting in calls]), place))
            self._running += 1
        return started

    def drop(self, call: CallId) -> None:
        """Forget one call that waits."""
        self._policy.drop(call)

    def _next(self) -> tuple[Waiting, Place] | None:
        if not self._mixed:
            call = self._policy.pop(self._room.fits, self._running)
            return None if call is None else (call, self._room.take(call.needs))
        queueing, room = self._queueing, self._room
        offered = self._policy.offered(self._running)
        queueing.renew(offered)
        turn = queueing.next()
        call = self._policy.pop(
            lambda needs: needs == turn if turn else room.fits(needs, queueing.spare(needs)), self._running
        )
        if call is None:
            return None
        overtaken = queueing.waiting(offered)
        place = room.take(call.needs, queueing.spare(call.needs))
        queueing.served(call.needs)
        queueing.overtaken([needs for needs in overtaken if needs != call.needs], call.needs.amounts)
        return call, place

    def release(self, needs: Needs, place: Place) -> None:
        """Give back what a call held, or all calls of a batch together."""
        self._running -= 1
        self._room.give_back(needs, place)

    def returned(self, limit: str) -> None:
        """Take note that a call which began a while ago no longer counts to its rate."""
        self._room.returned(limit)

    def others(self, held: Mapping[str, int]) -> None:
        """Take note of what runs beside this one hold of what they share."""
        self._room.others(held)

    def occupy(self) -> Place:
        """Set a processor and the model aside while the model writes the plan; which processor that is.

        Where every processor is busy the model has to share one: the plan comes first.
        """
        self._planning = self._room.set_aside()
        return self._planning

    def vacate(self) -> None:
        """Take back what ``occupy`` set aside."""
        assert self._planning is not None
        self._room.give_back(_PLANNING, self._planning)
        self._planning = None

    def withdraw(self) -> None:
        """Forget every call that waits."""
        self._policy.clear()
        self._queueing.renew(())

    def reorder(self, urgency: Mapping[CallId, Urgency]) -> None:
        """Hand better estimates to the policy."""
        self._policy.reorder(urgency)
