"""Whether a model mends a wrong plan, given what is wrong with it, and in how many attempts.

The wrong plan is put in the model's mouth as its first draft; what it replies when it is
asked to repair it is its own. A third of each file's plans is held out for this; the others
are the examples in the prompt, the same for all of a file, so that a local model reads them once.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.mutations import KINDS, TRIES, mutated
from benchmarks.policies import markdown_table
from benchmarks.right_plans import RightPlan, example_plans
from llmorch import ModelError, Orchestrator, UnresolvedQuery
from llmorch.models.model import Finished, Text
from llmorch.plan import render
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from benchmarks.policies import Row
    from llmorch import Plan
    from llmorch.models.model import Model, ModelRequest, Piece

ATTEMPTS = 2
PLANS = 50


@dataclass(frozen=True)
class Repair:
    """What came of one wrong plan."""

    kind: str
    attempts: int
    """How often the model was asked to repair it."""
    repaired: bool
    """Whether its last reply is a plan without a mistake that can be found."""
    same: bool
    """Whether that is the plan as it was before the mistake."""


@dataclass(frozen=True)
class _Wrong:
    """A text that isn't accepted, the plan that it was, and the examples beside it."""

    plan: RightPlan
    others: Sequence[RightPlan]
    kind: str
    text: str


class Repairs:
    """What came of wrong plans, in a file where one is given: a line is written as each ends."""

    def __init__(self, path: Path | None = None, model: str = "") -> None:
        self._path, self._model = path, model
        self._found: dict[str, Repair] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
        for line in lines:
            with suppress(ValueError, TypeError, KeyError):  # a line that an interruption left half written
                kept = json.loads(line)
                self._found[kept["key"]] = Repair(**kept["repair"])

    def get(self, wrong: _Wrong) -> Repair | None:
        """What came of this one, if it is known."""
        return self._found.get(self._key(wrong))

    def add(self, wrong: _Wrong, repair: Repair) -> None:
        """Keep what came of one."""
        self._found[self._key(wrong)] = repair
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                # The line break comes first: the line before may be one that was left half written.
                file.write("\n" + json.dumps({"key": self._key(wrong), "repair": asdict(repair)}))

    def _key(self, wrong: _Wrong) -> str:
        shown = [self._model, wrong.text, wrong.plan.query, *(one.text for one in wrong.others)]
        return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


class _Enough(ModelError):
    """The repairs are used up."""


class _Misled:
    """A model whose first reply is given; all others are its own, and kept."""

    def __init__(self, model: Model, first: str) -> None:
        self._model = model
        self._first: str | None = first
        self.replies: list[str] = []
        self.name, self.kind = model.name, model.kind
        self.constrains, self.calls_tools = model.constrains, model.calls_tools

    async def stream(self, request: ModelRequest) -> AsyncIterator[Piece]:
        if self._first is not None:
            text, self._first = self._first, None
            yield Text(text)
            yield Finished("stop", 0, 0)
            return
        if len(self.replies) == ATTEMPTS:
            raise _Enough("a new translation is no repair")
        self.replies.append("")
        async for piece in self._model.stream(request):
            if isinstance(piece, Text):
                self.replies[-1] += piece.text
            yield piece

    async def close(self) -> None:
        """The model goes on for the next plan."""


def compile_time_repair(
    model: Model,
    plans: int = PLANS,
    seed: int = 0,
    *,
    kept: Repairs | None = None,
    told: Callable[[int, int, str], None] = lambda *_: None,
) -> list[Repair]:
    """Have a model repair so many wrong plans, of every kind and file alike. Raises ``ModelError``.

    Those in ``kept`` are not made again. ``told(done, total, what)`` hears of each plan.
    """
    return asyncio.run(_repaired(model, plans, random.Random(seed), kept or Repairs(), told))


