"""ReWOO (arXiv 2305.18323): a plan with evidence variables, all of it run, one solver call."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmorch.calls import Plan
from llmorch.errors import PlanError, UnresolvedQuery
from llmorch.plan import check, parse, render_call, with_query
from llmorch.techniques.conversation import Answer, AskModel, RunPlan, cut_off
from llmorch.techniques.prompts.results import result_text
from llmorch.techniques.prompts.rewoo import plan_with_evidence, solve

if TYPE_CHECKING:
    from llmorch.techniques.conversation import Conversation, Outcome, Reply, Task

_EVIDENCE = re.compile(r"#(E\d{1,6})\b")
_PLAN = re.compile(r"^\s*plan\s*\d*\s*:.*?(?=#E\d|$)", re.IGNORECASE | re.MULTILINE)


def rewoo(task: Task) -> Conversation[Answer]:
    """Plan, run all of the plan, and have the evidence read once. Raises ``UnresolvedQuery``.

    A plan that can't be run is not repaired, and a call that fails leaves its evidence
    missing: both as in the paper.
    """
    reply: Reply = yield AskModel(plan_with_evidence(task))
    try:
        if reply.reason == "length":
            raise UnresolvedQuery("the plan was cut off")
        checked = check(parse(_in_our_form(reply.text)), task.functions)
    except PlanError as error:
        raise UnresolvedQuery(f"the model wrote no plan that can be run: {error.message}") from error
    plan = Plan(tuple(with_query(call, task.query) for call in checked))
    outcome: Outcome = yield RunPlan(plan)
    evidence = [(render_call(call), result_text(outcome, call.id)) for call in plan]
    solved: Reply = yield AskModel(solve(task, evidence))
    answer = solved.text.strip().removeprefix("Answer:").strip()
    if not answer:
        return Answer(False, error="the model replied with nothing")
    return Answer(True, answer, notes=cut_off(solved))


def _in_our_form(text: str) -> str:
    """A plan as the paper writes it, ``Plan: why #E1 = search("Texas")``, in the plan language."""
    lines = []
    for line in _PLAN.sub("", text).split("\n"):
        stripped = line.strip()
        if re.match(r"#E\d{1,6}\s*[=:]", stripped):
            stripped = stripped[1:]
        lines.append(stripped if stripped.startswith("#") else _EVIDENCE.sub(r"{\1}", stripped))
    return "\n".join(lines)
