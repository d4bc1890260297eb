"""The call scheduler: decides when a call is ready, and knows nothing of processors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.relations import Things

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmorch.calls import CallId
    from llmorch.relations import RelationGraph, Touch


class Scheduler:
    """Releases a call once everything it uses has completed.

    The paper's Algorithm 2 tests ``rank == rank(completed) + 1``. That submits a call
    whose other dependencies still run, and, read with the paper's prose, misses one
    whose last-finishing dependency sits two ranks up; so the test here is the
    dependencies themselves.
    """

    def __init__(self, graph: RelationGraph) -> None:
        self._graph = graph
        self._missing: dict[CallId, int] = {}
        """How many results each waiting call still needs."""
        self._open = Things()
        """The calls that have not ended, by their order in the graph."""
        self._behind: set[CallId] = set()
        """The calls that must not overtake one that has not ended."""
        self._next: dict[CallId, list[CallId]] = {}
        """Those of them, each by the last call that it must not overtake: it is looked at again after that."""
        self._completed: set[CallId] = set()
        self._stopped: dict[CallId, int] = {}
        """Their order in the graph, for ``_in_vain``."""
        self._in_vain = Things()

    def add(self, call: CallId) -> bool:
        """Take a call that was just added to the graph; tell whether it is ready."""
        original, uses = self._graph.same_as(call), self._graph.uses(call)
        order, touch = self._graph.order(call), self._graph.touch(call)
        needed = uses if original is None else (*uses, original)
        if self._stopped and (
            not self._stopped.keys().isdisjoint(needed) or self._in_vain.spoiled(order, touch)
        ):
            self._stop([call])
            return False
        missing = len(needed) - len(self._completed.intersection(needed)) if needed else 0
        self._open.add(order, touch)
        self._wait(call, order, touch)
        if not missing and call not in self._behind:
            return True
        self._missing[call] = missing
        return False

    def settle(self, ready: list[CallId]) -> tuple[list[CallId], list[CallId]]:
        """The ready calls to make, and the copies that are complete by a call that was made (deduplicated).

        What the copies make ready in turn is among them.
        """
        if not self._graph.repeats:
            return ready, []
        copies = [call for call in ready if self._graph.same_as(call) is not None]
        made = [call for call in ready if self._graph.same_as(call) is None]
        for copy in copies:  # which grows
            for call in self.complete(copy):
                (made if self._graph.same_as(call) is None else copies).append(call)
        return sorted(made, key=self._graph.order), copies

    def drop(self, calls: Collection[CallId]) -> list[CallId]:
        """Note that calls are never made; return those that only waited for their turn."""
        self._stop(calls)
        return self.passed(calls)

    def begun(self, call: CallId) -> None:
        """Note that a call that was just added has been started before: it waits for nothing."""
        self._missing.pop(call, None)
        self._behind.discard(call)
        if call in self._stopped:
            self.forget(call)
            self._open.add(self._graph.order(call), self._graph.touch(call))

    def in_vain(self, call: CallId) -> None:
        """Note that a call that was just added comes to nothing, whatever it waits for."""
        self.add(call)
        self.begun(call)
        self.fail(call)

    def forget(self, call: CallId) -> None:
        """Drop what is noted of a call that has ended."""
        self._completed.discard(call)
        self._behind.discard(call)
        self._next.pop(call, None)
        order = self._stopped.pop(call, None)
        if order is not None:
            self._in_vain.remove(order)

    def stopped(self, call: CallId) -> bool:
        """Whether something this call depends on has failed."""
        return call in self._stopped

    def complete(self, call: CallId) -> list[CallId]:
        """Note a completion; return the calls that it made ready, in the plan's order."""
        self._completed.add(call)
        self._close(call)
        ready = []
        users, copies = self._graph.users(call), self._graph.copies(call)
        for user in (*users, *copies) if copies else users:
            if user in self._missing:
                self._missing[user] -= 1
                if self._ready(user):
                    ready.append(user)
        freed = self._let(self._next.pop(call, ()))
        return sorted({*ready, *freed}, key=self._graph.order) if freed or copies else ready

    def fail(self, call: CallId) -> list[CallId]:
        """Note a failure; return the calls that can't run because of it."""
        # Not what a revised plan has from the one before: that had begun in time.
        stopped = self._graph.descendants(call, copies=True, among=self._missing)
        self._stop([call, *stopped])
        return stopped

    def passed(self, calls: Collection[CallId]) -> list[CallId]:
        """Note that calls have failed or will not run; return those that only waited for their turn."""
        return [freed for call in calls for freed in self._let(self._next.pop(call, ()))]

    def narrowed(self, call: CallId) -> list[CallId]:
        """Note that a call touches less than it seemed; return those that are ready now, itself perhaps."""
        order = self._graph.order(call)
        for things in (self._open, self._in_vain):
            if order in things:
                things.remove(order)
                things.add(order, self._graph.touch(call))
        return self._let([call, *self._next.pop(call, ())])

    def _stop(self, calls: Collection[CallId]) -> None:
        """Know calls as never made, or made in vain."""
        for call in calls:
            self._close(call)
            self._missing.pop(call, None)
            self._behind.discard(call)
            if call not in self._stopped:
                self._stopped[call] = self._graph.order(call)
                self._in_vain.add(self._stopped[call], self._graph.touch(call))

    def _close(self, call: CallId) -> None:
        self._open.remove(self._graph.order(call))

    def _wait(self, call: CallId, order: int, touch: Touch) -> None:
        """Find the last call that has not ended and that this one must not overtake."""
        last = self._open.last(order, touch)
        if last is None:
            self._behind.discard(call)
        else:
            self._behind.add(call)
            self._next.setdefault(self._graph.at(last), []).append(call)

    def _let(self, calls: Collection[CallId]) -> list[CallId]:
        """Look at calls again that may have waited for their turn; return those that are ready now."""
        ready: list[CallId] = []
        if not calls:
            return ready
        # Not what was forgotten meanwhile.
        for call in sorted(self._behind.intersection(calls), key=self._graph.order):
            self._wait(call, self._graph.order(call), self._graph.touch(call))
            if self._ready(call):
                ready.append(call)
        return ready

    def _ready(self, call: CallId) -> bool:
        """Whether nothing holds a call any more; true once."""
        if self._missing.get(call) or call in self._behind or call not in self._missing:
            return False
        del self._missing[call]
        return True
