"""Which calls of the plan that runs are not made: another one is made for them, or nobody wants them.

Decides that by the relations between the calls and by how each stands. It must not know
where or when a call runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.relations import SameCalls

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llmorch.calls import CallId, FunctionCall
    from llmorch.functions import Function
    from llmorch.relations import RelationGraph
    from llmorch.schedule.state import Attempt, CallState


class Once:
    """Says which earlier call each call of a plan repeats, as the plan grows and is revised."""

    def __init__(self, functions: Mapping[str, Function], *, optimize: bool) -> None:
        self._functions = functions
        self._optimize = optimize
        self._same = SameCalls(functions)
        self._failed_with: dict[CallId, Attempt] = {}
        """By call of a plan before a revision, the attempt that failed for it too."""

    def original(self, call: FunctionCall, states: Mapping[CallId, CallState]) -> CallId | None:
        """The call that is made for this one, if one is.

        A call that has failed is made for no later one, which is meant to try again; what
        it was made for before it failed has failed with it, also in a revised plan.
        """
        if not self._optimize:
            return None

        def serves(original: CallId) -> bool:
            state = states.get(original)
            return state is not None and (
                state.status != "failed" or self._failed_with.get(call.id) == state.key
            )

        return self._same.original(call, serves)

    def revise(self, states: Mapping[CallId, CallState]) -> None:
        """Begin with a new plan, and know what became of the one that is void now."""
        self._same = SameCalls(self._functions)
        for call, state in states.items():
            if state.same_as is not None and states[state.same_as].status == "failed":
                self._failed_with[call] = states[state.same_as].key


def left_out(
    unused: Collection[CallId], graph: RelationGraph, states: Mapping[CallId, CallState]
) -> list[CallId]:
    """Those of the unused calls that have not begun and that no other call waits for, in the plan's order."""
    left: set[CallId] = set()
    for call in reversed(list(graph)) if unused else ():
        waited_for = (*graph.users(call), *graph.copies(call))
        if call in unused and states[call].status in ("planned", "submitted") and left.issuperset(waited_for):
            left.add(call)
    return sorted(left, key=graph.order)
