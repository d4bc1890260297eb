"""Which calls touch the same things: the order relation, without a list of its pairs.

Pairs grow with the square of the calls, so none is kept: each name has the calls that read it
and those that write it, by their order in the plan.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmorch.relations.effects import NOTHING, Name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmorch.relations.effects import Touch


@dataclass(slots=True)
class Group:
    """The orders of the calls that read something, and of those that write it, in the plan's order."""

    readers: list[int] = field(default_factory=list)
    writers: list[int] = field(default_factory=list)


class Things:
    """Calls, by their order in the plan, and what each touches.

    ``Touch.conflicts`` and ``Touch.spoils`` say what is meant; here it is looked up by name,
    so that a call costs as much as it says names, however many others say them too.
    """

    def __init__(self) -> None:
        self.touches: dict[int, Touch] = {}
        """What each call touches, as far as it is known."""
        self._groups: dict[Name, Group] = {}
        self._names: list[tuple[str, bool]] = []
        """Those of the groups, sorted."""
        self._lengths: Counter[int] = Counter()
        """Of the names that stand for all that begins like them, how many have which length."""
        self._any = Group()
        """All calls, and those that nothing is known of: these conflict with all."""
        self._some = Group()
        """The calls that touch anything, and those that may leave it different."""

    def __contains__(self, at: int) -> bool:
        return at in self.touches

    def groups(self) -> Iterator[tuple[str, Group]]:
        """What is touched, as a pattern, by whom; a star alone is anything."""
        if self._any.writers:
            yield "*", Group([], self._any.writers)
        for name, group in self._groups.items():
            yield f"{name.text}*" if name.below else name.text, group

    def add(self, at: int, touch: Touch) -> None:
        """Take a call that isn't there."""
        self.touches[at] = touch
        if touch is NOTHING:  # most calls
            insort(self._any.readers, at)
            return
        for orders in self._lists(touch):
            insort(orders, at)

    def remove(self, at: int) -> None:
        """Forget a call, if it is there."""
        touch = self.touches.pop(at, None)
        if touch is None:
            return
        if touch is NOTHING:
            del self._any.readers[bisect_left(self._any.readers, at)]
            return
        for orders in self._lists(touch):
            del orders[bisect_left(orders, at)]
        for name in (*touch.reads, *touch.writes):
            group = self._groups.get(name)
            if group is not None and not group.readers and not group.writers:
                del self._groups[name]
                del self._names[bisect_left(self._names, (name.text, name.below))]
                self._lengths[len(name.text)] -= name.below

    def _lists(self, touch: Touch) -> Iterator[list[int]]:
        """Where a call of this touch stands."""
        yield self._any.readers
        if touch.barrier:
            yield self._any.writers
        if touch != NOTHING:
            yield self._some.readers
        if touch.changes:
            yield self._some.writers
        for name in touch.reads:
            yield self._group(name).readers
        for name in touch.writes:
            yield self._group(name).writers

    def _group(self, name: Name) -> Group:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group()
            insort(self._names, (name.text, name.below))
            self._lengths[len(name.text)] += name.below
        return group

    def met(self, name: Name) -> Iterator[Name]:
        """The names here that may stand for the same thing."""
        yield from self._covering(name)
        if name.below:
            for at in range(bisect_left(self._names, (name.text, False)), len(self._names)):
                text, below = self._names[at]
                if not text.startswith(name.text):
                    return
                if (text, below) != (name.text, True):
                    yield Name(text, below)

    def _covering(self, name: Name) -> Iterator[Name]:
        """The names here that stand for all of it, whatever it is."""
        if not name.below and name in self._groups:
            yield name
        for length, count in self._lengths.items():
            if count and length <= len(name.text):
                other = Name(name.text[:length], below=True)
                if other in self._groups:
                    yield other

    def _met(self, names: Iterable[Name]) -> Iterator[Group]:
        return (self._groups[other] for name in names for other in self.met(name))

    def _conflicting(self, touch: Touch) -> Iterator[list[int]]:
        if touch.barrier:
            yield self._any.readers
            return
        yield self._any.writers
        for group in self._met(touch.writes):
            yield from (group.readers, group.writers)
        for group in self._met(touch.reads):
            yield group.writers

    def earlier(self, at: int, touch: Touch) -> list[int]:
        """The earlier calls that conflict with a call of this touch, in order."""
        return _before(self._conflicting(touch), at)

    def last(self, at: int, touch: Touch) -> int | None:
        """The last of the earlier calls that conflict with it."""
        if touch is NOTHING and not self._any.writers:
            return None
        found = max((_last(orders, at) for orders in self._conflicting(touch)), default=-1)
        return None if found < 0 else found

    def direct(self, at: int, touch: Touch) -> list[int]:
        """Of the earlier calls that conflict with it, the last writer of each name, and for a writer the readers since.

        All others come before one of these.
        """
        barrier = _last(self._any.writers, at)
        found = {barrier}
        if touch.barrier:
            everything = self._any.readers
            found.update(everything[bisect_right(everything, barrier) : bisect_left(everything, at)])
        elif touch != NOTHING:
            found = set()
        for name, writes in (*((one, True) for one in touch.writes), *((one, False) for one in touch.reads)):
            covering = (_last(self._groups[other].writers, at) for other in self._covering(name))
            start = max(barrier, *covering, -1)
            found.add(start)
            for group in self._met([name]):
                writer = max(start, _last(group.writers, at))
                found.add(writer)
                if writes:
                    readers = group.readers
                    found.update(readers[bisect_right(readers, writer) : bisect_left(readers, at)])
        return sorted(found - {-1})

    def spoilt(self, touch: Touch) -> Iterator[list[int]]:
        """Lists of calls that find something else without one of this touch; those after it are meant."""
        if touch.barrier:
            yield self._some.readers
        elif touch.changes:
            yield self._any.writers
            for group in self._met(touch.writes):
                yield from (group.readers, group.writers)

    def _spoiling(self, touch: Touch) -> Iterator[list[int]]:
        """Lists of calls without which one of this touch finds something else; those before it are meant."""
        if touch.barrier:
            yield self._some.writers
        elif touch != NOTHING:
            yield self._any.writers
            for group in self._met((*touch.reads, *touch.writes)):
                yield group.writers

    def spoilers(self, at: int, touch: Touch) -> list[int]:
        """The earlier calls without which a call of this touch finds something else."""
        return _before(self._spoiling(touch), at)

    def spoiled(self, at: int, touch: Touch) -> bool:
        """Whether there is any of these."""
        if not self.touches or touch is NOTHING:
            return False
        return any(orders and orders[0] < at for orders in self._spoiling(touch))


