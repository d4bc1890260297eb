"""What calls returned, by id: a large one is opened only when somebody here asks for it.

Decides which results are freed, and which are still there when a run has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmorch.errors import CallError, EvaluationError
from llmorch.places.handing import Held, Released, opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmorch.calls import CallId
    from llmorch.places.anonymous import File
    from llmorch.schedule import Orchestration


_DONE = ("completed", "unused")


class Results(Mapping["CallId", Any]):
    """Results by call id. Reading one opens it; raises ``EvaluationError`` if that can't be done."""

    def __init__(self, found: Mapping[CallId, Any] | None = None) -> None:
        self._found = dict(found or {})

    def __getitem__(self, call: CallId) -> Any:
        try:
            return opened(self._found[call])
        except CallError as error:
            raise EvaluationError(str(error)) from None

    def __contains__(self, call: object) -> bool:
        return call in self._found

    def __iter__(self) -> Iterator[CallId]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __setitem__(self, call: CallId, result: Any) -> None:
        self._found[call] = result

    def share(self, call: CallId, same_as: CallId) -> None:
        """Take another call's result for that of this one too: the value itself, as every call that uses it gets it."""
        self._found[call] = self._found[same_as]

    def clear(self) -> None:
        """Forget them all."""
        self._found.clear()

    def as_they_are(self, calls: Iterable[CallId] | None = None) -> Results:
        """The same results, or those of some calls, as they are now; none is opened."""
        wanted = self._found if calls is None else calls
        return Results({call: self._found[call] for call in wanted if call in self._found})

    def closed(self, call: CallId) -> Held | None:
        """A result that nobody here has opened."""
        found = self._found.get(call)
        return found if isinstance(found, Held) and found.closed else None

    def unopened(self, call: CallId) -> Any:
        """A result as it is, opened or not."""
        return self._found[call] if self.closed(call) is not None else self[call]

    def release(self, calls: Iterable[CallId]) -> list[File]:
        """Let go of those of these results that are closed; their files end with what is returned."""
        files = []
        for call in calls:
            if (held := self.closed(call)) is not None:
                self._found[call] = Released(held.what)
                if not any(other is held for other in self._found.values()) and (file := held.let_go()):
                    files.append(file)
        return files

    def settle(self, spent: Iterable[CallId], others: Iterable[Any]) -> list[File]:
        """At the end: release what is spent, and results of earlier plans, and open all that is left.

        One that can't be opened is described.
        """
        files = self.release(spent)
        for call, found in self._found.items():
            if isinstance(found, Held):
                try:
                    self._found[call] = found.open()
                except CallError as error:
                    self._found[call] = Released(f"{found.what}; {error}")
        return files + [file for other in others if isinstance(other, Held) and (file := other.let_go())]


def spent(calls: Iterable[CallId], core: Orchestration) -> list[CallId]:
    """The calls among these whose results were used, by calls that are all done with them."""
    found: dict[CallId, None] = {}
    for call in calls:
        alike = core.graph.alike(call) if call in core.graph else ()
        users = [core.graph.users(same) for same in alike]
        if alike and all(users) and all(core.states[user].status in _DONE for some in users for user in some):
            found |= dict.fromkeys(alike)
    return list(found)
