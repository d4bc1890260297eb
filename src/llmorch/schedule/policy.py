"""The order among calls that wait: one object a policy.

A policy holds the calls that the scheduler has submitted and hands out the next one to
dispatch, given what fits at the moment. It decides order and nothing else; what fits, and that
nobody is overtaken for ever, is the coordinator's.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Protocol, TypeAlias

from llmorch.declare.text import brief
from llmorch.errors import WrongArgument
from llmorch.values import value

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from llmorch.calls import CallId
    from llmorch.schedule.room import Needs


Urgency: TypeAlias = tuple[float, bool]
"""How urgent a call is: the longest chain of expected seconds that begins with it; and of two with the
same, the one that only waits and has compute work behind it, which a processor may be idle for."""


@value()
class Waiting:
    """A call that was submitted: its order in the plan, its needs, and how urgent it is."""

    id: CallId
    order: int
    needs: Needs
    urgency: Urgency = (0.0, False)


class Policy(Protocol):
    """The order among waiting calls."""

    @property
    def name(self) -> str:
        """What a person calls this policy."""

    def push(self, calls: Sequence[Waiting]) -> None:
        """Take a set of calls that became ready together."""

    def pop(self, fits: Callable[[Needs], bool], running: int) -> Waiting | None:
        """Hand out the next call to dispatch, or ``None`` if nothing may start now."""

    def along(self, needs: Needs, most: int) -> list[Waiting]:
        """Hand out at most so many calls of these needs, which go with the one handed out last."""

    def offered(self, running: int) -> Collection[Needs]:
        """The different needs of the calls that it would hand out now, if they fit."""

    def drop(self, call: CallId) -> None:
        """Forget one call that waits."""

    def reorder(self, urgency: Mapping[CallId, Urgency]) -> None:
        """Take note of better estimates: the whole plan is known."""

    def clear(self) -> None:
        """Forget every waiting call."""


class _Lanes:
    """Waiting calls by what they need, each lane in the order of one key.

    There are as many lanes as there are different needs, which are few, so the next
    call that fits is found without looking at those that don't.
    """

    def __init__(self, key: Callable[[Waiting, int], tuple[float, ...]]) -> None:
        self._key = key
        self._lanes: dict[Needs, list[tuple[tuple[float, ...], int, Waiting]]] = {}
        self._count = 0

    def push(self, call: Waiting) -> None:
        self._count += 1
        lane = self._lanes.get(call.needs)
        if lane is None:
            lane = self._lanes[call.needs] = []
        heappush(lane, (self._key(call, self._count), self._count, call))

    def pop(self, fits: Callable[[Needs], bool]) -> Waiting | None:
        first = None
        for needs, lane in self._lanes.items():
            if lane and fits(needs) and (first is None or lane[0] < first[0]):
                first = lane
        return None if first is None else heappop(first)[2]

    def along(self, needs: Needs, most: int) -> list[Waiting]:
        lane = self._lanes.get(needs, [])
        return [heappop(lane)[2] for _ in range(min(most, len(lane)))]

    def drop(self, call: CallId) -> None:
        for needs, lane in self._lanes.items():
            if any(waiting.id == call for _, _, waiting in lane):
                self._lanes[needs] = [entry for entry in lane if entry[2].id != call]
                heapify(self._lanes[needs])
                return

    def reorder(self, urgency: Mapping[CallId, Urgency]) -> None:
        for needs, lane in self._lanes.items():
            renewed = [
                (Waiting(call.id, call.order, needs, urgency.get(call.id, call.urgency)), at)
                for _, at, call in lane
            ]
            self._lanes[needs] = [(self._key(call, at), at, call) for call, at in renewed]
            heapify(self._lanes[needs])

    def offered(self) -> list[Needs]:
        return [needs for needs, lane in self._lanes.items() if lane]

    def clear(self) -> None:
        self._lanes.clear()

    def __bool__(self) -> bool:
        return any(self._lanes.values())


class CriticalPath:
    """Ours: the call with the longest chain of work behind it first.

    Of two with the same, an inout call that compute work waits for, then the plan's order.
    """

    name = "critical"

    def __init__(self) -> None:
        self._lanes = _Lanes(lambda call, _: (-call.urgency[0], not call.urgency[1], call.order))

    def push(self, calls: Sequence[Waiting]) -> None:
        for call in calls:
            self._lanes.push(call)

    def pop(self, fits: Callable[[Needs], bool], running: int) -> Waiting | None:
        return self._lanes.pop(fits)

    def along(self, needs: Needs, most: int) -> list[Waiting]:
        return self._lanes.along(needs, most)

    def offered(self, running: int) -> Collection[Needs]:
        return self._lanes.offered()

    def drop(self, call: CallId) -> None:
        self._lanes.drop(call)

    def reorder(self, urgency: Mapping[CallId, Urgency]) -> None:
        self._lanes.reorder(urgency)

    def clear(self) -> None:
        self._lanes.clear()


class Greedy(CriticalPath):
    """LLMCompiler's way: what is ready first starts first."""

    name = "greedy"

    def __init__(self) -> None:
        self._lanes = _Lanes(lambda _, count: (count,))


