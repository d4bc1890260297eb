"""How many mistakes are found before a wrong plan is settled: through the whole runtime.

A model writes a plan with one mistake in it and, if it is asked again, the right one. What
counts is whether it is asked again. Calls that start while the text still arrives are wanted;
how many had, and how many of them the right plan has no use for, is counted apart.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any

from llmorch import LLMOrchError, Orchestrator
from llmorch.models.model import Finished
from llmorch.schedule import Dispatch, Keep, PlanExtended
from llmorch.testing import ScriptedModel
from tests.faults.mutations import KINDS, mutated
from tests.faults.right_plans import right_plans, stand_in
from tests.faults.wanted import Wanted, table

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence

    from llmorch import Function, Result
    from llmorch.models.model import ModelRequest, Piece
    from tests.faults.right_plans import RightPlan

    Row = dict[str, Any]

PLANS = 300
QUERY = "Which is it?"
WANTED = 0.99
ALL, RIGHT, REPORTED = "all mistakes", "no mistake", "cut, and the reply says so"


@dataclass(frozen=True)
class Seen:
    """What came of one wrong plan."""

    kind: str
    caught: bool
    alone: bool = False
    """Whether it is a right plan by itself: nothing in the text tells of the mistake."""
    begun: int = 0
    """Calls that had started when the mistake was found."""
    in_vain: int = 0
    """Those of them that the right plan doesn't have."""
    effects: int = 0
    """Those of them that change something."""
    answered: bool = False
    """Whether the run came to an answer in the end."""


class _Writing(ScriptedModel):
    """Writes the plans that it is given, one a request for a plan; any other reply is a word."""

    def __init__(self) -> None:
        super().__init__(self._reply)
        self.plans: Sequence[str] = ()
        self.cut = False
        """Whether the end of the first plan is reported as cut off."""
        self.asked = 0
        """Requests for a plan so far."""

    def start(self, plans: Sequence[str], *, cut: bool) -> None:
        self.plans, self.cut, self.asked = plans, cut, 0
        self.requests.clear()

    def _reply(self, request: ModelRequest) -> str:
        if not request.cached:  # a call that asks the model
            return "a reply"
        self.asked += 1
        return self.plans[min(self.asked, len(self.plans)) - 1]

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        async for piece in super().stream(request):
            first = request.cached and self.asked == 1
            yield (
                replace(piece, reason="length")
                if isinstance(piece, Finished) and first and self.cut
                else piece
            )


class _Watched:
    """An orchestrator that is given plans by a model, with functions that only tell that they ran."""

    def __init__(self, functions: Iterable[Function]) -> None:
        self._model = _Writing()
        self._effects = 0
        offered = [stand_in(item, partial(self._began, item)) for item in functions if item.name != "self"]
        self._orchestrator = Orchestrator(offered, model=self._model, processors=1, learn=False)

    def _began(self, function: Function, _: str) -> None:
        if self._model.asked == 1 and function.changes:
            self._effects += 1

    async def run(self, wrong: str, right: str, *, cut: bool = False) -> Seen:
        """Have the wrong plan written and, if the model is asked again, the right one."""
        begun: list[str] = []
        kept: list[str] = []
        settled = False
        self._effects = 0
        self._model.start((wrong, right), cut=cut)

        def observe(message: Any, at: float) -> None:
            nonlocal settled
            if isinstance(message, PlanExtended) and message.complete and self._model.asked == 1:
                settled = True  # what is asked from now on is about a call that failed
            elif isinstance(message, Dispatch) and self._model.asked == 1:
                begun.append(message.call)
            elif isinstance(message, Keep):
                kept.append(message.before)

        try:
            result: Result = await self._orchestrator.run(QUERY, observer=observe)
        except LLMOrchError as error:
            result = error.result
        answered = result.status == "answered"
        if settled or self._model.asked == 1:
            return Seen("", caught=False, answered=answered)
        return Seen(
            "",
            caught=True,
            begun=len(begun),
            in_vain=len(set(begun) - set(kept)),
            effects=self._effects,
            answered=answered,
        )


