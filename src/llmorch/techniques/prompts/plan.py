"""The prompts that ask for a plan.

What stays the same from query to query comes first (rules, functions, examples), so
that an adapter can keep what it has computed for it; the query comes last.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from llmorch.plan import Parser, parse, render_without_id, with_ids
from llmorch.plan.replies import ReplyScanner
from llmorch.requests import Message, ModelRequest
from llmorch.techniques.examples import Example
from llmorch.techniques.grammar import beginning_with, plan_grammar, unnamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llmorch.calls import FunctionCall, Plan
    from llmorch.declare.functions import Function
    from llmorch.errors import PlanError
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

_SHORT_RULES = """\
You turn a query into a plan of function calls, one call a line:
function("argument")
The result of the first call is s1, of the second s2, and so on. A later call uses the result of s1 by writing {s1} \
inside a string, or s1 as an argument; {query} inside a string stands for the query itself. Calls that do not need \
each other's results run at the same time. Call only the functions below, only as the query asks, and use every \
result. The last call gives the answer. Write only the plan."""

_FLAT_RULES = """\
You turn a query into a plan of function calls, one call a line:
function("argument")
Calls that do not need each other's results run at the same time; the results of all are read at the end. Only a \
call whose result a later call uses has an id, as in s1 = function("argument"), and the later call writes {s1} \
inside a string, or s1 as an argument; {query} inside a string stands for the query itself. Call only the \
functions below, only as the query asks. Write only the plan."""

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


def translate(task: Task, attempt: int = 0, *, short: bool = False) -> ModelRequest:
    """Ask for a plan that answers the query.

    A further ``attempt`` leaves more to chance, as in the paper; as some models take neither
    a temperature nor a seed, the second one also has the examples in another order. A
    ``short`` plan leaves out ids and the name of each first argument.
    """
    rules = _short_rules(task.examples) if short else _RULES
    messages = [Message("system", f"{rules}\n\nFunctions:\n{listed(task.functions)}")]
    messages += shown(task, attempt, lambda one: _shortened(one, task.functions) if short else one.plan)
    cached = len(messages)
    messages.append(Message("user", f"{offered(task)}Query: {task.query}"))
    grammar = plan_grammar(task.functions, short=short) if task.constrains else None
    return asking(messages, cached, grammar, attempt)


def can_be_short(task: Task) -> bool:
    """Whether every example is calls that need no other's result, and perhaps a last one that reads them all.

    Such plans are a third shorter without ids, and sooner there. In any others ids stay: a
    small model that must name one of several results by the place of its call miscounts.
    """
    return bool(task.examples) and all(_gathers(parse(example.plan)) for example in task.examples)


def _gathers(plan: Plan) -> bool:
    *before, last = plan.calls
    return not any(call.uses for call in before) and set(last.uses) in (set(), {call.id for call in before})


def _short_rules(examples: Iterable[Example]) -> str:
    flat = not any(call.uses for example in examples for call in parse(example.plan))
    return _FLAT_RULES if flat else _SHORT_RULES


def _shortened(example: Example, functions: Mapping[str, Function]) -> str:
    """An example's plan without ids, and without the name of each first argument.

    Results are named by the places of their calls, whatever ids the example has.
    """
    plan = parse(example.plan)
    lines = []
    for call in with_ids(plan, {call.id: f"s{place}" for place, call in enumerate(plan, 1)}):
        function = functions.get(call.function)
        first = unnamed(function) if function else None
        short = call
        if first and first.name in call.args and not call.positional:
            rest = {name: value for name, value in call.args.items() if name != first.name}
            short = replace(call, positional=(call.args[first.name],), args=rest)
        lines.append(render_without_id(short))
    return "\n".join(lines)


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


def shown(task: Task, attempt: int, plan: Callable[[Example], str]) -> list[Message]:
    """The examples in turns, each with its ``plan`` as it is to be written."""
    messages = []
    for functions, example in _turned([("", one) for one in task.examples] or DEFAULT_EXAMPLES, attempt):
        asked = f"Functions: {functions}\n" if functions else ""
        messages.append(Message("user", f"{asked}Query: {example.query}"))
        messages.append(Message("assistant", plan(example)))
    return messages


def _turned(examples: Sequence[T], attempt: int) -> Sequence[T]:
    """The examples in the order of an attempt: only from the second further one on in another."""
    turn = max(0, attempt - 1) % len(examples)
    return [*examples[turn:], *examples[:turn]]


def repair(first: ModelRequest, text: str, error: PlanError, above: str = "") -> ModelRequest:
    """Ask for the plan again, given the first request, what was written and what is wrong with it.

    Where the lines ``above`` the error are right, only for what comes after them, which is
    sooner written. For a whole plan the query is told again: a small model that has read
    three messages since writes an example's.
    """
    written = text[:MAX_TEXT] + (" ..." if len(text) > MAX_TEXT else "")
    wanted = f"Write the whole plan again, corrected.\n{first.messages[-1].text}"
    grammar = first.grammar
    if above:
        line = above.count("\n") + 1
        wanted = f"Write the plan again from line {line} on, corrected."
        if grammar is not None:
            calls = Parser(numbers=True, reply=ReplyScanner()).feed(above)
            grammar = beginning_with(grammar, f"s{next_number(calls)}")
    messages = (
        *first.messages,
        Message("assistant", written or "(nothing)"),
        Message("user", f"This plan has an error:\n{error}\n{wanted}"),
    )
    return replace(first, messages=messages, grammar=grammar)


def next_number(calls: Iterable[FunctionCall]) -> int:
    """The first number after those in any id, so that ``s`` and this number is a new one."""
    numbers = [int(found) for call in calls for found in re.findall(r"\d{1,6}", call.id)]
    return 1 + max(numbers, default=0)


def listed(functions: Mapping[str, Function]) -> str:
    """The functions as a model reads them, one a line."""
    return "\n".join(function.prompt_text.line for function in functions.values())
