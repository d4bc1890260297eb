"""The prompts that ask for a plan, for the repair of one that failed, and for a verdict on its results.

What stays the same from query to query comes first (rules, functions, examples), so
that an adapter can keep what it has computed for it; the query comes last.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from llmorch.plan import Parser, parse, render_call, render_without_id, with_ids
from llmorch.plan.replies import ReplyScanner
from llmorch.requests import Message, ModelRequest
from llmorch.techniques.examples import parse_examples
from llmorch.techniques.grammar import beginning_with, call_grammar, join_grammar, plan_grammar, unnamed
from llmorch.techniques.prompts.results import result_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall, Plan
    from llmorch.declare.functions import Function
    from llmorch.errors import PlanError
    from llmorch.techniques.conversation import Outcome, Task
    from llmorch.techniques.examples import Example

MAX_TOKENS = 1024
CALL_TOKENS = 256
VERDICT_TOKENS = 512
TEMPERATURES = (0.0, 0.7, 1.0)
"""Of the first translation of a query, and of those after it."""
MAX_TEXT = 4_000
"""Characters of a wrong plan that a repair prompt shows."""
MAX_INPUT = 900
"""Characters of one argument that are shown; its beginning and, mostly, its end."""
MAX_ERROR = 1_500
_HEAD = 300

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

_CALLED = (
    "search(query: str) -> str, self(prompt: str) -> str",
    "read(file: str) -> str, count(text: str) -> int, self(prompt: str) -> str",
    "load(name: str) -> list, plot(values: list, title: str) -> str, mean(values: list) -> float, "
    "self(prompt: str) -> str",
    "measure(image: str) -> float, self(prompt: str) -> str",
    "math(expression: str) -> float, search(query: str, k: int = 500) -> str",
    "weather(city: str) -> dict, mail(to: str, text: str) -> None, self(prompt: str) -> str",
)
"""What each of these examples calls."""
_EXAMPLES = parse_examples("""\
# query: Which is older, the Eiffel Tower or the Statue of Liberty?
s1 = search(query="Eiffel Tower")
s2 = search(query="Statue of Liberty")
s3 = self(prompt="{query} {s1} {s2}")

# query: How many more words has a.txt than b.txt?
s1 = read(file="a.txt")
s2 = read(file="b.txt")
s3 = count(text=s1)
s4 = count(text=s2)
s5 = self(prompt="{query} a.txt has {s3}, b.txt has {s4}.")

# query: Load rain, plot it as Rainfall, compute its mean, and tell me about both.
s1 = load(name="rain")
s2 = plot(values=s1, title="Rainfall")
s3 = mean(values=s1)
s4 = self(prompt="Tell about the plot {s2} and the mean rainfall {s3}.")

# query: Measure 1.png to 4.png. Average the odd and the even ones, and compare the averages.
s1 = measure(image="1.png")
s2 = measure(image="2.png")
s3 = measure(image="3.png")
s4 = measure(image="4.png")
s5 = self(prompt="Average of {s1} and {s3}?")
s6 = self(prompt="Average of {s2} and {s4}?")
s7 = self(prompt="Compare the averages {s5} and {s6}.")

# query: What is the population density of Kansas?
s1 = search(query="Kansas")
s2 = math(expression="population of Kansas / area of Kansas. {s1}")

