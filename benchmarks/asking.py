"""Asks every question of a set in every technique, and records what came of it.

The order of the runs interleaves the techniques, so that what disturbs the machine for a
while disturbs them alike. The same seed gives the same runs in the same order, and runs
that a file has already are not made again, unless it was the model that failed.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import tables
from benchmarks.records import Job, Progress, Run, Runs
from llmorch import TECHNIQUES, LLMOrchError, ModelError, Orchestrator, model_named
from llmorch.techniques import parse_examples
from llmorch.testing import RecordedModel, ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.questions import Question, QuestionSet
    from llmorch import Result

RECORDED = Path(__file__).parent / "recorded"
"""Replies of the local model, one file a set, for runs without a model."""
OUTAGE = 3  # so many runs in a row that the model failed are no results: it is gone
MAX_ANSWER = 2_000  # characters of an answer that a record keeps


@dataclass(frozen=True)
class Settings:
    """What is to be run; ``policy`` is each technique's own if it isn't given."""

    data: Path
    out: Path
    model: str = "local"
    techniques: Sequence[str] = tuple(TECHNIQUES)
    processors: Sequence[int] = (2,)
    policy: str | None = None
    limit: int | None = None
    repeats: int = 1
    seed: int = 0
    delay: float = 0.5
    """Seconds that a remote function would take, added to those that look things up here."""
    deadline: float = 600.0  # seconds after which a run is given up, as a failure
    quick: bool = False  # only tiny sizes, to see that it works
    asked: str | None = None  # the model that was named, if any was
    peers: Sequence[str] = ()
    record: bool = False  # keep the model's replies


def set_named(name: str) -> QuestionSet:
    """The question set of this name."""
    found: QuestionSet = import_module(f"benchmarks.sets.{name}").SET
    return found


def compared(name: str, settings: Settings) -> str:
    """Ask the set's questions, keep runs, table and charts in ``settings.out``; return the table."""
    chosen = set_named(name)
    machine = Orchestrator([], model=ScriptedModel([])).processors
    settings = replace(settings, processors=settings.processors or (min(chosen.processors, machine),))
    runs, path = Runs(settings.out / f"{name}.jsonl"), RECORDED / f"{name}.jsonl"
    model: Any = RecordedModel(path) if settings.model == "recorded" else model_named(settings.model)
    if settings.record:
        model = RecordedModel(path, record=model)
    asked = asyncio.run(ask(chosen, model, settings, runs, told=Progress(name).told))
    return tables.written(name, asked, settings.out)


def plan_of_work(chosen: QuestionSet, settings: Settings) -> tuple[list[Job], dict[str, Question]]:
    """Every run, in the order in which they are made; and the questions by their ids. Raises ``DataMissing``."""
    questions = _told_apart(chosen.questions(settings.data))
    random.Random(settings.seed).shuffle(questions)
    questions = questions[: settings.limit]
    jobs = {}
    for repeat in range(settings.repeats):
        for at, question in enumerate(questions):
            asked = _digest(question, settings.delay)
            for processors in settings.processors:
                turn = (at + repeat) % len(settings.techniques)
                for technique in [*settings.techniques[turn:], *settings.techniques[:turn]]:
                    policy = settings.policy or TECHNIQUES[technique].policy
                    way = (chosen.name, technique, policy, settings.model, processors)
                    job = Job(*way, question.id, asked, repeat)
                    jobs[job.key] = job
    return list(jobs.values()), {question.id: question for question in questions}


def _told_apart(questions: Sequence[Question]) -> list[Question]:
    """The questions, each with an id of its own: one that an earlier question has gets a number."""
    taken = {question.id for question in questions}
    seen: set[str] = set()
    made = []
    for question in questions:
        id_, number = question.id, 1
        while id_ in seen or (number > 1 and id_ in taken):
            number += 1
            id_ = f"{question.id}-{number}"
        taken.add(id_)
        seen.add(id_)
        made.append(replace(question, id=id_))
    return made


def _digest(question: Question, delay: float) -> str:
    text = repr((question.text, question.answer, delay))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12]


async def ask(
    chosen: QuestionSet,
    model: Any,
    settings: Settings,
    runs: Runs,
    *,
    told: Callable[[int, int, Run | None], None] = lambda *_: None,
) -> list[Run]:
    """Make every run that isn't recorded yet; return all runs of this plan of work.

    ``told(done, total, run)`` hears of each run, and once at the start with no run. Raises
    ``ModelError`` if the model doesn't answer at all, or is gone.
    """
    jobs, questions = plan_of_work(chosen, settings)
    left = [job for job in jobs if job not in runs]
    told(len(jobs) - len(left), len(jobs), None)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(model.close)
        asker = _Asker(chosen, model, settings, stack)
        for done, job in enumerate(left, len(jobs) - len(left) + 1):
            run = await asker.run(job, questions[job.question], runs.get(job))
            runs.add(run)
            told(done, len(jobs), run)
            if asker.failed >= OUTAGE:
                raise ModelError(
                    f"{run.error} ({OUTAGE} runs in a row ended so; the same command goes on from here)"
                )
    wanted = {job.key for job in jobs}
    return [run for run in runs.all if run.job.key in wanted]


