"""The paper's technique: one plan, written once, repaired if need be, then run.

Sections III-A and III-D; what is added here: a plan that stops at
what has to be known is given a last call that reads it, and a result that nothing uses
in any other plan is given back to the model once, and, if it stays so, is put into the
last prompt in plain sight.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from llmorch.errors import UnresolvedQuery, UnusedResult
from llmorch.plan import error_in, mention_unused, unused_results, with_answer
from llmorch.techniques.conversation import Recovery, WritePlan, answer_of
from llmorch.techniques.llmcompiler import until_answered
from llmorch.techniques.prompts.plan import can_be_short, repair, translate
from llmorch.techniques.recovery import run_recovering

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmorch.calls import Plan
    from llmorch.errors import PlanError
    from llmorch.requests import ModelRequest
    from llmorch.techniques.conversation import Answer, Conversation, Draft, Task

    Write = Callable[[ModelRequest, str], Conversation[Draft]]
    Lacking = Callable[[Plan], PlanError | None]


def llmorch(task: Task) -> Conversation[Answer]:
    """Translate the query into a plan, run it, recover what fails. Raises ``UnresolvedQuery``.

    The answer is the last call's result or, with ``task.replan``, what the model makes of all
    results, once it finds that they are enough.
    """
    short = can_be_short(task)
    written = yield from planned(
        task, partial(translate, task, short=short), partial(_drafted, task), partial(_unused, task)
    )
    plan = mention_unused(written, task.functions)
    if task.replan:
        return (yield from until_answered(task, plan))
    outcome = yield from run_recovering(task, plan, last_answers=True)
    return answer_of(outcome, tuple(task.tried))


def _drafted(task: Task, request: ModelRequest, above: str) -> Conversation[Draft]:
    """A plan as the model writes it, with a last call that reads what it stops at."""
    draft: Draft = yield WritePlan(request, task.query, above)
    if draft.plan is None:
        return draft
    return replace(draft, plan=with_answer(draft.plan, task.functions, task.query))


def _unused(task: Task, plan: Plan) -> PlanError | None:
    unused = unused_results(plan, task.functions)
    if not unused:
        return None
    first = unused[0]
    names = ", ".join(call.id for call in unused)
    hint = f"use it in a later call, as in {{{first.id}}}, or leave the call out"
    return error_in(first, f"the result of {names} is not used by any later call", hint, UnusedResult)


def planned(
    task: Task, translate: Callable[[int], ModelRequest], write: Write, lacking: Lacking = lambda _: None
) -> Conversation[Plan]:
    """A plan that can be run; translated anew, with more left to chance, where repairs don't lead to one.

    ``translate`` makes the request of a translation, the first being 0, and ``write`` has the
    model write it, below lines that are right already. ``lacking`` says what a plan that can
    be run had better have; that is given back once. What was tried is added to
    ``task.tried``. Raises ``UnresolvedQuery``.
    """
    tried = ""
    for attempt in range(1 + task.translations):
        if attempt:
            task.tried.append(Recovery("repair", f"translated anew, because {tried}"))
        plan = yield from _translated(task, translate(attempt), write, lacking)
        if plan is not None:
            return plan
        tried = task.tried[-1].why
    whys = [recovery.why for recovery in task.tried if not recovery.why.startswith("translated anew")]
    raise UnresolvedQuery(
        f"the model wrote no plan that can be run, in {len(whys)} attempts, of which {1 + task.translations} "
        f"began anew: {'; '.join(dict.fromkeys(whys))}"
    )


def _translated(task: Task, first: ModelRequest, write: Write, lacking: Lacking) -> Conversation[Plan | None]:
    """A plan, repaired if need be; ``None`` if the repairs are used up."""
    request, above = first, ""
    best: Plan | None = None
    for _ in range(1 + task.repairs):
        draft = yield from write(request, above)
        error = draft.error
        if draft.plan is not None:
            error = lacking(draft.plan)
            if error is None or best is not None:
                return draft.plan
            best = draft.plan
        elif best is not None:
            return best
        assert error is not None
        task.tried.append(Recovery("repair", error.message))
        # A repair that came no further is followed by another kind.
        above = "" if draft.above == above else draft.above
        request = repair(first, draft.text, error, above)
    return best