# query: Write the weather in Rome and in Oslo to Ann, in a friendly way.
s1 = weather(city="Rome")
s2 = weather(city="Oslo")
s3 = self(prompt="Write a friendly message about the weather in Rome {s1} and in Oslo {s2}.")
s4 = mail(to="Ann", text=s3)
""")
"""Six patterns, with functions of their own: used where no examples are given."""

_REPAIR_RULES = """\
A call of a plan has failed. You repair one call, so that what failed gets what it needs: other arguments, or another \
function. Take from the error what was missing. Write only the repaired call, in one line, under its own id:
s1 = function(name="argument")
Call only the functions below."""

_REPAIR_EXAMPLE = (
    Message(
        "user",
        "Functions: read(file: str, lines: int = 100) -> str, total(text: str) -> float\n"
        "Query: What do the orders add up to?\n"
        "Plan:\n"
        's1 = read(file="orders.txt")\n'
        "s2 = total(text=s1)\n"
        "Failed: s2 = total(text=s1)\n"
        "Error: the text ends before the total: only 100 lines were read (lines=100)\n"
        'Repair: s1 = read(file="orders.txt")',
    ),
    Message("assistant", 's1 = read(file="orders.txt", lines=1000)'),
)

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


def translate(task: Task, attempt: int = 0, *, short: bool = False) -> ModelRequest:
    """Ask for a plan that answers the query.

    A further ``attempt`` leaves more to chance, as in the paper; as some models take neither
    a temperature nor a seed, the second one also has the examples in another order. A
    ``short`` plan leaves out ids and the name of each first argument.
    """
    rules = _RULES
    if short:
        uses = any(call.uses for example in task.examples for call in parse(example.plan))
        rules = _SHORT_RULES if uses else _FLAT_RULES
    grammar = plan_grammar(task.functions, short=short) if task.constrains else None

    def plan(example: Example) -> str:
        return _shortened(example, task.functions) if short else example.plan

    return asking(task, rules, plan, grammar, attempt)


def can_be_short(task: Task) -> bool:
    """Whether every example is calls that need no other's result, and perhaps a last one that reads them all.

    Such plans are a third shorter without ids, and sooner there. In any others ids stay: a
    small model that must name one of several results by the index of its call miscounts.
    """

    def gathers(plan: Plan) -> bool:
        *before, last = plan.calls
        ids = {call.id for call in before}
        return not any(call.uses for call in before) and set(last.uses) in (set(), ids)

    return bool(task.examples) and all(gathers(parse(example.plan)) for example in task.examples)


def _shortened(example: Example, functions: Mapping[str, Function]) -> str:
    """An example's plan without ids, and without the name of each first argument.

    Results are named by the order of their calls, whatever ids the example has.
    """
    plan = parse(example.plan)
    lines = []
    for call in with_ids(plan, {call.id: f"s{index}" for index, call in enumerate(plan, 1)}):
        function = functions.get(call.function)
        first = unnamed(function) if function else None
        short = call
        if first and first.name in call.args and not call.positional:
            rest = {name: value for name, value in call.args.items() if name != first.name}
            short = replace(call, positional=(call.args[first.name],), args=rest)
        lines.append(render_without_id(short))
    return "\n".join(lines)


def asking(
    task: Task, rules: str, plan: Callable[[Example], str], grammar: str | None, attempt: int
) -> ModelRequest:
    """The request for a plan, with each example's ``plan`` as it is to be written.

    A further ``attempt`` has a higher temperature and another seed.
    """
    opening = [_told(rules, task), *_shown(task, attempt, plan)]
    # Where the examples call something else, the query says what it may call.
    offered = "" if task.examples else f"Functions: {signatures(task.functions)}\n"
    return ModelRequest(
        (*opening, Message("user", f"{offered}Query: {task.query}")),
        max_tokens=MAX_TOKENS,
        temperature=TEMPERATURES[min(attempt, len(TEMPERATURES) - 1)],
        seed=attempt,
        grammar=grammar,
        cached=len(opening),
    )


def _told(rules: str, task: Task) -> Message:
    return Message("system", f"{rules}\n\nFunctions:\n{listed(task.functions)}")


def _shown(task: Task, attempt: int, plan: Callable[[Example], str]) -> list[Message]:
    """The examples in turns: only from the second further attempt on in another order."""
    if task.examples:
        examples = [("", example) for example in task.examples]
    else:
        examples = [(f"Functions: {called}\n", one) for called, one in zip(_CALLED, _EXAMPLES, strict=True)]
    first = max(0, attempt - 1) % len(examples)
    messages = []
    for called, example in (*examples[first:], *examples[:first]):
        messages.append(Message("user", f"{called}Query: {example.query}"))
        messages.append(Message("assistant", plan(example)))
    return messages


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


def signatures(functions: Mapping[str, Function]) -> str:
    """The functions in one line, for a query whose examples call others."""
    return ", ".join(function.signature for function in functions.values())


def listed(functions: Mapping[str, Function]) -> str:
    """The functions as a model reads them, one a line."""
    return "\n".join(function.prompt_text.line for function in functions.values())


def join(task: Task, outcome: Outcome, *, last: bool) -> ModelRequest:
    """Ask whether the results answer the query; the last time only for the answer."""
    told = _results(outcome, outcome.plan) or "No call was made."
    return ModelRequest(
        (Message("system", _LAST if last else _JOIN), Message("user", f"{told}\n\nQuery: {task.query}")),
        max_tokens=VERDICT_TOKENS,
        grammar=join_grammar(last=last) if task.constrains else None,
        cached=1,
    )


def plan_again(
    task: Task,
    outcome: Outcome,
    feedback: str,
    *,
    made: Iterable[FunctionCall],
    calls: Sequence[FunctionCall],
) -> ModelRequest:
    """Ask for the calls that are still needed, given what came of those that were ``made``.

    All ``calls`` so far stay addressable by their ids.
    """
    asked = translate(task)
    first = next_number(calls)
    message = Message(
        "user",
        f"{asked.messages[-1].text}\n\nThese calls were made already, and later calls can use their results by "
        f"their ids:\n{_results(outcome, made) or 'none'}\n\nThat was not enough: {feedback}\n"
        f"Write only the calls that are still needed; the next id is s{first}.",
    )
    earlier = [call.id for call in calls]
    return ModelRequest(
        (*asked.messages[:-1], message),
        max_tokens=asked.max_tokens,
        grammar=plan_grammar(task.functions, first=first, earlier=earlier) if task.constrains else None,
        cached=asked.cached,
    )


def _results(outcome: Outcome, calls: Iterable[FunctionCall]) -> str:
    return "\n".join(f"{render_call(call)}\nResult: {result_text(outcome, call.id)}" for call in calls)


def repair_call(
    task: Task,
    plan: Sequence[FunctionCall],
    point: FunctionCall,
    above: Sequence[CallId],
    failed: Sequence[tuple[FunctionCall, Mapping[str, str], str]],
    tried: Sequence[FunctionCall],
    already: Sequence[str] = (),
) -> ModelRequest:
    """Ask for another ``point``, given the calls that failed below it: each with its arguments and error.

    It may use the calls ``above``. ``tried`` are the calls that stood in its place and did
    not help; a grammar forbids them. ``already`` are the calls of the plan that have been
    repaired so far: they come late, so that what is above needs to be read once for all.
    """
    lines = [f"Query: {task.query}", "Plan:", *(render_call(call) for call in plan)]
    for call, arguments, error in failed:
        lines.append(f"Failed: {render_call(call)}")
        lines += [f"where {name} was: {_on_one_line(value)}" for name, value in arguments.items()]
        lines.append(f"Error: {error[:MAX_ERROR]}")
    if already:
        lines += ["Repaired already:", *already]
    if len(tried) > 1:
        others = "; ".join(render_without_id(call) for call in tried[:-1])
        lines.append(f"Tried before, and no help: {others}")
    lines.append(f"Repair: {render_call(point)}")
    opening = (_told(_REPAIR_RULES, task), *_REPAIR_EXAMPLE)
    asked = Message("user", "\n".join([f"Functions: {signatures(task.functions)}", *lines]))
    return ModelRequest(
        (*opening, asked),
        max_tokens=CALL_TOKENS,
        grammar=call_grammar(task.functions, point.id, above, tried) if task.constrains else None,
        cached=len(opening),
    )


def _on_one_line(text: str) -> str:
    """A value for a prompt on one line, without its middle if it is long."""
    text = " ".join(text.split())
    if len(text) <= MAX_INPUT:
        return text
    tail = MAX_INPUT - _HEAD
    return f"{text[:_HEAD]} [... {len(text) - MAX_INPUT:,} characters cut ...] {text[-tail:]}"
