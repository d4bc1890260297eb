"""A run's calls as their records tell them: what its graph, its states and its declarations know of each.

That is all that a simulation knows; what calls returned is the ``result``'s to add.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch import records
from llmorch.errors import MESSAGE, without_middle
from llmorch.plan import render
from llmorch.records import rounded
from llmorch.schedule import Needs
from llmorch.schedule.room import MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from llmorch.calls import CallId, Plan
    from llmorch.declare.functions import Function
    from llmorch.relations import RelationGraph
    from llmorch.runtime.simulate import Simulation
    from llmorch.schedule import CallState


def fields_of_calls(
    plan: Plan,
    graph: RelationGraph,
    states: Mapping[CallId, CallState],
    function: Callable[[CallId], Function],
) -> Iterator[dict[str, Any]]:
    """Of each call of the plan, the fields of its record but for what came of it."""
    groups: dict[CallId, tuple[CallId, ...]] = {}
    for call, after in zip(plan, orders(graph, plan.by_id), strict=True):
        state, needs = states[call.id], Needs.of(function(call.id))
        alike = graph.exclusive(call.id)
        yield {
            "id": call.id,
            "function": call.function,
            "kind": graph.kind(call.id),
            "rank": graph.rank(call.id),
            "uses": call.uses,
            "after": after,
            "same_as": state.same_as,
            "status": state.status,
            "attempt": state.attempt,
            "processors": state.lease.processors,
            "device": state.lease.device,
            "resources": dict(function(call.id).resources),
            "limits": (*(limit.name for limit in needs.limits), *([MODEL] if needs.model else [])),
            "known": rounded(state.known),
            "submitted": rounded(state.submitted),
            "dispatched": rounded(state.dispatched),
            "completed": rounded(state.completed),
            "error": state.error,
            "outside": call.id in graph.origins,
            "influenced": call.influenced,
            "group": groups.setdefault(alike[0], tuple(alike)) if len(alike) > 1 else (),
        }


def orders(graph: RelationGraph, calls: Collection[CallId]) -> list[tuple[CallId, ...] | None]:
    """The calls that each of these follows, unless they are too many to list."""
    found: list[tuple[CallId, ...] | None] = []
    pairs = 0
    for call in calls:
        follows = graph.follows(call)
        pairs += len(follows)
        if pairs > records.MAX_PAIRS:
            return [None] * len(calls)
        found.append(follows)
    return found


def things(graph: RelationGraph) -> tuple[records.Thing, ...]:
    """What calls with effects touch, and which do."""
    return tuple(
        records.Thing(name, tuple(map(graph.at, group.readers)), tuple(map(graph.at, group.writers)))
        for name, group in graph.things.groups()
    )


def simulated(plan: Plan, functions: Mapping[str, Function], done: Simulation) -> records.Run:
    """What would be kept of a run that was simulated: there are no results, and no answer."""
    states, graph = done.states, done.graph
    known = fields_of_calls(plan, graph, states, lambda call: functions[plan[call].function])
    calls = tuple(records.Call(**call, result=None) for call in known)
    failed = why_unresolved(calls) if any(call.status in ("failed", "cancelled") for call in calls) else None
    return records.Run(
        query=None,
        technique=None,
        status="unresolved" if failed else "answered",
        answer=None,
        error=failed,
        plan=render(plan),
        processors=done.processors,
        makespan=round(done.makespan, 6),
        lower_bound=round(done.lower_bound, 6),
        things=things(graph),
        calls=calls,
    )


def why_unresolved(calls: Sequence[records.Call]) -> str:
    """Why a run came to no answer, by the calls that came to nothing."""
    failed = [call for call in calls if call.status == "failed"]
    cancelled = [call for call in calls if call.status == "cancelled" and call.error]
    all_of_them = [*failed, *cancelled]
    why: list[str] = []
    for call in all_of_them:
        how = "failed:" if call.status == "failed" else "was"
        text = f"{call.id} ({call.function}) {how} {call.error}"
        if why and sum(map(len, why)) + len(text) > MESSAGE:
            why.append(f"and {len(all_of_them) - len(why):,} more")
            break
        why.append(without_middle(text, MESSAGE))
    return "; ".join(why) or f"{calls[-1].id} was {calls[-1].status}"
