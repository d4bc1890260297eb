"""What techniques that think in turns share: making calls, and telling what came of them.

A call that was made before is not made again: its result is told again. A model that
goes on like that for two turns is stopped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from llmorch.calls import Plan
from llmorch.errors import PlanError
from llmorch.plan import Checker, render_call
from llmorch.techniques.conversation import Answer, Recovery, RunPlan
from llmorch.techniques.prompts.results import result_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmorch.calls import FunctionCall
    from llmorch.techniques.conversation import Conversation, Outcome, Task

MAX_IDLE = 2
"""Turns in a row in which a model asks for nothing new before it is stopped."""

Wanted: TypeAlias = "FunctionCall | PlanError"
"""A call that a model wrote, not checked yet, or why what it wrote is none."""


class Turns:
    """The calls of one conversation so far, and how it goes."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._checker = Checker(task.functions)
        self._ids: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self._recoveries: list[Recovery] = []
        self._idle = 0
        self._last = ""

    def make(self, wanted: Sequence[Wanted]) -> Conversation[list[str]]:
        """Make the calls that are new, all together; return what to tell of each.

        ``wanted`` may hold errors in place of calls: those are told as they are.
        """
        new: list[FunctionCall] = []
        places: list[str] = []
        told_before = set(self._told)
        for item in wanted:
            try:
                if isinstance(item, PlanError):
                    raise item
                call = self._checker.check(item)
            except PlanError as error:
                self._recoveries.append(Recovery("repair", error.message))
                place = f"error {len(places)}"
                self._told[place] = f"Error: {error}"
                places.append(place)
                continue
            text = render_call(replace(call, id="")).removeprefix(" = ")
            if text not in self._ids:
                self._ids[text] = f"s{len(self._ids) + 1}"
                new.append(replace(call, id=self._ids[text]))
            places.append(text)
            self._last = text
        if new:
            outcome: Outcome = yield RunPlan(Plan(tuple(new)))
            for text, id_ in self._ids.items():
                if text not in self._told:
                    self._told[text] = result_text(outcome, id_)
        self._idle = 0 if new else self._idle + 1
        again = "You have made this call already. Its result was: "
        return [again * (place in told_before) + self._told[place] for place in places]

    def nothing(self, why: str) -> None:
        """Note a turn in which the model wrote neither a call nor an answer."""
        self._idle += 1
        self._last = ""
        self._recoveries.append(Recovery("repair", why))

    @property
    def stuck(self) -> str | None:
        """Why there is no use in going on, if there is none."""
        if self._idle < MAX_IDLE:
            return None
        if self._last:
            return f"the model repeated {self._last[:200]}"
        last = f": {self._recoveries[-1].why}" if self._recoveries else ""
        return f"the model wrote nothing that can be run, {self._idle} times in a row{last}"

    def answered(self, text: str) -> Answer:
        """The end, with an answer."""
        return Answer(True, text, recoveries=tuple(self._recoveries))

    def unanswered(self, why: str) -> Answer:
        """The end, without one."""
        return Answer(False, error=why, recoveries=tuple(self._recoveries))
