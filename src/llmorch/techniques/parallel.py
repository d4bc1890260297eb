"""Parallel function calling: the model's own tool calls, several in a turn.

The calls of a turn run together, and the next turn begins when all of them have ended. A
model without native tool calls writes them as text.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmorch.errors import PlanError
from llmorch.plan import call_from_json, render_without_id
from llmorch.requests import Message
from llmorch.techniques.conversation import AskModel
from llmorch.techniques.prompts.turns import batch, tools
from llmorch.techniques.steps import read_batch
from llmorch.techniques.turns import Turns, in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.declare.functions import Function
    from llmorch.requests import ToolCall
    from llmorch.techniques.conversation import Answer, Conversation, Reply, Task
    from llmorch.techniques.steps import Wanted

    TakenApart = Callable[[Wanted], Sequence[Wanted]]

_NEITHER = "Error: neither a call nor an answer; write calls, one a line, or Answer: and the answer"


def parallel(task: Task) -> Conversation[Answer]:
    """Answer the query with batches of calls. It ends as ``react`` does."""
    task = in_turns(task)
    return (yield from in_batches(task, task.functions, lambda wanted: (wanted,)))


def in_batches(task: Task, offered: Mapping[str, Function], taken_apart: TakenApart) -> Conversation[Answer]:
    """Batches of calls of the offered functions, each taken apart into calls of the task's."""
    turns = Turns(task)
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
        if wanted:
            told = yield from turns.make([item for part in parts for item in part])
        else:
            told = []
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
        return [Message("assistant", reply.text or "(nothing)"), Message("user", _NEITHER)]
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
    lines = [
        f"Result of {_named(item)}: {result}"
        for part, told in zip(parts, results, strict=True)
        for item, result in zip(part, told, strict=True)
    ]
    return [
        Message("assistant", text.strip() or "(nothing)"),
        Message("user", "\n".join(lines) or _NEITHER),
    ]


def _named(item: Wanted) -> str:
    return "what you wrote" if isinstance(item, PlanError) else render_without_id(item)
