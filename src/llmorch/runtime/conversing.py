"""Talks to one model for one run: whole replies, plans as they stream, and what all of it costs.

A plan's text goes to the parser as it streams, and each call to the execution as soon
as its statement is complete. Nothing a model returns is trusted: it is bounded in
length, parsed, and checked. A reply that breaks off is asked for again.
"""

from __future__ import annotations

import time
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from llmorch.calls import Plan
from llmorch.errors import LimitReached, ModelError, PlanError, ReplyBroken, ToolsRefused, without_middle
from llmorch.models.model import Finished, Text
from llmorch.places.failure import line_of
from llmorch.plan.spoken import spoken
from llmorch.requests import ToolCall, Usage
from llmorch.runtime.draft import DraftReader
from llmorch.techniques import Draft, Reply

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from llmorch.calls import FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.models.model import Model
    from llmorch.requests import ModelRequest
    from llmorch.runtime.driver import Execution
    from llmorch.techniques import WritePlan
    from llmorch.techniques.influence import Influence

CHARACTERS_A_TOKEN = 20
"""More than any model's tokens hold on average: past it, a limit of tokens was ignored."""
_BROKEN = 2
"""How often a reply is asked for again that breaks off."""


def _add(*usages: Usage, **more: float) -> None:
    for usage in usages:
        for name, amount in more.items():
            setattr(usage, name, getattr(usage, name) + amount)


