"""Which calls nobody wants, where the last call of a plan is all that is asked for.

A call is wanted if it is the last one, if it isn't declared pure, or if a call that is
wanted uses its result, or is the same. This module must not know what has run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.relations.same import SameCalls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import CallId, Plan
    from llmorch.declare.functions import Function


def unused(plan: Plan, functions: Mapping[str, Function]) -> frozenset[CallId]:
    """The pure calls of a whole plan whose results the last call doesn't come from."""
    left = _unwanted(plan, functions, {})
    if not left:
        return left
    same = SameCalls(functions)
    return _unwanted(plan, functions, {call.id: same.original(call) for call in plan})


def _unwanted(
    plan: Plan, functions: Mapping[str, Function], originals: Mapping[CallId, CallId | None]
) -> frozenset[CallId]:
    wanted: set[CallId | None] = {plan.answer}
    left = set()
    for call in reversed(plan.calls):
        if call.id in wanted or not functions[call.function].pure:
            wanted.update(call.uses)
            wanted.add(originals.get(call.id))
        else:
            left.add(call.id)
    return frozenset(left)
