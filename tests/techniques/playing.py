"""Plays a technique with canned replies and functions that answer at once: no model, no loop, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmorch import function
from llmorch.declare.offered import as_functions, self_function
from llmorch.errors import EvaluationError, PlanError
from llmorch.plan import check, evaluate, parse, render
from llmorch.plan.parse import Parser
from llmorch.techniques import Answer, AskModel, Draft, Outcome, Reply, RunPlan, Task, WritePlan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.requests import ModelRequest


@function(pure=True)
async def search(query: str) -> str:
    """Search the encyclopedia for a topic."""


@function(pure=True)
async def search_news(query: str) -> str:
    """Search the news for a topic."""


@function(kind="compute", pure=True)
def measure(image: str, scale: float = 1.0) -> float:
    """Measure an image."""


FUNCTIONS = as_functions([search, search_news, measure]) | {"self": self_function("inout")}


def made(name: str, args: Mapping[str, Any]) -> Any:
    """What the functions return: ``search`` fails for what begins with ``no``."""
    if name == "measure":
        return 2.5
    query = args.get("query", args.get("prompt"))
    if str(query).startswith("no"):
        raise ValueError(f"there is no {query}")
    return f"{name} of {query}"


@dataclass
class Played:
    """What a technique asked, what it ran, and what it came to."""

    answer: Answer | None = None
    requests: list[ModelRequest] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    """Each plan that was run, as text."""

    @property
    def told(self) -> str:
        """The last message of the last request."""
        return self.requests[-1].messages[-1].text


def play(
    technique: Callable[[Task], Any],
    replies: Sequence[str | Reply],
    functions: Mapping[str, Any] = FUNCTIONS,
    **settings: Any,
) -> Played:
    """Play until the technique ends; every reply must be used."""
    task = Task("Which is it?", functions, **({"examples": (), "constrains": False} | settings))
    played, left = Played(), list(replies)
    results: dict[str, Any] = {}
    errors: dict[str, str] = {}
    calls: list[Any] = []
    conversation = technique(task)
    answer: Any = None
    while True:
        try:
            effect = conversation.send(answer)
        except StopIteration as stop:
            played.answer = stop.value
            assert not left, f"{len(left)} replies were not asked for"
            return played
        match effect:
            case AskModel(request):
                played.requests.append(request)
                said = left.pop(0)
                answer = Reply(said) if isinstance(said, str) else said
            case WritePlan(request):
                played.requests.append(request)
                text = left.pop(0)
                parser = Parser(call.id for call in calls)
                try:
                    plan = (
                        parse(text)
                        if not calls
                        else type(parse("s1 = f()"))(tuple(parser.feed(text) + parser.finish()))
                    )
                    answer = Draft(text, plan=check(plan, functions))
                except PlanError as error:
                    answer = Draft(text, error=error)
            case RunPlan(plan):
                played.runs.append(render(plan))
                for call in plan:
                    calls.append(call)
                    try:
                        args = {name: evaluate(value, results) for name, value in call.args.items()}
                        results[call.id] = made(call.function, args)
                    except (ValueError, EvaluationError) as error:
                        errors[call.id] = str(error)
                answer = Outcome(type(plan)(tuple(calls)), dict(results), dict(errors))
