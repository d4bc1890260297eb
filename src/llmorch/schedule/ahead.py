"""Looking ahead: in which order a plan's calls finish first, where every duration is known.

The longest remaining path first is nearly always the best order, and now and then it is
longer than starting calls as they become ready, or by the paper's ranks (Graham's anomalies).
All are played, with the same scheduler and coordinator as the run itself, and the shortest is kept.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from llmorch.relations import lower_bound
from llmorch.schedule.coordinator import Coordinator
from llmorch.schedule.policy import CriticalPath, Exclusive, Greedy, Waiting
from llmorch.schedule.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import CallId
    from llmorch.relations import RelationGraph
    from llmorch.schedule.policy import Policy, Urgency
    from llmorch.schedule.room import Capacity, Needs, Place

_ROUNDING = 1e-9
MOST_CALLS = 1_000
"""Plans beyond this are not played: that would take longer than it saves, and one order is much like another."""

WORTH = 0.001
"""Seconds that a call takes on the mean; below that, playing takes longer than it saves."""


def foreseen(
    graph: RelationGraph,
    needs: Mapping[CallId, Needs],
    durations: Mapping[CallId, float],
    capacity: Capacity,
    paths: Mapping[CallId, Urgency],
) -> Mapping[CallId, Urgency]:
    """How urgent each call is: its remaining path, unless another order is shorter.

    In that case the earlier a call would start there, the more urgent it is. Nothing of the
    plan may have started; a call that has no ``needs`` isn't made.
    """
    if len(graph) > MOST_CALLS or sum(durations.values()) < WORTH * len(graph):
        return paths
    if sum(need.processors for need in needs.values()) <= capacity.processors and not any(
        need.model or need.limits or not need.simple for need in needs.values()
    ):
        return paths  # nothing ever waits for anything but its data
    makespan, _ = _played(graph, needs, durations, capacity, CriticalPath(), paths)
    parts = {call: capacity.parts(need) for call, need in needs.items()}
    if makespan <= lower_bound(graph, durations, capacity.processors, parts=parts) * (1 + _ROUNDING):
        return paths
    best = paths
    for policy in (Greedy(), Exclusive()):
        other, started = _played(graph, needs, durations, capacity, policy, paths)
        if other >= makespan * (1 - _ROUNDING):
            continue
        order = {call: (float(len(started) - place), False) for place, call in enumerate(started)}
        # The ranks hold calls back that this order starts at once, so it may come to something else.
        again, _ = _played(graph, needs, durations, capacity, CriticalPath(), order)
        if again < makespan * (1 - _ROUNDING):
            best, makespan = order, again
    return best


def _played(
    graph: RelationGraph,
    needs: Mapping[CallId, Needs],
    durations: Mapping[CallId, float],
    capacity: Capacity,
    policy: Policy,
    urgency: Mapping[CallId, Urgency],
) -> tuple[float, list[CallId]]:
    """The makespan under a policy, and the calls in the order in which they start."""
    scheduler, coordinator = Scheduler(graph), Coordinator(capacity, policy)
    ready = [call for call in graph if scheduler.add(call)]
    ready += scheduler.drop([call for call in graph if call not in needs and graph.same_as(call) is None])
    ready = [call for call in ready if call in needs or graph.same_as(call) is not None]
    started: list[CallId] = []
    ends: list[tuple[float, int, tuple[CallId, ...], Place | str]] = []
    """When calls end that have one place, or when one that began no longer counts to a rate."""
    now = makespan = 0.0
    while True:
        made, _ = scheduler.settle(ready)
        coordinator.submit([Waiting(call, graph.order(call), needs[call], urgency[call]) for call in made])
        for calls, place in coordinator.dispatch():
            started += calls
            heappush(ends, (now + max(durations[call] for call in calls), 2 * len(started), calls, place))
            for limit in needs[calls[0]].limits:
                if limit in capacity.periods:
                    heappush(ends, (now + capacity.periods[limit], 2 * len(started) + 1, calls, limit))
        if not ends:
            return makespan, started
        now, _, ended, what = heappop(ends)
        if isinstance(what, str):
            coordinator.returned(what)
            ready = []
        else:
            makespan = now
            coordinator.release(needs[ended[0]], what)
            ready = [later for call in ended for later in scheduler.complete(call)]
