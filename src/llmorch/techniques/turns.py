"""What techniques that think in turns share: making calls, and telling what came of them.

A call of a pure function that has been made is not made again: its result is told again. A
model that goes on like that for two turns is stopped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmorch.calls import Plan
from llmorch.declare.functions import SELF
from llmorch.errors import PlanError
from llmorch.plan import Checker, render_without_id
from llmorch.techniques.conversation import Answer, Recovery, RunPlan, cut_off
from llmorch.techniques.prompts.results import result_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmorch.calls import FunctionCall
    from llmorch.techniques.conversation import Conversation, Outcome, Reply, Task
    from llmorch.techniques.steps import Wanted

_ALL_OF_IT = "What to do, with every text that it needs: nothing else is known to it."
MAX_IDLE = 2
"""Turns in a row in which a model asks for nothing new before it is stopped."""
MAX_CALL = 200
"""Characters of a call in what is told of another."""


def in_turns(task: Task) -> Task:
    """The task with a word on ``self`` that a technique in turns needs: it has not seen the turns.

    In a plan the results are put into its prompt; a model that thinks in turns takes it to
    know them.
    """
    functions = dict(task.functions)
    if SELF in functions:
        asked = functions[SELF]
        prompt = replace(asked.parameters[0], description=_ALL_OF_IT)
        functions[SELF] = replace(asked, parameters=(prompt, *asked.parameters[1:]))
    return replace(task, functions=functions)


class Turns:
    """The calls of one conversation so far, and how it goes."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._checker = Checker(task.functions)
        self._made = 0
        self._told: dict[str, str] = {}
        """What came of calls that needn't be made again, by their text."""
        self._seen: set[str] = set()
        self._recoveries: list[Recovery] = []
        self._idle = 0
        self._last = ""

    def make(self, wanted: Sequence[Wanted]) -> Conversation[list[str]]:
        """Make the calls that are new, all together; return what to tell of each.

        ``wanted`` may hold errors in place of calls: those are told as they are.
        """
        new: dict[str, FunctionCall] = {}
        places: list[tuple[str, str]] = []
        anything = False
        for item in wanted:
            try:
                if isinstance(item, PlanError):
                    raise item
                call = self._checker.check(item)
            except PlanError as error:
                error.__traceback__ = None  # it leads here, and so to the error
                self._recoveries.append(Recovery("repair", error.message))
                places.append(("", f"Error: {error}"))
                continue
            text = self._last = render_without_id(call)
            anything = anything or text not in self._seen
            self._seen.add(text)
            if text in self._told:
                told = f"You have made this call already. Its result was: {self._told[text]}"
                places.append(("", told))
                continue
            same = next((id_ for id_, other in new.items() if self._same(call, other)), None)
            if same is None:
                self._made += 1
                same = f"s{self._made}"
                new[same] = replace(call, id=same)
            places.append((same, text))
        outcome: Outcome | None = None
        if new:
            outcome = yield RunPlan(Plan(tuple(new.values())))
        self._idle = 0 if anything else self._idle + 1
        return [
            text if outcome is None or not id_ else self._tell(outcome, id_, text) for id_, text in places
        ]

    def _same(self, call: FunctionCall, other: FunctionCall) -> bool:
        """Whether one of two calls is enough."""
        return self._pure(call.function) and replace(call, id=other.id) == other

    def _pure(self, function: str) -> bool:
        return self._task.functions[function].pure

    def _tell(self, outcome: Outcome, id_: str, text: str) -> str:
        told = result_text(outcome, id_)
        cause, _, how = outcome.errors.get(id_, "").partition(" ")
        if id_ not in outcome.failed and cause in {call.id for call in outcome.plan}:
            # It was skipped, and ids are nothing that a model in turns has seen.
            told = f"Error: not made, because {render_without_id(outcome.plan[cause])[:MAX_CALL]} {how}"
        # What failed may be tried again, and what touches other things may have changed.
        if id_ in outcome.results and self._pure(outcome.plan[id_].function):
            self._told[text] = told
        return told

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
            return f"the model repeated {self._last[:MAX_CALL]}"
        last = f": {self._recoveries[-1].why}" if self._recoveries else ""
        return f"the model wrote nothing that can be run, {self._idle} times in a row{last}"

    def answered(self, text: str, reply: Reply) -> Answer:
        """The end, with an answer that is in this reply."""
        return Answer(True, text, recoveries=tuple(self._recoveries), notes=cut_off(reply))

    def unanswered(self, why: str) -> Answer:
        """The end, without one."""
        return Answer(False, error=why, recoveries=tuple(self._recoveries))
