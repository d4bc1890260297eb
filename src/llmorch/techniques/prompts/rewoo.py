"""The prompts of ReWOO: a plan whose results are evidence, and the question to the solver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.plan import parse, render, with_ids
from llmorch.requests import Message, ModelRequest
from llmorch.techniques.grammar import plan_grammar
from llmorch.techniques.prompts.plan import asking, listed, offered, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmorch.techniques.conversation import Task

ANSWER_TOKENS = 384

_RULES = """\
You make a plan that collects the evidence that a query needs. For each step write two lines:
# why the step is needed
E1 = function(name="argument")
The evidence is called E1, E2, E3 and so on. A later step uses the evidence E1 by writing {E1} inside a string, or \
E1 as an argument; {query} inside a string stands for the query itself. Call only the functions below. Another \
model answers the query from the evidence. Write only the plan."""

_SOLVE = Message(
    "system",
    "Answer the query from the evidence that a plan has collected. Where the evidence is wrong or missing, use "
    "what you know. Write only the answer, exact and brief.",
)


def plan_with_evidence(task: Task, attempt: int = 0) -> ModelRequest:
    """Ask for the plan. A further ``attempt`` leaves more to chance, as in ``translate``."""
    messages = [Message("system", f"{_RULES}\n\nFunctions:\n{listed(task.functions)}")]
    messages += shown(task, attempt, lambda example: _evidence(example.plan))
    cached = len(messages)
    messages.append(Message("user", f"{offered(task)}Query: {task.query}"))
    grammar = plan_grammar(task.functions, ids="E", why=True) if task.constrains else None
    return asking(messages, cached, grammar, attempt)


def solve(task: Task, evidence: Sequence[tuple[str, str]]) -> ModelRequest:
    """Ask for the answer, given each call and what it returned."""
    told = "\n".join(f"{call}\nEvidence: {result}" for call, result in evidence)
    asked = f"{told}\n\nQuery: {task.query}\nAnswer:"
    return ModelRequest((_SOLVE, Message("user", asked)), max_tokens=ANSWER_TOKENS, cached=1)


def _evidence(plan: str) -> str:
    """An example's plan with evidence variables, each step below what it is for."""
    calls = parse(plan).calls
    renamed = with_ids(parse(plan), {call.id: f"E{at}" for at, call in enumerate(calls, 1)})
    lines = []
    for call, text in zip(renamed, render(renamed).split("\n"), strict=True):
        why = f"from {' and '.join(call.uses)}" if call.uses else "from its own source"
        lines.append(f"# {call.id} comes {why}, by {call.function}\n{text}")
    return "\n".join(lines)
