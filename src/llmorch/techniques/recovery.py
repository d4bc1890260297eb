"""Running a plan that recovers from calls that fail: the same for every technique with a plan.

This module decides what the model is asked after a failure, and when to give up. Where to
resume is ``schedule/recovery.py``'s to say; that what needn't be made again isn't is the
execution's.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from llmorch.calls import Plan, Reference, references
from llmorch.declare.previews import is_long, preview
from llmorch.declare.text import interrupted, is_a
from llmorch.errors import DuplicateId, EvaluationError, PlanError
from llmorch.plan import Checker, calls_in, error_in, evaluate, render_call, with_query
from llmorch.plan.budget import Budget
from llmorch.plan.evaluate import accepted, as_text
from llmorch.relations import discover, unused
from llmorch.requests import Message
from llmorch.schedule.recovery import Broken, broken, cone, named_in
from llmorch.techniques.conversation import AskModel, Look, Outcome, Recovery, Revise, RunPlan
from llmorch.techniques.influence import Influence
from llmorch.techniques.prompts.plan import MAX_INPUT, next_number, plan_again, repair_call
from llmorch.techniques.prompts.results import value_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.relations import RelationGraph
    from llmorch.requests import ModelRequest
    from llmorch.techniques.conversation import Conversation, Reply, Task

T = TypeVar("T")

REPLIES = 2
"""How often the model is asked for one call, or for the rest of a plan, before the attempt has failed."""
_LONG, _ENDS = 100_000, 10_000
"""Characters of a value beyond which calls are told apart by so many of it only."""


def run_recovering(task: Task, plan: Plan, *, last_answers: bool = False) -> Conversation[Outcome]:
    """Run a plan; where calls fail, have their recovery points repaired and go on from there.

    What was tried is added to ``task.tried``. The outcome is that of the plan as it was in
    the end; calls that could not be recovered are among its errors. ``last_answers`` says
    that nobody looks at any result but the last call's.
    """
    recovering = _PlanRecovery(task, plan, last_answers=last_answers)
    until = recovering.wanted if task.recoveries else None
    outcome: Outcome = yield RunPlan(plan, until, recovering.unused)
    while until is not None and until(outcome):
        yield from recovering.recover(outcome)
        outcome = yield Revise(recovering.plan, until, recovering.unused)
    return outcome


class _PlanRecovery:
    """One plan on its way to an end."""

    def __init__(self, task: Task, plan: Plan, *, last_answers: bool) -> None:
        self._task = task
        self._last_answers = last_answers and task.optimize
        self.plan = plan
        self._attempts: dict[CallId, int] = {}
        self._given_up: set[CallId] = set()
        self._influence = task.influence or Influence(task.functions, "allow")
        self._tried: dict[CallId, list[FunctionCall]] = {}
        """What stood for a call, one after the other."""

    def wanted(self, outcome: Outcome) -> bool:
        """Whether there is a failed call of this plan that can still be helped."""
        return bool(self._failed(outcome)) and self._number <= self._task.recoveries

    @property
    def _number(self) -> int:
        """The number of the next attempt, from 1, among all of the run."""
        return 1 + sum(bool(recovery.failed) for recovery in self._task.tried)

    @property
    def unused(self) -> frozenset[CallId]:
        """The calls of the plan as it is now that needn't be made."""
        functions = self._task.functions
        return unused(self.plan, functions) if self._last_answers else frozenset()

    def _failed(self, outcome: Outcome) -> list[CallId]:
        own = self.plan.by_id
        done = self._given_up | self.unused | self._influence.refused.keys() | outcome.unanswered
        return [call for call in outcome.failed if call in own and call not in done]

    def _graph(self, outcome: Outcome, plan: Plan) -> RelationGraph:
        """The graph of all plans so far, with this one as ``plan``."""
        every = Plan((*self._earlier(outcome), *plan))
        return discover(every, self._task.functions, outcome.results, optimize=self._task.optimize)

    def _earlier(self, outcome: Outcome) -> list[FunctionCall]:
        """The calls of the plans before this one."""
        return [call for call in outcome.plan if call.id not in self.plan.by_id]

    def recover(self, outcome: Outcome) -> Conversation[None]:
        """One attempt, for calls that failed and belong together."""
        steps = {call: self._attempts.get(call, 0) + 1 for call in self._failed(outcome)}
        graph = self._graph(outcome, self.plan)
        # What was tried least comes first: another attempt could be what it needs.
        suspects = {call: named_in(outcome.errors[call], self.plan) for call in steps}
        group = min(
            broken(graph, steps, self.plan.by_id, suspects),
            key=lambda group: max(steps[call] for call in group.failed),
        )
        why = "; ".join(f"{_named(self.plan[call])} failed: {outcome.errors[call]}" for call in group.failed)
        last = self._number == self._task.recoveries
        replan = last and any(steps[call] > 1 for call in group.failed)
        # A new plan makes nothing of the old one again, only something else than what failed.
        lost = self._lost(graph, group) if replan else {*group.cone}
        if not replan and (unrepeatable := self._unrepeatable(group.cone, outcome, anew=group.points)):
            self._given_up.update(group.failed)
            named = ", ".join(_named(self.plan[call]) for call in unrepeatable)
            again = self._task.functions[self.plan[unrepeatable[0]].function].once_for_all
            why = f"{why}; not made again: {named} {again}"
            self._task.tried.append(Recovery("recover", why, group.failed))
            return
        self._attempts.update((call, steps[call]) for call in group.failed)
        # As in the paper, nothing of the cone starts meanwhile; what has started is kept until
        # it is known to be wanted or not.
        waiting = lost - outcome.begun
        going = Plan(tuple(call for call in self.plan if call.id not in waiting))
        withheld = tuple(call for call in self.plan if call.id in waiting)
        yield Revise(going, lambda _: True, self.unused, withheld)
        yield from (self._replan if replan else self._repair)(outcome, group, why)

    def _lost(self, graph: RelationGraph, group: Broken) -> set[CallId]:
        """The failed calls of this plan, those that are the same, and all below them."""
        own = self.plan.by_id
        return cone(graph, [same for call in group.failed for same in graph.alike(call) if same in own])

    def _unrepeatable(
        self, calls: Sequence[CallId], outcome: Outcome, anew: Collection[CallId]
    ) -> list[CallId]:
        """Those that were started and may not be made again; ``anew`` are those that the model writes anew."""
        found = []
        for call in calls:
            function = self._task.functions[self.plan[call].function]
            may = function.retryable if call in anew or call in outcome.failed else function.repeatable
            if call in outcome.begun and not may:
                found.append(call)
        return found

    def _repair(self, outcome: Outcome, group: Broken, why: str) -> Conversation[None]:
        """The recovery points, one by one."""
        failed = [
            (self.plan[call], _arguments(self.plan[call], outcome), outcome.errors[call])
            for call in group.failed
        ]
        changed: dict[CallId, str] = {}
        # Told as it comes about: a run may be cut short while the model is asked.
        self._task.tried.append(Recovery("recover", why, group.failed))
        graph = self._graph(outcome, self.plan)
        copies = {call.id for call in self.plan if graph.same_as(call.id) is not None}
        told = self.plan.calls
        alike: dict[CallId, list[CallId]] = {}
        for point in group.points:
            alike.setdefault(graph.alike(point)[0], []).append(point)
        for points in alike.values():
            before = [self.plan[point] for point in points]
            for call in before:
                self._tried.setdefault(call.id, []).append(call)
            repaired = yield from self._repaired(before, failed, outcome, told, [*changed.values()])
            if repaired:
                self.plan = self._with(repaired)
                changed |= {call.id: render_call(call) for call in repaired}
                self._task.tried[-1] = Recovery("recover", why, group.failed, {**changed})
        outcome = yield Look()
        below = cone(self._graph(outcome, self.plan), changed) - copies
        again = tuple(call.id for call in self.plan if call.id in below and call.id in outcome.begun)
        self._task.tried[-1] = Recovery("recover", why, group.failed, changed, again)

    def _with(self, repaired: Sequence[FunctionCall]) -> Plan:
        changed = {call.id: call for call in repaired}
        return Plan(tuple(changed.get(call.id, call) for call in self.plan))

    def _repaired(
        self,
        points: Sequence[FunctionCall],
        failed: Sequence[tuple[FunctionCall, dict[str, str], str]],
        outcome: Outcome,
        told: Sequence[FunctionCall],
        already: Sequence[str],
    ) -> Conversation[list[FunctionCall]]:
        """Another call instead of some that are the same; none if the model writes none.

        The model is asked for the first, which may use the fewest others. ``told`` is the plan
        that failed, and ``already`` what this recovery has repaired of it.
        """
        point, tried = points[0], self._tried[points[0].id]
        before = self.plan.calls[: self.plan.calls.index(point)]
        above = (*self._earlier(outcome), *before)

        def read(reply: Reply) -> Conversation[list[FunctionCall]]:
            first = self._influence.with_trusted(self._read(reply, above, point.id)[0], point)
            # An effect is not made for several.
            pure = self._task.functions[first.function].pure
            repaired = [replace(first, id=call.id) for call in (points if pure else points[:1])]
            self._refuse_unrepeatable(repaired, (yield Look()))
            self._influence.refuse(self._with(repaired).calls, self._earlier(outcome))
            return repaired

        request = repair_call(self._task, told, point, [call.id for call in above], failed, tried, already)
        repaired = yield from _asked(request, read, "Write only the repaired call.")
        before_it = {_identity(call, self._task.functions, {}) for call in tried}
        if not repaired or _identity(repaired[0], self._task.functions, {}) in before_it:
            return []
        return repaired

    def _refuse_unrepeatable(self, repaired: Sequence[FunctionCall], outcome: Outcome) -> None:
        """Raise ``PlanError`` if repaired calls have one that may not be made again made again."""
        plan = self._with(repaired)
        ids = [call.id for call in repaired]
        below = cone(self._graph(outcome, plan), ids)
        unrepeatable = self._unrepeatable([call.id for call in plan if call.id in below], outcome, anew=ids)
        if unrepeatable:
            message = f"with it {', '.join(unrepeatable)} would be made again, which may happen once only"
            raise error_in(repaired[0], message, "repair it without effects of its own", PlanError)
        others = Plan(tuple(call for call in outcome.plan if call.id not in ids))
        refuse_repeated(repaired, others, outcome, self._task.functions)

    def _replan(self, outcome: Outcome, group: Broken, why: str) -> Conversation[None]:
        """The rest of the plan anew, with every result so far in reach."""
        graph = self._graph(outcome, self.plan)
        lost = self._lost(graph, group)
        kept = [call for call in self.plan if call.id not in lost]
        own, earlier = self.plan.by_id, self._earlier(outcome)
        made = [call for call in (*earlier, *kept) if call.id not in self.unused]
        made += [own[call] for call in group.failed]
        request = plan_again(self._task, outcome, why, made=made, calls=[*earlier, *self.plan])
        self._given_up.update(group.failed)
        self._task.tried.append(Recovery("replan", why, group.failed))

        def read(reply: Reply) -> Conversation[list[FunctionCall]]:
            more = self._read(reply, (*earlier, *kept), None)
            if taken := [call for call in more if call.id in lost]:
                hint = f"begin with s{next_number(own.values())}"
                raise error_in(taken[0], f"{taken[0].id} is taken", hint, DuplicateId)
            now: Outcome = yield Look()
            refuse_repeated(more, now.plan, now, self._task.functions)
            self._influence.refuse((*kept, *more), earlier)
            return more

        more = yield from _asked(request, read, "Write only the calls that are still needed.")
        if more is None:
            why = f"{why}; the model wrote no plan that can be run"
            self._task.tried[-1] = Recovery("replan", why, group.failed)
            return
        # The answer stays the answer, where it isn't lost, and nothing new goes on from it.
        used = {used for call in more for used in call.uses}
        last = [] if self.plan.answer in {*lost, *used} else kept[-1:]
        self.plan = Plan((*kept[: len(kept) - len(last)], *more, *last))
        changed = {call.id: render_call(call) for call in more}
        self._task.tried[-1] = Recovery("replan", why, group.failed, changed)

    def _read(self, reply: Reply, above: Sequence[FunctionCall], id_: CallId | None) -> list[FunctionCall]:
        """The calls in a reply, checked. Raises ``PlanError``."""
        checker = Checker(self._task.functions, above)
        known = [call.id for call in above]
        calls = calls_in(reply.text, self._task.functions, known, thoughts=reply.thoughts)
        if id_ is not None and [call.id for call in calls] != [id_]:
            hint = f"write one line that begins with {id_} = "
            raise error_in(calls[0], f"the repaired call is {id_}, and only that", hint, PlanError)
        return [with_query(checker.check(call), self._task.query) for call in calls]


