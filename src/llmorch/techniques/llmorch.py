"""The paper's technique: one plan, written once, repaired if need be, then run.

Section III-A and the compile-time half of III-D; what is added here: a plan that stops at
what has to be known is given a last call that reads it, and a result that nothing uses
in any other plan is given back to the model once, and, if it stays so, is put into the
last prompt in plain sight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.errors import PlanError, UnresolvedQuery, UnusedResult
from llmorch.plan import mention_unused, unused_results, with_answer
from llmorch.techniques.conversation import Recovery, RunPlan, WritePlan, answer_of
from llmorch.techniques.prompts.plan import repair, translate

if TYPE_CHECKING:
    from llmorch.calls import Plan
    from llmorch.techniques.conversation import Answer, Conversation, Draft, Outcome, Task


def llmorch(task: Task) -> Conversation[Answer]:
    """Translate the query into a plan and run it. Raises ``UnresolvedQuery``."""
    tried: list[str] = []
    plan = yield from _translated(task, tried)
    outcome: Outcome = yield RunPlan(mention_unused(plan, task.functions))
    return answer_of(outcome, _repairs(tried))


def _translated(task: Task, tried: list[str]) -> Conversation[Plan]:
    request = translate(task)
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
        tried.append(error.message)
        request = repair(task, draft.text, error)
    if best is not None:
        return best
    unresolved = UnresolvedQuery(
        f"the model wrote no plan that can be run, in {len(tried)} attempts: {'; '.join(dict.fromkeys(tried))}"
    )
    unresolved.recoveries = _repairs(tried)
    raise unresolved


def _repairs(tried: list[str]) -> tuple[Recovery, ...]:
    return tuple(Recovery("repair", why) for why in tried)


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
