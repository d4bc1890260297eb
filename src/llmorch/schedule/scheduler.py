"""The call scheduler: decides when a call is ready, and knows nothing of processors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
        self._completed: set[CallId] = set()
        self._stopped: set[CallId] = set()

    def add(self, call: CallId) -> bool:
        """Take a call that was just added to the graph; tell whether it is ready."""
        uses = self._graph.uses(call)
        if any(used in self._stopped for used in uses):
            self._stopped.add(call)
            return False
        self._missing[call] = sum(used not in self._completed for used in uses)
        return self._missing[call] == 0

    def stopped(self, call: CallId) -> bool:
        """Whether something this call depends on has failed."""
        return call in self._stopped

    def complete(self, call: CallId) -> list[CallId]:
        """Note a completion; return the calls that it made ready, in the plan's order."""
        self._completed.add(call)
        ready = []
        for user in self._graph.users(call):
            if user in self._missing:
                self._missing[user] -= 1
                if self._missing[user] == 0:
                    ready.append(user)
        return ready

    def fail(self, call: CallId) -> list[CallId]:
        """Note a failure; return the calls that can't run because of it."""
        self._stopped.add(call)
        stopped = [other for other in self._graph.descendants(call) if other not in self._stopped]
        self._stopped.update(stopped)
        for other in stopped:
            self._missing.pop(other, None)
        return stopped
