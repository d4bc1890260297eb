"""From a plan to its relation graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch.relations.effects import touches
from llmorch.relations.graph import RelationGraph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import CallId, Plan
    from llmorch.functions import Function


def discover(
    plan: Plan, functions: Mapping[str, Function], results: Mapping[CallId, Any] | None = None
) -> RelationGraph:
    """The relation graph of a checked plan: linear in its calls and their uses.

    Calls with effects are compared with each other, so in those it is quadratic. Results
    that are known say what exactly a call touches.
    """
    graph = RelationGraph()
    for call in plan:
        function = functions[call.function]
        graph.add(call, function.kind, touches(function, call, results))
    return graph
