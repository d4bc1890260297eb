"""Deduplication: which calls of the plan are not made, since an equal one is, or since nobody wants them.

Decides that by the relations between the calls and by how each stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.relations import SameCalls

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.relations import RelationGraph
    from llmorch.schedule.state import CallState

_IN_VAIN = ("failed", "cancelled")


class Once:
    """Says which earlier call each call of a plan repeats, as the plan grows and is revised."""

    def __init__(self, functions: Mapping[str, Function], *, optimize: bool) -> None:
        self._functions = functions
        self._optimize = optimize
        self._same = SameCalls(functions)
        self._ended_with: dict[CallId, CallId] = {}
        """By call of a plan before a revision, the call that was made for it, in vain."""

    def original(self, call: FunctionCall, states: Mapping[CallId, CallState]) -> CallId | None:
        """The call that this one is a copy of, if it is one.

        A call that has failed, or was cancelled, is made for no later one, which is meant to
        try again; what it was made for before that has ended with it, also in a revised plan.
        """
        if not self._optimize:
            return None

        def serves(original: CallId) -> bool:
            state = states.get(original)
            return state is not None and (
                state.status not in _IN_VAIN or self._ended_with.get(call.id) == original
            )

        return self._same.original(call, serves)

    def revise(self, states: Mapping[CallId, CallState]) -> None:
        """Begin with a new plan, and know what became of the one that is void now."""
        self._same = SameCalls(self._functions)
        for call, state in states.items():
            if state.same_as is not None and states[state.same_as].status in _IN_VAIN:
                self._ended_with[call] = state.same_as


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
