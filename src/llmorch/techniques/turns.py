"""Techniques that think in turns: ReAct (arXiv 2210.03629), one call a turn, and parallel function calling.

Several calls of a turn run together, and the next turn begins when all of them have ended. A call of
a pure function that has been made is not made again: its result is told again. A model that goes on
like that for two turns is stopped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmorch.calls import Plan
from llmorch.declare.functions import SELF
from llmorch.errors import PlanError
from llmorch.plan import Checker, call_from_json, render_without_id
from llmorch.requests import Message
from llmorch.techniques.conversation import Answer, AskModel, Recovery, RunPlan, answered
from llmorch.techniques.prompts.results import result_text
from llmorch.techniques.prompts.turns import batch, step, tools
from llmorch.techniques.steps import read_batch, read_step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.calls import FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.requests import ToolCall
    from llmorch.techniques.conversation import Conversation, Outcome, Reply, Task
    from llmorch.techniques.steps import Wanted

    TakenApart = Callable[[Wanted], Sequence[Wanted]]

MAX_IDLE = 2
"""Turns in a row in which a model asks for nothing new before it is stopped."""
MAX_CALL = 200
"""Characters of a call in what is told of another."""
_ALL_OF_IT = "What to do, with every text that it needs: nothing else is known to it."
_NO_STEP = "neither an Action nor an Answer; write one of the two after the Thought"
_NO_BATCH = "Error: neither a call nor an answer; write calls, one a line, or Answer: and the answer"


def react(task: Task) -> Conversation[Answer]:
    """Answer the query one call at a time; it works with any model that writes text.

    It ends without an answer when the model repeats itself or the turns are used up.
    """
    task = in_turns(task)
    turns = _Turns(task)
    said: list[Message] = []
    for _ in range(task.turns):
        reply: Reply = yield AskModel(step(task, said))
        read = read_step(reply.text, task.functions)
        if read.answer:
            return turns.answered(read.answer, reply)
        if read.calls:
            observed = yield from turns.make(read.calls)
        else:
            turns.nothing("neither an action nor an answer")
            observed = [f"Error: {_NO_STEP}"]
        if turns.stuck:
            return turns.unanswered(turns.stuck)
        text = reply.text.split("\nObservation:")[0].strip()
        said += [Message("assistant", text or "(nothing)"), Message("user", f"Observation: {observed[0]}")]
    return turns.unanswered(f"no answer in {task.turns} turns")


def parallel(task: Task) -> Conversation[Answer]:
    """Answer the query with batches of calls: the model's own tool calls, or as text. It ends as ``react`` does."""
    task = in_turns(task)
    return (yield from in_batches(task, task.functions, lambda wanted: (wanted,)))


def in_batches(task: Task, offered: Mapping[str, Function], taken_apart: TakenApart) -> Conversation[Answer]:
    """Batches of calls of the offered functions, each taken apart into calls of the task's."""
    turns = _Turns(task)
    said: list[Message] = []
    native = task.calls_tools
    known = {**task.functions, **offered}  # functions behind a fused one may be called as well
    for _ in range(task.turns):
        ask = tools if native else batch
        reply: Reply = yield AskModel(ask(task, offered, said))
        if reply.refused and native:
            native, said = False, []
            continue
        if native:
            wanted = tuple(_read(call) for call in reply.calls)
            answer = None if wanted else reply.text.strip()
        else:
            read = read_batch(reply.text, known)
            wanted, answer = read.calls, read.answer
        if answer:
            return turns.answered(answer, reply)
        parts = [taken_apart(item) for item in wanted]
        told: list[str] = []
        if wanted:
            told = yield from turns.make([item for part in parts for item in part])
        else:
            turns.nothing("neither a call nor an answer")
        if turns.stuck:
            return turns.unanswered(turns.stuck)
        results = [[told.pop(0) for _ in part] for part in parts]
        said += _said_natively(reply, results) if native else _said(reply.text, parts, results)
    return turns.unanswered(f"no answer in {task.turns} turns")


def _read(call: ToolCall) -> Wanted:
    try:
        return call_from_json("s1", call.name, call.arguments)
    except PlanError as error:
        return error


