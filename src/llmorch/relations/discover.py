"""From a plan to its relation graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch.relations.effects import touches
from llmorch.relations.graph import RelationGraph
from llmorch.relations.same import SameCalls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import CallId, Plan
    from llmorch.declare.functions import Function


def discover(
    plan: Plan,
    functions: Mapping[str, Function],
    results: Mapping[CallId, Any] | None = None,
    *,
    optimize: bool = True,
) -> RelationGraph:
    """The relation graph of a checked plan: linear in its calls, their uses and the names that they touch.

    Results that are known say what exactly a call touches. With ``optimize`` it tells which calls are
    the same.
    """
    graph = RelationGraph()
    same = SameCalls(functions) if optimize else None
    for call in plan:
        function = functions[call.function]
        original = None if same is None else same.original(call)
        graph.add(call, function.kind, touches(function, call, results), same_as=original)
    return graph
