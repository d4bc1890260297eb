"""Plays a technique against a model: its effects in, their replies back.

A plan's text goes to the parser as it streams, and each call to the execution as soon
as its statement is complete. Nothing a model returns is trusted: it is bounded in
length, parsed, and checked.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, assert_never

from llmorch.calls import Plan
from llmorch.declare.functions import Function
from llmorch.errors import LimitReached, ModelError, PlanError, ToolsRefused, UnresolvedQuery, without_middle
from llmorch.models.model import Finished, Text
from llmorch.places.failure import line_of
from llmorch.plan.spoken import spoken
from llmorch.requests import ToolCall, Usage
from llmorch.runtime.draft import DraftReader
from llmorch.techniques import AskModel, Draft, Look, Outcome, Reply, Revise, RunPlan, WritePlan
from llmorch.values import short

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from typing import Any

    from llmorch.calls import FunctionCall
    from llmorch.models.model import Model
    from llmorch.requests import ModelRequest
    from llmorch.runtime.confirm import Confirming
    from llmorch.runtime.driver import Execution
    from llmorch.techniques import Answer, Conversation
    from llmorch.techniques.conversation import Effect
    from llmorch.techniques.influence import Influence

T = TypeVar("T")

TOGETHER = 0.02
"""Seconds within which failures count as one event: a technique hears of them at once."""
CHARACTERS_A_TOKEN = 20
"""More than any model's tokens hold on average: past it, a limit of tokens was ignored."""


def _add(*usages: Usage, **more: float) -> None:
    for usage in usages:
        for name, amount in more.items():
            setattr(usage, name, getattr(usage, name) + amount)