def _said_natively(reply: Reply, results: Sequence[Sequence[str]]) -> list[Message]:
    if not reply.calls:
        return [Message("assistant", reply.text or "(nothing)"), Message("user", _NO_BATCH)]
    answers = [
        Message("tool", "\n".join(result), answers=call.id)
        for call, result in zip(reply.calls, results, strict=True)
    ]
    # What is no JSON would be refused by some endpoints, and then the whole conversation with it.
    calls = tuple(
        replace(call, arguments="{}") if isinstance(_read(call), PlanError) else call for call in reply.calls
    )
    return [Message("assistant", reply.text, calls=calls), *answers]


def _said(text: str, parts: Sequence[Sequence[Wanted]], results: Sequence[Sequence[str]]) -> list[Message]:
    lines = []
    for part, told in zip(parts, results, strict=True):
        for item, result in zip(part, told, strict=True):
            made = "what you wrote" if isinstance(item, PlanError) else render_without_id(item)
            lines.append(f"Result of {made}: {result}")
    return [Message("assistant", text.strip() or "(nothing)"), Message("user", "\n".join(lines) or _NO_BATCH)]


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


class _Turns:
    """The calls of one conversation so far, and how it goes."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._checker = Checker(task.functions)
        self._made = 0
        self._told: dict[str, str] = {}
        """What came of calls that needn't be made again, by their text."""
        self._seen: set[str] = set()
        self._idle = 0
        self._last = ""

    def make(self, wanted: Sequence[Wanted]) -> Conversation[list[str]]:
        """Make the calls that are new, all together; return what to tell of each.

        ``wanted`` may hold errors in place of calls: those are told as they are.
        """
        new: dict[str, FunctionCall] = {}
        found: list[tuple[str, str]] = []
        """For each, the id of the call that is made for it and its text, or no id and what to tell."""
        anything = False
        for item in wanted:
            try:
                if isinstance(item, PlanError):
                    raise item
                call = self._checker.check(item)
            except PlanError as error:
                error.__traceback__ = None  # it leads here, and so to the error
                self._task.tried.append(Recovery("repair", error.message))
                found.append(("", f"Error: {error}"))
                continue
            text = self._last = render_without_id(call)
            anything = anything or text not in self._seen
            self._seen.add(text)
            if text in self._told:
                told = f"You have made this call already. Its result was: {self._told[text]}"
                found.append(("", told))
                continue
            # Of calls of a pure function that are the same, one is enough.
            pure = self._task.functions[call.function].pure
            same = next((id_ for id_, other in new.items() if pure and replace(call, id=id_) == other), None)
            if same is None:
                self._made += 1
                same = f"s{self._made}"
                new[same] = replace(call, id=same)
            found.append((same, text))
        outcome: Outcome | None = None
        if new:
            outcome = yield RunPlan(Plan(tuple(new.values())))
        self._idle = 0 if anything else self._idle + 1
        return [self._tell(outcome, id_, text) if outcome and id_ else text for id_, text in found]

    def _tell(self, outcome: Outcome, id_: str, text: str) -> str:
        told = result_text(outcome, id_)
        cause, _, how = outcome.errors.get(id_, "").partition(" ")
        if id_ not in outcome.failed and cause in outcome.plan.by_id:
            # It was skipped, and ids are nothing that a model in turns has seen.
            told = f"Error: not made, because {render_without_id(outcome.plan[cause])[:MAX_CALL]} {how}"
        # What failed may be tried again, and what touches other things may have changed.
        if id_ in outcome.results and self._task.functions[outcome.plan[id_].function].pure:
            self._told[text] = told
        return told

    def nothing(self, why: str) -> None:
        """Note a turn in which the model wrote neither a call nor an answer."""
        self._idle += 1
        self._last = ""
        self._task.tried.append(Recovery("repair", why))

    @property
    def stuck(self) -> str | None:
        """Why there is no use in going on, if there is none."""
        if self._idle < MAX_IDLE:
            return None
        if self._last:
            return f"the model repeated {self._last[:MAX_CALL]}"
        last = f": {self._task.tried[-1].why}" if self._task.tried else ""
        return f"the model wrote nothing that can be run, {self._idle} times in a row{last}"

    def answered(self, text: str, reply: Reply) -> Answer:
        return answered(reply, text, self._task.tried)

    def unanswered(self, why: str) -> Answer:
        return Answer(False, error=why, recoveries=tuple(self._task.tried))