def _asked(
    request: ModelRequest, read: Callable[[Reply], Conversation[T]], wanted: str
) -> Conversation[T | None]:
    """What ``read`` makes of a reply; one that it finds wrong is told once what is ``wanted``."""
    for _ in range(REPLIES):
        reply: Reply = yield AskModel(request)
        try:
            return (yield from read(reply))
        except PlanError as error:
            said = Message("assistant", reply.text[:1000] or "(nothing)")
            told = Message("user", f"That has an error:\n{error}\n{wanted}")
            request = replace(request, messages=(*request.messages, said, told))
    return None


def _arguments(call: FunctionCall, outcome: Outcome) -> dict[str, str]:
    """The values that a call was given, as text, where they came from other calls."""
    told = {}
    for name, expression in call.args.items() if call.uses else ():
        if isinstance(expression, Reference) and expression.id in outcome.shown:
            told[name] = outcome.shown[expression.id]
            continue
        try:
            value = evaluate(expression, outcome.results, Budget())
            # Of a long text the prompt shows what it holds to be of use for a repair.
            told[name] = as_text(value) if is_a(value, str) else value_text(value, MAX_INPUT)
        except EvaluationError as error:
            told[name] = f"(no value: {error})"
    return told


def _named(call: FunctionCall) -> str:
    return f"{call.id} ({call.function})"


