"""ReWOO (arXiv 2305.18323): a plan with evidence variables, all of it run, one solver call."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from llmorch.calls import Plan
from llmorch.errors import PlanError, PlanTooLarge, UnresolvedQuery
from llmorch.plan import calls_in, check, parse, render_call, with_ids, with_query
from llmorch.plan.forms import labels
from llmorch.plan.spoken import blanked
from llmorch.requests import Message, ModelRequest
from llmorch.techniques.conversation import Answer, AskModel, Draft, cut_off
from llmorch.techniques.grammar import plan_grammar
from llmorch.techniques.llmorch import planned
from llmorch.techniques.prompts.plan import asking
from llmorch.techniques.prompts.results import result_text
from llmorch.techniques.recovery import run_recovering
from llmorch.techniques.steps import read_answer

if TYPE_CHECKING:
    from llmorch.techniques.conversation import Conversation, Reply, Task

ANSWER_TOKENS = 384

_RULES = """\
You make a plan that collects the evidence that a query needs. For each step write two lines:
# why the step is needed
E1 = function(name="argument")
The evidence is called E1, E2, E3 and so on. A later step uses the evidence E1 by writing {E1} inside a string, or \
E1 as an argument; {query} inside a string stands for the query itself. Call only the functions below. Another \
model answers the query from the evidence. Write only the plan."""

_SOLVE = Message(
    "system",
    "Answer the query from the evidence that a plan has collected. Where the evidence is wrong or missing, use "
    "what you know. Write only the answer, exact and brief.",
)

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
        plan = yield from planned(task, partial(_asked_for, task), lambda request, _: _drafted(task, request))
    else:
        draft = yield from _drafted(task, _asked_for(task))
        if draft.error is not None:
            why = f"the model wrote no plan that can be run: {draft.error.message}"
            raise UnresolvedQuery(why) from draft.error
        assert draft.plan is not None
        plan = draft.plan
    outcome = yield from run_recovering(task, plan)
    evidence = [f"{render_call(call)}\nEvidence: {result_text(outcome, call.id)}" for call in outcome.plan]
    told = "\n".join(evidence)
    asked = Message("user", f"{told}\n\nQuery: {task.query}\nAnswer:")
    solved: Reply = yield AskModel(ModelRequest((_SOLVE, asked), max_tokens=ANSWER_TOKENS, cached=1))
    answer = read_answer(solved.text)
    if not answer:
        return Answer(False, error="the model replied with nothing", recoveries=tuple(task.tried))
    return Answer(True, answer, recoveries=tuple(task.tried), notes=cut_off(solved))


def _asked_for(task: Task, attempt: int = 0) -> ModelRequest:
    """Ask for the plan. A further ``attempt`` leaves more to chance, as in ``translate``."""
    grammar = plan_grammar(task.functions, ids="E", why=True) if task.constrains else None
    return asking(task, _RULES, lambda example: _evidence(example.plan), grammar, attempt)


def _evidence(plan: str) -> str:
    """An example's plan with evidence variables, each step below what it is for."""
    written = parse(plan)
    lines = []
    for call in with_ids(written, {call.id: f"E{at}" for at, call in enumerate(written, 1)}):
        why = f"from {' and '.join(call.uses)}" if call.uses else "from its own source"
        lines.append(f"# {call.id} comes {why}, by {call.function}\n{render_call(call)}")
    return "\n".join(lines)


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
