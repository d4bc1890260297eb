"""One run, from its technique to its result.

Decides what a run leaves when it is cancelled, comes to a limit, or fails.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmorch.advice import would_gain
from llmorch.calls import Plan
from llmorch.errors import CallError, LimitReached, LLMOrchError
from llmorch.learned import Sample
from llmorch.result import Result, collect
from llmorch.runtime.conversation import converse
from llmorch.runtime.model_place import replied
from llmorch.runtime.samples import taken
from llmorch.schedule import Alone, policy_named
from llmorch.techniques import Answer, RunPlan, answer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.declare.functions import Function
    from llmorch.requests import Usage
    from llmorch.run import Limit, Run
    from llmorch.runtime.confirm import Confirming
    from llmorch.runtime.conversing import Conversing
    from llmorch.runtime.driver import Execution
    from llmorch.runtime.samples import Learning
    from llmorch.schedule import Orchestration
    from llmorch.techniques import Conversation, Outcome, Recovery
    from llmorch.techniques.influence import Influence

RUN_CANCELLED = "the run was cancelled"
_NO_PLAN = Plan(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What one run plays, and what bounds it.

    ``begin`` opens its execution, given how a call asks the model and whether its plan is the
    ``only`` one. ``query`` and ``technique`` are of a run that answers, and ``tried`` is what the technique
    has tried so far. ``known_as`` is what functions are learned as, ``asks`` what the technique's own
    requests are.
    """

    conversation: Conversation[Answer]
    conversing: Conversing
    limit: Limit
    run: Run | None
    functions: Mapping[str, Function]
    processors: int
    begin: Callable[..., Execution]
    influence: Influence
    confirming: Callable[[Influence], Confirming]
    only: bool
    optimize: bool
    learning: Learning | None
    known_as: Mapping[str, str]
    advised: set[str]
    """The functions of which a run has said that it would gain if they were declared pure."""
    query: str | None = None
    technique: str | None = None
    asks: Mapping[str, str]
    last_answers: bool = False
    tried: Sequence[Recovery] = ()

    @property
    def cancelled(self) -> bool:
        """Whether the caller has cancelled all of it."""
        return self.run is not None and self.run.cancelled

    async def result(self) -> Result:
        """Play it. Raises what the technique raises, ``LimitReached`` and ``ModelError``, each with what finished."""
        if self.cancelled:  # before it began
            plan = self.run.plan if self.run is not None else None
            return self._collected(Answer(False, error=RUN_CANCELLED), plan or _NO_PLAN, None)
        notes: dict[str, str] = {}

        execution: Execution | None = None

        async def ask(prompt: str, asker: Usage) -> str:
            try:
                return await replied(self.conversing, prompt, notes, asker)
            except LimitReached as limit:  # which ends the run, and not only the call that asks
                assert execution is not None
                execution.fail(limit)
                raise CallError(str(limit)) from None

        try:
            async with self.begin(ask, only=self.only) as execution:
                if self.run is not None:
                    self.run.attach(execution)
                conversation = converse(
                    self.conversation,
                    self.conversing,
                    self.functions,
                    execution,
                    self.confirming(self.influence),
                )
                played = await self.limit.within(conversation)
        except asyncio.CancelledError as cancelled:
            if execution is None:
                raise
            self._learn(execution, answered=False)
            if self.cancelled:
                return self._so_far(RUN_CANCELLED, execution, notes)
            cancelled.add_note(_what_finished(execution.core))
            raise
        except LLMOrchError as error:
            if execution is not None:
                error.add_note(_what_finished(execution.core))
                self._learn(execution, answered=False)
                error.result = self._so_far(str(error), execution, notes)
            raise
        result = self._collected(played.value, played.plan, execution, notes)
        self._learn(execution, answered=True)
        return self._advised(result)

    def _advised(self, result: Result) -> Result:
        undeclared = {name: item for name, item in self.functions.items() if name not in self.advised}
        advice = would_gain(result.calls, undeclared, plan=result.plan, last_answers=self.last_answers)
        if advice is None or not self.optimize:
            return result
        self.advised.update(advice.functions)
        return result.noted(advice.text)

    def _so_far(self, why: str, execution: Execution, notes: Mapping[str, str]) -> Result:
        run = execution.core
        run.abandon(execution.withheld)
        made = Plan(tuple(run.graph.call(id_) for id_ in run.graph))
        return self._collected(Answer(False, error=why, recoveries=tuple(self.tried)), made, execution, notes)

    def _collected(
        self, answer: Answer, plan: Plan, execution: Execution | None, notes: Mapping[str, str] | None = None
    ) -> Result:
        more = () if execution is None else (*execution.notes.values(), *execution.store.notes.values())
        empty = Alone(self.functions, processors=self.processors, policy=policy_named("greedy"))
        if execution is None:
            empty.abandon(plan.calls)
        return collect(
            answer,
            plan,
            empty if execution is None else execution.core,
            {} if execution is None else execution.store.results_as_they_came(),
            query=self.query,
            technique=self.technique,
            processors=self.processors,
            makespan=0.0 if execution is None else execution.makespan,
            usage=self.conversing.usage,
            tracebacks={} if execution is None else execution.store.tracebacks,
            retried=() if execution is None else execution.retried,
            notes=(
                *(notes or {}).values(),
                *more,
                *answer.notes,
                *self.conversing.notes,
                *self.influence.notes,
            ),
        )

    def _learn(self, execution: Execution, *, answered: bool) -> None:
        """Keep what a run's calls took, and what its technique asked of the model."""
        if self.learning is None:
            return
        samples = taken(execution, self.known_as)
        if answered:
            for when, usage in (("planning", self.conversing.planning), ("after it", self.conversing.later)):
                if when in self.asks:
                    samples[self.asks[when]] = [
                        Sample(usage.seconds, usage.requests, usage.input_tokens, usage.output_tokens)
                    ]
        self.learning.learn(samples)


def _what_finished(run: Orchestration) -> str:
    by_status: dict[str, list[str]] = {}
    for call, state in run.states.items():
        by_status.setdefault(state.status, []).append(call)
    listed = "; ".join(f"{status}: {', '.join(calls)}" for status, calls in by_status.items())
    return listed or "no call had started"


def just(plan: Plan) -> Conversation[Answer]:
    """A technique that asks nothing: it runs a plan."""
    outcome: Outcome = yield RunPlan(plan)
    return answer_of(outcome)
