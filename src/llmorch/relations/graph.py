"""The Function-call Relation Graph: calls, what they use, and what they exclude.

It grows by ``add``, in the plan's order, so that it can be built while the plan is still
being written. Nothing in it changes, but that less is in the way of a call once it is known
what exactly another one touches (``narrow``), and that calls without users may be forgotten (``remove``).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmorch.errors import IllegalEvent
from llmorch.plan.origins import Origins
from llmorch.relations.effects import NOTHING
from llmorch.relations.things import Things

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Kind
    from llmorch.relations.effects import Touch


@dataclass(slots=True)
class _Node:
    call: FunctionCall
    kind: Kind
    rank: int
    order: int
    same_as: CallId | None
    users: list[CallId] = field(default_factory=list)
    copies: list[CallId] = field(default_factory=list)


class RelationGraph:
    """Nodes are calls; ``uses`` are data, ``excludes`` control and ``after`` order relations.

    A call that is the ``same_as`` an earlier one isn't made: the result of that one is its own.
    """

    def __init__(self) -> None:
        self._nodes: dict[CallId, _Node] = {}
        self._ids: dict[int, CallId] = {}
        self._count = 0
        self._compute: dict[int, list[CallId]] = {}
        """The compute calls of each rank."""
        self.things = Things()
        """What is touched, and by which calls: these by their order in the plan."""
        self.repeats = False
        """Whether any call repeats another."""
        self.origins = Origins()
        """Which calls come from outside."""

    def add(
        self,
        call: FunctionCall,
        kind: Kind,
        touch: Touch = NOTHING,
        *,
        same_as: CallId | None = None,
        untrusted: bool | None = None,
    ) -> None:
        """Take the next call of the plan, after every call that it uses, and the one that it repeats.

        ``untrusted`` says that what its function returns comes from outside; what a model wrote under
        influence does anyway.
        """
        nodes = self._nodes
        needed = call.uses if same_as is None else (*call.uses, same_as)
        if call.id in nodes or not nodes.keys() >= set(needed):
            raise IllegalEvent(f"{call.id} can't be added: it is there already, or what it uses is not")
        id_, order, rank = call.id, self._count, 1
        for used in call.uses:
            rank = max(rank, nodes[used].rank + 1)
            nodes[used].users.append(id_)
        if same_as is not None:
            nodes[same_as].copies.append(id_)
            self.repeats = True
        elif kind == "compute":
            self._compute.setdefault(rank, []).append(id_)
        nodes[id_] = _Node(call, kind, rank, order, same_as)
        self._ids[order] = id_
        self.things.add(order, touch)
        self.origins.take(call, untrusted=bool(untrusted) or call.influenced)
        self._count += 1

    def narrow(self, call: CallId, touch: Touch) -> None:
        """Take note of what a call touches, of what it could have: later calls may come after it no more."""
        self.things.remove(self.order(call))
        self.things.add(self.order(call), touch)

    def remove(self, call: CallId) -> None:
        """Forget a call that has ended: nothing uses it, and nothing waits for it any more."""
        node = self._nodes[call]
        if node.users or node.copies:
            raise IllegalEvent(f"{call} can't be removed: other calls use its result")
        for used in node.call.uses:
            self._nodes[used].users.remove(call)
        if node.same_as is not None:
            self._nodes[node.same_as].copies.remove(call)
        elif node.kind == "compute":
            self._compute[node.rank].remove(call)
        self.things.remove(node.order)
        self.origins.forget(call)
        del self._nodes[call], self._ids[node.order]

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[CallId]:
        return iter(self._nodes)

    def __contains__(self, call: object) -> bool:
        return call in self._nodes

    def call(self, call: CallId) -> FunctionCall:
        """The call with this id."""
        return self._nodes[call].call

    def kind(self, call: CallId) -> Kind:
        """``inout`` or ``compute``."""
        return self._nodes[call].kind

    def order(self, call: CallId) -> int:
        """The call's order in the plan, from 0."""
        return self._nodes[call].order

    def rank(self, call: CallId) -> int:
        """1 for a call that uses nothing, else one more than the highest rank it uses."""
        return self._nodes[call].rank

    def uses(self, call: CallId) -> tuple[CallId, ...]:
        """The calls whose results this call needs."""
        return self._nodes[call].call.uses

    def users(self, call: CallId) -> tuple[CallId, ...]:
        """The calls that need this call's result, in the plan's order."""
        return tuple(self._nodes[call].users)

    def exclusive(self, call: CallId) -> Sequence[CallId]:
        """This call and those that it ``excludes``, in the plan's order: one list, which is theirs too."""
        node = self._nodes[call]
        return self._compute[node.rank] if node.kind == "compute" and node.same_as is None else ()

    def excludes(self, call: CallId) -> tuple[CallId, ...]:
        """The calls that can't share a processor with this one at the time it is ready.

        The paper's control relation: compute calls of equal rank. That no two compute
        calls of any ranks are ever on one processor follows from their kind, and is the
        coordinator's doing. A call that is the same as another takes no processor.
        """
        return tuple(other for other in self.exclusive(call) if other != call)

    def touch(self, call: CallId) -> Touch:
        """What a call touches, as far as it is known."""
        return self.things.touches[self.order(call)]

    def after(self, call: CallId) -> tuple[CallId, ...]:
        """The order relation: all earlier calls that this one must not overtake, in the plan's order."""
        return self._at(self.things.earlier(self.order(call), self.touch(call)))

    def follows(self, call: CallId) -> tuple[CallId, ...]:
        """The calls ``after`` which this one comes that wrote each thing last; for a writer also the readers since.

        All others come before one of these.
        """
        return self._at(self.things.direct(self.order(call), self.touch(call)))

    def spoilers(self, call: CallId) -> tuple[CallId, ...]:
        """The earlier calls without which this one would find something else."""
        return self._at(self.things.spoilers(self.order(call), self.touch(call)))

    def at(self, order: int) -> CallId:
        """The call with this ``order``."""
        return self._ids[order]

    def _at(self, orders: Iterable[int]) -> tuple[CallId, ...]:
        return tuple([self._ids[order] for order in orders])

    @property
    def computes(self) -> bool:
        """Whether any call is a compute call that is made."""
        return any(self._compute.values())

    def same_as(self, call: CallId) -> CallId | None:
        """The earlier call that this one repeats, which repeats none itself."""
        return self._nodes[call].same_as

    def copies(self, call: CallId) -> tuple[CallId, ...]:
        """The later calls that repeat this one, in the plan's order."""
        return tuple(self._nodes[call].copies)

    def alike(self, call: CallId) -> tuple[CallId, ...]:
        """This call and all that are the same, in the plan's order."""
        original = self._nodes[call].same_as or call
        return (original, *self._nodes[original].copies)

    def descendants(
        self, call: CallId, *, copies: bool = False, among: Container[CallId] | None = None
    ) -> list[CallId]:
        """Every call that can't be made without this one, directly or not, in the plan's order.

        Those are the calls that need its result, and those that would find a thing as it
        left it; with ``copies`` also those that would have got its result as their own.
        Only calls ``among`` these count, and only the way through them.
        """
        found: set[CallId] = set()
        stack = [call]
        seen: dict[int, int] = {}
        """By list of calls that may be spoilt: the order from which on all have been looked at."""
        while stack:
            at = stack.pop()
            same = self._nodes[at].copies if copies else ()
            spoilt: list[CallId] = []
            for orders in self.things.spoilt(self.touch(at)):
                since = bisect_right(orders, self.order(at))
                spoilt += self._at(orders[since : seen.get(id(orders))])
                seen[id(orders)] = min(since, seen.get(id(orders), since))
            for user in (*self._nodes[at].users, *same, *spoilt):
                if user not in found and (among is None or user in among):
                    found.add(user)
                    stack.append(user)
        return sorted(found, key=self.order)
