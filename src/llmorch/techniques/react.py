"""ReAct (arXiv 2210.03629): thought, action, observation, one call a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.requests import Message
from llmorch.techniques.conversation import AskModel
from llmorch.techniques.prompts.turns import step
from llmorch.techniques.steps import read_step
from llmorch.techniques.turns import Turns, in_turns

if TYPE_CHECKING:
    from llmorch.techniques.conversation import Answer, Conversation, Reply, Task

_NEITHER = "neither an Action nor an Answer; write one of the two after the Thought"


def react(task: Task) -> Conversation[Answer]:
    """Answer the query one call at a time; it works with any model that writes text.

    It ends without an answer when the model repeats itself or the turns are used up.
    """
    task = in_turns(task)
    turns = Turns(task)
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
            observed = [f"Error: {_NEITHER}"]
        if turns.stuck:
            return turns.unanswered(turns.stuck)
        text = reply.text.split("\nObservation:")[0].strip()
        said += [Message("assistant", text or "(nothing)"), Message("user", f"Observation: {observed[0]}")]
    return turns.unanswered(f"no answer in {task.turns} turns")
