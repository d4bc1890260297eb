"""A plan that can be run, out of what a model writes: repaired, then translated anew.

This module decides how often the model is asked, and which of its plans is taken. It must not
know how a technique asks for a plan, nor in which notation it is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.errors import UnresolvedQuery
from llmorch.techniques.conversation import Recovery
from llmorch.techniques.prompts.plan import repair

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmorch.calls import Plan
    from llmorch.errors import PlanError
    from llmorch.requests import ModelRequest
    from llmorch.techniques.conversation import Conversation, Draft, Task

    Write = Callable[[ModelRequest, str], Conversation[Draft]]
    Lacking = Callable[[Plan], PlanError | None]


def _nothing(_: Plan) -> None:
    return None


def planned(
    task: Task, translate: Callable[[int], ModelRequest], write: Write, lacking: Lacking = _nothing
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
