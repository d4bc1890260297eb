"""The prompts that ask for a plan.

What stays the same from query to query comes first (rules, functions, examples), so
that an adapter can keep what it has computed for it; the query comes last.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from llmorch.requests import Message, ModelRequest
from llmorch.techniques.examples import Example
from llmorch.techniques.grammar import plan_grammar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmorch.errors import PlanError
    from llmorch.functions import Function
    from llmorch.techniques.conversation import Task

T = TypeVar("T")

MAX_TOKENS = 1024
TEMPERATURES = (0.0, 0.7, 1.0)
"""Of the first translation of a query, and of those after it."""
MAX_TEXT = 4_000
"""Characters of a wrong plan that a repair prompt shows."""

_RULES = """\
You turn a query into a plan of function calls, one call a line:
s1 = function(name="argument")
The ids are s1, s2, s3 and so on, each used once. A later call uses the result of s1 by writing {s1} inside a \
string, or s1 as an argument; {query} inside a string stands for the query itself. Calls that do not need each \
other's results run at the same time. Call only the functions below, only as the query asks, and use every \
result. The last call gives the answer. Write only the plan."""

DEFAULT_EXAMPLES = (
    (
        "search(query: str) -> str, self(prompt: str) -> str",
        Example(
            "Which is older, the Eiffel Tower or the Statue of Liberty?",
            's1 = search(query="Eiffel Tower")\n'
            's2 = search(query="Statue of Liberty")\n'
            's3 = self(prompt="{query} {s1} {s2}")',
        ),
    ),
    (
        "read(file: str) -> str, count(text: str) -> int, self(prompt: str) -> str",
        Example(
            "How many more words has a.txt than b.txt?",
            's1 = read(file="a.txt")\n'
            's2 = read(file="b.txt")\n'
            "s3 = count(text=s1)\n"
            "s4 = count(text=s2)\n"
            's5 = self(prompt="{query} a.txt has {s3}, b.txt has {s4}.")',
        ),
    ),
    (
        "load(name: str) -> list, plot(values: list, title: str) -> str, mean(values: list) -> float, "
        "self(prompt: str) -> str",
        Example(
            "Load rain, plot it as Rainfall, compute its mean, and tell me about both.",
            's1 = load(name="rain")\n'
            's2 = plot(values=s1, title="Rainfall")\n'
            "s3 = mean(values=s1)\n"
            's4 = self(prompt="Tell about the plot {s2} and the mean rainfall {s3}.")',
        ),
    ),
    (
        "measure(image: str) -> float, self(prompt: str) -> str",
        Example(
            "Measure 1.png to 4.png. Average the odd and the even ones, and compare the averages.",
            's1 = measure(image="1.png")\n'
            's2 = measure(image="2.png")\n'
            's3 = measure(image="3.png")\n'
            's4 = measure(image="4.png")\n'
            's5 = self(prompt="Average of {s1} and {s3}?")\n'
            's6 = self(prompt="Average of {s2} and {s4}?")\n'
            's7 = self(prompt="Compare the averages {s5} and {s6}.")',
        ),
    ),
    (
        "math(expression: str) -> float, search(query: str, k: int = 500) -> str",
        Example(
            "What is the population density of Kansas?",
            's1 = search(query="Kansas")\ns2 = math(expression="population of Kansas / area of Kansas. {s1}")',
        ),
    ),
    (
        "weather(city: str) -> dict, mail(to: str, text: str) -> None, self(prompt: str) -> str",
        Example(
            "Write the weather in Rome and in Oslo to Ann, in a friendly way.",
            's1 = weather(city="Rome")\n'
            's2 = weather(city="Oslo")\n'
            's3 = self(prompt="Write a friendly message about the weather in Rome {s1} and in Oslo {s2}.")\n'
            's4 = mail(to="Ann", text=s3)',
        ),
    ),
)
"""Six patterns, with functions of their own: used where no examples are given."""


def translate(task: Task, attempt: int = 0) -> ModelRequest:
    """Ask for a plan that answers the query.

    A further ``attempt`` leaves more to chance, as in the paper; as some models take neither
    a temperature nor a seed, the second one also has the examples in another order.
    """
    messages = [Message("system", f"{_RULES}\n\nFunctions:\n{listed(task.functions)}")]
    if task.examples:
        for example in turned(task.examples, attempt):
            messages += [Message("user", f"Query: {example.query}"), Message("assistant", example.plan)]
    else:
        for functions, example in turned(DEFAULT_EXAMPLES, attempt):
            asked = f"Functions: {functions}\nQuery: {example.query}"
            messages += [Message("user", asked), Message("assistant", example.plan)]
    cached = len(messages)
    messages.append(Message("user", f"{offered(task)}Query: {task.query}"))
    grammar = plan_grammar(task.functions) if task.constrains else None
    return asking(messages, cached, grammar, attempt)


def asking(messages: Sequence[Message], cached: int, grammar: str | None, attempt: int) -> ModelRequest:
    """The request for a plan; a further ``attempt`` has a higher temperature and another seed."""
    temperature = TEMPERATURES[min(attempt, len(TEMPERATURES) - 1)]
    return ModelRequest(
        tuple(messages),
        max_tokens=MAX_TOKENS,
        temperature=temperature,
        seed=attempt,
        grammar=grammar,
        cached=cached,
    )


def offered(task: Task) -> str:
    """The line before a query that says what it may call, where the examples call something else."""
    if task.examples:
        return ""
    return f"Functions: {', '.join(function.signature for function in task.functions.values())}\n"


def turned(examples: Sequence[T], attempt: int) -> Sequence[T]:
    """The examples in the order of an attempt: only from the second further one on in another."""
    turn = max(0, attempt - 1) % len(examples)
    return [*examples[turn:], *examples[:turn]]


def repair(first: ModelRequest, text: str, error: PlanError) -> ModelRequest:
    """Ask for the plan again, given the first request, what was written and what is wrong with it."""
    shown = text[:MAX_TEXT] + (" ..." if len(text) > MAX_TEXT else "")
    messages = (
        *first.messages,
        Message("assistant", shown or "(nothing)"),
        Message("user", f"This plan has an error:\n{error}\nWrite the whole plan again, corrected."),
    )
    return replace(first, messages=messages)


def listed(functions: Mapping[str, Function]) -> str:
    """The functions as a model reads them, one a line."""
    return "\n".join(_one(function) for function in functions.values())


def _one(function: Function) -> str:
    text = " ".join(function.description.split())
    details = "; ".join(
        f"{item.name}: {item.description}" for item in function.parameters if item.description
    )
    returned = f" Returns {function.returns_description}" if function.returns_description else ""
    return f"- {function.signature}: {text}{f' ({details})' if details else ''}{returned}"