class Conversing:
    """A model, and what talking to it has cost so far.

    ``max_tokens`` is what it may cost, in and out: past it, the next request raises
    ``LimitReached``.
    """

    def __init__(
        self,
        model: Model,
        *,
        wrote: Callable[[str], None] | None = None,
        max_tokens: int | None = None,
        usage: Usage | None = None,
    ) -> None:
        self.model = model
        self.usage = usage or Usage()
        self.planning = Usage()
        """What the technique itself asked before its first plan was run."""
        self.later = Usage()
        """What the technique itself asked after that."""
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
        mine = self._own if asker is None else asker
        _add(self.usage, mine, requests=1)
        began, counted, characters = time.monotonic(), False, 0
        left = request.max_tokens * CHARACTERS_A_TOKEN
        try:
            async with aclosing(self.model.stream(request)) as stream:  # type: ignore[type-var]
                async for piece in stream:
                    if isinstance(piece, Finished):
                        _add(
                            self.usage,
                            mine,
                            input_tokens=piece.input_tokens,
                            output_tokens=piece.output_tokens,
                        )
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
            raise ModelError(f"{self.model.name} ended its reply without saying so")
        except (ModelError, PlanError):
            raise
        except Exception as error:  # an adapter that breaks its promise
            raise ModelError(f"{self.model.name}: {without_middle(line_of(error), 300)}") from error
        finally:
            _add(self.usage, mine, seconds=time.monotonic() - began)
            if not counted:  # it broke off, or was broken off: four characters a token is close enough
                read = sum(len(message.text) for message in request.messages) // 4
                _add(self.usage, mine, input_tokens=read, output_tokens=characters // 4)

    async def ask(self, request: ModelRequest, asker: Usage | None = None) -> Reply:
        """The whole reply, without its thoughts."""
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
        request = effect.request
        reading = DraftReader(effect, functions, earlier)
        begun: list[FunctionCall] = []
        waits, void = False, 0

        def take(found: list[FunctionCall]) -> None:
            nonlocal waits, void
            if execution is None or influence is None:
                return
            if begun and reading.void != void:  # what was begun was only thought of
                _revise(earlier, execution)
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


@dataclass(frozen=True)
class Played(Generic[T]):
    """What a technique returned, and every call that it had run."""

    __repr__ = short

    value: T
    plan: Plan


async def converse(
    conversation: Conversation[T],
    conversing: Conversing,
    functions: Mapping[str, Function],
    execution: Execution,
    confirming: Confirming,
) -> Played[T]:
    """Play a technique to its end. Raises what the technique raises, and ``ModelError``."""
    influence = confirming.influence
    settled: tuple[FunctionCall, ...] = ()
    begun: Plan | None = None
    last = 0  # calls of the plan that was run last, at the end of settled
    # While a technique asks, a local model belongs to it: a call that asks it too would
    # hold up what comes next.
    occupying = False
    reply: Any = None

    def vacate() -> None:
        nonlocal occupying
        if occupying:
            execution.vacate()
            occupying = False

    while True:
        effect = await _sent(conversation, reply, execution)
        if isinstance(effect, _Returned):
            if begun is not None:  # a plan that broke off: what it began is nobody's now
                _revise(settled, execution)
                execution.extend((), complete=True)
            return Played(effect.value, Plan(settled))
        if (
            not occupying
            and not isinstance(effect, RunPlan | Revise | Look)
            and conversing.model.kind == "compute"
        ):
            occupying = True
            execution.occupy()
        match effect:
            case AskModel(request):
                reply = await conversing.ask(request)
            case WritePlan():
                if begun is not None:
                    _revise(settled, execution)
                reply, begun = await conversing.write(effect, functions, execution, settled, influence)
            case RunPlan(plan, until, unused) | Revise(plan, until, unused):
                execution.withheld = effect.withheld if isinstance(effect, Revise) else ()
                if isinstance(effect, Revise):
                    settled = settled[: len(settled) - last]
                calls = influence.planned(plan)
                execution.forbidden = await confirming.refused(calls, settled, vacate)
                if isinstance(effect, Revise) or (
                    begun is not None and (begun != plan or execution.forbidden)
                ):
                    _revise(settled, execution)
                    begun = None
                conversing.planned()
                execution.extend(calls if begun is None else (), complete=True, unused=unused)
                begun, last = None, len(plan)
                settled += calls
                vacate()
                reply = await _settled(Plan(settled), execution, until)
                _heard(influence, execution)
            case Look():
                reply = _outcome(Plan(settled), execution)
                _heard(influence, execution)
            case _:
                assert_never(effect)


def _heard(influence: Influence, execution: Execution) -> None:
    """Have it known what a technique is told."""
    states, graph = execution.core.states, execution.core.graph
    influence.heard(
        (graph.call(id_), state.status, state.dispatched is not None) for id_, state in states.items()
    )


@dataclass(frozen=True)
class _Returned(Generic[T]):
    """What a technique returned."""

    value: T


async def _sent(conversation: Conversation[T], reply: Any, execution: Execution) -> Effect | _Returned[T]:
    """What a technique wants next: on a thread where it may read results that nobody has opened."""

    def step() -> Effect | _Returned[T]:
        try:
            return conversation.send(reply)
        except StopIteration as stop:
            return _Returned(stop.value)

    if not execution.store.unopened:
        return step()
    raised: list[BaseException] = []

    def noted() -> Effect | _Returned[T] | None:
        try:
            return step()
        except BaseException as error:
            raised.append(error)
            return None

    effect = await execution.apart(_TECHNIQUE, noted)
    try:
        if raised:
            raise raised[0]
    finally:
        raised.clear()
    assert effect is not None
    return effect


_TECHNIQUE = Function("technique", lambda: None)


async def first_plan(
    conversation: Conversation[Answer], conversing: Conversing, functions: Mapping[str, Function]
) -> Plan:
    """The first plan that a technique would run. Raises ``UnresolvedQuery`` if it comes to none."""
    reply: Any = None
    while True:
        try:
            effect = conversation.send(reply)
        except StopIteration as stop:
            raise UnresolvedQuery(stop.value.error or "there is nothing to run") from None
        match effect:
            case AskModel(request):
                reply = await conversing.ask(request)
            case WritePlan():
                reply, _ = await conversing.write(effect, functions, None)
            case RunPlan(plan) | Revise(plan):
                return plan
            case Look():  # nothing runs yet
                reply = Outcome(Plan(()), {}, {})
            case _:
                assert_never(effect)


def _revise(settled: tuple[FunctionCall, ...], execution: Execution) -> None:
    """Take back the plan that was begun; what was run before it stays."""
    execution.revise()
    if settled:
        execution.extend(settled)


async def _settled(plan: Plan, execution: Execution, until: Callable[[Outcome], bool] | None) -> Outcome:
    """What running comes to, at its end or at a failure that ``until`` wants to hear of."""
    ended = False
    while not ended:
        outcome = _outcome(plan, execution)
        if until is not None and outcome.failed and until(outcome):
            return outcome
        ended = await execution.finished(or_failure=until is not None)
        if not ended:
            await asyncio.sleep(TOGETHER)
    return _outcome(plan, execution)


def _outcome(plan: Plan, execution: Execution) -> Outcome:
    states = execution.core.states
    return Outcome(
        plan,
        execution.store.as_it_is(),
        {id_: state.error or state.status for id_, state in states.items() if state.status != "completed"},
        tuple(id_ for id_, state in states.items() if state.status == "failed"),
        frozenset(
            id_ for id_, state in states.items() if states[state.same_as or id_].dispatched is not None
        ),
        execution.store.texts,
    )