class _Asker:
    """The orchestrators of a benchmark, one for each way to run it, kept from run to run."""

    def __init__(self, chosen: QuestionSet, model: Any, settings: Settings, stack: AsyncExitStack) -> None:
        self._chosen, self._model, self._settings, self._stack = chosen, model, settings, stack
        self._heard = False  # whether the model ever replied
        self.failed = 0
        """Runs in a row that the model failed."""
        self._kept: dict[tuple[str, str, int], tuple[Orchestrator, Path]] = {}

    async def run(self, job: Job, question: Question, earlier: Run | None = None) -> Run:
        """One question in one way, from a fresh folder to a record; ``earlier`` is what an earlier try came to."""
        own = question.details.get("set")
        async with AsyncExitStack() as stack:
            # A question may have functions of its own, which lie in the folder that they write to.
            orchestrator, work = await (self._kept_for(job) if own is None else self._made(own, job, stack))
            began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
            result, error, failed = await self._asked(orchestrator, question, earlier)
            seconds = time.monotonic() - began
            answered = result is not None and result.status == "answered"
            right = answered and (own or self._chosen).right(question, result.answer, work)  # type: ignore[union-attr]
            made = _run_of(job, result, right=right, seconds=seconds, began=started)
        return replace(made, error=error or made.error, model_failed=failed)

    async def _asked(
        self, orchestrator: Orchestrator, question: Question, earlier: Run | None
    ) -> tuple[Result | None, str | None, bool]:
        """The result, an error if there was one, and whether it was the model's."""
        result = error = None
        failed = again = False
        try:
            async with asyncio.timeout(self._settings.deadline):
                result = await orchestrator.run(question.text)
        except LLMOrchError as unresolved:
            error, result = str(unresolved), unresolved.result
            failed = isinstance(unresolved, ModelError)
        except TimeoutError:
            error = f"no answer in {self._settings.deadline:g} s"
        self._hear(result)
        if failed:
            # What fails again as it did before, such as a prompt that is too long, tells of no outage.
            there = self._heard or self._settings.model == "recorded"
            again = there and earlier is not None and earlier.error == error
            if not again and not self._heard:
                raise ModelError(error)  # a wrong key or name, or nobody there: no result of the technique's
        self.failed = self.failed + (not again) if failed else 0
        return result, error, failed

    def _hear(self, result: Result | None) -> None:
        self._heard = self._heard or (result is not None and result.usage.output_tokens > 0)

    async def _kept_for(self, job: Job) -> tuple[Orchestrator, Path]:
        """The orchestrator for this way to run the set, and its folder, emptied."""
        key = (job.technique, job.policy, job.processors)
        if key not in self._kept:
            orchestrator, _ = self._kept[key] = await self._made(self._chosen, job, self._stack)
            if self._settings.model != "recorded":
                await self._warm(orchestrator)
        orchestrator, work = self._kept[key]
        for path in work.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return orchestrator, work

    async def _warm(self, orchestrator: Orchestrator) -> None:
        """Ask for an example's query once: what a first run alone costs is in no record."""
        query = parse_examples(self._chosen.examples.read_text(encoding="utf-8"))[0].query
        with suppress(LLMOrchError, TimeoutError):
            async with asyncio.timeout(self._settings.deadline):
                # What an example names needn't be in the data, so a plan isn't run.
                if TECHNIQUES[orchestrator.technique].plans:
                    await orchestrator.plan(query)
                    self._heard = True
                else:
                    self._hear(await orchestrator.run(query))

    async def _made(self, chosen: QuestionSet, job: Job, stack: AsyncExitStack) -> tuple[Orchestrator, Path]:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmorch-")))
        orchestrator = Orchestrator(
            chosen.functions(self._settings.data, work, self._settings.delay),
            model=_Shared(self._model),
            technique=job.technique,
            policy=job.policy,
            processors=job.processors,
            examples=chosen.examples,
            learn=False,
        )
        return await stack.enter_async_context(orchestrator), work


class _Shared:
    """A model that several orchestrators use: none of them ends it."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    async def close(self) -> None:
        """The model goes on for the others."""


def _run_of(job: Job, result: Result | None, *, right: bool, seconds: float, began: str) -> Run:
    made = Run(job, "unresolved", right, seconds=round(seconds, 4), began=began)
    if result is None:
        return made
    kept = ("id", "function", "kind", "uses", "status", "processor", "dispatched", "completed", "error")
    usage = result.usage
    return replace(
        made,
        status=result.status,
        answer=str(result.answer)[:MAX_ANSWER],
        error=result.error,
        executing=round(executing(result), 4),
        model_seconds=round(usage.seconds, 4),
        lower_bound=round(result.lower_bound, 4),
        requests=usage.requests,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        errors=sum(call.status == "failed" for call in result.calls),
        recoveries=len(result.recoveries),
        plan=str(result.as_json()["plan"] or "")[: 2 * MAX_ANSWER],
        calls=[{name: call.as_json()[name] for name in kept} for call in result.calls],
    )


def executing(result: Result) -> float:
    """Seconds in which at least one call ran."""
    spans = sorted(
        (call.dispatched, call.completed)
        for call in result.calls
        if call.dispatched is not None and call.completed is not None
    )
    total, end = 0.0, 0.0
    for start, stop in spans:
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total
