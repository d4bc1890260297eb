"""ReWOO (arXiv 2305.18323): a plan with evidence variables, all of it run, one solver call."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from llmorch.calls import Plan
from llmorch.errors import PlanError, PlanTooLarge, UnresolvedQuery
from llmorch.plan import calls_in, check, render_call, with_query
from llmorch.plan.forms import labels
from llmorch.plan.spoken import blanked
from llmorch.techniques.conversation import Answer, AskModel, Draft, cut_off
from llmorch.techniques.prompts.results import result_text
from llmorch.techniques.prompts.rewoo import plan_with_evidence, solve
from llmorch.techniques.recovery import run_recovering
from llmorch.techniques.repair import planned
from llmorch.techniques.steps import read_answer

if TYPE_CHECKING:
    from llmorch.requests import ModelRequest
    from llmorch.techniques.conversation import Conversation, Reply, Task

_PLAN = re.compile(r"[ \t]*plan[ \t]*\d*[ \t]*:[^\n]*?(?=#E\d+[ \t]*[=:]|$)", re.IGNORECASE)
_DEFINED = re.compile(r"[ \t]*#?(E\d{1,6})[ \t]*[=:]")
_QUOTES = ('"', "'", '"' * 3, "'" * 3)
_TOKEN = re.compile(r"""\\.|\"{3}|'{3}|["']|#E\d{1,6}\b""")


def rewoo(task: Task) -> Conversation[Answer]:
    """Plan, run all of the plan, and have the evidence read once. Raises ``UnresolvedQuery``.

    A plan that can't be run is not repaired, and a call that fails leaves its evidence
    missing, both as in the paper, unless ``task.recoveries`` says otherwise.
    """
    if task.recoveries:
        plan = yield from planned(
            task, partial(plan_with_evidence, task), lambda request, _: _drafted(task, request)
        )
    else:
        plan = yield from _as_written(task)
    outcome = yield from run_recovering(task, plan)
    evidence = [(render_call(call), result_text(outcome, call.id)) for call in outcome.plan]
    solved: Reply = yield AskModel(solve(task, evidence))
    answer = read_answer(solved.text)
    if not answer:
        return Answer(False, error="the model replied with nothing", recoveries=tuple(task.tried))
    return Answer(True, answer, recoveries=tuple(task.tried), notes=cut_off(solved))


def _as_written(task: Task) -> Conversation[Plan]:
    draft = yield from _drafted(task, plan_with_evidence(task))
    if draft.plan is None:
        assert draft.error is not None
        raise UnresolvedQuery(
            f"the model wrote no plan that can be run: {draft.error.message}"
        ) from draft.error
    return draft.plan


def _drafted(task: Task, request: ModelRequest) -> Conversation[Draft]:
    # What stands above in a repair is nothing here: a plan in the paper's form is written whole.
    reply: Reply = yield AskModel(request)
    text = _in_our_form(blanked(reply.text))
    try:
        if reply.reason == "length":
            raise PlanTooLarge.cut_off(text, request.max_tokens)
        checked = check(Plan(tuple(calls_in(text, task.functions, thoughts=reply.thoughts))), task.functions)
    except PlanError as error:
        return Draft(reply.text, error=error)
    return Draft(reply.text, Plan(tuple(with_query(call, task.query) for call in checked)))


def _in_our_form(text: str) -> str:
    """A plan as the paper writes it, ``Plan: why #E1 = search("Texas")``, in the plan language.

    Only what stands outside strings is the paper's notation; inside one, ``#E1`` is the
    evidence if that is defined above, and text otherwise.
    """
    lines: list[str] = []
    known: set[str] = set()
    own, quote = "", ""
    for line in text.split("\n"):
        rest = line
        if not quote:
            known.add(own)  # a call's evidence is there for the calls below it
            at = next((at for at in labels(rest) if _PLAN.match(rest, at) or _DEFINED.match(rest, at)), 0)
            label, rest = rest[:at], rest[at:]
            rest = _PLAN.sub("", rest, count=1) if _PLAN.match(rest) else rest
            if defined := _DEFINED.match(rest):
                own = defined.group(1)
                rest = rest.lstrip().removeprefix("#")
            elif rest.lstrip().startswith("#"):
                rest = ""  # an empty line: an error's line is the one that the model wrote
            rest = label + rest
        rewritten, quote = _with_references(rest, quote, known)
        lines.append(rewritten)
    return "\n".join(lines)


def _with_references(line: str, quote: str, known: set[str]) -> tuple[str, str]:
    """A line with ``#E1`` as the plan language has it, and the quote that it leaves open."""
    pieces, at = [], 0
    for found in _TOKEN.finditer(line):
        token = found.group()
        if token in _QUOTES:
            quote = token if not quote else "" if token == quote else quote
        elif token.startswith("#") and token[1:] in known:
            pieces += [line[at : found.start()], f"{{{token[1:]}}}" if quote else token[1:]]
            at = found.end()
    return "".join([*pieces, line[at:]]), quote if len(quote) == 3 else ""