class Largest:
    """The largest value of any call that conflicts with another, of those that were taken so far."""

    def __init__(self, things: Things) -> None:
        self._things = things
        self._of_readers: dict[Name, float] = {}
        self._of_writers: dict[Name, float] = {}
        self._of_all = 0.0
        self._of_barriers = 0.0

    def of(self, touch: Touch) -> float:
        """The largest value of those that conflict with a call of this touch, at least 0."""
        if touch.barrier:
            return self._of_all
        found = self._of_barriers
        for name in touch.writes:
            for other in self._things.met(name):
                found = max(found, self._of_readers.get(other, 0.0), self._of_writers.get(other, 0.0))
        for name in touch.reads:
            for other in self._things.met(name):
                found = max(found, self._of_writers.get(other, 0.0))
        return found

    def take(self, touch: Touch, value: float) -> None:
        """Know of one more call."""
        self._of_all = max(self._of_all, value)
        if touch.barrier:
            self._of_barriers = max(self._of_barriers, value)
        for names, largest in ((touch.reads, self._of_readers), (touch.writes, self._of_writers)):
            for name in names:
                largest[name] = max(largest.get(name, 0.0), value)


def _before(lists: Iterable[list[int]], at: int) -> list[int]:
    """The orders in any of the lists that come before this one, sorted."""
    return sorted({order for orders in lists for order in orders[: bisect_left(orders, at)]})


def _last(orders: list[int], at: int) -> int:
    """The last order before this one, or -1."""
    found = bisect_left(orders, at)
    return orders[found - 1] if found else -1
