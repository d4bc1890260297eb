"""What the runs of this process hold of what they share.

Decides nothing about any call: it adds up what each run says that it holds, what calls
that were given up still use, and which calls began too lately for their rate. One lock
guards it, so runs may be on different threads.
"""

from __future__ import annotations

from collections import deque
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    Amounts = Mapping[Hashable, int]


class Member:
    """One run. ``changed`` is called, on any thread, when there may be more room for it."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        self.held: Amounts = {}
        self.wanted: Amounts = {}
        self.since = 0
        """The number of its turn among the members that want something."""


class Ledger:
    """The account of one process."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.lock = RLock()
        self.clock = clock
        self._members: dict[Member, None] = {}
        self._left: dict[object, Amounts] = {}
        """What calls use that were given up and can't be stopped."""
        self._begun: dict[Hashable, deque[tuple[float, Member | None]]] = {}
        """By rate, until when each call that began counts, and whose it is."""
        self._turns = 0

    def join(self, member: Member) -> None:
        """Take part from now on."""
        with self.lock:
            self._members[member] = None

    def leave(self, member: Member) -> None:
        """Give back all that a run holds; what counts to a rate goes on counting."""
        with self.lock:
            self._members.pop(member, None)
            self._tell(member)

    def publish(self, member: Member, held: Amounts, wanted: Amounts) -> None:
        """Say what a run holds now, and what it wants left free for a call that waits too long.

        What one wants is held to the others, but for those that wanted something before it.
        """
        with self.lock:
            if held == member.held and wanted == member.wanted:
                return
            if not wanted.keys() >= member.wanted.keys() or not member.wanted:
                self._turns += 1
                member.since = self._turns
            member.held, member.wanted = dict(held), dict(wanted)
            self._tell(member)

    def others(self, member: Member) -> dict[Hashable, int]:
        """What all but this run hold."""
        total: dict[Hashable, int] = {}
        with self.lock:
            for other in self._members:
                if other is member:
                    continue
                _add(total, other.held)
                if not member.wanted or other.since < member.since:
                    _add(total, other.wanted)
            for left in self._left.values():
                _add(total, left)
            for limit, begun in list(self._begun.items()):
                self._forget(begun)
                if not begun:
                    del self._begun[limit]
                elif count := sum(whose is not member for _, whose in begun):
                    total[limit] = count
        return total

    def begin(self, limit: Hashable, seconds: float, member: Member | None) -> None:
        """Count a call that begins now to its rate."""
        with self.lock:
            self._begun.setdefault(limit, deque()).append((self.clock() + seconds, member))

    def begin_or_wait(self, limit: Hashable, calls: int, seconds: float) -> float:
        """Count a call that begins now, and return 0; or the seconds until it is worth asking again."""
        with self.lock:
            begun = self._begun.setdefault(limit, deque())
            self._forget(begun)
            if len(begun) >= calls:
                return max(begun[len(begun) - calls][0] - self.clock(), 0.001)
            self.begin(limit, seconds, None)
            return 0.0

    def next_return(self, member: Member, limits: Mapping[Hashable, object]) -> float | None:
        """When the first call of these rates that isn't this run's own stops counting, if one does."""
        with self.lock:
            ends = [
                end for limit in limits for end, whose in self._begun.get(limit, ()) if whose is not member
            ]
        return min(ends, default=None)

    def leave_behind(self, amounts: Amounts) -> Callable[[], None]:
        """Hold what a call goes on using that was given up; the answer gives it back, once."""
        mark = object()
        with self.lock:
            self._left[mark] = amounts

        def ended() -> None:
            with self.lock:
                if self._left.pop(mark, None) is not None:
                    self._tell(None)

        return ended

    def _forget(self, begun: deque[tuple[float, Member | None]]) -> None:
        now = self.clock()
        while begun and begun[0][0] <= now:
            begun.popleft()

    def _tell(self, member: Member | None) -> None:
        for other in self._members:
            if other is not member:
                other.changed()


def _add(total: dict[Hashable, int], amounts: Amounts) -> None:
    for name, amount in amounts.items():
        total[name] = total.get(name, 0) + amount


LEDGER = Ledger()
"""This process's."""
