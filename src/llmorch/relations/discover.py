"""From a plan to its relation graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.relations.graph import RelationGraph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import Plan
    from llmorch.functions import Function


def discover(plan: Plan, functions: Mapping[str, Function]) -> RelationGraph:
    """The relation graph of a checked plan: linear in its calls and their uses."""
    graph = RelationGraph()
    for call in plan:
        graph.add(call, functions[call.function].kind)
    return graph
