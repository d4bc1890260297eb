"""Somebody's policy, kept to its promises: what it breaks ends its own run, and touches no other.

From the first broken promise on it is asked nothing more, and hands out nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from llmorch.declare.text import brief, one_line
from llmorch.errors import PolicyError
from llmorch.schedule.policy import Waiting
from llmorch.schedule.room import Needs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.calls import CallId
    from llmorch.schedule.policy import Policy, Urgency


class Guarded:
    """A ``Policy`` that never raises; ``broke`` hears of its first broken promise."""

    def __init__(self, policy: Policy, broke: Callable[[PolicyError], None]) -> None:
        self.name = policy.name
        self._policy = policy
        self._broke = broke
        self._broken = False
        self._waiting: dict[CallId, Waiting] = {}

    def push(self, calls: Sequence[Waiting]) -> None:
        self._waiting |= {call.id: call for call in calls}
        self._asked("push", calls)

    def pop(self, fits: Callable[[Needs], bool], running: int) -> Waiting | None:
        found = self._asked("pop", fits, running)
        return None if found is None else self._taken("pop", found, fits)

    def along(self, needs: Needs, most: int) -> list[Waiting]:
        found = self._asked("along", needs, most)
        if found is not None and (not isinstance(found, Collection) or len(found) > most):
            self._break("along", f"returned {brief(found)}, and not a list of at most {most}")
            return []
        taken = [self._taken("along", call, lambda one: one == needs) for call in found or ()]
        return [call for call in taken if call is not None]

    def offered(self, running: int) -> Collection[Needs]:
        found = self._asked("offered", running)
        try:
            offered = tuple(found or ())
            right = all(isinstance(needs, Needs) for needs in offered)
        except Exception:  # what was returned is nothing to go through
            right = False
        if not right:
            self._break("offered", f"returned {brief(found)}, and not the needs of calls")
        return () if self._broken else offered

    def drop(self, call: CallId) -> None:
        self._waiting.pop(call, None)
        self._asked("drop", call)

    def reorder(self, urgency: Mapping[CallId, Urgency]) -> None:
        self._asked("reorder", urgency)

    def clear(self) -> None:
        self._waiting.clear()
        self._asked("clear")

    def withholds(self, fits: Callable[[Needs], bool]) -> bool:
        """Whether a call waits that fits. While nothing runs, the policy has to hand it out."""
        return any(fits(call.needs) for call in self._waiting.values())

    def stalled(self) -> None:
        """Nothing runs, nothing more will come, and it still withholds calls: a broken promise."""
        could = ", ".join(list(self._waiting)[:5])
        self._break("pop", f"handed out nothing while {could} could run, and nothing else did")

    def _asked(self, method: str, *args: Any) -> Any:
        """What the policy says; ``None`` once it has broken a promise."""
        if self._broken:
            return None
        try:
            return getattr(self._policy, method)(*args)
        except Exception as error:
            self._break(method, f"raised {type(error).__name__}: {one_line(error)}", error)
            return None

    def _taken(self, method: str, found: object, fits: Callable[[Needs], bool]) -> Waiting | None:
        """The call that it handed out, if that waits and fits."""
        call = self._waiting.get(found.id) if isinstance(found, Waiting) else None
        if call is None:
            self._break(method, f"handed out {brief(found)}, which does not wait")
        elif not fits(call.needs):
            self._break(method, f"handed out {call.id}, which does not fit")
        else:
            return self._waiting.pop(call.id)
        return None

    def _break(self, method: str, how: str, cause: Exception | None = None) -> None:
        if not self._broken:
            self._broken = True
            error = PolicyError(f"the policy {self.name} broke its promises: {method} {how}")
            error.__cause__ = cause
            self._broke(error)
