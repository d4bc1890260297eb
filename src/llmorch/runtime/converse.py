"""Plays a technique against a model: its effects in, their replies back.

A plan's text goes to the parser as it streams, and each call to the execution as soon
as its statement is complete. Nothing a model returns is trusted: it is bounded in
length, parsed, and checked.
"""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, assert_never

from llmorch.calls import Plan
from llmorch.errors import ModelError, PlanError, PlanTooLarge
from llmorch.models.model import Finished
from llmorch.plan import Checker, Parser
from llmorch.techniques import AskModel, Draft, Outcome, Reply, RunPlan, WritePlan

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from typing import Any

    from llmorch.calls import FunctionCall
    from llmorch.functions import Function
    from llmorch.models.model import Model
    from llmorch.requests import ModelRequest
    from llmorch.runtime.drive import Execution
    from llmorch.techniques import Conversation

T = TypeVar("T")

CHARACTERS_A_TOKEN = 20
"""More than any model's tokens hold on average: past it, a limit of tokens was ignored."""


@dataclass
class Usage:
    """What a run asked of its model; ``seconds`` is the time spent waiting for it."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0


class Conversing:
    """A model, and what talking to it has cost so far."""

    def __init__(self, model: Model, *, wrote: Callable[[str], None] | None = None) -> None:
        self.model = model
        self.usage = Usage()
        self._wrote = wrote

    async def pieces(self, request: ModelRequest) -> AsyncGenerator[str | Finished, None]:
        """The reply, piece by piece, then how it ended; its cost is added up."""
        self.usage.requests += 1
        began = time.monotonic()
        left = request.max_tokens * CHARACTERS_A_TOKEN
        try:
            async with aclosing(self.model.stream(request)) as stream:  # type: ignore[type-var]
                async for piece in stream:
                    if isinstance(piece, Finished):
                        self.usage.input_tokens += piece.input_tokens
                        self.usage.output_tokens += piece.output_tokens
                        yield piece
                        return
                    yield piece.text[:left]
                    left -= max(1, len(piece.text))
                    if left <= 0:
                        yield Finished("length", 0, 0)
                        return
            raise ModelError(f"{self.model.name} ended its reply without saying so")
        except (ModelError, PlanError):
            raise
        except Exception as error:  # an adapter that breaks its promise
            reason = " ".join(str(error).split())[:300]
            raise ModelError(f"{self.model.name}: {type(error).__name__}: {reason}") from error
        finally:
            self.usage.seconds += time.monotonic() - began

    async def ask(self, request: ModelRequest) -> Reply:
        """The whole reply."""
        text, reason = [], None
        async with aclosing(self.pieces(request)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Finished):
                    reason = piece.reason
                else:
                    text.append(piece)
        return Reply("".join(text), reason or "stop")

    async def write(
        self, request: ModelRequest, functions: Mapping[str, Function], execution: Execution | None
    ) -> Draft:
        """A plan, parsed and checked as it arrives; its calls start at once."""
        parser, checker = Parser(), Checker(functions)
        text: list[str] = []
        calls: list[FunctionCall] = []

        def take(found: list[FunctionCall]) -> None:
            checked = tuple(checker.check(call) for call in found)
            calls.extend(checked)
            if checked and execution is not None:
                execution.extend(checked)

        try:
            async with aclosing(self.pieces(request)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Finished):
                        if piece.reason == "length":
                            raise _cut_off("".join(text), request.max_tokens)
                        take(parser.finish())
                        continue
                    text.append(piece)
                    if self._wrote is not None:
                        self._wrote(piece)
                    take(parser.feed(piece))
        except PlanError as error:
            return Draft("".join(text), error=error)
        return Draft("".join(text), plan=Plan(tuple(calls)))


def _cut_off(text: str, max_tokens: int) -> PlanError:
    lines = text.split("\n")
    return PlanTooLarge(
        f"the plan was cut off after {max_tokens} tokens",
        line=len(lines),
        column=len(lines[-1]) + 1,
        text=lines[-1],
        hint="write a shorter plan, and nothing but the plan",
    )


async def converse(
    conversation: Conversation[T],
    conversing: Conversing,
    functions: Mapping[str, Function],
    execution: Execution | None,
) -> T:
    """Play a technique to its end and return what it returns.

    Without an execution nothing runs: the plan is the outcome. Raises what the
    technique raises, and ``ModelError``.
    """
    begun: Plan | None = None
    # From the first question to the plan that is run, a local model belongs to the
    # technique: a call that asks it too would hold up the plan.
    occupying = False
    reply: Any = None
    while True:
        try:
            effect = conversation.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if not occupying and not isinstance(effect, RunPlan) and conversing.model.kind == "compute":
            occupying = True
            if execution is not None:
                execution.occupy()
        match effect:
            case AskModel(request):
                reply = await conversing.ask(request)
            case WritePlan(request):
                if begun is not None and execution is not None:
                    execution.revise()
                reply = await conversing.write(request, functions, execution)
                begun = reply.plan or Plan(())
            case RunPlan(plan) if execution is None:
                reply = Outcome(plan, {}, {})
            case RunPlan(plan):
                _settle(plan, begun, execution)
                if occupying:
                    execution.vacate()
                    occupying = False
                await execution.finished()
                reply = _outcome(plan, execution)
            case _:
                assert_never(effect)


def _settle(plan: Plan, begun: Plan | None, execution: Execution) -> None:
    """Make the execution's plan this one, and complete."""
    if begun is not None and begun != plan:
        execution.revise()
        begun = None
    execution.extend(plan.calls if begun is None else (), complete=True)


def _outcome(plan: Plan, execution: Execution) -> Outcome:
    states = execution.core.states
    errors = {
        id_: state.error or state.status for id_, state in states.items() if state.status != "completed"
    }
    return Outcome(plan, execution.results, errors)
