"""The prompts of techniques that think in turns: one step, or a batch of calls, at a time.

What stays the same from query to query comes first, so that an adapter can keep what it
has computed for it; what was observed comes last and only grows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmorch.errors import PlanError
from llmorch.plan import parse, render_call
from llmorch.requests import Message, ModelRequest, Tool
from llmorch.techniques.grammar import batch_grammar, step_grammar
from llmorch.techniques.prompts.plan import listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmorch.functions import Function
    from llmorch.techniques.conversation import Task
    from llmorch.techniques.examples import Example

MAX_TOKENS = 512
MAX_SIMILAR = 4

_STEP_RULES = """\
You answer a query step by step. In each step write one of these two, and nothing else:

Thought: what is needed next
Action: function(name="argument")

Thought: why the answer is known
Answer: the answer, exact and brief

After an Action its result is given to you as an Observation. Call only the functions below, one in each step, \
with all values written out. Write Answer as soon as the observations are enough."""

_BATCH_RULES = """\
You answer a query by calling functions. In each turn write one of these two, and nothing else: all the calls that \
can be made now, one a line, as in
function(name="argument")
or, as soon as their results are enough,
Answer: the answer, exact and brief

The results are given to you after each turn. Calls of one turn run together and can't use each other's results. \
Call only the functions below, with all values written out."""

_TOOL_RULES = """\
Answer the query with the tools you have. Call all tools that can be called now in one turn: they run together. \
As soon as their results are enough, write the answer, exact and brief."""

_STEPS = (
    Message(
        "user",
        "Functions: search(query: str) -> str\n"
        "Query: Which is older, the Eiffel Tower or the Statue of Liberty?",
    ),
    Message(
        "assistant", 'Thought: I need the age of the Eiffel Tower.\nAction: search(query="Eiffel Tower")'
    ),
    Message("user", "Observation: The Eiffel Tower is an iron tower in Paris, built from 1887 to 1889."),
    Message(
        "assistant",
        'Thought: Next I need the age of the Statue of Liberty.\nAction: search(query="Statue of Liberty")',
    ),
    Message("user", "Observation: The Statue of Liberty in New York was dedicated on October 28, 1886."),
    Message("assistant", "Thought: 1886 comes before 1889.\nAnswer: the Statue of Liberty"),
    Message(
        "user",
        "Functions: read(file: str) -> str, count(text: str) -> int\nQuery: How many words has a.txt?",
    ),
    Message("assistant", 'Thought: I need the text of a.txt.\nAction: read(file="a.txt")'),
    Message("user", "Observation: the cat sat"),
    Message("assistant", 'Thought: Now I count its words.\nAction: count(text="the cat sat")'),
    Message("user", "Observation: 3"),
    Message("assistant", "Thought: The count is known.\nAnswer: 3"),
)
_BATCHES = (
    _STEPS[0],
    Message("assistant", 'search(query="Eiffel Tower")\nsearch(query="Statue of Liberty")'),
    Message(
        "user",
        'Result of search(query="Eiffel Tower"): The Eiffel Tower is an iron tower in Paris, built from 1887 to '
        '1889.\nResult of search(query="Statue of Liberty"): The Statue of Liberty in New York was dedicated on '
        "October 28, 1886.",
    ),
    Message("assistant", "Answer: the Statue of Liberty"),
    _STEPS[6],
    Message("assistant", 'read(file="a.txt")'),
    Message("user", 'Result of read(file="a.txt"): the cat sat'),
    Message("assistant", 'count(text="the cat sat")'),
    Message("user", 'Result of count(text="the cat sat"): 3'),
    Message("assistant", "Answer: 3"),
)


def step(task: Task, said: Sequence[Message]) -> ModelRequest:
    """Ask for the next thought and action, after what was said in the earlier turns."""
    opening = (Message("system", _told(_STEP_RULES, task.functions, task.examples)), *_STEPS)
    return ModelRequest(
        (*opening, _asked(task, task.functions), *said),
        max_tokens=MAX_TOKENS,
        grammar=step_grammar(task.functions) if task.constrains else None,
        cached=len(opening),
        stop=("\nObservation:",),
    )


def batch(task: Task, functions: Mapping[str, Function], said: Sequence[Message]) -> ModelRequest:
    """Ask for all calls that can be made now, or the answer, as text."""
    opening = (Message("system", _told(_BATCH_RULES, functions, task.examples)), *_BATCHES)
    return ModelRequest(
        (*opening, _asked(task, functions), *said),
        max_tokens=2 * MAX_TOKENS,
        grammar=batch_grammar(functions) if task.constrains else None,
        cached=len(opening),
        stop=("\nResult of",),
    )


def tools(task: Task, functions: Mapping[str, Function], said: Sequence[Message]) -> ModelRequest:
    """Ask with native tools, after what was said in the earlier turns."""
    return ModelRequest(
        (Message("system", _TOOL_RULES), Message("user", task.query), *said),
        max_tokens=2 * MAX_TOKENS,
        cached=1,
        tools=tuple(Tool(item.name, item.description, item.schema) for item in functions.values()),
    )


def _asked(task: Task, functions: Mapping[str, Function]) -> Message:
    # The examples have functions of their own, so the query repeats which are offered.
    offered = ", ".join(function.signature for function in functions.values())
    return Message("user", f"Functions: {offered}\nQuery: {task.query}")


def _told(rules: str, functions: Mapping[str, Function], examples: Sequence[Example]) -> str:
    text = f"{rules}\n\nFunctions:\n{listed(_with_values(functions))}"
    similar = [told for example in examples[:MAX_SIMILAR] if (told := _similar(example, functions))]
    return (
        f"{text}\n\nSimilar queries, and calls that they began with:\n\n{chr(10).join(similar)}"
        if similar
        else text
    )


def _with_values(functions: Mapping[str, Function]) -> dict[str, Function]:
    """The functions without a word of ``{s1}``: in turns, every value is written out."""
    return {
        name: replace(
            function,
            parameters=tuple(
                replace(item, description=item.description.replace(", as in {s1}", ""))
                for item in function.parameters
            ),
        )
        for name, function in functions.items()
    }


def _similar(example: Example, functions: Mapping[str, Function]) -> str:
    """A query and those of its calls that can be made and need no other's result."""
    try:
        first = [call for call in parse(example.plan) if not call.uses and call.function in functions]
    except PlanError:  # examples were parsed when they were read
        return ""
    calls = "\n".join(render_call(call).split(" = ", 1)[1] for call in first)
    return f"Query: {example.query}\n{calls}\n" if first else ""
