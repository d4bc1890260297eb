"""What is asked to read each input. A target raises what should not be; of ours it takes what is documented.

It yields after each reading, whose time counts by itself.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date  # noqa: TC003 - the functions' annotations are read
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from llmorch import function, simulate
from llmorch.calls import Plan
from llmorch.declare.offered import as_functions
from llmorch.errors import EvaluationError, InvalidArgument, LLMOrchError, PlanError
from llmorch.explain import explain
from llmorch.plan import (
    Checker,
    Parser,
    call_from_json,
    calls_in,
    check,
    evaluate,
    from_json,
    mention_unused,
    parse,
    render,
    unused_results,
    with_answer,
    with_ids,
    with_query,
)
from llmorch.plan.budget import Budget
from llmorch.plan.evaluate import argument
from llmorch.plan.replies import ReplyScanner
from llmorch.plan.spoken import blanked, spoken
from llmorch.records import Run
from llmorch.relations.effects import touches
from llmorch.story import simulated
from tests.fuzz.grammar import changed_json
from tests.fuzz.values import value

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from random import Random

    from llmorch.calls import FunctionCall
    from llmorch.plan.thoughts import Reading

MOST_SAID = 10_000
"""Characters of an error."""
_PROCESSORS = 10_000
_EVALUATED = 20
"""Calls of a plan whose arguments are computed."""


@function(pure=True)
def f(x: Any = None, y: Any = None, *, k: Any = 1) -> Any:
    """Take anything."""


@function(writes=["thing:{query}"])
def g(query: str, x: float = 0.5, items: list[str] | None = None) -> int:
    """Take a text."""
    return 1


@function(reads=["thing:{query}/{k}"])
async def search(query: str, k: int = 500) -> list[dict[str, str]]:
    """Take a text and a number."""
    return []


@function(kind="compute", reads=["thing:{path}*"])
def load(path: str | int, table: dict[str, list[int]] | None = None, when: date | None = None) -> Decimal:
    """Take a table."""
    return Decimal(1)


@function(effects="unknown")
def count(items: list[list[float]], y: tuple[int, ...] = (), k: Literal["a", 1, None] = None) -> None:
    """Take lists."""


@function(pure=True)
def save(
    x: dict[str, Any], y: set[int] | None = None, items: list[dict[str, int | str]] | None = None
) -> str:
    """Take dictionaries."""
    return ""


FUNCTIONS = as_functions([f, g, search, load, count, save])
NAMES = tuple(FUNCTIONS)

Outcome = tuple[str, Any]
"""What came of reading: calls and their positions, or an error's class and text."""


def _outcome(read: Callable[[], list[FunctionCall]]) -> Outcome:
    try:
        calls = read()
    except PlanError as error:
        return type(error).__name__, said(error)
    return "", [(call, call.position, call.positions) for call in calls]


def said(error: LLMOrchError | ValueError) -> str:
    """The text of an error, which must have one, and no endless one."""
    text = str(error)
    assert text, "an error says nothing"
    assert len(text) <= MOST_SAID, f"an error has {len(text):,} characters"
    return text


def _pieces(text: str, random: Random) -> list[str]:
    most = random.choice((1, 4, 4, 50, 10_000))
    pieces, at = [], 0
    while at < len(text):
        end = at + random.randint(1, most)
        pieces.append(text[at:end])
        at = end
    return pieces


def _fed(parser: Parser, pieces: list[str]) -> list[FunctionCall]:
    """The calls of a text that arrives in pieces; what came before a thought's end doesn't count."""
    calls: list[FunctionCall] = []
    for piece in (*pieces, None):
        voids = parser.voids
        found = parser.finish() if piece is None else parser.feed(piece)
        if parser.voids != voids:
            calls.clear()
        calls += found
    return calls


def whole_or_in_pieces(text: str, random: Random) -> Iterator[None]:
    """A plan is the same however its text arrives."""
    whole = _outcome(lambda: list(parse(text)))
    yield
    assert _outcome(lambda: _fed(Parser(), _pieces(text, random))) == whole


def reply(text: str, random: Random) -> Iterator[None]:
    """So is one amid a reply."""
    whole = _outcome(lambda: calls_in(text, NAMES))
    yield
    pieces = [*_pieces(text, random), "\n"]
    assert _outcome(lambda: _fed(Parser(reply=ReplyScanner(NAMES)), pieces)) == whole
    yield
    _outcome(lambda: calls_in(text, (), ["s1", "page3"], thoughts=True))


def thoughts(text: str, _: Random) -> Iterator[None]:
    """Any text has a part that is spoken, and with its thoughts blank as many lines as before."""
    assert len(spoken(text).text) <= len(text)
    readings: tuple[Reading, ...] = ("plan", "turn", "text")
    for reading in readings:
        yield
        assert blanked(text, reading).count("\n") == text.count("\n")


