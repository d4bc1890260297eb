"""What holds for every relation graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.errors import IllegalEvent
from llmorch.relations.effects import NOTHING

if TYPE_CHECKING:
    from llmorch.relations.graph import RelationGraph


def verify(graph: RelationGraph) -> None:
    """Raise ``IllegalEvent`` unless the graph is acyclic, ranked, and its relations agree."""
    for call in graph:
        ranks = [graph.rank(used) for used in graph.uses(call)]
        _require(graph.rank(call) == 1 + max(ranks, default=0), f"{call}: rank {graph.rank(call)}")
        for used in graph.uses(call):
            _require(graph.order(used) < graph.order(call), f"{call} uses {used}, which comes later")
            _require(call in graph.users(used), f"{used} does not know its user {call}")
        alike = graph.exclusive(call)
        if call == next(iter(alike), None):
            for other in alike:
                _require(graph.exclusive(other) is alike, f"{call} excludes {other}, not the other way")
                _require(graph.kind(other) == "compute", f"{call} excludes {other}, which is not compute")
                _require(graph.rank(other) == graph.rank(call), f"{call} excludes {other} of another rank")
        original = graph.same_as(call)
        if original is not None:
            _require(
                graph.order(original) < graph.order(call), f"{call} repeats {original}, which comes later"
            )
            _require(call in graph.copies(original), f"{original} does not know that {call} repeats it")
            _require(graph.same_as(original) is None, f"{call} repeats {original}, which isn't made")
            _require(graph.touch(call) == NOTHING, f"{call} repeats {original}, and is not pure")
        for earlier in graph.after(call):
            _require(
                graph.order(earlier) < graph.order(call), f"{call} comes after {earlier}, which is later"
            )
            _require(
                graph.touch(call).conflicts(graph.touch(earlier)), f"{call} waits for {earlier} for nothing"
            )


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise IllegalEvent(f"the relation graph is wrong: {what}")
