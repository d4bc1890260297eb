"""Where to resume after failures: recovery points, and what has to be made again from there.

The paper's section III-D: failed calls are traced back through the graph to their closest
parents of smallest rank. What is added here: an error that names some of them means those;
only what depends on the recovery points is made again; failures whose cones meet are one
recovery, others are apart; calls that are the same have failed together; and each further
attempt traces one step further up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from llmorch.calls import Constant, parts_of

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping

    from llmorch.calls import CallId, FunctionCall
    from llmorch.relations import RelationGraph

SHORTEST_NAME = 3
"""Characters below which a text is too common to name a call."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Failed calls that are recovered together; all in the plan's order."""

    failed: tuple[CallId, ...]
    points: tuple[CallId, ...]
    """The recovery points: the calls to repair."""
    cone: tuple[CallId, ...]
    """The recovery points and everything below them: what is made again."""


def recovery_points(
    graph: RelationGraph, failed: CallId, step: int, named: Collection[CallId] = ()
) -> set[CallId]:
    """The calls to repair in the attempt number ``step``, from 1, for one failed call.

    First the parents of smallest rank, or only those ``named`` by the error where it names
    some; then, each time, the parents that were left aside and those one step further up. A
    call without parents stands for itself.
    """
    parents = set(graph.uses(failed))
    points = _lowest(graph, parents) or {failed}
    points = points.intersection(named) or points
    aside = parents - points
    for _ in range(step - 1):
        points = aside.union(*(_lowest(graph, graph.uses(point)) or {point} for point in points))
        aside = set()
    return points


def broken(
    graph: RelationGraph,
    steps: Mapping[CallId, int],
    within: Container[CallId],
    named: Mapping[CallId, Collection[CallId]] = MappingProxyType({}),
) -> list[Broken]:
    """The failed calls, whose attempts ``steps`` numbers, in groups whose cones don't meet.

    ``named`` are the calls that the error of a failed one names. Only calls ``within`` can be
    repaired; a call whose recovery points can't be stands for itself.

    A point may lie below another one of its group. To leave it out, as a smallest rank among
    all of them would have it, could leave it out in every attempt.
    """
    groups: list[tuple[set[CallId], set[CallId], set[CallId]]] = []
    for failed, step in steps.items():
        points: set[CallId] = set()
        for same in [call for call in graph.alike(failed) if call in within]:
            found = recovery_points(graph, same, step, named.get(failed, ()))
            points |= {point for point in found if point in within} or {same}
        group = {failed}, points, cone(graph, points)
        for other in [other for other in groups if other[2] & group[2]]:
            groups.remove(other)
            group = group[0] | other[0], group[1] | other[1], group[2] | other[2]
        groups.append(group)
    return sorted(
        (Broken(*(tuple(sorted(part, key=graph.order)) for part in group)) for group in groups),
        key=lambda group: graph.order(group.failed[0]),
    )


def named_in(error: str, calls: Iterable[FunctionCall]) -> set[CallId]:
    """The calls that an error names: one of their texts is in it, as a word or several.

    "can't extract the population of Florida" is about ``search("Florida")``.
    """
    return {call.id for call in calls if any(_says(error, text) for text in _texts(call))}


def _texts(call: FunctionCall) -> Iterator[str]:
    for argument in call.args.values():
        for part in (argument, *parts_of(argument)):
            if (
                isinstance(part, Constant)
                and isinstance(part.value, str)
                and len(part.value) >= SHORTEST_NAME
            ):
                yield part.value


def _says(error: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(text)}(?!\w)", error, re.IGNORECASE) is not None


def cone(graph: RelationGraph, points: Iterable[CallId]) -> set[CallId]:
    """Calls and everything that can't be made without them."""
    points = set(points)
    return points.union(*(graph.descendants(point) for point in points))


def _lowest(graph: RelationGraph, calls: Iterable[CallId]) -> set[CallId]:
    """Those of the smallest rank."""
    ranks = {call: graph.rank(call) for call in calls}
    least = min(ranks.values(), default=0)
    return {call for call, rank in ranks.items() if rank == least}
