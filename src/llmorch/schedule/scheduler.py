"""The call scheduler: decides when a call is ready, and knows nothing of processors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmorch.calls import CallId
    from llmorch.relations import RelationGraph


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
        self._behind: dict[CallId, set[CallId]] = {}
        """The calls that one must not overtake, and which have not ended."""
        self._completed: set[CallId] = set()
        self._stopped: set[CallId] = set()

    def add(self, call: CallId) -> bool:
        """Take a call that was just added to the graph; tell whether it is ready."""
        uses, after = self._needed(call), self._graph.after(call)
        touch = self._graph.touch(call)
        if any(used in self._stopped for used in uses) or any(
            earlier in self._stopped and self._graph.touch(earlier).spoils(touch) for earlier in after
        ):
            self._stopped.add(call)
            return False
        self._missing[call] = sum(used not in self._completed for used in uses)
        if after:
            self._behind[call] = {
                earlier
                for earlier in after
                if earlier not in self._completed and earlier not in self._stopped
            }
        return self._ready(call)

    def _needed(self, call: CallId) -> tuple[CallId, ...]:
        original = self._graph.same_as(call)
        uses = self._graph.uses(call)
        return uses if original is None else (*uses, original)

    def settle(self, ready: list[CallId]) -> tuple[list[CallId], list[CallId]]:
        """Of calls that are ready, those to make, and those that are complete, being the same as one made.

        What those make ready in turn is among them.
        """
        copies = [call for call in ready if self._graph.same_as(call) is not None]
        if not copies:
            return ready, copies
        made = [call for call in ready if self._graph.same_as(call) is None]
        for copy in copies:  # which grows
            for call in self.complete(copy):
                (made if self._graph.same_as(call) is None else copies).append(call)
        return sorted(made, key=self._graph.order), copies

    def drop(self, calls: Collection[CallId]) -> list[CallId]:
        """Note that calls are never made; return those that only waited for their turn."""
        self._stopped.update(calls)
        for call in calls:
            self._missing.pop(call, None)
            self._behind.pop(call, None)
        return self.passed(calls)

    def begun(self, call: CallId) -> None:
        """Note that a call that was just added has been started before: it waits for nothing."""
        self._missing.pop(call, None)
        self._behind.pop(call, None)
        self._stopped.discard(call)

    def in_vain(self, call: CallId) -> None:
        """Note that a call that was just added comes to nothing, whatever it waits for."""
        self.add(call)
        self.begun(call)
        self.fail(call)

    def forget(self, call: CallId) -> None:
        """Drop what is noted of a call that has ended."""
        self._completed.discard(call)
        self._stopped.discard(call)

    def stopped(self, call: CallId) -> bool:
        """Whether something this call depends on has failed."""
        return call in self._stopped

    def complete(self, call: CallId) -> list[CallId]:
        """Note a completion; return the calls that it made ready, in the plan's order."""
        self._completed.add(call)
        ready = []
        copies = self._graph.copies(call)
        for user in (*self._graph.users(call), *copies):
            if user in self._missing:
                self._missing[user] -= 1
                if self._ready(user):
                    ready.append(user)
        freed = self._let_by(call)
        return sorted({*ready, *freed}, key=self._graph.order) if freed or copies else ready

    def fail(self, call: CallId) -> list[CallId]:
        """Note a failure; return the calls that can't run because of it."""
        self._stopped.add(call)
        # Not what a revised plan has from the one before: that had begun in time.
        stopped = self._graph.descendants(call, copies=True, among=self._missing)
        self._stopped.update(stopped)
        for other in stopped:
            self._missing.pop(other, None)
            self._behind.pop(other, None)
        return stopped

    def passed(self, calls: Collection[CallId]) -> list[CallId]:
        """Note that calls have failed or will not run; return those that only waited for their turn."""
        return [freed for call in calls for freed in self._let_by(call)]

    def narrowed(self, calls: list[CallId]) -> list[CallId]:
        """Note that less is in the way of these calls; return those that are ready now."""
        ready = []
        for call in calls:
            if call in self._behind:
                self._behind[call] &= set(self._graph.after(call))
                if self._ready(call):
                    ready.append(call)
        return ready

    def _let_by(self, call: CallId) -> list[CallId]:
        ready = []
        for later in self._graph.before(call):
            if later in self._behind and call in self._behind[later]:
                self._behind[later].discard(call)
                if self._ready(later):
                    ready.append(later)
        return ready

    def _ready(self, call: CallId) -> bool:
        """Whether nothing holds a call any more; true once."""
        if self._missing.get(call) or self._behind.get(call) or call not in self._missing:
            return False
        del self._missing[call]
        self._behind.pop(call, None)
        return True
