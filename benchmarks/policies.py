"""The policies that are compared, the exact optimum that none can beat, and a table of them.

The search for the optimum is for small plans of compute calls; it knows nothing of any policy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Row: TypeAlias = dict[str, object]
"""One line of a table, as JSON has it."""

POLICIES: Mapping[str, str] = {
    "critical": "ours: the longest remaining path first",
    "exclusive": "the paper's: sets of calls by rank, in turn",
    "greedy": "LLMCompiler's: first ready, first started (fifo)",
    "barrier": "parallel function calling's: a batch, then the next",
    "sequential": "ReAct's: one call at a time",
}
"""Every policy by its name, and what it stands for."""

OURS, RANKS, FIFO = "critical", "exclusive", "greedy"

STATES = 20_000
"""How many partial schedules the exact search looks at before it gives a plan up."""
MOST_CALLS = 100
"""Plans beyond this are not searched: where their bound isn't reached there is no hope."""


def markdown_table(columns: Mapping[str, Callable[[Row], str]], rows: Iterable[Row]) -> str:
    """A table in Markdown: the first column to the left, all others to the right."""
    lines = [
        f"| {' | '.join(columns)} |",
        f"|---|{'---:|' * (len(columns) - 1)}",
        *(f"| {' | '.join(cell(row) for cell in columns.values())} |" for row in rows),
    ]
    return "\n".join(lines)


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

    ``bound`` is a makespan that none is below, ``found`` one that is possible.
    """
    if len(seconds) > MOST_CALLS and found > bound:
        return None
    search = _Search(seconds, uses, processors, bound=bound, found=found, states=states)
    return search.best if search.run() else None


class _Search:
    """Branch and bound over the orders in which calls may start.

    Every schedule starts its calls in some order of time, and one that gives each call of
    the same order the processor that is free first starts none of them later. So one
    schedule an order is enough; it may leave a processor idle on purpose, for a call that
    comes later in the order has to start no earlier.
    """

    def __init__(
        self,
        seconds: Sequence[float],
        uses: Sequence[Sequence[int]],
        processors: int,
        *,
        bound: float,
        found: float,
        states: int,
    ) -> None:
        self.best = found
        self._seconds, self._uses, self._states = seconds, uses, states
        self._bound = bound * (1 + 1e-12)
        self._users: list[list[int]] = [[] for _ in seconds]
        for call, used in enumerate(uses):
            for other in used:
                self._users[other].append(call)
        self._paths = [0.0] * len(seconds)
        for call in reversed(range(len(seconds))):
            self._paths[call] = seconds[call] + max(
                (self._paths[user] for user in self._users[call]), default=0
            )
        self._ends: dict[int, float] = {}
        self._free = (0.0,) * processors
        self._seen: set[object] = set()

    def run(self) -> bool:
        """Search; tell whether ``best`` is certain."""
        return self._go(self._free, 0.0, math.fsum(self._seconds))

    def _go(self, free: tuple[float, ...], now: float, work: float) -> bool:
        """Start one more call, not before ``now``; ``free`` says, in order, when processors are."""
        if self.best <= self._bound:
            return True
        if len(self._ends) == len(self._seconds):
            self.best = min(self.best, free[-1])
            return True
        free = tuple(max(at, now) for at in free)
        state = (free, self._awaited(now))
        if (math.fsum(free) + work) / len(free) >= self.best or state in self._seen:
            return True
        self._states -= 1
        if self._states < 0:
            return False
        self._seen.add(state)
        ready = [
            (-self._paths[call], max(free[0], *(self._ends[used] for used in self._uses[call]), 0.0), call)
            for call in range(len(self._seconds))
            if call not in self._ends and all(used in self._ends for used in self._uses[call])
        ]
        if max(start - path for path, start, _ in ready) >= self.best:
            return True
        for _, start, call in sorted(ready):
            end = self._ends[call] = start + self._seconds[call]
            done = self._go(tuple(sorted((*free[1:], end))), start, work - self._seconds[call])
            del self._ends[call]
            if not done:
                return False
        return True

    def _awaited(self, now: float) -> tuple[tuple[int, float], ...]:
        """What has been started, and when what other calls still wait for ends."""
        return tuple(
            (call, max(self._ends[call], now) if any(u not in self._ends for u in self._users[call]) else now)
            for call in sorted(self._ends)
        )
