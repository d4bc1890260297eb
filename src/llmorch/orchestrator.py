"""The one place where the parts meet: functions, model, technique, processors."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmorch.advice import would_gain
from llmorch.calls import Plan
from llmorch.declare.functions import SELF, Function
from llmorch.declare.offered import as_functions, fitted, self_function
from llmorch.errors import (
    EmptyPlan,
    FunctionError,
    LimitReached,
    LLMOrchError,
    UnresolvedQuery,
)
from llmorch.learned import Learned, Sample, durations, known_as
from llmorch.machine import allowed_processors, cache_folder
from llmorch.models.model import ReadsAhead
from llmorch.models.named import model_of
from llmorch.plan import check, parse
from llmorch.processors import Places, supplied
from llmorch.requests import Usage
from llmorch.result import Result, collect
from llmorch.running import Limit, Run, outside_loop
from llmorch.runtime.answers import prompting, replied
from llmorch.runtime.conversation import Conversing, converse, first_plan
from llmorch.runtime.drive import Execution
from llmorch.runtime.learning import FILE, Learning, taken
from llmorch.schedule import Orchestration, policy_named
from llmorch.techniques import TECHNIQUES, Answer, RunPlan, Task, answer_of, parse_examples

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from typing import TypeVar

    from llmorch.declare.resources import Amount
    from llmorch.forecast import Forecast
    from llmorch.models.model import Model
    from llmorch.runtime.drive import Observer
    from llmorch.techniques import Conversation, Outcome, Recovery

    T = TypeVar("T")

RUN_CANCELLED = "the run was cancelled"
MAX_PROCESSORS = 1024
MAX_RECOVERIES = 20

_NO_PLAN = Plan(())


@dataclass(frozen=True, slots=True)
class _Play:
    """What one run plays, and what bounds and watches it.

    ``only`` says that nothing is planned in the light of results; ``tried`` is what the
    technique has tried so far.
    """

    conversation: Conversation[Answer]
    conversing: Conversing
    limit: Limit
    observer: Observer | None
    run: Run | None
    only: bool
    query: str | None = None
    tried: Sequence[Recovery] = ()

    @property
    def cancelled(self) -> bool:
        """Whether the caller has cancelled all of it."""
        return self.run is not None and self.run.cancelled


class Orchestrator:
    """Answers queries by calling functions, as parallel as they allow.

    ``functions`` are callables, declared with ``@function`` or plain, and objects of
    ``@stateful`` classes, which stand for their methods; ``self(prompt)`` is always offered.
    ``model`` is a name (see ``model_named``) or a ``Model``. ``processors`` is how many
    compute calls may run at once, each in a process of its own; by default
    as many as this process may use. ``technique`` is how the model is asked and ``policy``
    how its calls are coordinated, by default as the technique's paper does. ``examples``
    are queries and their plans, for the prompt: a path to a file of them. ``repairs`` is
    how often a plan that can't be run is given back to the model, and ``max_recoveries``
    how many attempts to recover a failed call of a plan may have (by default 3 for
    ``llmorch`` and none for the others, as their papers have it). ``resources`` is what
    there is of what calls take by name, as in ``{"camera": 1, "gpu_memory": "24GiB"}`` (a
    list has one amount a GPU); without ``gpu_memory`` the driver is asked for its GPUs where a
    function needs one. With ``replan`` the technique ``llmorch`` has the model judge whether
    the results answer the query, and ask for more calls if they don't. With ``optimize``
    identical calls of a run are made once where they are declared pure, and one whose result
    nothing uses isn't made for a query. With ``learn``, what calls took is kept in the user's
    cache folder, and the order among calls that wait is made for what those of the same
    functions took before.

    Runs of one orchestrator take turns, so that its processors are each run's own; to
    answer queries at once, use one each. Processes are started when they are first needed
    and kept for the next run; ``close`` ends them, as does the end of ``async with`` and
    the end of the program. Raises ``FunctionError``, ``ModelError`` or ``ValueError`` for arguments that can't be.
    """

    def __init__(
        self,
        functions: Iterable[object] = (),
        *,
        model: str | Model = "local",
        technique: str = "llmorch",
        processors: int | None = None,
        policy: str | None = None,
        examples: str | Path | None = None,
        repairs: int = 2,
        max_recoveries: int | None = None,
        replan: bool = False,
        base_url: str | None = None,
        resources: Mapping[str, Amount | Sequence[Amount]] | None = None,
        optimize: bool = True,
        learn: bool = True,
    ) -> None:
        if processors is not None and not 1 <= processors <= MAX_PROCESSORS:
            raise ValueError(f"processors is at least 1 and at most {MAX_PROCESSORS}, not {processors}")
        if technique not in TECHNIQUES:
            raise ValueError(f"there is no technique {technique!r}; there are {', '.join(TECHNIQUES)}")
        self.policy = TECHNIQUES[technique].policy if policy is None else policy
        policy_named(self.policy)
        self.model = model_of(model, base_url=base_url)
        self.technique = technique
        self.processors = processors or allowed_processors()
        self._repairs = repairs
        if max_recoveries is not None and not 0 <= max_recoveries <= MAX_RECOVERIES:
            raise ValueError(
                f"max_recoveries is at least 0 and at most {MAX_RECOVERIES}, not {max_recoveries}"
            )
        self._replan = replan
        self.optimize = optimize
        self._recoveries = TECHNIQUES[technique].recoveries if max_recoveries is None else max_recoveries
        offered = as_functions(functions)
        kind = self.model.kind
        self._supply, devices = supplied(resources, offered.values())
        self.functions: dict[str, Function] = {
            name: replace(item, kind=kind) if item.asks_model else item
            for name, item in fitted(offered, self.processors, self._supply).items()
        }
        self.functions[SELF] = self_function(kind)
        self._known_as = {name: known_as(item, self.model.name) for name, item in self.functions.items()}
        self._learning: Learning | None = None
        with suppress(RuntimeError):  # nobody's home: there is no place to keep it
            self._learning = Learning(cache_folder() / FILE) if learn else None
        if self._learning is not None:
            weakref.finalize(self, self._learning.write)
        self._examples = () if examples is None else _read_examples(Path(examples))
        self.usage = Usage()
        """What the last run asked of the model, also when it came to no result."""
        self._advised: set[str] = set()
        """The functions of which a run has said that it would gain if they were declared pure."""
        self._places = Places(self.processors, devices)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn: asyncio.Lock

    async def __aenter__(self) -> Orchestrator:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(
        self,
        query: str,
        *,
        deadline: float | None = None,
        max_tokens: int | None = None,
        observer: Observer | None = None,
        wrote: Callable[[str], None] | None = None,
    ) -> Result:
        """Answer a query.

        ``observer`` sees every event and command, ``wrote`` the plan's text as it
        arrives. Raises ``UnresolvedQuery`` when the model writes no plan that can be
        run, ``ModelError`` when the model fails, and ``LimitReached`` after ``deadline``
        seconds or once ``max_tokens``, in and out, are used up; what had finished is then
        in the error's ``result``. A call that fails raises nothing: the result says so,
        and keeps what finished.
        """
        return await self._run(query, deadline, max_tokens, observer, wrote)

    async def execute(
        self, plan: str | Plan, *, deadline: float | None = None, observer: Observer | None = None
    ) -> Result:
        """Run a plan without asking a model for one: every call as it is written.

        Raises ``PlanError``, before anything runs, for a plan that can't be run, and
        ``LimitReached`` after ``deadline`` seconds.
        """
        return await self._execute(plan, deadline, observer)

    def start(
        self,
        query: str,
        *,
        deadline: float | None = None,
        max_tokens: int | None = None,
        observer: Observer | None = None,
        wrote: Callable[[str], None] | None = None,
    ) -> Run:
        """``run`` in the background: what is returned can be awaited for the result, and cancelled."""
        return Run(lambda run: self._run(query, deadline, max_tokens, observer, wrote, run))

    def start_plan(
        self, plan: str | Plan, *, deadline: float | None = None, observer: Observer | None = None
    ) -> Run:
        """``execute`` in the background. Raises ``PlanError`` at once for a plan that can't be run."""
        checked = self.check(plan)
        return Run(lambda run: self._execute(checked, deadline, observer, run))

    async def plan(self, query: str, *, wrote: Callable[[str], None] | None = None) -> Plan:
        """The plan for a query, without running it.

        Raises as ``run`` does, and ``UnresolvedQuery`` for a technique that makes no plan.
        """
        if not TECHNIQUES[self.technique].plans:
            named = ", ".join(name for name, technique in TECHNIQUES.items() if technique.plans)
            raise UnresolvedQuery(f"{self.technique} thinks in turns and makes no plan; these do: {named}")
        conversing = Conversing(self.model, wrote=wrote)
        self.usage = conversing.usage
        return await first_plan(
            TECHNIQUES[self.technique].play(self._task(query)), conversing, self.functions
        )

    def check(self, plan: str | Plan) -> Plan:
        """The plan, parsed and checked against the functions. Raises ``PlanError``."""
        made = parse(plan) if isinstance(plan, str) else plan
        if not made.calls:
            raise EmptyPlan("the plan has no call")
        return check(made, self.functions)

    def forecast(
        self,
        plan: str | Plan,
        *,
        planning: Usage | None = None,
        prices: tuple[float, float] | None = None,
    ) -> Forecast:
        """What a plan will probably take, by what earlier calls of its functions took; nothing is run.

        ``planning`` is what making the plan for a query has cost (``usage``, after ``plan``): what
        nothing uses is then left out, as ``run`` does, where ``execute`` makes it. ``prices``
        are those of a million tokens, in and out; a model on this machine costs nothing.
        Raises ``PlanError`` for a plan that can't be run, and ``ValueError``.
        """
        from llmorch.forecast import forecast

        learned = Learned() if self._learning is None else self._learning.known()
        if prices is None and self.model.kind == "compute":
            prices = (0.0, 0.0)
        return forecast(
            self.check(plan),
            self.functions,
            learned,
            self._known_as,
            processors=self.processors,
            policy=self.policy,
            supply=self._supply,
            optimize=self.optimize,
            all_made=planning is None or self._replan or self.technique != "llmorch",
            planning=planning or Usage(),
            after=learned.estimate(self._asks("after it")),
            prices=prices,
        )

    def run_sync(self, query: str, *, deadline: float | None = None, max_tokens: int | None = None) -> Result:
        """``run``, for code without an event loop."""
        return outside_loop(self.run(query, deadline=deadline, max_tokens=max_tokens), "run")

    def execute_sync(self, plan: str | Plan, *, deadline: float | None = None) -> Result:
        """``execute``, for code without an event loop."""
        return outside_loop(self.execute(plan, deadline=deadline), "execute")

    async def close(self) -> None:
        """End every process that runs started. A later run starts them again."""
        await self._places.close()
        if self._learning is not None:
            self._learning.write()
        await self.model.close()

    def _task(self, query: str) -> Task:
        if not query.strip():
            raise ValueError("the query is empty")
        return Task(
            query,
            self.functions,
            self._examples,
            constrains=self.model.constrains,
            calls_tools=self.model.calls_tools,
            repairs=self._repairs,
            recoveries=self._recoveries,
            replan=self._replan,
            optimize=self.optimize,
        )

    async def _run(
        self,
        query: str,
        deadline: float | None,
        max_tokens: int | None,
        observer: Observer | None,
        wrote: Callable[[str], None] | None,
        run: Run | None = None,
    ) -> Result:
        if max_tokens is not None and max_tokens < 1:
            raise ValueError(f"max_tokens is at least 1, not {max_tokens}")
        conversing = Conversing(self.model, wrote=wrote, max_tokens=max_tokens)
        task = self._task(query)
        only = self.technique == "llmorch" and not self._replan and not self._recoveries
        conversation = TECHNIQUES[self.technique].play(task)
        return await self._play(
            _Play(conversation, conversing, Limit(deadline), observer, run, only, query, task.tried)
        )

    async def _execute(
        self, plan: str | Plan, deadline: float | None, observer: Observer | None, run: Run | None = None
    ) -> Result:
        checked = self.check(plan)
        return await self._play(
            _Play(_just(checked), Conversing(self.model), Limit(deadline), observer, run, only=True)
        )

    async def _play(self, play: _Play) -> Result:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._turn = loop, asyncio.Lock()
        try:
            if play.cancelled:  # before it began
                raise asyncio.CancelledError
            await play.limit.turn(self._turn)
        except LimitReached as error:
            error.result = self._collected(play, Answer(False, error=str(error)))
            raise
        except asyncio.CancelledError:
            if not play.cancelled:
                raise
            return self._collected(play, Answer(False, error=RUN_CANCELLED))
        try:
            return await self._play_alone(play)
        finally:
            self._turn.release()

    def _core(self) -> Orchestration:
        learning = self._learning
        return Orchestration(
            self.functions,
            processors=self.processors,
            policy=policy_named(self.policy),
            supply=self._supply,
            optimize=self.optimize,
            durations=None if learning is None else durations(learning.known(), self._known_as),
        )

    def _learn(self, execution: Execution, conversing: Conversing, *, query: str | None) -> None:
        """Keep what a run's calls took, and what its technique asked of the model."""
        if self._learning is None:
            return
        samples = taken(execution, self._known_as)
        if query is not None and TECHNIQUES[self.technique].plans:
            for when, usage in (("planning", conversing.planning), ("after it", conversing.later)):
                samples[self._asks(when)] = [
                    Sample(usage.seconds, usage.requests, usage.input_tokens, usage.output_tokens)
                ]
        self._learning.learn(samples)

    def _asks(self, when: str) -> str:
        """What the technique's own requests are known as."""
        again = " with replan" if self._replan else ""
        return f"{self.technique}{again}, {when}, asking {self.model.name}"

    def _collected(
        self,
        play: _Play,
        answer: Answer,
        plan: Plan = _NO_PLAN,
        *,
        core: Orchestration | None = None,
        execution: Execution | None = None,
        notes: Sequence[str] = (),
    ) -> Result:
        return collect(
            answer,
            plan,
            core or self._core(),
            {} if execution is None else execution.outcomes.results,
            query=play.query,
            technique=None if play.query is None else self.technique,
            processors=self.processors,
            makespan=0.0 if execution is None else execution.makespan,
            usage=play.conversing.usage,
            tracebacks={} if execution is None else execution.outcomes.tracebacks,
            retried=() if execution is None else execution.retried,
            notes=(*notes, *answer.notes),
        )

    async def _play_alone(self, play: _Play) -> Result:
        def collected(answer: Answer, plan: Plan, execution: Execution) -> Result:
            told = (*notes.values(), *execution.outcomes.notes.values())
            return self._collected(play, answer, plan, core=core, execution=execution, notes=told)

        def so_far(why: str, execution: Execution) -> Result:
            core.abandon(execution.held)
            made = Plan(tuple(core.graph.call(id_) for id_ in core.graph))
            return collected(Answer(False, error=why, recoveries=tuple(play.tried)), made, execution)

        conversing = play.conversing
        self.usage = conversing.usage
        core = self._core()
        notes: dict[str, str] = {}
        execution: Execution | None = None
        try:
            async with Execution(
                core,
                self.functions,
                places=self._places.open(self.functions.values(), notes),
                ask=lambda prompt, asker: replied(conversing, prompt, notes, asker),
                ahead=self._ahead,
                observer=play.observer,
                only=play.only,
            ) as execution:
                if play.run is not None:
                    play.run.attach(execution)
                conversation = converse(play.conversation, conversing, self.functions, execution)
                played = await play.limit.within(conversation)
        except asyncio.CancelledError as cancelled:
            if execution is not None:
                self._learn(execution, conversing, query=None)
            if play.cancelled and execution is not None:
                return so_far(RUN_CANCELLED, execution)
            await asyncio.shield(self.close())
            if execution is not None:
                cancelled.add_note(_what_finished(core))
            raise
        except LLMOrchError as error:
            error.add_note(_what_finished(core))
            if execution is not None:
                self._learn(execution, conversing, query=None)
                error.result = so_far(str(error), execution)
            raise
        result = collected(played.value, played.plan, execution)
        self._learn(execution, conversing, query=play.query)
        answers = play.query is not None and self.technique == "llmorch" and not self._replan
        undeclared = {name: item for name, item in self.functions.items() if name not in self._advised}
        advice = would_gain(result.calls, undeclared, plan=result.plan, last_answers=answers)
        if advice is None or not self.optimize:
            return result
        self._advised.update(advice.functions)
        return replace(result, notes=(*result.notes, advice.text))

    @property
    def _ahead(self) -> Callable[[str], Awaitable[None]] | None:
        model = self.model
        return (lambda prompt: model.read_ahead(prompting(prompt))) if isinstance(model, ReadsAhead) else None


def _just(plan: Plan) -> Conversation[Answer]:
    outcome: Outcome = yield RunPlan(plan)
    return answer_of(outcome)


def _read_examples(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FunctionError(f"the examples {path} can't be read: {error}") from None
    return parse_examples(text, name=str(path))


def _what_finished(core: Orchestration) -> str:
    by_status: dict[str, list[str]] = {}
    for call, state in core.states.items():
        by_status.setdefault(state.status, []).append(call)
    told = "; ".join(f"{status}: {', '.join(calls)}" for status, calls in by_status.items())
    return told or "no call had started"
