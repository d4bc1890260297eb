"""Results judged: do they answer the query, or what has to be asked for as well?

The joiner and the dynamic replanning of LLMCompiler (arXiv 2312.04511), which ``llmorch``
shares where it is told to replan. Earlier results stay addressable by their ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.calls import Plan
from llmorch.errors import PlanError
from llmorch.plan import render_call
from llmorch.techniques.conversation import Answer, AskModel, Outcome, Recovery, WritePlan, cut_off
from llmorch.techniques.effects import refuse_repeated, repeated
from llmorch.techniques.prompts.join import join, plan_again
from llmorch.techniques.prompts.results import result_text
from llmorch.techniques.reading import read_verdict
from llmorch.techniques.recovering import run_recovering

if TYPE_CHECKING:
    from llmorch.techniques.conversation import Conversation, Draft, Reply, Task


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
            reply: Reply = yield AskModel(join(task, _results(outcome), last=left == 0))
            verdict = read_verdict(reply.text)
            if verdict.answer:
                notes = cut_off(reply)
                return Answer(True, verdict.answer, recoveries=tuple(task.tried), notes=notes)
            why = verdict.replan or "the joiner neither answered nor said what is missing"
        if left:
            task.tried.append(Recovery("replan", why))
            request = plan_again(task, _results(outcome), why, calls=outcome.plan.calls)
            draft: Draft = yield WritePlan(request, task.query)
            plan, error = draft.plan, draft.error
            if plan is not None:
                try:
                    made = repeated(outcome.plan, outcome, task.functions)
                    refuse_repeated(plan, made, outcome, task.functions)
                except PlanError as again:
                    plan, error = None, again
            why = f"the plan could not be run: {error}"
    return Answer(
        False, error=f"no answer after {task.replans} new plans: {why}", recoveries=tuple(task.tried)
    )


def _results(outcome: Outcome) -> list[tuple[str, str]]:
    return [(render_call(call), result_text(outcome, call.id)) for call in outcome.plan]
