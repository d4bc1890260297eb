"""Techniques with a plan: the paper's own, LLMCompiler (arXiv 2312.04511) and ReWOO (arXiv 2305.18323).

In each the calls of a plan start while it is written. They differ in what follows: one plan that is
repaired, and answers by its last call (sections III-A and III-D); a joiner that answers or has the calls
that are still needed planned; one solver that reads the evidence of all calls.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from llmorch.calls import Plan
from llmorch.errors import PlanError, PlanTooLarge, UnresolvedQuery, UnusedResult
from llmorch.plan import (
    calls_in,
    check,
    error_in,
    mention_unused,
    parse,
    render_call,
    unused_results,
    with_answer,
    with_ids,
    with_query,
)
from llmorch.plan.forms import labels
from llmorch.plan.spoken import blanked
from llmorch.requests import Message, ModelRequest
from llmorch.techniques.conversation import (
    Answer,
    AskModel,
    Draft,
    Outcome,
    Recovery,
    WritePlan,
    answer_of,
    answered,
)
from llmorch.techniques.grammar import plan_grammar
from llmorch.techniques.prompts.plan import asking, can_be_short, join, plan_again, repair, translate
from llmorch.techniques.prompts.results import result_text
from llmorch.techniques.recovery import refuse_repeated, run_recovering
from llmorch.techniques.steps import read_answer, read_verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmorch.techniques.conversation import Conversation, Reply, Task

    Write = Callable[[ModelRequest, str], Conversation[Draft]]
    Lacking = Callable[[Plan], PlanError | None]

ANSWER_TOKENS = 384

_EVIDENCE_RULES = """\
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


def llmorch(task: Task) -> Conversation[Answer]:
    """Translate the query into a plan, run it, recover what fails. Raises ``UnresolvedQuery``.

    The answer is the last call's result or, with ``task.replan``, what the model makes of all
    results, once it finds that they are enough. What is added to the paper: a plan that stops at what
    has to be known is given a last call that reads it, and a result that nothing uses in any other plan
    is given back to the model once, and, if it stays so, is put into the last prompt in plain sight.
    """
    first = partial(translate, task, short=can_be_short(task))
    written = yield from _planned(task, first, partial(_drafted, task), partial(_unused, task))
    plan = mention_unused(written, task.functions)
    if task.replan:
        return (yield from _until_answered(task, plan))
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


def _planned(
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


def llmcompiler(task: Task) -> Conversation[Answer]:
    """Plan, run, join; plan again as often as ``task.replans`` allows.

    The task fetching unit and the executor are the scheduler and the coordinator, with data relations
    and the policy ``greedy``. A plan that can't be run is one whose results are not enough: the paper has
    no other repair.
    """
    draft: Draft = yield WritePlan(translate(task), task.query)
    return (yield from _until_answered(task, draft.plan, f"the plan could not be run: {draft.error}"))


def _until_answered(task: Task, plan: Plan | None, why: str = "") -> Conversation[Answer]:
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
                return answered(reply, verdict.answer, task.tried)
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
    why = f"no answer after {task.replans} new plans: {why}"
    return Answer(False, error=why, recoveries=tuple(task.tried))


def rewoo(task: Task) -> Conversation[Answer]:
    """Plan, run all of the plan, and have the evidence read once. Raises ``UnresolvedQuery``.

    A plan that can't be run is not repaired, and a call that fails leaves its evidence
    missing, both as in the paper, unless ``task.recoveries`` says otherwise.
    """
    ask = partial(_asked_for_evidence, task)
    if task.recoveries:
        plan = yield from _planned(task, ask, lambda request, _: _whole_plan(task, request))
    else:
        draft = yield from _whole_plan(task, ask())
        if draft.plan is None:
            assert draft.error is not None
            why = f"the model wrote no plan that can be run: {draft.error.message}"
            raise UnresolvedQuery(why) from draft.error
        plan = draft.plan
    outcome = yield from run_recovering(task, plan)
    evidence = [f"{render_call(call)}\nEvidence: {result_text(outcome, call.id)}" for call in outcome.plan]
    asked = Message("user", "\n".join([*evidence, f"\nQuery: {task.query}\nAnswer:"]))
    solved: Reply = yield AskModel(ModelRequest((_SOLVE, asked), max_tokens=ANSWER_TOKENS, cached=1))
    answer = read_answer(solved.text)
    if not answer:
        return Answer(False, error="the model replied with nothing", recoveries=tuple(task.tried))
    return answered(solved, answer, task.tried)


def _asked_for_evidence(task: Task, attempt: int = 0) -> ModelRequest:
    grammar = plan_grammar(task.functions, ids="E", why=True) if task.constrains else None
    return asking(task, _EVIDENCE_RULES, lambda example: _with_evidence(example.plan), grammar, attempt)


def _with_evidence(plan: str) -> str:
    """An example's plan with evidence variables, each step below what it is for."""
    parsed = parse(plan)
    lines = []
    for call in with_ids(parsed, {call.id: f"E{at}" for at, call in enumerate(parsed, 1)}):
        why = f"from {' and '.join(call.uses)}" if call.uses else "from its own source"
        lines.append(f"# {call.id} comes {why}, by {call.function}\n{render_call(call)}")
    return "\n".join(lines)


def _whole_plan(task: Task, request: ModelRequest) -> Conversation[Draft]:
    """A plan in the paper's form: what stands above in a repair is nothing here."""
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
