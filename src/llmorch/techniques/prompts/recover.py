"""The prompts of recovery: one call to repair, or the rest of a plan anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.plan import render_call, render_without_id
from llmorch.requests import Message, ModelRequest
from llmorch.techniques.exclusion import call_grammar
from llmorch.techniques.prompts.plan import listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.techniques.conversation import Task

MAX_TOKENS = 256
MAX_INPUT = 900
"""Characters of one argument that are shown; its beginning and, mostly, its end."""
MAX_ERROR = 1_500
_HEAD = 300

_RULES = """\
A call of a plan has failed. You repair one call, so that what failed gets what it needs: other arguments, or another \
function. Take from the error what was missing. Write only the repaired call, in one line, under its own id:
s1 = function(name="argument")
Call only the functions below."""

_EXAMPLE = (
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
        lines += [f"where {name} was: {shown(value)}" for name, value in arguments.items()]
        lines.append(f"Error: {error[:MAX_ERROR]}")
    if already:
        lines += ["Repaired already:", *already]
    if len(tried) > 1:
        others = "; ".join(render_without_id(call) for call in tried[:-1])
        lines.append(f"Tried before, and no help: {others}")
    lines.append(f"Repair: {render_call(point)}")
    functions = task.functions
    signatures = ", ".join(function.signature for function in functions.values())
    opening = (Message("system", f"{_RULES}\n\nFunctions:\n{listed(functions)}"), *_EXAMPLE)
    asked = Message("user", "\n".join([f"Functions: {signatures}", *lines]))
    return ModelRequest(
        (*opening, asked),
        max_tokens=MAX_TOKENS,
        grammar=call_grammar(functions, point.id, above, tried) if task.constrains else None,
        cached=len(opening),
    )


def shown(text: str) -> str:
    """A value for a prompt on one line, without its middle if it is long."""
    text = " ".join(text.split())
    if len(text) <= MAX_INPUT:
        return text
    tail = MAX_INPUT - _HEAD
    return f"{text[:_HEAD]} [... {len(text) - MAX_INPUT:,} characters cut ...] {text[-tail:]}"
