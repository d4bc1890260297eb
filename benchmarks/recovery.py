"""Whether what went wrong is mended: the paper's question 83, and, where a model is named, wrong plans.

Question 83: a search returns too few words, and the call that reads them fails; it is answered once the search is
made again for more words. A wrong plan is put in the model's mouth as its first draft; what it replies when it is
asked to repair it is its own. The plans are of the examples, with one mistake each, which the tests' mutations made;
they are held out, and the other examples of a file are in the prompt, so that a local model reads them once.
What is noticed of mistakes and faults at all is counted by the tests (``python -m tests.faults``).
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.asking import RECORDED, set_named
from benchmarks.figures import table
from benchmarks.questions import SAMPLE
from benchmarks.records import Progress, append
from benchmarks.sets import SETS
from benchmarks.sets.cases import EXAMPLES
from llmorch import LLMOrchError, ModelError, Orchestrator, UnresolvedQuery, model_named, render
from llmorch.declare.offered import declared_in
from llmorch.models.model import Finished, Text
from llmorch.places.files import load_file
from llmorch.testing import RecordedModel, ScriptedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from benchmarks.asking import Settings
    from llmorch import Plan, Result

    Repair = dict[str, Any]

QUESTION = "p9"
"""One of the sample's, whose page is longer than a search returns by itself."""
ATTEMPTS = 2


def run(settings: Settings) -> str:
    """Both tables; the second one only where a model is named."""
    name = settings.asked
    model: Any = model_named(name) if name else RecordedModel(RECORDED / "parallelqa.jsonl")
    result, right = asyncio.run(recovered(model))
    text = (
        "**A search that returns too few words (the paper's question 83)**\n\n"
        f"{recovered_markdown(name or 'recorded', result, right=right)}\n"
    )
    if name is None:
        return text
    count, path = settings.limit or (7 if settings.quick else None), settings.out / "repairs.jsonl"
    repairs = asyncio.run(repaired(model_named(name), name, path, count, Progress("recovery").counted))
    return f"{text}\n\n**Compile-time repair**\n\n{repairs_markdown(name, repairs)}\n"


async def recovered(model: Any) -> tuple[Result | None, bool]:
    """What came of the question, and whether the answer is right."""
    chosen = set_named("parallelqa")
    question = next(one for one in chosen.questions(SAMPLE) if one.id == QUESTION)
    options: Any = {"examples": chosen.examples, "processors": 2, "learn": False}
    async with Orchestrator(chosen.functions(SAMPLE, SAMPLE), model=model, **options) as orchestrator:
        try:
            result = await orchestrator.run(question.text)
        except LLMOrchError as error:
            return error.result, False
    return result, result.status == "answered" and chosen.right(question, result.answer, SAMPLE)


def recovered_markdown(name: str, result: Result | None, *, right: bool) -> str:
    """One row for each recovery of the run."""
    kept = [one for one in result.recoveries if one.kind == "recover"] if result else []
    columns: dict[str, Callable[[Any], str]] = {
        "failed": lambda one: ", ".join(one.failed),
        "repaired": lambda one: "; ".join(f"`{text}`" for text in one.changed.values()),
        "made again": lambda one: ", ".join(one.again),
    }
    outcome = "right" if right else "wrong" if result and result.status == "answered" else "none"
    return f"{table(columns, kept)}\n\nModel {name}: {len(kept)} recoveries; the answer is {outcome}."


