"""The one place where the parts meet: functions, model, technique, processors."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmorch.calls import Plan
from llmorch.errors import (
    EmptyPlan,
    FunctionError,
    LimitReached,
    LLMOrchError,
    ModelError,
    UnresolvedQuery,
)
from llmorch.functions import SELF, Function, as_functions, fitted, self_function
from llmorch.learned import Learned, Sample, durations, known_as
from llmorch.machine import allowed_processors, cache_folder, device_name, gpus
from llmorch.models.model import ReadsAhead
from llmorch.plan import check, parse
from llmorch.relations import unused
from llmorch.requests import Message, ModelRequest
from llmorch.resources import GPU_MEMORY, Supply, supply_of
from llmorch.result import Result, collect
from llmorch.running import Limit, Run
from llmorch.runtime.converse import Conversing, Usage, converse, first_plan
from llmorch.runtime.drive import Execution
from llmorch.runtime.learning import FILE, Learning, taken
from llmorch.runtime.sharing import leave_running
from llmorch.schedule import Orchestration, policy_named
from llmorch.techniques import TECHNIQUES, Answer, RunPlan, Task, answer_of, parse_examples

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
    from typing import TypeVar

    from llmorch.calls import CallId
    from llmorch.forecast import Forecast
    from llmorch.models.model import Model
    from llmorch.processors.growing import GrowingPool
    from llmorch.processors.inline import Inline
    from llmorch.processors.pool import Pool
    from llmorch.resources import Amount
    from llmorch.runtime.drive import Observer
    from llmorch.techniques import Conversation, Outcome, Recovery

    T = TypeVar("T")

RUN_CANCELLED = "the run was cancelled"
MAX_PROCESSORS = 1024
MAX_RECOVERIES = 20
ANSWER_TOKENS = 384
"""The longest reply to a prompt inside a plan, such as ``self``'s."""

_ANSWERING = Message("system", "Do what the prompt asks, from what it gives. Answer exactly and briefly.")


def model_named(spec: str, *, base_url: str | None = None, progress: Any = None) -> Model:
    """The model behind a name: ``local``, ``local:0.5b``, ``local:FILE.gguf``, ``openai:NAME``, ``recorded:FILE``.

    Nothing is loaded or connected to yet. Raises ``ModelError`` for a name that isn't one.
    """
    provider, _, name = spec.partition(":")
    if provider == "local":
        from llmorch.models.local import LocalModel

        return LocalModel(spec, progress=progress)
    if provider == "openai" and name:
        from llmorch.models.openai import OpenAIModel

        return OpenAIModel(name, base_url=base_url)
    if provider == "recorded" and name:
        from llmorch.models.recorded import RecordedModel

        return RecordedModel(name)
    raise ModelError(
        f"there is no model {spec!r}; write local, local:0.5b, local:/path/file.gguf, openai:NAME or recorded:FILE"
    )


