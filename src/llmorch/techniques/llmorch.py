"""The paper's technique: one plan, written once, repaired if need be, then run.

Sections III-A and III-D; what is added here: a plan that stops at
what has to be known is given a last call that reads it, and a result that nothing uses
in any other plan is given back to the model once, and, if it stays so, is put into the
last prompt in plain sight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.errors import PlanError, UnresolvedQuery, UnusedResult
from llmorch.plan import mention_unused, unused_results, with_answer
from llmorch.techniques.conversation import Recovery, WritePlan, answer_of
from llmorch.techniques.judging import until_answered
from llmorch.techniques.prompts.plan import repair, translate
from llmorch.techniques.recovering import run_recovering

if TYPE_CHECKING:
    from llmorch.calls import Plan
    from llmorch.requests import ModelRequest
    from llmorch.techniques.conversation import Answer, Conversation, Draft, Task


def llmorch(task: Task) -> Conversation[Answer]:
    """Translate the query into a plan, run it, recover what fails. Raises ``UnresolvedQuery``.

    The answer is the last call's result or, with ``task.replan``, what the model makes of all
    results, once it finds that they are enough.
    """
    plan = mention_unused((yield from _planned(task)), task.functions)
    if task.replan:
        return (yield from until_answered(task, plan))
    outcome = yield from run_recovering(task, plan)
    return answer_of(outcome, tuple(task.tried))


def _planned(task: Task) -> Conversation[Plan]:
    """A plan that can be run; translated anew, with more left to chance, where repairs don't lead to one."""
    tried = ""
    for attempt in range(1 + task.translations):
        if attempt:
            task.tried.append(Recovery("repair", f"translated anew, because {tried}"))
        plan = yield from _translated(task, translate(task, attempt))
        if plan is not None:
            return plan
        tried = task.tried[-1].why
    whys = [recovery.why for recovery in task.tried if not recovery.why.startswith("translated anew")]
    raise UnresolvedQuery(
        f"the model wrote no plan that can be run, in {len(whys)} attempts, of which {1 + task.translations} "
        f"began anew: {'; '.join(dict.fromkeys(whys))}"
    )


def _translated(task: Task, first: ModelRequest) -> Conversation[Plan | None]:
    """A plan, repaired if need be; ``None`` if the repairs are used up."""
    request = first
    best: Plan | None = None
    for _ in range(1 + task.repairs):
        draft: Draft = yield WritePlan(request, task.query)
        error: PlanError | None = draft.error
        if draft.plan is not None:
            plan = with_answer(draft.plan, task.functions, task.query)
            error = _unused(plan, task)
            if error is None or best is not None:
                return plan
            best = plan
        elif best is not None:
            return best
        assert error is not None
        task.tried.append(Recovery("repair", error.message))
        request = repair(first, draft.text, error)
    return best


def _unused(plan: Plan, task: Task) -> UnusedResult | None:
    unused = unused_results(plan, task.functions)
    if not unused:
        return None
    first = unused[0]
    names = ", ".join(call.id for call in unused)
    return UnusedResult(
        f"the result of {names} is not used by any later call",
        line=first.position[0],
        column=first.position[1],
        text=first.text.split("\n")[0],
        hint=f"use it in a later call, as in {{{first.id}}}, or leave the call out",
    )
