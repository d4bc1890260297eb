"""What the core knows of one call, and what may become of it.

Decides which changes there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmorch.errors import IllegalEvent
from llmorch.relations import NOTHING
from llmorch.schedule.room import NO_LEASE, Lease

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import CallId, FunctionCall
    from llmorch.records import Status
    from llmorch.relations import Touch

Attempt = tuple["CallId", int]
"""One attempt to make a call: its id, and which attempt it is."""

OPEN: frozenset[Status] = frozenset(("planned", "submitted", "running"))
"""How a call stands that hasn't come to an end."""
_MAY_BECOME: Mapping[Status, tuple[Status, ...]] = {
    "planned": ("submitted", "completed", "failed", "skipped", "unused", "cancelled"),
    "submitted": ("running", "failed", "unused", "cancelled"),
    "running": ("completed", "failed", "cancelled"),
}
"""What may come of a call. One that is complete at once is made by another, one that fails at once is refused."""


@dataclass(slots=True, eq=False)
class Shared:
    """The lease of calls that were dispatched as one: it is theirs until the last of them has ended."""

    running: int


@dataclass(slots=True)
class Planning:
    """A time in which a local model worked on the plan, and the processor that it was given, if any was idle."""

    began: float
    processors: tuple[int, ...]
    ended: float | None = None


@dataclass(slots=True)
class CallState:
    """What the core knows of one call; times are the driver's, in seconds.

    ``skipped`` is a call that can't run because one it depends on failed, ``unused`` one
    whose result nobody wants. ``inputs`` are the attempts whose results it uses.
    """

    call: FunctionCall
    attempt: int = 1
    inputs: tuple[Attempt, ...] = ()
    status: Status = "planned"
    lease: Lease = NO_LEASE
    known: float | None = None
    """When it was in the plan."""
    submitted: float | None = None
    dispatched: float | None = None
    completed: float | None = None
    error: str | None = None
    touch: Touch = NOTHING
    """What it touches, as far as that was known when the plan was revised."""
    same_as: CallId | None = None
    """The call whose result is its own: it isn't made itself."""
    shared: Shared | None = field(default=None, repr=False, compare=False)
    """What it has in common with the calls that are made as one with it."""

    def become(self, status: Status, at: float | None = None, error: str | None = None) -> None:
        """Change how the call stands, at a time where it has one: nothing else does.

        Raises ``IllegalEvent`` for what it can't become.
        """
        if status not in _MAY_BECOME.get(self.status, ()):
            raise IllegalEvent(f"{self.call.id} can't be {status}: its state is {self}")
        if status == "running":
            self.dispatched = at
        elif status == "submitted":
            self.submitted = at
        else:
            self.completed, self.error = at, error
            if status == "unused":
                self.submitted = None
        self.status = status

    def leave(self) -> bool:
        """Take note that it runs no more; whether its lease is over then."""
        if self.shared is None:
            return True
        self.shared.running -= 1
        return not self.shared.running

    @property
    def processor(self) -> int | None:
        """The processor it runs on, or the first of several; ``None`` for an inout call."""
        return self.lease.processors[0] if self.lease.processors else None

    @property
    def key(self) -> Attempt:
        """What tells this attempt from every other."""
        return self.call.id, self.attempt