_NO_PLAN = Plan(())


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
    identical pure calls of a run are made once, and a pure call whose result nothing uses
    isn't made. With ``learn``, what calls took is kept in the user's cache folder, and the
    order among calls that wait is made for what those of the same functions took before.

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
        self.model = model_named(model, base_url=base_url) if isinstance(model, str) else model
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
        self._supply, self._devices = _supplied(resources, offered.values())
        self.functions: dict[str, Function] = {
            name: _with_kind(item, kind) if item.asks_model else item
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
        self._pool: Pool | None = None
        self._inline: Inline | None = None
        self._processes: GrowingPool | None = None
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
        """Run a plan without asking a model for one.

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

        ``planning`` is what making the plan has cost (``usage``, after ``plan``). ``prices``
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
            all_shown=self._replan or self.technique != "llmorch",
            planning=planning or Usage(),
            after=learned.estimate(self._asks("after it")),
            prices=prices,
        )

    def run_sync(self, query: str, *, deadline: float | None = None, max_tokens: int | None = None) -> Result:
        """``run``, for code without an event loop."""
        return _outside_loop(self.run(query, deadline=deadline, max_tokens=max_tokens), "run")

    def execute_sync(self, plan: str | Plan, *, deadline: float | None = None) -> Result:
        """``execute``, for code without an event loop."""
        return _outside_loop(self.execute(plan, deadline=deadline), "execute")

    async def close(self) -> None:
        """End every process that runs started. A later run starts them again."""
        pool, self._pool = self._pool, None
        inline, self._inline = self._inline, None
        processes, self._processes = self._processes, None
        if pool is not None:
            await pool.close()
        if processes is not None:
            await processes.close()
        if inline is not None:
            await inline.close()
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
        return await self._play(
            TECHNIQUES[self.technique].play(task),
            conversing,
            query=query,
            tried=task.tried,
            observer=observer,
            limit=Limit(deadline),
            run=run,
            only=self.technique == "llmorch" and not self._replan and not self._recoveries,
        )

    async def _execute(
        self, plan: str | Plan, deadline: float | None, observer: Observer | None, run: Run | None = None
    ) -> Result:
        checked = self.check(plan)
        left = unused(checked, self.functions) if self.optimize else frozenset()
        return await self._play(
            _just(checked, left),
            Conversing(self.model),
            query=None,
            tried=(),
            observer=observer,
            limit=Limit(deadline),
            run=run,
            only=True,
        )

    async def _play(
        self,
        conversation: Conversation[Answer],
        conversing: Conversing,
        *,
        query: str | None,
        tried: Sequence[Recovery],
        observer: Observer | None,
        limit: Limit,
        run: Run | None,
        only: bool,
    ) -> Result:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._turn = loop, asyncio.Lock()
        try:
            if run is not None and run.cancelled:  # before it began
                raise asyncio.CancelledError
            await limit.within(self._turn.acquire())
        except LimitReached as error:
            error.result = self._collected(Answer(False, error=str(error)), conversing, query=query)
            raise
        except asyncio.CancelledError:
            if run is None or not run.cancelled:
                raise
            return self._collected(Answer(False, error=RUN_CANCELLED), conversing, query=query)
        try:
            return await self._play_alone(
                conversation,
                conversing,
                query=query,
                tried=tried,
                observer=observer,
                limit=limit,
                run=run,
                only=only,
            )
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
        answer: Answer,
        conversing: Conversing,
        *,
        query: str | None,
        plan: Plan = _NO_PLAN,
        core: Orchestration | None = None,
        execution: Execution | None = None,
        notes: Sequence[str] = (),
    ) -> Result:
        return collect(
            answer,
            plan,
            core or self._core(),
            {} if execution is None else execution.results,
            query=query,
            technique=None if query is None else self.technique,
            processors=self.processors,
            makespan=0.0 if execution is None else execution.makespan,
            usage=conversing.usage,
            retried=() if execution is None else execution.retried,
            notes=(*notes, *answer.notes),
        )

    async def _play_alone(
        self,
        conversation: Conversation[Answer],
        conversing: Conversing,
        *,
        query: str | None,
        tried: Sequence[Recovery],
        observer: Observer | None,
        limit: Limit,
        run: Run | None,
        only: bool,
    ) -> Result:
        def collected(answer: Answer, plan: Plan, execution: Execution) -> Result:
            told = (*notes.values(), *execution.notes.values())
            return self._collected(
                answer, conversing, query=query, plan=plan, core=core, execution=execution, notes=told
            )

        def so_far(why: str, execution: Execution) -> Result:
            core.abandon(execution.held)
            made = Plan(tuple(core.graph.call(id_) for id_ in core.graph))
            return collected(Answer(False, error=why, recoveries=tuple(tried)), made, execution)

        self.usage = conversing.usage
        core = self._core()
        notes: dict[str, str] = {}
        execution: Execution | None = None
        try:
            async with Execution(
                core,
                self.functions,
                inline=self._inout(notes),
                processes=self._stoppable(),
                workers=self._workers().place,
                ask=lambda prompt, asker: _asked(conversing, prompt, notes, asker),
                ahead=self._ahead,
                observer=observer,
                only=only,
            ) as execution:
                if run is not None:
                    run.attach(execution)
                played = await limit.within(converse(conversation, conversing, self.functions, execution))
        except asyncio.CancelledError as cancelled:
            if execution is not None:
                self._learn(execution, conversing, query=None)
            if run is not None and run.cancelled and execution is not None:
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
        self._learn(execution, conversing, query=query)
        return result

    @property
    def _ahead(self) -> Callable[[str], Awaitable[None]] | None:
        model = self.model
        return (
            (lambda prompt: model.read_ahead(_prompting(prompt))) if isinstance(model, ReadsAhead) else None
        )

    def _inout(self, notes: dict[str, str]) -> Inline:
        from llmorch.processors.inline import Inline

        if self._inline is None:
            self._inline = Inline(leave=leave_running)

        def measured(function: Function, cpu: float, share: float) -> None:
            if not function.declared and cpu > 0.1 and cpu > share / 2:
                notes[function.name] = (
                    f"{function.name} spent most of its time on the CPU ({cpu:.1f} s), where it holds up every "
                    'other call: declare it with @function(kind="compute") to give it a processor'
                )

        self._inline.measured = measured
        return self._inline

    def _stoppable(self) -> GrowingPool:
        from llmorch.processors.growing import GrowingPool

        if self._processes is None:
            self._processes = GrowingPool()
        return self._processes

    def _workers(self) -> Pool:
        from llmorch.processors.pool import Pool

        if self._pool is None:
            self._pool = Pool(self.processors, self._devices)
            if any(item.kind == "compute" and not item.asks_model for item in self.functions.values()):
                self._pool.start()
        return self._pool


def _supplied(
    said: Mapping[str, Amount | Sequence[Amount]] | None, functions: Iterable[Function]
) -> tuple[Supply, tuple[str, ...]]:
    """What there is, and what the GPUs are called."""
    supply = supply_of(said)
    if GPU_MEMORY in (said or {}):
        return supply, tuple(device_name(number) for number in range(len(supply.gpus)))
    if not any(GPU_MEMORY in item.resources for item in functions):
        return supply, ()
    found = gpus()
    return Supply(supply.named, tuple(gpu.memory for gpu in found)), tuple(gpu.name for gpu in found)


def _with_kind(function: Function, kind: Any) -> Function:
    from dataclasses import replace

    return replace(function, kind=kind)


def _just(plan: Plan, left: frozenset[CallId]) -> Conversation[Answer]:
    outcome: Outcome = yield RunPlan(plan, unused=left)
    return answer_of(outcome)


def _prompting(prompt: str) -> ModelRequest:
    return ModelRequest((_ANSWERING, Message("user", prompt)), max_tokens=ANSWER_TOKENS)


async def _asked(conversing: Conversing, prompt: str, notes: dict[str, str], asker: Usage) -> str:
    reply = await conversing.ask(_prompting(prompt), asker)
    text = reply.text.strip()
    shown = " ".join(prompt.split())[:60]
    if not text:
        raise ModelError(f"{conversing.model.name} replied with nothing to {shown!r}")
    if reply.reason == "length":
        notes[prompt] = f"the reply to {shown!r} was cut off after {ANSWER_TOKENS} tokens"
    return text


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


def _outside_loop(work: Coroutine[Any, Any, T], name: str) -> T:
    if _in_loop():
        work.close()
        raise LLMOrchError(f"an event loop runs already; write: await orchestrator.{name}(...)")

    async def alone() -> T:
        from llmorch.processors.stopping import end_tasks

        try:
            return await work
        finally:
            await end_tasks()

    return asyncio.run(alone())


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