def measured(plans: Sequence[RightPlan], seed: int = 0) -> list[Seen]:
    """Each plan as it is, with one mistake of each kind, and cut off with and without a word."""
    return asyncio.run(_measured(plans, random.Random(seed)))


async def _measured(plans: Sequence[RightPlan], chance: random.Random) -> list[Seen]:
    watched: dict[int, _Watched] = {}
    seen = []
    for plan in plans:
        own = watched.setdefault(id(plan.functions), _Watched(plan.functions.values()))
        seen.append(replace(await own.run(plan.text, plan.text), kind=RIGHT))
        for kind in KINDS:
            mutant = mutated(plan.text, plan.functions, kind, chance)
            if mutant is None:
                continue
            ran = await own.run(mutant.text, plan.text)
            seen.append(replace(ran, kind=kind, alone=mutant.alone))
            if kind == "cut":
                ran = await own.run(mutant.text, plan.text, cut=True)
                seen.append(replace(ran, kind=REPORTED))
    return seen


def rows(seen: Sequence[Seen]) -> list[Row]:
    """One row for each kind of mistake, one for all of them, and those that are no mistake of the text."""
    groups = {kind: [one for one in seen if one.kind == kind] for kind in (*KINDS, REPORTED, RIGHT)}
    groups = {ALL: [one for one in seen if one.kind in KINDS]} | groups
    return [{"mistake": kind} | _row(ones) for kind, ones in groups.items() if ones]


def _row(seen: Sequence[Seen]) -> Row:
    caught = [one for one in seen if one.caught]
    alone = sum((one.alone or one.kind == RIGHT) and not one.caught for one in seen)
    return {
        "plans": len(seen),
        "caught": len(caught),
        "alone": alone,
        "missed": len(seen) - len(caught) - alone,
        "share": len(caught) / len(seen),
        "share_told": len(caught) / (len(seen) - alone) if len(seen) > alone else None,
        "begun": fmean(one.begun for one in caught) if caught else None,
        "in_vain": fmean(one.in_vain for one in caught) if caught else None,
        "effects": sum(one.effects for one in caught),
    }


def wanted(rows: Sequence[Row]) -> list[Wanted]:
    """Nearly every mistake found, and no right plan refused."""
    by_kind = {row["mistake"]: row for row in rows}
    mistakes, right = by_kind[ALL], by_kind[RIGHT]
    what, plans = f"{mistakes['plans']} plans with one mistake each", f"{right['plans']} right plans"
    return [
        Wanted("share of all mistakes that are caught", what, [mistakes["share"]], at_least=WANTED),
        Wanted("share of those that the text tells of", what, [mistakes["share_told"]], at_least=WANTED),
        Wanted("effects begun by a wrong plan", what, [mistakes["effects"]], at_most=0),
        Wanted("right plans refused", plans, [right["caught"]], at_most=0),
    ]


def report(count: int = PLANS, seed: int = 0) -> str:
    """The table of so many plans, and what its columns mean."""
    made = rows(measured(right_plans(count, seed), seed))
    return (
        f"{table(_COLUMNS, made, wanted(made))}\n"
        "Caught: the model is asked again before the plan is settled. Right by itself: nothing in the text tells "
        "of the mistake, as where a text ends after a whole line, or a prompt has lost one of two uses of a "
        "result. Missed: what is left of a reference was read as text. Begun by then: calls that had started, "
        "while the text still arrived; in vain: those that the right plan doesn't have.\n"
    )


def _number(name: str) -> Callable[[Row], str]:
    return lambda row: "" if row[name] is None else f"{row[name]:.1f}"


def _share(name: str) -> Callable[[Row], str]:
    return lambda row: "" if row[name] is None else f"{row[name]:.1%}"


_COLUMNS: Mapping[str, Callable[[Row], object]] = {
    "mistake": lambda row: row["mistake"],
    "plans": lambda row: row["plans"],
    "caught": lambda row: row["caught"],
    "share": _share("share"),
    "right by itself": lambda row: row["alone"],
    "missed": lambda row: row["missed"],
    "share where the text tells": _share("share_told"),
    "begun by then, mean": _number("begun"),
    "in vain": _number("in_vain"),
    "effects begun": lambda row: row["effects"],
}
