"""The prompts of LLMCompiler: the joiner's verdict, and a plan in the light of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.requests import Message, ModelRequest
from llmorch.techniques.grammar import join_grammar, plan_grammar
from llmorch.techniques.prompts.plan import next_number, translate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmorch.calls import FunctionCall
    from llmorch.techniques.conversation import Task

ANSWER_TOKENS = 512

_JOIN = """\
You judge whether the results of function calls answer a query. First write one line:
Thought: what the results say
Then write one of these two lines, and nothing else:
Answer: the answer, exact and brief
Replan: what is still missing, and how to get it"""
_LAST = """\
You answer a query from the results of function calls. First write one line:
Thought: what the results say
Then write the line:
Answer: the answer, exact and brief"""


def join(task: Task, results: Sequence[tuple[str, str]], *, last: bool) -> ModelRequest:
    """Ask whether the results answer the query; the last time only for the answer."""
    told = "\n".join(f"{call}\nResult: {result}" for call, result in results) or "No call was made."
    return ModelRequest(
        (
            Message("system", _LAST if last else _JOIN),
            Message("user", f"{told}\n\nQuery: {task.query}"),
        ),
        max_tokens=ANSWER_TOKENS,
        grammar=join_grammar(last=last) if task.constrains else None,
        cached=1,
    )


def plan_again(
    task: Task, results: Sequence[tuple[str, str]], feedback: str, *, calls: Sequence[FunctionCall]
) -> ModelRequest:
    """Ask for the calls that are still needed; earlier ``calls`` stay addressable by their ids."""
    asked = translate(task)
    first = next_number(calls)
    told = "\n".join(f"{call}\nResult: {result}" for call, result in results)
    message = Message(
        "user",
        f"{asked.messages[-1].text}\n\nThese calls were made already, and later calls can use their results by "
        f"their ids:\n{told or 'none'}\n\nThat was not enough: {feedback}\n"
        f"Write only the calls that are still needed; the next id is s{first}.",
    )
    earlier = [call.id for call in calls]
    return ModelRequest(
        (*asked.messages[:-1], message),
        max_tokens=asked.max_tokens,
        grammar=plan_grammar(task.functions, first=first, earlier=earlier) if task.constrains else None,
        cached=asked.cached,
    )
