"""Runs that calls of other runs wait for: who waits for ever, since what it needs is held by who waits for it.

A call that is added and comes after one that waits for it, by their effects, is found at once. All else
is decided by what callers hold. A call of a nested run that needs what its own callers have up to
the last one is found at once; several callers that hold what each other's runs need are found once
nothing else can give it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from llmorch.declare.resources import CPU
from llmorch.schedule.state import OPEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmorch.calls import CallId
    from llmorch.relations import RelationGraph
    from llmorch.schedule.account import Account
    from llmorch.schedule.coordinator import Coordinator
    from llmorch.schedule.room import Needs
    from llmorch.schedule.state import CallState


class Run(Protocol):
    """A run, as far as its callers are concerned."""

    above: Sequence[Caller]
    within: dict[CallId, Sequence[Caller]]
    account: Account
    graph: RelationGraph
    states: dict[CallId, CallState]


R = TypeVar("R", bound=Run)


@dataclass(slots=True, eq=False)
class Caller:
    """A call that is made, or several as one, and may wait for others: its run, what it holds, whether it is over."""

    run: Run
    needs: Needs
    calls: tuple[CallId, ...] = ()
    over: bool = False

    def held(self, name: str) -> int:
        """How much of something it holds."""
        limits = {limit.name: 1 for limit in self.needs.limits if not limit.seconds}
        return (self.needs.amounts | limits).get(name, 0)


def waits_for_ever(runs: Iterable[R], coordinator: Coordinator) -> tuple[R, Needs, str] | None:
    """The newest nested run that has a call which can never begin, with what that needs and lacks."""
    nested = [run for run in runs if run.above and not run.above[-1].over]
    stuck = _stuck(nested)
    for run in reversed(nested):
        if run.above[-1] not in stuck:
            continue
        for needs in run.account.policy.offered(run.account.running):
            for name, held in coordinator.lacking(needs).items():
                if name != CPU and held and held == sum(caller.held(name) for caller in stuck):
                    return run, needs, name
    return None


def comes_after_caller(run: Run, call: CallId, runs: Iterable[Run]) -> str | None:
    """The function of a call that this one, just added, comes after, and that waits for it."""
    if call not in run.within or run.states[call].status != "planned":
        return None
    waiting = {(caller.run, of) for caller in run.within[call] if not caller.over for of in caller.calls}
    found, seen = [(run, call)], {(run, call)}
    for of, one in found:  # which grows
        if (of, one) in waiting:
            return of.states[one].call.function
        before = [(of, other) for other in (*of.graph.after(one), *of.graph.uses(one))]
        inside = [
            (other, nested)
            for other in runs
            for nested in other.states
            if (above := (*other.above, *other.within.get(nested, ())))
            and above[-1].run is of
            and one in above[-1].calls
        ]
        new = [
            item for item in (*before, *inside) if item not in seen and item[0].states[item[1]].status in OPEN
        ]
        found += new
        seen.update(new)
    return None


def _stuck(nested: Sequence[Run]) -> set[Caller]:
    """The callers whose runs all wait, and have no call that runs but callers like these."""
    of: dict[Caller, list[Run]] = {}
    for run in nested:
        of.setdefault(run.above[-1], []).append(run)
    stuck: set[Caller] = set()
    while found := {
        caller
        for caller, runs in of.items()
        if caller not in stuck and all(_idle(run, stuck) for run in runs)
    }:
        stuck |= found
    return stuck


def _idle(run: Run, stuck: set[Caller]) -> bool:
    """Whether calls of a run wait, and nothing of it goes on by itself."""
    inside = sum(caller.run is run for caller in stuck)
    waits = run.account.waiting > 0 or inside > 0
    return waits and run.account.planning is None and run.account.running == inside
