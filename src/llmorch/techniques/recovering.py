"""Running a plan that recovers from calls that fail: the same for every technique with a plan.

This module decides what the model is asked after a failure, and when to give up. Where to
resume is ``schedule/recovery.py``'s to say; that what needn't be made again isn't is the
execution's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmorch.calls import Plan
from llmorch.errors import EvaluationError, PlanError
from llmorch.plan import Checker, Parser, evaluate, render_call, with_query
from llmorch.plan.evaluate import as_text
from llmorch.relations import discover
from llmorch.requests import Message
from llmorch.schedule.recovery import Broken, broken, cone
from llmorch.techniques.conversation import AskModel, Outcome, Recovery, Revise, RunPlan
from llmorch.techniques.prompts.join import plan_again
from llmorch.techniques.prompts.recover import repair_call
from llmorch.techniques.prompts.results import result_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.techniques.conversation import Conversation, Reply, Task

REPLIES = 2
"""How often the model is asked for one call, or for the rest of a plan, before the attempt has failed."""


def run_recovering(task: Task, plan: Plan, recoveries: list[Recovery]) -> Conversation[Outcome]:
    """Run a plan; where calls fail, have their recovery points repaired and go on from there.

    What was tried is added to ``recoveries``. The outcome is that of the plan as it was in
    the end; calls that could not be recovered are among its errors.
    """
    recovering = _Recovering(task, plan)
    until = recovering.wanted if task.recoveries else None
    outcome: Outcome = yield RunPlan(plan, until)
    while until is not None and until(outcome):
        recoveries.append((yield from recovering.recover(outcome)))
        outcome = yield Revise(recovering.plan, until)
    return outcome


class _Recovering:
    """One plan on its way to an end."""

    def __init__(self, task: Task, plan: Plan) -> None:
        self._task = task
        self.plan = plan
        self._attempts: dict[CallId, int] = {}
        self._given_up: set[CallId] = set()
        self._tried: dict[CallId, list[FunctionCall]] = {}
        """What stood in the place of a call, one after the other."""
        self._replanned = False

    def wanted(self, outcome: Outcome) -> bool:
        """Whether there is a failed call that can still be helped."""
        return any(call not in self._given_up for call in outcome.failed)

    def recover(self, outcome: Outcome) -> Conversation[Recovery]:
        """One attempt, for the first calls that failed and belong together."""
        graph = discover(self.plan, self._task.functions)
        steps = {
            call: self._attempts.get(call, 0) + 1 for call in outcome.failed if call not in self._given_up
        }
        group = broken(graph, steps)[0]
        why = "; ".join(f"{_named(self.plan[call])} failed: {outcome.errors[call]}" for call in group.failed)
        spent = [call for call in group.cone if call in outcome.begun and not self._repeatable(call)]
        if spent:
            self._given_up.update(group.failed)
            return Recovery(
                "recover",
                f"{why}; not made again: {', '.join(_named(self.plan[call]) for call in spent)} has effects and "
                "is not declared idempotent",
                group.failed,
            )
        last = False
        for call in group.failed:
            self._attempts[call] = steps[call]
            if steps[call] >= self._task.recoveries:
                self._given_up.add(call)
                last = last or steps[call] > 1
        # As in the paper, nothing of the cone goes on meanwhile; what has completed is kept
        # until it is known to be wanted or not.
        ended = {*outcome.results, *outcome.failed}
        yield Revise(
            Plan(tuple(call for call in self.plan if call.id not in group.cone or call.id in ended)), _at_once
        )
        if last and not self._replanned:
            self._replanned = True
            return (yield from self._replan(outcome, group, why))
        return (yield from self._repair(outcome, group, why))

    def _repeatable(self, call: CallId) -> bool:
        return self._task.functions[self.plan[call].function].repeatable

    def _repair(self, outcome: Outcome, group: Broken, why: str) -> Conversation[Recovery]:
        """The recovery points, one by one."""
        failed = [
            (self.plan[call], _arguments(self.plan[call], outcome), outcome.errors[call])
            for call in group.failed
        ]
        changed: dict[CallId, str] = {}
        for point in group.points:
            before = self.plan[point]
            tried = self._tried.setdefault(point, [])
            tried.append(before)
            repaired = yield from self._repaired(before, failed, tried)
            if repaired is not None and repaired not in tried:
                self.plan = Plan(tuple(repaired if call.id == point else call for call in self.plan))
                changed[point] = render_call(repaired)
        below = cone(discover(self.plan, self._task.functions), changed)
        again = tuple(
            call
            for call in group.cone
            if call in outcome.begun and (call in below or call not in {*outcome.results, *outcome.failed})
        )
        return Recovery("recover", why, group.failed, changed, again)

    def _repaired(
        self,
        point: FunctionCall,
        failed: Sequence[tuple[FunctionCall, dict[str, str], str]],
        tried: Sequence[FunctionCall],
    ) -> Conversation[FunctionCall | None]:
        """Another call in the place of one; ``None`` if the model writes none."""
        said: tuple[Message, ...] = ()
        above = self.plan.calls[: self.plan.calls.index(point)]
        for _ in range(REPLIES):
            reply: Reply = yield AskModel(
                repair_call(self._task, self.plan.calls, point, failed, tried, said)
            )
            try:
                return self._read(reply.text, [call.id for call in above], point.id)[0]
            except PlanError as error:
                said = (*said, *_told(reply, error, "Write only the repaired call."))
        return None

    def _replan(self, outcome: Outcome, group: Broken, why: str) -> Conversation[Recovery]:
        """The rest of the plan anew, with every result so far in reach."""
        graph = discover(self.plan, self._task.functions)
        lost = {other for call in group.failed for other in (call, *graph.descendants(call))}
        kept = tuple(call for call in self.plan if call.id not in lost)
        first = 1 + max(_number(call) for call in self.plan)
        results = [
            (render_call(call), result_text(outcome, call.id)) for call in self.plan if call.id not in lost
        ]
        results += [(render_call(self.plan[call]), f"Error: {outcome.errors[call]}") for call in group.failed]
        request = plan_again(self._task, results, why, first=first)
        for _ in range(REPLIES):
            reply: Reply = yield AskModel(request)
            try:
                more = self._read(reply.text, [call.id for call in kept], None)
                self._refuse_repeated(more, outcome)
            except PlanError as error:
                request = replace(
                    request,
                    messages=(*request.messages, *_told(reply, error, "Write only the calls still needed.")),
                )
                continue
            self.plan = Plan((*kept, *more))
            self._given_up.update(group.failed)
            return Recovery("replan", why, group.failed, {call.id: render_call(call) for call in more})
        self._given_up.update(group.failed)
        return Recovery("replan", f"{why}; the model wrote no plan that can be run", group.failed)

    def _read(self, text: str, above: Sequence[CallId], id_: CallId | None) -> list[FunctionCall]:
        """The calls in a reply, checked. Raises ``PlanError``."""
        parser, checker = Parser(above), Checker(self._task.functions)
        calls = [*parser.feed(text), *parser.finish()]
        if id_ is not None and [call.id for call in calls] != [id_]:
            first = calls[0]
            raise PlanError(
                f"the repaired call is {id_}, and only that",
                line=first.position[0],
                column=first.position[1],
                text=first.text.split("\n")[0],
                hint=f"write one line that begins with {id_} = ",
            )
        return [with_query(checker.check(call), self._task.query) for call in calls]

    def _refuse_repeated(self, calls: Sequence[FunctionCall], outcome: Outcome) -> None:
        """Raise ``PlanError`` for a call with effects that was started before, and may not be again."""
        begun = {
            _nameless(call)
            for call in self.plan
            if call.id in outcome.begun and not self._repeatable(call.id)
        }
        for call in calls:
            if _nameless(call) in begun:
                raise PlanError(
                    f"{call.function} has effects, and this call of it was made already",
                    line=call.position[0],
                    column=call.position[1],
                    text=call.text.split("\n")[0],
                    hint="use what it returned, or leave it out",
                )


def _at_once(_: Outcome) -> bool:
    return True


def _told(reply: Reply, error: PlanError, wanted: str) -> tuple[Message, Message]:
    return (
        Message("assistant", reply.text[:1000] or "(nothing)"),
        Message("user", f"That has an error:\n{error}\n{wanted}"),
    )


def _arguments(call: FunctionCall, outcome: Outcome) -> dict[str, str]:
    """The values that a call was given, as text, where they came from other calls."""
    told = {}
    for name, expression in call.args.items():
        if call.uses:
            try:
                value = evaluate(expression, outcome.results)
                told[name] = as_text(value)
            except EvaluationError as error:
                told[name] = f"(no value: {error})"
    return told


def _named(call: FunctionCall) -> str:
    return f"{call.id} ({call.function})"


def _nameless(call: FunctionCall) -> str:
    return render_call(call).split(" = ", 1)[1]


def _number(call: FunctionCall) -> int:
    digits = "".join(character for character in call.id if character.isdecimal())
    return int(digits or 0)
