"""What the calls of one execution came to: results and what a model sees of them, tracebacks, what they asked.

Decides what of it a changed plan keeps. It must not know when anything runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch.errors import CallError
from llmorch.places.showing import Shown
from llmorch.runtime.results import Results, spent

if TYPE_CHECKING:
    from llmorch.calls import CallId
    from llmorch.declare.functions import Function
    from llmorch.places.anonymous import File
    from llmorch.requests import Usage
    from llmorch.runtime.attempts import Attempt
    from llmorch.schedule import Keep, Orchestration


class Outcomes:
    """What the calls of the plan came to, and those of the plan that it revises."""

    def __init__(self) -> None:
        self.results = Results()
        self.shown: dict[CallId, str] = {}
        """What a model sees in the place of results, where functions say so."""
        self.notes: dict[str, str] = {}
        """By function, why its results could not be shown as it says."""
        self.asked: dict[tuple[CallId, int], Usage] = {}
        """What each call that completed asked of the model, if it did."""
        self.tracebacks: dict[tuple[CallId, int], str] = {}
        """By call that failed in its function, the function's traceback. No model sees it."""
        self._values: dict[tuple[CallId, int], Any] = {}
        """Every result that the plan, or the one that it revises, may still use."""

    def take(self, attempt: Attempt, function: Function, came: Any, *, current: bool) -> None:
        """Take what an attempt came to; ``current`` says that the plan still makes this call."""
        self._values[attempt.key] = came
        if attempt.spent is not None:
            self.asked[attempt.key] = attempt.spent
        if isinstance(came, Shown) and came.why:
            self.notes[function.name] = (
                f"show of {function.name} failed, so the model was shown the result as if it had none: "
                f"{came.why}"
            )
        if current:
            self._know(attempt.call.id, came)

    def fail(self, attempt: Attempt, error: Exception) -> None:
        """Take how an attempt failed."""
        if isinstance(error, CallError) and error.detail:
            self.tracebacks[attempt.key] = error.detail

    def _know(self, call: CallId, came: Any) -> None:
        """Take a result, and its text if there is one."""
        self.results[call] = came.result if isinstance(came, Shown) else came
        if isinstance(came, Shown) and came.text is not None:
            self.shown[call] = came.text

    def share(self, call: CallId, same_as: CallId) -> None:
        """Take what another call came to for what this one did."""
        self.results.share(call, same_as)
        if same_as in self.shown:
            self.shown[call] = self.shown[same_as]

    def forget(self) -> None:
        """The plan is void: know nothing until the new one keeps a call."""
        self.results.clear()
        self.shown.clear()

    def keep(self, kept: Keep) -> None:
        """Take what a call of the plan before came to, if it has ended, for what one of this plan did."""
        before, now = (kept.before, kept.before_attempt), (kept.call, kept.attempt)
        if before in self._values:
            self._values[now] = self._values.pop(before)
            self._know(kept.call, self._values[now])
        if before in self.asked:
            self.asked[now] = self.asked.pop(before)
        if before in self.tracebacks:
            self.tracebacks[now] = self.tracebacks.pop(before)

    def drop_others(self, core: Orchestration) -> None:
        """The plan is complete: nothing can use the results of calls that it leaves out."""
        if len(self._values) > len(self.results):
            current = {state.key for state in core.states.values()}
            self._values = {key: value for key, value in self._values.items() if key in current}

    def settle(self, core: Orchestration) -> list[File]:
        """At the end: the files of what was used, or is no result of the plan; all else is opened."""
        files = self.results.settle(spent(self.results, core), self._values.values())
        self._values.clear()
        return files
