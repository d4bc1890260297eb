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
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.records import Job, Run, Runs
from llmorch import TECHNIQUES, LLMOrchError, ModelError, Orchestrator
from llmorch.techniques import parse_examples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.questions import Question, QuestionSet
    from llmorch import Result
    from llmorch.models.model import Model

OUTAGE = 3
"""So many runs in a row that the model failed are no results: it is gone."""
MAX_ANSWER = 2_000
"""Characters of an answer that a record keeps."""


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
    deadline: float = 600.0
    """Seconds after which a run is given up, as a failure."""


@dataclass
class Asked:
    """A plan of work: the jobs in order, and the questions by their ids."""

    jobs: list[Job]
    questions: dict[str, Question] = field(default_factory=dict)


def plan_of_work(chosen: QuestionSet, settings: Settings) -> Asked:
    """Every run, in the order in which they are made. Raises ``DataMissing``."""
    questions = _told_apart(chosen.questions(settings.data))
    random.Random(settings.seed).shuffle(questions)
    questions = questions[: settings.limit]
    jobs = []
    for repeat in range(settings.repeats):
        for at, question in enumerate(questions):
            for processors in settings.processors:
                turn = (at + repeat) % len(settings.techniques)
                for technique in [*settings.techniques[turn:], *settings.techniques[:turn]]:
                    policy = settings.policy or TECHNIQUES[technique].policy
                    jobs.append(
                        Job(
                            chosen.name,
                            technique,
                            policy,
                            settings.model,
                            processors,
                            question.id,
                            _digest(question, settings.delay),
                            repeat,
                        )
                    )
    jobs = list({job.key: job for job in jobs}.values())
    return Asked(jobs, {question.id: question for question in questions})


def _told_apart(questions: Sequence[Question]) -> list[Question]:
    """The questions, each with an id of its own: one that an earlier question has gets a number."""
    taken = {question.id for question in questions}
    seen: set[str] = set()
    made = []
    for question in questions:
        id_, number = question.id, 1
        if id_ in seen:
            while id_ in taken:
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
    model: Model,
    settings: Settings,
    runs: Runs,
    *,
    told: Callable[[int, int, Run | None], None] = lambda *_: None,
) -> list[Run]:
    """Make every run that isn't recorded yet; return all runs of this plan of work.

    ``told(done, total, run)`` hears of each run, and once at the start with no run. Raises
    ``ModelError`` if the model doesn't answer at all, or is gone.
    """
    work = plan_of_work(chosen, settings)
    left = [job for job in work.jobs if job not in runs]
    told(len(work.jobs) - len(left), len(work.jobs), None)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(model.close)
        asker = _Asker(chosen, model, settings, stack)
        for done, job in enumerate(left, len(work.jobs) - len(left) + 1):
            run = await asker.run(job, work.questions[job.question], runs.get(job))
            runs.add(run)
            told(done, len(work.jobs), run)
            if asker.failed >= OUTAGE:
                raise ModelError(
                    f"{run.error} ({OUTAGE} runs in a row ended so; the same command goes on from here)"
                )
    wanted = {job.key for job in work.jobs}
    return [run for run in runs.all if run.job.key in wanted]


class _Asker:
    """The orchestrators of a benchmark, one for each way to run it, kept from run to run."""

    def __init__(self, chosen: QuestionSet, model: Model, settings: Settings, stack: AsyncExitStack) -> None:
        self._chosen = chosen
        self._model = model
        self._settings = settings
        self._stack = stack
        self._heard = False
        self.failed = 0
        """Runs in a row that the model failed."""
        self._kept: dict[tuple[str, str, int], tuple[Orchestrator, Path]] = {}

    async def run(self, job: Job, question: Question, earlier: Run | None = None) -> Run:
        """One question in one way, from a fresh folder to a record; ``earlier`` is what an earlier try came to."""
        own = question.details.get("set")
        if own is None:
            orchestrator, work = await self._kept_for(job)
            return await self._recorded(job, question, self._chosen, orchestrator, work, earlier)
        # A question with functions of its own, which lie in the folder that they write to.
        async with AsyncExitStack() as stack:
            orchestrator, work = await self._made(own, job, stack)
            return await self._recorded(job, question, own, orchestrator, work, earlier)

    async def _recorded(
        self,
        job: Job,
        question: Question,
        chosen: QuestionSet,
        orchestrator: Orchestrator,
        work: Path,
        earlier: Run | None,
    ) -> Run:
        began, result, error, model_failed = time.monotonic(), None, None, False
        started = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            async with asyncio.timeout(self._settings.deadline):
                result = await orchestrator.run(question.text)
        except LLMOrchError as unresolved:
            error, result = str(unresolved), unresolved.result
            model_failed = isinstance(unresolved, ModelError)
            self._heard = self._heard or orchestrator.usage.output_tokens > 0
            # What fails again as it did before, such as a prompt that is too long, tells of no outage.
            there = self._heard or self._settings.model == "recorded"
            again = there and earlier is not None and earlier.error == error
            if model_failed and not again:
                if not self._heard:
                    raise  # a wrong key or name, or nobody there: no result of the technique's
                self.failed += 1
        except TimeoutError:
            error = f"no answer in {self._settings.deadline:g} s"
        seconds = time.monotonic() - began
        self._heard = self._heard or orchestrator.usage.output_tokens > 0
        if not model_failed:
            self.failed = 0
        right = (
            result is not None and result.status == "answered" and chosen.right(question, result.answer, work)
        )
        usage = orchestrator.usage
        return Run(
            job=job,
            status="unresolved" if result is None else result.status,
            right=right,
            answer="" if result is None else str(result.answer)[:MAX_ANSWER],
            error=error or (result.error if result else None),
            seconds=round(seconds, 4),
            executing=0.0 if result is None else round(executing(result), 4),
            model_seconds=round(usage.seconds, 4),
            lower_bound=0.0 if result is None else round(result.lower_bound, 4),
            requests=usage.requests,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            errors=0 if result is None else sum(call.status == "failed" for call in result.calls),
            recoveries=0 if result is None else len(result.recoveries),
            began=started,
            plan="" if result is None else str(result.as_json()["plan"] or "")[: 2 * MAX_ANSWER],
            calls=[] if result is None else _calls(result),
            model_failed=model_failed,
        )

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
        plans = TECHNIQUES[orchestrator.technique].plans
        with suppress(LLMOrchError, TimeoutError):
            async with asyncio.timeout(self._settings.deadline):
                # What an example names needn't be in the data, so a plan isn't run.
                await (orchestrator.plan(query) if plans else orchestrator.run(query))
        self._heard = self._heard or orchestrator.usage.output_tokens > 0

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

    def __init__(self, model: Model) -> None:
        self._model = model
        if hasattr(model, "read_ahead"):
            self.read_ahead = model.read_ahead
        self.name, self.kind = model.name, model.kind
        self.constrains, self.calls_tools = model.constrains, model.calls_tools

    def stream(self, request: Any) -> Any:
        return self._model.stream(request)

    async def close(self) -> None:
        """The model goes on for the others."""


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


def _calls(result: Result) -> list[dict[str, Any]]:
    kept = ("id", "function", "kind", "uses", "status", "processor", "dispatched", "completed", "error")
    return [{name: call.as_json()[name] for name in kept} for call in result.calls]
