"""LLMCompiler (arXiv 2312.04511): a streamed plan, a joiner, and dynamic replanning.

The planner's calls start while it writes, each as soon as what it uses has ended (the
task fetching unit and the executor are the scheduler and the coordinator, with data
relations and the policy ``greedy``). The joiner answers or asks for more; then the
planner writes the calls that are still needed, and may use every earlier result. ``llmorch``
does so too, where it is told to replan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.calls import Plan
from llmorch.errors import PlanError
from llmorch.techniques.conversation import Answer, AskModel, Outcome, Recovery, WritePlan, cut_off
from llmorch.techniques.prompts.plan import join, plan_again, translate
from llmorch.techniques.recovery import refuse_repeated, run_recovering
from llmorch.techniques.steps import read_verdict

if TYPE_CHECKING:
    from llmorch.techniques.conversation import Conversation, Draft, Reply, Task


def llmcompiler(task: Task) -> Conversation[Answer]:
    """Plan, run, join; plan again as often as ``task.replans`` allows.

    A plan that can't be run is one whose results are not enough: the paper has no other repair.
    """
    draft: Draft = yield WritePlan(translate(task), task.query)
    return (yield from until_answered(task, draft.plan, f"the plan could not be run: {draft.error}"))


def until_answered(task: Task, plan: Plan | None, why: str = "") -> Conversation[Answer]:
    """Run a plan, judge, and plan again as often as ``task.replans`` allows.

    A plan that can't be run, ``None`` with the reason ``why``, counts as one whose results
    are not enough; after the last one the judge answers from what finished. A call that
    fails is told to the judge, beside what did not run for it.
    """
    outcome = Outcome(Plan(()), {}, {})
    for left in range(task.replans, -1, -1):
        if plan is not None:
            outcome = yield from run_recovering(task, plan)
        # No plan is left to come: what finished is all that there will be.
        if plan is not None or (not left and outcome.results):
            reply: Reply = yield AskModel(join(task, outcome, last=left == 0))
            verdict = read_verdict(reply.text)
            if verdict.answer:
                notes = cut_off(reply)
                return Answer(True, verdict.answer, recoveries=tuple(task.tried), notes=notes)
            why = verdict.replan or "the joiner neither answered nor said what is missing"
        if left:
            task.tried.append(Recovery("replan", why))
            request = plan_again(task, outcome, why, made=outcome.plan, calls=outcome.plan.calls)
            draft: Draft = yield WritePlan(request, task.query)
            plan, error = draft.plan, draft.error
            if plan is not None:
                try:
                    refuse_repeated(plan, outcome.plan, outcome, task.functions)
                except PlanError as again:
                    plan, error = None, again
            why = f"the plan could not be run: {error}"
    return Answer(
        False, error=f"no answer after {task.replans} new plans: {why}", recoveries=tuple(task.tried)
    )
