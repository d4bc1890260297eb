"""Where the parts meet: functions, model, technique, processors."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from llmorch import settings
from llmorch.arguments import text, truth
from llmorch.carried import reduced
from llmorch.learned import Learned, durations, known_as
from llmorch.models.model import ReadsAhead
from llmorch.models.named import models_of
from llmorch.plan import check
from llmorch.play import Play, just
from llmorch.requests import Usage
from llmorch.run import Limit, Run, outside_loop
from llmorch.runtime.callers import callers
from llmorch.runtime.confirm import Confirming
from llmorch.runtime.conversation import first_plan
from llmorch.runtime.conversing import Conversing
from llmorch.runtime.driver import Execution
from llmorch.runtime.model_place import Asked, prompting, replied
from llmorch.runtime.samples import FILE, learning_in
from llmorch.session import Session
from llmorch.techniques import Answer, Task, Technique

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import TypeVar

    from llmorch.calls import Plan
    from llmorch.declare.resources import Amount
    from llmorch.forecast import Forecast
    from llmorch.models.model import Model
    from llmorch.processors import Processors
    from llmorch.result import Result
    from llmorch.runtime.confirm import Confirm
    from llmorch.runtime.observers import Observer
    from llmorch.schedule import Policy
    from llmorch.techniques import Conversation
    from llmorch.techniques.influence import Rule

    E = TypeVar("E", bound=Execution)
    Ask = Callable[[str, Usage], Awaitable[str]]


class Orchestrator:
    """Answers queries by calling functions, as parallel as they allow.

    ``functions`` are callables, declared with ``@function`` or plain, and objects of
    ``@stateful`` classes, which stand for their methods; ``self(prompt)`` is always offered.
    ``model`` is a name (see ``model_named``) or a ``Model``, and those in ``fallback`` are asked where it fails;
    ``planner`` is another one that a technique asks, so that ``model`` is what calls ask. ``processors`` is how many
    compute calls may run at once, each in a process of its own, by default as many as this process may
    use; or a ``Processors`` that is shared with other orchestrators. ``technique`` is how the model is
    asked, by name or as a ``Technique``, and ``policy`` how the calls of a run are coordinated, by name or as
    what makes a ``Policy`` for each run; by default as the technique's paper does. ``examples``
    are queries and their plans, for the prompt: a path to a file of them. ``repairs`` is
    how often a plan that can't be run is given back to the model, and ``max_recoveries``
    how many attempts to recover a failed call of a plan may have (by default 3 for ``llmorch`` and none
    for the others, as their papers have it). ``resources`` is what there is of what calls take by name
    (see ``Processors``). With ``replan`` the technique ``llmorch`` has the model judge whether the results
    answer the query, and ask for more calls if they don't. With ``optimize`` identical calls of a run are made
    once where they are declared pure, and one whose result nothing uses isn't made for a query. With ``learn``,
    what calls took is kept in the user's cache folder, and the order among calls is made for that.

    ``influence`` is what becomes of a call with effects that the model wrote after it had read what comes from
    outside, where the plan from the query alone didn't have it: ``"refuse"`` (the default with a plan), ``"ask"``,
    by ``confirm``, a function of a ``Proposal``, sync or async, that returns ``True`` where it may be made (the
    default in turns, if it is given), or ``"allow"`` (else in turns, with a note). With ``strict`` functions of
    which nobody said what they touch count as ones with effects.

    Any number of runs and sessions may be open at once, from any threads and event loops; none is in
    another's way but for what the processors have. Processes are started when they are first needed and
    kept; ``close`` ends them, as do the end of ``async with`` and of the program. Sent to another process, it has
    processors of its own there. Raises ``WrongArgument`` or ``ModelError``.
    """

    def __init__(
        self,
        functions: Iterable[object] = (),
        *,
        model: str | Model = "local",
        planner: str | Model | None = None,
        fallback: Sequence[str | Model] = (),
        technique: str | Technique = "llmorch",
        processors: int | Processors | None = None,
        policy: str | Callable[[], Policy] | None = None,
        examples: str | Path | None = None,
        repairs: int = 2,
        max_recoveries: int | None = None,
        replan: bool = False,
        base_url: str | None = None,
        resources: Mapping[str, Amount | Sequence[Amount]] | None = None,
        optimize: bool = True,
        learn: bool = True,
        influence: Rule | None = None,
        confirm: Confirm | None = None,
        strict: bool = False,
    ) -> None:
        self._shared = settings.processors_of(processors, resources)
        self._owns = self._shared is not processors
        self._technique = settings.technique_of(technique)
        self.technique = self._technique.name
        self._policy = settings.policies_of(self._technique.policy if policy is None else policy)
        self.policy = self._policy().name
        self._repairs = settings.times_of("repairs", repairs)
        recoveries = self._technique.recoveries if max_recoveries is None else max_recoveries
        self._recoveries = settings.times_of("max_recoveries", recoveries)
        self._examples = () if examples is None else settings.examples_in(examples)
        self._replan = truth("replan", replan)
        self.optimize = truth("optimize", optimize)
        self.model = models_of(model, fallback, base_url=base_url)
        self.planner = self.model if planner is None else models_of(planner, fallback)
        self.processors = self._shared.count
        self.functions = settings.offered(functions, self.model, self._shared)
        self._shared.agree(self.functions, self)
        self._influence = settings.influence_of(influence, confirm, self._technique, strict=strict)
        self._confirm = confirm
        self._known_as = {name: known_as(item, self.model.name) for name, item in self.functions.items()}
        self._learning = learning_in(FILE) if truth("learn", learn) else None
        if self._learning is not None:
            weakref.finalize(self, self._learning.write)
        self._asks = settings.asked_as(self._technique, self.planner, replan=replan)
        self._advised: set[str] = set()

    __reduce__ = reduced

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
        priority: float = 1.0,
        observer: Observer | None = None,
        wrote: Callable[[str], None] | None = None,
    ) -> Result:
        """Answer a query.

        Among runs that wait for the same processors, who has used least goes first; one of
        ``priority`` 2 gets twice as much as one of 1. ``observer`` sees every event and command, ``wrote`` the
        plan's text as it arrives. Raises ``UnresolvedQuery`` when the model writes no plan that can be
        run, ``ModelError`` when the model fails, and ``LimitReached`` after ``deadline``
        seconds or once ``max_tokens``, in and out, are used up; what had finished is then
        in the error's ``result``. A call that fails raises nothing: the result says so,
        and keeps what finished.
        """
        return await self._run(query, deadline, max_tokens, priority, observer, wrote)

    async def execute(
        self,
        plan: str | Plan,
        *,
        deadline: float | None = None,
        priority: float = 1.0,
        observer: Observer | None = None,
    ) -> Result:
        """Run a plan without asking a model for one: every call as it is written.

        Raises ``PlanError``, before anything runs, for a plan that can't be run, and
        ``LimitReached`` after ``deadline`` seconds.
        """
        return await self._execute(plan, deadline, priority, observer)

    def start(
        self,
        query: str,
        *,
        deadline: float | None = None,
        max_tokens: int | None = None,
        priority: float = 1.0,
        observer: Observer | None = None,
        wrote: Callable[[str], None] | None = None,
    ) -> Run:
        """``run`` in the background: what is returned can be awaited for the result, and cancelled."""
        return Run(lambda run: self._run(query, deadline, max_tokens, priority, observer, wrote, run))

    def start_plan(
        self,
        plan: str | Plan,
        *,
        deadline: float | None = None,
        priority: float = 1.0,
        observer: Observer | None = None,
    ) -> Run:
        """``execute`` in the background. Raises ``PlanError`` at once for a plan that can't be run."""
        checked = self.check(plan)
        return Run(lambda run: self._execute(checked, deadline, priority, observer, run), checked)

    def session(self, *, priority: float = 1.0, observer: Observer | None = None) -> Session:
        """Calls that are added one by one while others run::

        async with orchestrator.session() as session:
            value = await session.call("search", {"query": "Texas"})
        """
        settings.check_run(priority=priority, observer=observer)
        conversing = Conversing(self.model)

        async def ask(prompt: str, asker: Usage) -> str:
            return await replied(conversing, prompt, {}, asker)

        said = {"observer": observer, "priority": float(priority)}
        return Session(lambda kind: self._begin(ask, kind=kind, **said), self.functions)

    async def plan(
        self,
        query: str,
        *,
        wrote: Callable[[str], None] | None = None,
        usage: Usage | None = None,
        max_tokens: int | None = None,
    ) -> Plan:
        """The plan for a query, without running it. ``usage`` adds up what it asks of the model.

        Raises as ``run`` does, and ``UnresolvedQuery`` for a technique that makes no plan.
        """
        settings.check_usage("usage", usage)
        settings.check_run(max_tokens=max_tokens, wrote=wrote)
        if not self._technique.plans:
            raise settings.without_plan(self.technique)
        conversing = Conversing(self.model, self.planner, wrote=wrote, usage=usage, max_tokens=max_tokens)
        return await first_plan(self._technique.play(self._task(query)), conversing, self.functions)

    def check(self, plan: str | Plan) -> Plan:
        """The plan, parsed and checked against the functions. Raises ``PlanError``."""
        return check(settings.plan_of(plan), self.functions)

    def forecast(
        self,
        plan: str | Plan,
        *,
        planning: Usage | None = None,
        prices: tuple[float, float] | None = None,
    ) -> Forecast:
        """What a plan will probably take, by what earlier calls of its functions took; nothing is run.

        ``planning`` is what making the plan for a query has cost (``usage`` of ``plan``): what
        nothing uses is then left out, as ``run`` does, where ``execute`` makes it. ``prices``
        are those of a million tokens, in and out; a model on this machine costs nothing.
        Raises ``PlanError`` for a plan that can't be run, and ``WrongArgument``.
        """
        from llmorch.forecast import forecast

        settings.check_usage("planning", planning)
        learned = Learned() if self._learning is None else self._learning.known()
        return forecast(
            self.check(plan),
            self.functions,
            learned,
            self._known_as,
            processors=self.processors,
            policy=self.policy,
            supply=self._shared.supply,
            optimize=self.optimize,
            all_made=planning is None or self._replan or not self._technique.last_answers,
            planning=planning or Usage(),
            after=learned.estimate(self._asks.get("after it", "")),
            prices=settings.prices_of(prices, self.model),
        )

    def run_sync(self, query: str, *, deadline: float | None = None, max_tokens: int | None = None) -> Result:
        """``run``, for code without an event loop."""
        return outside_loop(self.run(query, deadline=deadline, max_tokens=max_tokens), "run")

    def execute_sync(self, plan: str | Plan, *, deadline: float | None = None) -> Result:
        """``execute``, for code without an event loop."""
        return outside_loop(self.execute(plan, deadline=deadline), "execute")

    async def close(self) -> None:
        """Stop what runs and end every process that runs started, unless its ``Processors`` are shared.

        A later run starts them again.
        """
        if self._owns:
            await self._shared.close()
        if self._learning is not None:
            self._learning.write()
        await self.model.close()
        await self.planner.close()

    def _task(self, query: str) -> Task:
        return Task(
            text("query", query),
            self.functions,
            self._examples,
            influence=self._influence(self.functions),
            constrains=self.planner.constrains,
            calls_tools=self.planner.calls_tools,
            repairs=self._repairs,
            recoveries=self._recoveries,
            replan=self._replan,
            optimize=self.optimize,
        )

    def _run(
        self,
        query: str,
        deadline: float | None,
        max_tokens: int | None,
        priority: float,
        observer: Observer | None,
        wrote: Callable[[str], None] | None,
        run: Run | None = None,
    ) -> Coroutine[Any, Any, Result]:
        settings.check_run(
            deadline=deadline, max_tokens=max_tokens, priority=priority, observer=observer, wrote=wrote
        )
        task = self._task(query)
        ours = self._technique.last_answers and not self._replan
        return self._play(
            self._technique.play(task),
            Conversing(self.model, self.planner, wrote=wrote, max_tokens=max_tokens),
            deadline,
            priority,
            observer,
            run,
            only=ours and not self._recoveries,
            query=query,
            technique=self.technique,
            tried=task.tried,
            influence=task.influence,
            last_answers=ours,
            asks=self._asks,
        )

    def _execute(
        self,
        plan: str | Plan,
        deadline: float | None,
        priority: float,
        observer: Observer | None,
        run: Run | None = None,
    ) -> Coroutine[Any, Any, Result]:
        settings.check_run(deadline=deadline, priority=priority, observer=observer)
        said = {"only": True, "asks": {}, "influence": self._influence(self.functions)}
        conversation = just(self.check(plan))
        return self._play(conversation, Conversing(self.model), deadline, priority, observer, run, **said)

    async def _play(
        self,
        conversation: Conversation[Answer],
        conversing: Conversing,
        deadline: float | None,
        priority: float,
        observer: Observer | None,
        run: Run | None,
        **said: Any,
    ) -> Result:
        begin = partial(self._begin, kind=Execution, observer=observer, priority=float(priority))
        play = Play(
            conversation=conversation,
            conversing=conversing,
            limit=Limit(deadline),
            run=run,
            functions=self.functions,
            processors=self.processors,
            begin=begin,
            confirming=lambda said: Confirming(said, self._confirm, self._shared.door(self.functions).inline),
            optimize=self.optimize,
            learning=self._learning,
            known_as=self._known_as,
            advised=self._advised,
            **said,
        )
        return await play.result()

    def _begin(self, ask: Ask, *, kind: type[E], **said: Any) -> E:
        """Open a run on the processors; ``ask`` is how its calls ask the model."""
        door = self._shared.door(self.functions)
        asked = Asked(door.inline, ask)
        learning, model = self._learning, self.model
        ahead = (lambda said: model.read_ahead(prompting(said))) if isinstance(model, ReadsAhead) else None
        return kind(
            door,
            self.functions,
            places=lambda function: asked if function.asks_model else door.place,
            ahead=ahead,
            policy=self._policy(),
            optimize=self.optimize,
            durations=None if learning is None else durations(learning.known(), self._known_as),
            above=callers(door),
            **said,
        )