class Sequential(CriticalPath):
    """ReAct's way: one call at a time, in the plan's order."""

    name = "sequential"

    def __init__(self) -> None:
        self._lanes = _Lanes(lambda call, _: (call.order,))

    def pop(self, fits: Callable[[Needs], bool], running: int) -> Waiting | None:
        return None if running else self._lanes.pop(fits)

    def offered(self, running: int) -> Collection[Needs]:
        return () if running else self._lanes.offered()


class Barrier(Greedy):
    """Parallel function calling's way: a batch runs, and the next waits for all of it.

    The first batch waits for the whole plan: else the order in which a model writes
    would make a batch of every single call.
    """

    name = "barrier"

    def __init__(self) -> None:
        super().__init__()
        self._next: list[Waiting] = []
        self._known = False

    def push(self, calls: Sequence[Waiting]) -> None:
        self._next += calls

    def pop(self, fits: Callable[[Needs], bool], running: int) -> Waiting | None:
        self._advance(running)
        return self._lanes.pop(fits)

    def along(self, needs: Needs, most: int) -> list[Waiting]:
        found = self._lanes.along(needs, most)
        found += [call for call in self._next if call.needs == needs][: most - len(found)]
        self._next = [call for call in self._next if call not in found]
        return found

    def offered(self, running: int) -> Collection[Needs]:
        self._advance(running)
        return self._lanes.offered()

    def _advance(self, running: int) -> None:
        if self._known and not self._lanes and running == 0:
            batch, self._next = self._next, []
            super().push(batch)

    def drop(self, call: CallId) -> None:
        self._next = [waiting for waiting in self._next if waiting.id != call]
        super().drop(call)

    def reorder(self, urgency: Mapping[CallId, Urgency]) -> None:
        self._known = True

    def clear(self) -> None:
        self._next, self._known = [], False
        super().clear()


class Exclusive:
    """The paper's Algorithm 3: sets of calls in turn, inout first, then compute calls
    each on a spare processor; what is left of a set stays in front of the next.

    Two lines of the algorithm are read otherwise. A compute call without a partner of
    its rank is still a compute call: occupancy follows from the kind. And among spare
    processors the lowest is taken, not a random one, so that a run can be replayed.
    """

    name = "exclusive"

    def __init__(self) -> None:
        self._sets: deque[tuple[_Lanes, _Lanes]] = deque()

    def push(self, calls: Sequence[Waiting]) -> None:
        inout, compute = _Lanes(lambda _, count: (count,)), _Lanes(lambda _, count: (count,))
        for call in calls:
            (compute if call.needs.processors else inout).push(call)
        self._sets.append((inout, compute))

    def pop(self, fits: Callable[[Needs], bool], running: int) -> Waiting | None:
        self._advance()
        if not self._sets:
            return None
        inout, compute = self._sets[0]
        return inout.pop(fits) or compute.pop(fits)

    def along(self, needs: Needs, most: int) -> list[Waiting]:
        found: list[Waiting] = []
        for lanes in self._sets:
            for kind in lanes:
                found += kind.along(needs, most - len(found))
        return found

    def offered(self, running: int) -> Collection[Needs]:
        self._advance()
        return [needs for lanes in self._sets[0] for needs in lanes.offered()] if self._sets else ()

    def _advance(self) -> None:
        while self._sets and not any(self._sets[0]):
            self._sets.popleft()

    def drop(self, call: CallId) -> None:
        for lanes in self._sets:
            for lane in lanes:
                lane.drop(call)

    def reorder(self, urgency: Mapping[CallId, Urgency]) -> None:
        pass

    def clear(self) -> None:
        self._sets.clear()


POLICIES: dict[str, type[Policy]] = {
    policy.name: policy for policy in (CriticalPath, Exclusive, Greedy, Barrier, Sequential)
}
"""The policies by name; the first is the default."""


def policy_named(name: str) -> Policy:
    """A new policy object. Raises ``WrongArgument`` that lists the names."""
    if not isinstance(name, str) or name not in POLICIES:
        raise WrongArgument(f"there is no policy {brief(name)}; there are {', '.join(POLICIES)}")
    return POLICIES[name]()
