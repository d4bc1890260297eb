"""From a plan to its relation graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmorch.arguments import functions_by_name, refuse, truth
from llmorch.calls import Plan
from llmorch.relations.effects import touches
from llmorch.relations.graph import RelationGraph
from llmorch.relations.same import SameCalls

if TYPE_CHECKING:
    from llmorch.calls import CallId
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
    if not isinstance(plan, Plan):
        refuse("plan", "a Plan", plan)
    functions_by_name("functions", functions)
    if results is not None and not isinstance(results, Mapping):
        refuse("results", "a dictionary of results by call", results)
    truth("optimize", optimize)
    graph = RelationGraph()
    same = SameCalls(functions) if optimize else None
    for call in plan:
        if call.function not in functions:
            refuse("functions", f"what the plan was checked against, with {call.function}", list(functions))
        function = functions[call.function]
        original = None if same is None else same.original(call)
        graph.add(call, function.kind, touches(function, call, results), same_as=original)
    return graph