def _identity(call: FunctionCall, functions: Mapping[str, Function], results: Mapping[CallId, Any]) -> str:
    """A text that two calls share if they come to the same; results that are known count as values."""
    values = []
    for parameter in functions[call.function].parameters:
        expression = call.args.get(parameter.name)
        if expression is None:
            values.append(_text(parameter.default))
            continue
        value = repr(expression)
        if all(reference.id in results for reference in references(expression)):
            with suppress(EvaluationError, ValueError):
                budget = Budget()
                value = _text(accepted(parameter, evaluate(expression, results, budget), budget))
        values.append(value)
    return f"{call.function}({', '.join(values)})"


def _text(value: Any) -> str:
    """1 and 1.0 are one number, whichever a model writes. Of what is long, its ends and its size tell."""
    try:
        if type(value) in (str, bytes) and len(value) > _LONG:
            return f"{len(value)} {hash(value)}"
        if is_long(value, _LONG):
            return preview(value, _ENDS)
        return repr(float(value) if type(value) is int and abs(value) < 2**53 else value)
    except BaseException as error:
        if interrupted(error):
            raise
        # A value's own __repr__ may raise anything. All such values count as the same one: an
        # effect that is refused can be written otherwise, one that was made twice can't be undone.
        return "(can't be shown)"


def refuse_repeated(
    calls: Iterable[FunctionCall], others: Plan, outcome: Outcome, functions: Mapping[str, Function]
) -> None:
    """Raise ``PlanError`` for the first of these calls that is one of the ``others`` which may be made once only."""
    made = {
        _identity(call, functions, outcome.results)
        for call in others
        if call.id in outcome.begun and not functions[call.function].retryable
    }
    for call in calls:
        if made and _identity(call, functions, outcome.results) in made:
            message = f"{call.function} has effects, and this call of it was made already"
            raise error_in(call, message, "use what it returned, or leave it out", PlanError)
