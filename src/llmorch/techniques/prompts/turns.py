"""The prompts of techniques that think in turns: one step, or a batch of calls, at a time.

What stays the same from query to query comes first, so that an adapter can keep what it
has computed for it; what was observed comes last and only grows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmorch.plan import parse, render_without_id
from llmorch.requests import Message, ModelRequest, Tool
from llmorch.techniques.examples import parse_examples
from llmorch.techniques.grammar import batch_grammar, step_grammar
from llmorch.techniques.prompts.plan import listed, signatures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.declare.functions import Function
    from llmorch.techniques.conversation import Task
    from llmorch.techniques.examples import Example, Trajectory

MAX_TOKENS = 512
MAX_SIMILAR = 4
MAX_TRAJECTORIES = 2
"""Of the examples' own: a prompt that is longer makes every turn slower."""

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

_CALLED = ("search(query: str) -> str", "read(file: str) -> str, count(text: str) -> int")
"""What each of these examples calls."""
_EXAMPLES = parse_examples("""\
# query: Which is older, the Eiffel Tower or the Statue of Liberty?
s1 = search(query="Eiffel Tower")
s2 = search(query="Statue of Liberty")
# Thought: I need the age of the Eiffel Tower.
# Action: search(query="Eiffel Tower")
# Observation: The Eiffel Tower is an iron tower in Paris, built from 1887 to 1889.
# Thought: Next I need the age of the Statue of Liberty.
# Action: search(query="Statue of Liberty")
# Observation: The Statue of Liberty in New York was dedicated on October 28, 1886.
# Thought: 1886 comes before 1889.
# Answer: the Statue of Liberty

# query: How many words has a.txt?
s1 = read(file="a.txt")
s2 = count(text=s1)
# Thought: I need the text of a.txt.
# Action: read(file="a.txt")
# Observation: the cat sat
# Thought: Now I count its words.
# Action: count(text="the cat sat")
# Observation: 3
# Thought: The count is known.
# Answer: 3
""")
"""For queries that bring none of their own."""


def step(task: Task, said: Sequence[Message]) -> ModelRequest:
    """Ask for the next thought and action, after what was said in the earlier turns."""
    opening = _opening(_STEP_RULES, task, task.functions, _in_steps)
    return ModelRequest(
        (*opening, _asked(task.query, signatures(task.functions)), *said),
        max_tokens=MAX_TOKENS,
        grammar=step_grammar(task.functions) if task.constrains else None,
        cached=len(opening),
        stop=("\nObservation:",),
    )


def batch(task: Task, functions: Mapping[str, Function], said: Sequence[Message]) -> ModelRequest:
    """Ask for all calls that can be made now, or the answer, as text."""
    opening = _opening(_BATCH_RULES, task, functions, _in_batches)
    return ModelRequest(
        (*opening, _asked(task.query, signatures(functions)), *said),
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


def _asked(query: str, signatures: str) -> Message:
    # The examples may have functions of their own, so the query repeats which are offered.
    return Message("user", f"Functions: {signatures}\nQuery: {query}")


def _opening(
    rules: str,
    task: Task,
    functions: Mapping[str, Function],
    shown: Callable[[Example, Trajectory], list[Message]],
) -> tuple[Message, ...]:
    """The rules, the functions and the examples: the query's own where they show how it goes on."""
    text = f"{rules}\n\nFunctions:\n{listed(_with_values(functions))}"
    offered = signatures(functions)
    told = [(offered, one) for one in task.examples if _can_be_shown(one, functions)][:MAX_TRAJECTORIES]
    if not told:
        told = [*zip(_CALLED, _EXAMPLES, strict=True)]
        similar = [calls for one in task.examples[:MAX_SIMILAR] if (calls := _similar(one, functions))]
        if similar:
            text += f"\n\nSimilar queries, and calls that they began with:\n\n{chr(10).join(similar)}"
    messages = [Message("system", text)]
    for called, example in told:
        if example.trajectory:
            messages += [_asked(example.query, called), *shown(example, example.trajectory)]
    return tuple(messages)


def _can_be_shown(example: Example, functions: Mapping[str, Function]) -> bool:
    """Whether its trajectory makes calls, all of them of these functions."""
    turns = example.trajectory.turns if example.trajectory else ()
    return bool(turns) and all(turn.action.partition("(")[0] in functions for turn in turns)


def _in_steps(_: Example, trajectory: Trajectory) -> list[Message]:
    """One call a turn."""
    messages = []
    for turn in trajectory.turns:
        messages += [
            Message("assistant", f"Thought: {turn.thought}\nAction: {turn.action}"),
            Message("user", f"Observation: {turn.observation}"),
        ]
    return [*messages, Message("assistant", f"Thought: {trajectory.conclusion}\nAnswer: {trajectory.answer}")]


def _in_batches(example: Example, trajectory: Trajectory) -> list[Message]:
    """The calls that need no other's result in one turn, and each of the others in its own."""
    first = _first_calls(example)
    together = [turn for turn in trajectory.turns if turn.action in first]
    batches = [together] if together else []
    batches += [[turn] for turn in trajectory.turns if turn.action not in first]
    messages = []
    for turns in batches:
        messages += [
            Message("assistant", "\n".join(turn.action for turn in turns)),
            Message("user", "\n".join(f"Result of {turn.action}: {turn.observation}" for turn in turns)),
        ]
    return [*messages, Message("assistant", f"Answer: {trajectory.answer}")]


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
    first = [text for text in _first_calls(example) if text.partition("(")[0] in functions]
    return "\n".join([f"Query: {example.query}", *first, ""]) if first else ""


def _first_calls(example: Example) -> list[str]:
    """The calls of a plan that need no other's result, as text without ids."""
    return [render_without_id(call) for call in parse(example.plan) if not call.uses]
