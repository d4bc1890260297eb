"""LLMCompiler (arXiv 2312.04511): a streamed plan, a joiner, and dynamic replanning.

The planner's calls start while it writes, each as soon as what it uses has ended (the
task fetching unit and the executor are the scheduler and the coordinator, with data
relations and the policy ``greedy``). The joiner answers or asks for more; then the
planner writes the calls that are still needed, and may use every earlier result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.calls import Plan
from llmorch.plan import render_call
from llmorch.techniques.conversation import (
    Answer,
    AskModel,
    Outcome,
    Recovery,
    WritePlan,
    cut_off,
)
from llmorch.techniques.prompts.join import join, plan_again
from llmorch.techniques.prompts.plan import translate
from llmorch.techniques.prompts.results import result_text
from llmorch.techniques.reading import read_verdict
from llmorch.techniques.recovering import run_recovering

if TYPE_CHECKING:
    from llmorch.techniques.conversation import Conversation, Draft, Reply, Task


def llmcompiler(task: Task) -> Conversation[Answer]:
    """Plan, run, join; plan again as often as ``task.replans`` allows.

    A plan that can't be run counts as one whose results are not enough: the paper has no
    other repair. A call that fails is told to the joiner, beside what did not run for it.
    """
    outcome = Outcome(Plan(()), {}, {})
    recoveries: list[Recovery] = []
    request = translate(task)
    for left in range(task.replans, -1, -1):
        draft: Draft = yield WritePlan(request, task.query)
        if draft.plan is not None:
            outcome = yield from run_recovering(task, draft.plan, recoveries)
            reply: Reply = yield AskModel(join(task, _results(outcome), last=left == 0))
            verdict = read_verdict(reply.text)
            if verdict.answer:
                notes = cut_off(reply)
                return Answer(True, verdict.answer, recoveries=tuple(recoveries), notes=notes)
            why = verdict.replan or "the joiner neither answered nor said what is missing"
        else:
            assert draft.error is not None
            why = f"the plan could not be run: {draft.error}"
        if left:
            recoveries.append(Recovery("replan", why))
        request = plan_again(task, _results(outcome), why, first=len(outcome.plan) + 1)
    return Answer(
        False, error=f"no answer after {task.replans} new plans: {why}", recoveries=tuple(recoveries)
    )


def _results(outcome: Outcome) -> list[tuple[str, str]]:
    return [(render_call(call), result_text(outcome, call.id)) for call in outcome.plan]