async def _repaired(
    model: Model,
    plans: int,
    chance: random.Random,
    kept: Repairs,
    told: Callable[[int, int, str], None],
) -> list[Repair]:
    found: list[Repair] = []
    try:
        for wrong in await _wrong_plans(plans, chance):
            repair = kept.get(wrong)
            if repair is None:
                repair = await _one(model, wrong)
                kept.add(wrong, repair)
            found.append(repair)
            outcome = f"repaired in {repair.attempts}" if repair.repaired else "not repaired"
            told(len(found), plans, f"{wrong.plan.source}, {wrong.kind}: {outcome}")
    finally:
        await model.close()
    return found


async def _wrong_plans(count: int, chance: random.Random) -> list[_Wrong]:
    """Every file and every kind of mistake in turn; ordered by file."""
    files: dict[str, list[RightPlan]] = {}
    for plan in example_plans():
        files.setdefault(plan.source, []).append(plan)
    chosen: list[_Wrong] = []
    for at in range(count):
        source = list(files)[at % len(files)]
        plans = files[source]
        held_out = max(1, len(plans) // 3)
        first = (at + at // len(files)) % len(KINDS)  # so that a file meets every kind
        for kind in [*KINDS[first:], *KINDS[:first]] * TRIES:  # not every plan has a place for each mistake
            plan = chance.choice(plans[-held_out:])
            mutant = mutated(plan.text, plan.functions, kind, chance)
            if mutant is not None and await _accepted(mutant.text, plan) is None:
                chosen.append(_Wrong(plan, plans[:-held_out], kind, mutant.text))
                break
    return sorted(chosen, key=lambda wrong: list(files).index(wrong.plan.source))


async def _one(model: Model, wrong: _Wrong) -> Repair:
    plan, misled = wrong.plan, _Misled(model, wrong.text)
    orchestrator = _orchestrator(plan, misled, wrong.others)
    last = None
    with suppress(UnresolvedQuery, _Enough):
        last = await _accepted(render(await orchestrator.plan(plan.query)), plan)
    return Repair(
        wrong.kind, len(misled.replies), last is not None, same=last == await _accepted(plan.text, plan)
    )


def _orchestrator(plan: RightPlan, model: Model, others: Sequence[RightPlan]) -> Orchestrator:
    functions = [item for item in plan.functions.values() if item.name != "self"]
    with tempfile.TemporaryDirectory() as folder:
        examples = Path(folder, "others.plans")
        shown = "\n\n".join(f"# query: {one.query}\n{one.text}" for one in others)
        examples.write_text(shown, encoding="utf-8")
        return Orchestrator(
            functions,
            model=model,
            examples=examples if others else None,
            repairs=ATTEMPTS,
            processors=1,
            learn=False,
        )


async def _accepted(text: str, plan: RightPlan) -> Plan | None:
    """What comes of a plan that is taken without a question; ``None`` if one is asked."""
    orchestrator = _orchestrator(plan, ScriptedModel([text]), ())
    try:
        return await orchestrator.plan(plan.query)
    except ModelError:  # no reply is left for a question
        return None


def markdown(name: str, repairs: Sequence[Repair]) -> str:
    """One row, for the model of this name."""
    row: Row = {"model": name, "plans": len(repairs), "same": sum(one.same for one in repairs)}
    for attempts in range(1, ATTEMPTS + 1):
        row[f"in {attempts}"] = sum(one.repaired and one.attempts <= attempts for one in repairs)
    return markdown_table(_COLUMNS, [row])


def _share(name: str) -> Callable[[Row], str]:
    return lambda row: f"{row[name]} ({int(str(row[name])) / int(str(row['plans'])):.0%})"


_COLUMNS: Mapping[str, Callable[[Row], str]] = {
    "model": lambda row: str(row["model"]),
    "wrong plans": lambda row: str(row["plans"]),
    "repaired in one attempt": _share("in 1"),
    "in one or two": _share("in 2"),
    "to the plan as it was": _share("same"),
}
