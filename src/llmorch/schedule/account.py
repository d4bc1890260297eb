"""What one run has of the machine, and has had: so that who has used least goes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from llmorch.errors import PolicyError
    from llmorch.schedule.policy import Policy
    from llmorch.schedule.room import Lease, Needs

Order = tuple[float, float, int]


class Account:
    """One run's part: the calls that wait, in its policy's order, and what the run has had.

    ``used`` is what its calls have occupied, in seconds of a processor (or of whatever else they
    share), divided by the run's priority.
    """

    __slots__ = (
        "active",
        "broken",
        "limited",
        "mixed",
        "number",
        "offered",
        "planning",
        "policy",
        "running",
        "since",
        "started",
        "used",
        "waiting",
        "wakes",
        "weight",
        "width",
    )  # fmt: skip

    def __init__(self, policy: Policy, priority: float, number: int) -> None:
        self.policy = policy
        self.weight = priority
        self.number = number
        self.waiting = 0
        self.mixed = False
        """Whether any of them needs more than a processor."""
        self.running = 0
        self.width = 0
        """How much of what is counted its calls occupy now."""
        self.used = 0.0
        self.since = 0.0
        """Until when ``used`` is added up."""
        self.started = 0
        self.broken: PolicyError | None = None
        """The promise that its policy broke, which ends the run."""
        self.active = False
        """Whether it wants something of what runs share, or has it."""
        self.limited: dict[Hashable, None] = {}
        """The functions whose calls are limited."""
        self.offered: tuple[Needs, ...] = ()
        self.wakes: float | None = None
        """When it will be woken, since a rate lets one more of its calls begin."""
        self.planning: Lease | None = None
        """What the model holds while it works on the plan, which is no call."""

    def order(self, at: float) -> Order:
        """Who goes first: the smallest."""
        used = self.used + self.width * (at - self.since) / self.weight
        return used, self.started / self.weight, self.number