@dataclass(frozen=True)
class Wrong:
    """A text that isn't accepted, the plan that it was, its query, and how many examples are beside it."""

    source: str
    kind: str
    query: str
    right: str
    wrong: str
    examples: int

    def orchestrator(self, model: Any) -> Orchestrator:
        """One with the functions and examples of the file that the plan is of."""
        if self.source in SETS:
            chosen = set_named(self.source)
            functions, file = chosen.functions(SAMPLE, SAMPLE), chosen.examples
        else:
            file = EXAMPLES / self.source / "examples.plans"
            module = vars(load_file(file.with_name("functions.py")))
            functions = [item for item in module.values() if callable(item) and declared_in(item)]
        blocks = file.read_text(encoding="utf-8").strip().split("\n\n")
        with tempfile.TemporaryDirectory() as folder:
            examples = Path(folder, "others.plans")
            examples.write_text("\n\n".join(blocks[: self.examples]), encoding="utf-8")
            options: Any = {"repairs": ATTEMPTS, "processors": 1, "learn": False}
            return Orchestrator(functions, model=model, examples=examples, **options)

    async def accepted(self, text: str) -> Plan | None:
        """What comes of a plan that is taken without a question; ``None`` if one is asked."""
        try:
            return await self.orchestrator(ScriptedModel([text])).plan(self.query)
        except ModelError:  # no reply is left for a question
            return None


def wrong_plans() -> list[Wrong]:
    """All that are recorded."""
    path = RECORDED / "wrong_plans.jsonl"
    return [Wrong(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


class _Enough(ModelError):
    """The repairs are used up."""


class _Misled:
    """A model whose first reply is given; all others are its own, and counted."""

    def __init__(self, model: Any, first: str) -> None:
        self._model, self._first = model, first
        self.asked = -1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        self.asked += 1
        if self.asked == 0:
            yield Text(self._first)
            yield Finished("stop", 0, 0)
        elif self.asked > ATTEMPTS:
            raise _Enough("a new translation is no repair")
        else:
            async for piece in self._model.stream(request):
                yield piece

    async def close(self) -> None:
        """The model goes on for the next plan."""


async def repaired(
    model: Any,
    name: str,
    path: Path,
    count: int | None = None,
    told: Callable[[int, int, str], None] = lambda *_: None,
) -> list[Repair]:
    """Have a model repair so many wrong plans; those in the file at ``path`` are not made again.

    ``told(done, total, what)`` hears of each plan. Raises ``ModelError``.
    """
    plans = wrong_plans()
    plans = plans[:: max(1, len(plans) // (count or len(plans)))][:count]
    kept, found = _kept(path), []
    try:
        for plan in plans:
            repair = kept.get((name, plan.wrong))
            if repair is None:
                repair = {"model": name, "wrong": plan.wrong} | await _repaired(model, plan)
                append(path, repair)
            found.append(repair)
            outcome = f"repaired in {repair['attempts']}" if repair["repaired"] else "not repaired"
            told(len(found), len(plans), f"{plan.source}, {plan.kind}: {outcome}")
    finally:
        await model.close()
    return found


async def _repaired(model: Any, plan: Wrong) -> Repair:
    """How often the model was asked, whether its last reply is taken, and whether that is the plan as it was."""
    misled, last = _Misled(model, plan.wrong), None
    with suppress(UnresolvedQuery, _Enough):
        last = await plan.accepted(render(await plan.orchestrator(misled).plan(plan.query)))
    same = last is not None and last == await plan.accepted(plan.right)
    return {"attempts": min(misled.asked, ATTEMPTS), "repaired": last is not None, "same": same}


def _kept(path: Path) -> dict[tuple[str, str], Repair]:
    kept = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(ValueError, KeyError):  # a line that an interruption left half written
            repair = json.loads(line)
            kept[repair["model"], repair["wrong"]] = repair
    return kept


def repairs_markdown(name: str, repairs: Sequence[Repair]) -> str:
    """One row, for the model of this name."""

    def share(which: Callable[[Repair], bool]) -> Callable[[Any], str]:
        count = sum(map(which, repairs))
        return lambda _: f"{count} ({count / len(repairs):.0%})"

    columns: dict[str, Any] = {
        "model": lambda _: name,
        "wrong plans": lambda _: str(len(repairs)),
        "repaired in one attempt": share(lambda one: one["repaired"] and one["attempts"] <= 1),
        "in one or two": share(lambda one: one["repaired"]),
        "to the plan as it was": share(lambda one: one["same"]),
    }
    return table(columns, [name])
