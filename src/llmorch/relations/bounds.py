"""How fast a graph could run at best, given durations in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.relations.things import Largest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import CallId
    from llmorch.relations.graph import RelationGraph


def remaining_path(graph: RelationGraph, durations: Mapping[CallId, float]) -> dict[CallId, float]:
    """For each call, the longest chain of durations that begins with it; one that is the same as another takes 0.

    A call without a duration isn't made, and nothing waits for it.
    """
    paths: dict[CallId, float] = {}
    ordered = Largest(graph.things)
    for call in reversed(list(graph)):
        if call not in durations:
            paths[call] = 0.0
            continue
        touch = graph.touch(call)
        following = [paths[later] for later in (*graph.users(call), *graph.copies(call))]
        paths[call] = durations[call] + max([ordered.of(touch), *following, 0.0])
        ordered.take(touch, paths[call])
    return paths


def unlocking(graph: RelationGraph) -> frozenset[CallId]:
    """The inout calls that some compute call comes after, directly or not."""
    found: set[CallId] = set()
    if not graph.computes:
        return frozenset()
    computing: set[CallId] = set()
    """The compute calls, and those that one comes after."""
    ordered = Largest(graph.things)
    for call in reversed(list(graph)):
        touch = graph.touch(call)
        before = ordered.of(touch) > 0 or not computing.isdisjoint(graph.users(call))
        if before or graph.kind(call) == "compute":
            computing.add(call)
            ordered.take(touch, 1.0)
        if before and graph.kind(call) == "inout":
            found.add(call)
    return frozenset(found)


def lower_bound(
    graph: RelationGraph,
    durations: Mapping[CallId, float],
    processors: int,
    *,
    parts: Mapping[CallId, Mapping[str, tuple[int, int]]] | None = None,
) -> float:
    """The larger of the critical path and the compute work shared by all processors: no schedule is shorter.

    ``parts`` are how much a call takes of each thing, by name, and how much there is in all:
    then all of these bound it; a call that has none isn't made. Without them a compute call
    takes one processor.
    """
    critical_path = max(remaining_path(graph, durations).values(), default=0.0)
    if parts is None:
        computing = [call for call in graph if graph.kind(call) == "compute"]
        parts = {call: {"processor": (1, processors)} for call in computing}
    taken: dict[tuple[str, int], float] = {}
    for call in graph:
        for name, (amount, there) in parts.get(call, {}).items():
            taken[name, there] = taken.get((name, there), 0.0) + amount * durations[call]
    return max([critical_path, *(work / there for (_, there), work in taken.items())])
