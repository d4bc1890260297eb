"""Plays a technique against a model: its effects in, their replies back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, assert_never

from llmorch.calls import Plan
from llmorch.declare.functions import Function
from llmorch.errors import (
    Unanswered,
    UnresolvedQuery,
)
from llmorch.runtime.conversing import take_back
from llmorch.techniques import AskModel, Look, Outcome, Revise, RunPlan, WritePlan
from llmorch.values import short

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from llmorch.calls import FunctionCall
    from llmorch.runtime.confirm import Confirming
    from llmorch.runtime.conversing import Conversing
    from llmorch.runtime.driver import Execution
    from llmorch.techniques import Answer, Conversation
    from llmorch.techniques.conversation import Effect
    from llmorch.techniques.influence import Influence

T = TypeVar("T")

TOGETHER = 0.02
"""Seconds within which failures count as one event: a technique hears of them at once."""


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
                take_back(settled, execution)
                execution.extend((), complete=True)
            return Played(effect.value, Plan(settled))
        if (
            not occupying
            and not isinstance(effect, RunPlan | Revise | Look)
            and conversing.planner.kind == "compute"
        ):
            occupying = True
            execution.occupy()
        match effect:
            case AskModel(request):
                reply = await conversing.ask(request)
            case WritePlan():
                if begun is not None:
                    take_back(settled, execution)
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
                    take_back(settled, execution)
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
        frozenset(
            id_
            for id_, state in states.items()
            if state.status == "failed" and isinstance(execution.store.errors.get(state.key), Unanswered)
        ),
    )
