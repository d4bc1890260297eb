"""The exact optimum of small plans of compute calls. It knows nothing of any policy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

STATES = 20_000
"""How many partial schedules the exact search looks at before it gives a plan up."""
MOST_CALLS = 100
"""Plans beyond this are not searched: where their bound isn't reached there is no hope."""


def shortest(
    seconds: Sequence[float],
    uses: Sequence[Sequence[int]],
    processors: int,
    *,
    bound: float,
    found: float,
    states: int = STATES,
) -> float | None:
    """The exact optimum of a plan of compute calls, or ``None`` where it takes too long to find.

    ``bound`` is a makespan that none is below, ``found`` one that is possible. Branch and bound
    over the orders in which calls may start: every schedule starts its calls in some order of
    time, and one that gives each call of the same order the processor that is free first starts
    none of them later. So one schedule an order is enough; it may leave a processor idle on
    purpose, for a call that comes later in the order has to start no earlier.
    """
    if len(seconds) > MOST_CALLS and found > bound:
        return None
    best, left, bound = found, states, bound * (1 + 1e-12)
    users: list[list[int]] = [[] for _ in seconds]
    for call, used in enumerate(uses):
        for other in used:
            users[other].append(call)
    paths = [0.0] * len(seconds)
    for call in reversed(range(len(seconds))):
        paths[call] = seconds[call] + max((paths[user] for user in users[call]), default=0)
    ends: dict[int, float] = {}
    seen: set[object] = set()

    def awaited(now: float) -> tuple[tuple[int, float], ...]:
        """What has been started, and when what other calls still wait for ends."""
        return tuple(
            (call, max(ends[call], now) if any(user not in ends for user in users[call]) else now)
            for call in sorted(ends)
        )

    def go(free: tuple[float, ...], now: float, work: float) -> bool:
        """Start one more call, not before ``now``; ``free`` says, in order, when processors are.

        Tells whether ``best`` is certain.
        """
        nonlocal best, left
        if best <= bound:
            return True
        if len(ends) == len(seconds):
            best = min(best, free[-1])
            return True
        free = tuple(max(at, now) for at in free)
        state = (free, awaited(now))
        if (math.fsum(free) + work) / len(free) >= best or state in seen:
            return True
        left -= 1
        if left < 0:
            return False
        seen.add(state)
        ready = [
            (-paths[call], max(free[0], *(ends[used] for used in uses[call]), 0.0), call)
            for call in range(len(seconds))
            if call not in ends and all(used in ends for used in uses[call])
        ]
        if max(start - path for path, start, _ in ready) >= best:
            return True
        for _, start, call in sorted(ready):
            end = ends[call] = start + seconds[call]
            done = go(tuple(sorted((*free[1:], end))), start, work - seconds[call])
            del ends[call]
            if not done:
                return False
        return True

    return best if go((0.0,) * processors, 0.0, math.fsum(seconds)) else None