class Conversing:
    """A model, and what talking to it has cost so far; ``planner`` is what a technique asks, where that is another.

    ``max_tokens`` is what it may cost, in and out: past it, the next request raises
    ``LimitReached``.
    """

    def __init__(
        self,
        model: Model,
        planner: Model | None = None,
        *,
        wrote: Callable[[str], None] | None = None,
        max_tokens: int | None = None,
        usage: Usage | None = None,
    ) -> None:
        self.model = model
        self.planner = planner or model
        self.usage = usage or Usage()
        self.planning = Usage()
        """What the technique itself asked before its first plan was run."""
        self.later = Usage()
        """What the technique itself asked after that."""
        self.notes: dict[str, None] = {}
        """What the model had to be asked otherwise than it should be."""
        self._own = self.planning
        self._max_tokens = max_tokens
        self._wrote = wrote

    def planned(self) -> None:
        """Take note that there is a plan: what the technique asks from now on comes after it."""
        self._own = self.later

    async def pieces(
        self, request: ModelRequest, asker: Usage | None = None
    ) -> AsyncGenerator[str | ToolCall | Finished, None]:
        """The reply, piece by piece, then how it ended; its cost is added up.

        ``asker`` adds up what one call asks; without it the technique itself does.
        """
        spent = self.usage.input_tokens + self.usage.output_tokens
        if self._max_tokens is not None and spent >= self._max_tokens:
            raise LimitReached(f"the run has used {spent:,} tokens, and max_tokens is {self._max_tokens:,}")
        model, mine = (self.planner, self._own) if asker is None else (self.model, asker)
        _add(self.usage, mine, requests=1)
        began, counted, characters = time.monotonic(), False, 0
        left = request.max_tokens * CHARACTERS_A_TOKEN
        try:
            async with aclosing(model.stream(request)) as stream:  # type: ignore[type-var]
                async for piece in stream:
                    if isinstance(piece, Finished):
                        _add(
                            self.usage,
                            mine,
                            input_tokens=piece.input_tokens,
                            output_tokens=piece.output_tokens,
                        )
                        self.notes.update(dict.fromkeys(piece.notes))
                        counted = True
                        yield piece
                        return
                    text = piece.text if isinstance(piece, Text) else piece.name + piece.arguments
                    if isinstance(piece, Text):
                        yield text[:left]
                    elif len(text) <= left:
                        yield piece
                    characters += len(text)
                    left -= max(1, len(text))
                    if left <= 0:
                        yield Finished("length", 0, 0)
                        return
            raise ModelError(f"{model.name} ended its reply without saying so")
        except (ModelError, PlanError):
            raise
        except Exception as error:  # an adapter that breaks its promise
            raise ModelError(f"{model.name}: {without_middle(line_of(error), 300)}") from error
        finally:
            _add(self.usage, mine, seconds=time.monotonic() - began)
            if not counted:  # it broke off, or was broken off: four characters a token is close enough
                read = sum(len(message.text) for message in request.messages) // 4
                _add(self.usage, mine, input_tokens=read, output_tokens=characters // 4)

    async def ask(self, request: ModelRequest, asker: Usage | None = None) -> Reply:
        """The whole reply, without its thoughts. One that breaks off is asked for again."""
        for _ in range(_BROKEN):
            with suppress(ReplyBroken):
                return await self._ask(request, asker)
        return await self._ask(request, asker)

    async def _ask(self, request: ModelRequest, asker: Usage | None) -> Reply:
        text, calls, reason = [], [], None
        try:
            async with aclosing(self.pieces(request, asker)) as pieces:
                async for piece in pieces:
                    match piece:
                        case Finished():
                            reason = piece.reason
                        case ToolCall():
                            calls.append(piece)
                        case _:
                            text.append(piece)
        except ToolsRefused:
            return Reply("", refused=True)
        said = spoken("".join(text))
        reason = "stop" if said.ended else reason or "stop"
        return Reply(said.text, reason, tuple(calls), thoughts=said.thoughts)

    async def write(
        self,
        effect: WritePlan,
        functions: Mapping[str, Function],
        execution: Execution | None,
        earlier: tuple[FunctionCall, ...] = (),
        influence: Influence | None = None,
    ) -> tuple[Draft, Plan]:
        """A plan, parsed and checked as it arrives; its calls start at once.

        ``earlier`` are the calls whose results it may use, and ``influence`` says which calls of it
        are refused. A call without an id is given one: every token less is waited for less.
        """
        begun: list[FunctionCall] = []
        for left in reversed(range(_BROKEN + 1)):
            try:
                return await self._write(effect, functions, execution, earlier, influence, begun)
            except ReplyBroken:
                if not left:
                    raise
                if begun and execution is not None:
                    take_back(earlier, execution)
                    begun.clear()
        raise AssertionError

    async def _write(
        self,
        effect: WritePlan,
        functions: Mapping[str, Function],
        execution: Execution | None,
        earlier: tuple[FunctionCall, ...],
        influence: Influence | None,
        begun: list[FunctionCall],
    ) -> tuple[Draft, Plan]:
        request = effect.request
        reading = DraftReader(effect, functions, earlier)
        waits, void = False, 0

        def take(found: list[FunctionCall]) -> None:
            nonlocal waits, void
            if execution is None or influence is None:
                return
            if begun and reading.void != void:  # what was begun was only thought of
                take_back(earlier, execution)
                begun.clear()
                waits = False
            void = reading.void
            free = () if waits else influence.unguarded(found)
            waits = waits or len(free) < len(found)
            if free:
                execution.extend(influence.marked(free))
                begun.extend(free)

        try:
            async with aclosing(self.pieces(request)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Finished):
                        if piece.reason == "length" and not reading.ends:
                            raise reading.cut_off(request.max_tokens)
                        take(reading.finish())
                        break
                    if isinstance(piece, ToolCall):
                        continue  # none was offered
                    if self._wrote is not None:
                        self._wrote(piece)
                    take(reading.feed(piece))
                    if reading.over:  # whatever the model runs on into
                        take(reading.finish())
                        break
        except PlanError as error:
            return Draft(reading.text, error=error, above=reading.above(error)), Plan(tuple(begun))
        try:
            if influence is not None:
                influence.refuse(reading.calls, earlier)
        except PlanError as error:
            return Draft(reading.text, error=error), Plan(tuple(begun))
        return Draft(reading.text, plan=Plan(tuple(reading.calls))), Plan(tuple(begun))


def take_back(settled: tuple[FunctionCall, ...], execution: Execution) -> None:
    """Take back the plan that was begun; what was run before it stays."""
    execution.revise()
    if settled:
        execution.extend(settled)