def _plan(text: str) -> Generator[None, None, Plan]:
    """The plan in a text: as a whole, or as a reply; one without calls if there is none."""
    with suppress(PlanError):
        plan = parse(text)
        yield
        return plan
    yield
    plan = Plan(())
    with suppress(PlanError):
        plan = Plan(tuple(calls_in(text, NAMES)))
    yield
    return plan


def written(text: str, _: Random) -> Iterator[None]:
    """A plan that is written is read as what it was, in either form."""
    plan = yield from _plan(text)
    if not len(plan):
        return
    forms: tuple[Literal["canonical", "paper"], ...] = ("canonical", "paper")
    for form in forms:
        yield
        again = render(plan, form=form)
        yield
        if max(map(len, again.split("\n"))) <= 100_000:  # else it is longer than what it was written from
            assert parse(again) == plan, f"{form}: {again[:500]}"


def checked(text: str, _: Random) -> Iterator[None]:
    """A plan is checked as a whole, call by call, and changed by what changes plans."""
    plan = yield from _plan(text)
    checker, kept = Checker(FUNCTIONS), []
    for call in plan:
        try:
            kept.append(checker.check(call))
        except PlanError as error:
            said(error)
    yield
    try:
        whole = check(plan, FUNCTIONS)
    except PlanError:
        whole = Plan(tuple(kept))
    if not len(whole):
        return
    yield
    unused_results(whole, FUNCTIONS)
    for changed in (
        mention_unused(whole, FUNCTIONS),
        with_answer(whole, FUNCTIONS, text),
        with_ids(whole, {"s1": "first", "s2": "s1"}),
    ):
        assert len(changed) >= len(whole)
    for call in whole.calls[:_EVALUATED]:
        with_query(call, "what?")
        touches(FUNCTIONS[call.function], call)


def evaluated(text: str, random: Random) -> Iterator[None]:
    """What a plan computes of any results has a value, or an error of ours; checks take it or say why not."""
    plan = yield from _plan(text)
    for call in plan.calls[:_EVALUATED]:
        yield
        results = {id_: value(random) for id_ in call.uses}
        budget = Budget(apart=random.random() < 0.3)
        parameters = FUNCTIONS[call.function].by_name if call.function in FUNCTIONS else {}
        for name, expression in call.args.items():
            yield
            try:
                if parameter := parameters.get(name):
                    argument(parameter, expression, results, budget)
                else:
                    evaluate(expression, results, budget)
            except (EvaluationError, ValueError) as error:
                if type(error) is not ValueError and not isinstance(error, EvaluationError):
                    raise
                said(error)
        if parameters and not call.positional and call.args.keys() <= parameters.keys():
            touches(FUNCTIONS[call.function], call, results)


def arguments(text: str, _: Random) -> Iterator[None]:
    """JSON's arguments are a call, or an error of ours; what is written of it is read again."""
    try:
        from_json(text)
    except (ValueError, RecursionError, InvalidArgument) as error:
        assert (
            isinstance(error, RecursionError | json.JSONDecodeError | InvalidArgument)
            or type(error) is ValueError
        )
    yield
    try:
        call = call_from_json("s1", "f", text)
    except InvalidArgument as error:
        said(error)
        return
    yield
    if all(name.isascii() and name.isidentifier() and name not in ("class",) for name in call.args):
        assert Parser(references=False).feed(render(Plan((call,))) + "\n") == [call]
    try:
        Checker(FUNCTIONS).check(call)
    except PlanError as error:
        said(error)


@cache
def _record() -> Any:
    text = "s1 = search(query='a')\ns2 = load(path=s1)\ns3 = load(path=1)\ns4 = g(query=s1)\ns5 = search(query='a')"
    plan = check(parse(text), FUNCTIONS)
    done = simulate(plan, FUNCTIONS, {"load": 1.0}, processors=2, failing=["s4"], optimize=False)
    return simulated(plan, FUNCTIONS, done).to_json()


def record(text: str, random: Random) -> Iterator[None]:
    """A saved run that was changed is read and explained, or refused in one line. The text is put into it somewhere."""
    data = changed_json(random, _record(), random.choice((1, 1, 2, 5)))
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = text
    yield
    if random.random() < 0.3 and isinstance(data, dict):
        data[random.choice([*data, "more"])] = parsed
    try:
        run = Run.from_json(data)
    except ValueError as error:
        assert type(error) is ValueError
        assert "\n" not in said(error)
        return
    yield
    if run.processors <= _PROCESSORS:  # each is told of
        explain(run)
    yield
    run.to_json()


PLAN_TARGETS = (whole_or_in_pieces, reply, thoughts, written, checked, evaluated)
JSON_TARGETS = (arguments, record)
