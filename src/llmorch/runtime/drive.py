"""The real-time driver of the core: events from running calls, commands to them.

Every task is owned by one group, every function's exception becomes an event, and what
happens next is the core's to say. This module must not decide any order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from llmorch.errors import CallError, EvaluationError, ModelError
from llmorch.functions import SELF
from llmorch.plan.evaluate import as_text
from llmorch.processors.failure import late
from llmorch.processors.handing import opened
from llmorch.processors.showing import Shown
from llmorch.relations import touches
from llmorch.runtime.arguments import arguments
from llmorch.runtime.batching import Part, made_as_one
from llmorch.runtime.converse import Usage
from llmorch.runtime.prompting import beginning, prompt
from llmorch.runtime.results import Results, spent
from llmorch.runtime.retrying import Retried, in_time, next_pause
from llmorch.runtime.sharing import Sharing, shares
from llmorch.schedule import (
    BatchEnded,
    CallCancelled,
    CallCompleted,
    CallFailed,
    CallStopped,
    Cancel,
    CancelRequested,
    Dispatch,
    EffectsKnown,
    Finish,
    Keep,
    ModelOccupied,
    ModelReleased,
    PlanExtended,
    PlanRevised,
    ReturnRate,
    Share,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from llmorch.calls import CallId, FunctionCall
    from llmorch.functions import Function
    from llmorch.processors.inline import Inline
    from llmorch.processors.processor import Handing
    from llmorch.schedule import Command, Event, Orchestration

MIN_AHEAD = 60
"""Characters of a prompt below which it isn't worth asking a model to read them ahead."""
MAX_PROMPTS = 20
"""Prompts of one call: a function that never ends asking must not run for ever."""


class Cancellable(Protocol):
    """A call that runs: a task, or a thread's job."""

    def cancel(self) -> object:
        """Stop it, or drop what comes of it."""


class _Attempt:
    """One attempt to make a call. A revised plan may give it another id while it runs."""

    __slots__ = ("call", "device", "given_up", "number", "processors", "shown", "spent", "unwanted", "work")

    def __init__(self, call: FunctionCall, number: int, started: Dispatch) -> None:
        self.call = call
        self.number = number
        self.processors = () if started.processor is None else (started.processor, *started.beside)
        self.device = started.device
        self.shown: Mapping[CallId, str] = {}
        """How a model is shown the results that it uses."""
        self.spent: Usage | None = None
        """What it asked of the model, if it did."""
        self.work: Cancellable | None = None
        self.unwanted = False
        """Whether it was cancelled from outside, and hasn't ended yet."""
        self.given_up = False
        """Whether the core cancelled it."""

    @property
    def key(self) -> tuple[CallId, int]:
        return self.call.id, self.number


class Observer(Protocol):
    """Sees every event and command of an execution, as it happens."""

    def __call__(self, message: Event | Command, at: float) -> None:
        """``at`` is in seconds from the start of execution."""


class Execution:
    """One plan's execution on real processors.

    ``inline`` runs inout calls, ``processes`` those of them that a thread couldn't stop;
    ``workers`` names the place for a compute call, given the numbers of its processors and
    of its GPU, if it has one; ``ask`` sends a prompt to the model for the functions that ask
    it, and adds up what the call asked. ``ahead`` has an idle model read the beginning of a
    prompt that it will be asked, where it can. ``only`` says that nothing is planned in the
    light of this plan's results: they are freed after their last use.
    """

    def __init__(
        self,
        core: Orchestration,
        functions: Mapping[str, Function],
        *,
        inline: Inline,
        processes: Handing,
        workers: Callable[[tuple[int, ...], int | None], Handing],
        ask: Callable[[str, Usage], Awaitable[str]],
        ahead: Callable[[str], Awaitable[None]] | None = None,
        observer: Observer | None = None,
        only: bool = False,
    ) -> None:
        self.core = core
        self.results = Results()
        self.shown: dict[CallId, str] = {}
        """What a model sees in the place of results, where functions say so."""
        self.notes: dict[str, str] = {}
        """By function, why its results could not be shown as it says."""
        self.makespan = 0.0
        self.held: tuple[FunctionCall, ...] = ()
        """Calls of the plan that a technique holds back while it asks."""
        self.retried: list[Retried] = []
        """The attempts that failed and were followed by another, as that one began."""
        self.spent: dict[tuple[CallId, int], Usage] = {}
        """What each call that completed asked of the model, if it did."""
        self._functions = functions
        self._inline = inline
        self._processes = processes
        self._workers = workers
        self._ask = ask
        self._ahead = ahead
        self._reading: asyncio.Task[None] | None = None
        self._read = ""
        """The beginning of a prompt that the model has read."""
        self._planning = False
        self._observer = observer
        self._only = only
        self._running: dict[tuple[CallId, int], _Attempt] = {}
        self._values: dict[tuple[CallId, int], Any] = {}
        """Every result that the plan, or the one that it revises, may still use."""
        self._group = asyncio.TaskGroup()
        self._direct: set[_Attempt] = set()
        """Calls that run without a task of the group, and those of them that were cancelled, till they end."""
        self._all_ended = asyncio.Event()
        self._finished = asyncio.Event()
        self._failed_lately = False
        self._news = asyncio.Event()
        self._chance = Random()
        self._clock = asyncio.get_running_loop().time
        self._began: float | None = None
        self._sharing = Sharing(core, functions, self._handle) if shares(functions) else None

    async def __aenter__(self) -> Execution:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            if not self._finished.is_set():
                self._handle(CancelRequested())
        except Exception as defect:  # of an observer's, mostly: what runs has to end all the same
            kind, error = type(defect), defect
        for attempt in self._direct:
            if attempt.work is not None:
                attempt.work.cancel()
        while self._direct:  # not for long: they are stopped
            self._all_ended.clear()
            try:
                await self._all_ended.wait()
            except asyncio.CancelledError as cancelled:
                kind, error = type(cancelled), cancelled
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            # A defect of ours, or the caller's own exception: no group around it.
            raise group.exceptions[0] from None
        finally:
            if self._sharing is not None:
                self._sharing.close()
            files = self.results.settle(spent(self.results, self.core), self._values.values())
            self._values.clear()
            if files:
                await asyncio.to_thread(files.clear)

    def extend(
        self,
        calls: tuple[FunctionCall, ...],
        *,
        complete: bool = False,
        unused: frozenset[CallId] = frozenset(),
    ) -> None:
        """More of the plan is known; calls that are ready start before this returns."""
        self._finished.clear()
        self._handle(PlanExtended(calls, complete, unused))
        self._narrow(call.id for call in calls if call.uses)
        if complete and len(self._values) > len(self.results):  # of calls that a revision left out
            current = {state.key for state in self.core.states.values()}
            self._values = {key: value for key, value in self._values.items() if key in current}

    def revise(self) -> None:
        """The plan so far is void; ``extend`` tells the new one."""
        self._finished.clear()
        self.results.clear()
        self.shown.clear()
        self._handle(PlanRevised())

    def occupy(self) -> None:
        """The model works on the plan from now on, on one of these processors."""
        self._planning = True
        self._handle(ModelOccupied())

    def vacate(self) -> None:
        """The model is free for the plan's own calls."""
        self._planning = False
        self._handle(ModelReleased())
        self._read_ahead()

    async def finished(self, *, or_failure: bool = False) -> bool:
        """Wait until nothing runs and nothing more can, unless the plan goes on.

        With ``or_failure`` also until a call fails, or has failed since the last time that
        this was asked; then this returns false.
        """
        while not (or_failure and self._failed_lately):
            if self._finished.is_set():
                return True
            self._news.clear()
            await self._news.wait()
        self._failed_lately = False
        return False

    def cancel(self, call: CallId) -> None:
        """Stop one call of the plan; nothing happens if it has ended.

        It counts as cancelled as soon as nothing of it runs any more.
        """
        state = self.core.states[call]
        attempt = self._running.get(state.key)
        if attempt is None:
            if state.status in ("planned", "submitted"):
                self._handle(CallCancelled(*state.key))
        elif not attempt.unwanted and attempt.work is not None:
            attempt.unwanted = True
            attempt.work.cancel()
            if isinstance(attempt.work, asyncio.Task | Part):  # others tell by themselves
                attempt.work.add_done_callback(lambda _: self._guarded(self._stopped, attempt))

    def _stopped(self, attempt: _Attempt) -> None:
        if self._running.pop(attempt.key, None) is not None:
            self._handle(CallCancelled(*attempt.key))

    def _guarded(self, step: Callable[..., None], *args: Any) -> None:
        """Take a step in a callback of the event loop, where nobody would hear of a defect."""
        try:
            step(*args)
        except Exception as defect:
            self._group.create_task(_raised(defect))

    def _now(self) -> float:
        """Seconds from the start of execution, which the first call of the plan begins."""
        return 0.0 if self._began is None else self._clock() - self._began

    def _handle(self, event: Event | None) -> None:
        """Put an event to the core and do what it says; ``None`` if only others' holdings changed."""
        if self._began is None and isinstance(event, PlanExtended) and event.calls:
            self._began = self._clock()
        at = self._now()
        if self._sharing is not None:
            heard = self._sharing.handle(event, at)
        else:
            heard = [] if event is None else [(event, self.core.handle(event, at=at))]
        for known, commands in heard:
            if self._observer is not None:
                for message in (known, *commands):
                    self._observer(message, at)
            for command in commands:
                self._follow(command, at)

    def _follow(self, command: Command, at: float) -> None:
        match command:
            case Dispatch():
                # Read here: by the task's first step the plan may have been revised.
                made = ((command.call, command.attempt), *command.together)
                attempts = [_Attempt(self.core.graph.call(id_), number, command) for id_, number in made]
                if command.together:
                    self._start_together(attempts)
                else:
                    self._start(attempts[0])
            case Keep():
                self._keep(command)
            case Share(call, same_as):
                self.results.share(call, same_as)
                if same_as in self.shown:
                    self.shown[call] = self.shown[same_as]
            case Cancel():
                self._cancel(command)
            case ReturnRate():
                pass  # its time is the ledger's
            case Finish():
                self.makespan = at
                self._finished.set()
                self._news.set()
                if self._reading is not None:
                    self._reading.cancel()
            case _:
                assert_never(command)

    def _cancel(self, cancelled: Cancel) -> None:
        key = (cancelled.call, cancelled.attempt)
        attempt = self._running.pop(key, None)
        if attempt is None or attempt.work is None:  # its start raised: a defect
            return
        attempt.given_up = True
        attempt.work.cancel()
        if isinstance(attempt.work, asyncio.Task | Part):  # others tell by themselves
            attempt.work.add_done_callback(lambda _: self._guarded(self._handle, CallStopped(*key)))

    def _keep(self, kept: Keep) -> None:
        before, now = (kept.before, kept.before_attempt), (kept.call, kept.attempt)
        if before in self._values:
            self._values[now] = self._values.pop(before)
            self._know(kept.call, self._values[now])
        if before in self.spent:
            self.spent[now] = self.spent.pop(before)
        attempt = self._running.pop(before, None)
        if attempt is not None:
            attempt.call, attempt.number = self.core.graph.call(kept.call), kept.attempt
            self._running[now] = attempt

    def _start(self, attempt: _Attempt) -> None:
        """Start a call: directly where it is only called once, anything else as a task."""
        self._running[attempt.key] = attempt
        call = attempt.call
        function = self._functions[call.function]
        if (
            attempt.processors
            or function.in_process
            or function.asks_model
            or function.retries
            or function.show is not None
        ):
            # As they are now: a plan that is revised meanwhile may make other calls of these ids.
            given = self.results.as_they_are(call.uses)
            attempt.shown = {id_: self.shown[id_] for id_ in call.uses if id_ in self.shown}
            attempt.work = self._group.create_task(
                self._run(attempt, partial(self._made, attempt, call, given))
            )
            return
        try:
            args = arguments(call, function, self.results)
        except Exception:
            made = partial(
                self._made, attempt, call, self.results.as_they_are()
            )  # where errors become events
            attempt.work = self._group.create_task(self._run(attempt, made))
            return

        def ended(result: Any, error: CallError | None) -> None:
            self._direct.discard(attempt)
            if not self._direct:
                self._all_ended.set()
            self._guarded(told, result, error)

        def told(result: Any, error: CallError | None) -> None:
            if attempt.given_up:  # what a thread goes on using is in the ledger by now
                self._handle(CallStopped(*attempt.key))
            elif attempt.unwanted:
                self._stopped(attempt)
            elif error is not None:
                self._failed(attempt, error)
            else:
                self._completed(attempt, result)

        self._direct.add(attempt)
        attempt.work = self._inline.begin(function, args, ended)

    def _start_together(self, attempts: list[_Attempt]) -> None:
        """Start calls that are made as one, in one task."""
        given = self.results.as_they_are(used for attempt in attempts for used in attempt.call.uses)
        task = self._group.create_task(self._run_together(attempts, given))
        part = Part(task, lambda: any(map(self._wanted, attempts)))
        for attempt in attempts:
            self._running[attempt.key] = attempt
            attempt.work = part

    def _wanted(self, attempt: _Attempt) -> bool:
        return self._running.get(attempt.key) is attempt and not attempt.unwanted

    async def _run_together(self, attempts: list[_Attempt], given: Mapping[CallId, Any]) -> None:
        """A batch, and once more what failed of it and may be made again, from its work to its events."""
        function = self._functions[attempts[0].call.function]
        made = {attempt: attempt.call for attempt in attempts}
        began, number = self._clock(), 1
        while made:
            came = await made_as_one(function, [*made.values()], given, partial(self._opened, attempts[0]))
            outcomes = dict(zip(made, came, strict=True))
            since = self._clock() - began
            pauses = {
                attempt: pause
                for attempt, (_, error) in outcomes.items()
                if error is not None
                and (
                    pause := next_pause(
                        function, error.kinds, attempt=number, since=since, chance=self._chance
                    )
                )
                is not None
            }
            self._ended([(item, *_told(outcomes[item], number)) for item in made if item not in pauses])
            if pauses:
                await self._pause(function, max(pauses.values()))
            if not in_time(self._clock() - began):  # a pause may have lasted longer
                self._ended([(item, *_told(outcomes[item], number)) for item in pauses])
            made = {item: made[item] for item in pauses if self._wanted(item)}
            for attempt in made:
                reason = str(outcomes[attempt][1])
                self.retried.append(
                    Retried(attempt.call.id, function.name, number, reason, max(pauses.values()))
                )
            number += 1

    async def _pause(self, function: Function, seconds: float) -> None:
        """Wait until a call that failed may begin again."""
        await asyncio.sleep(seconds)
        if self._sharing is not None:
            await self._sharing.another(function)

    async def _run(self, attempt: _Attempt, work: Callable[[], Awaitable[Any]]) -> None:
        """One call, from its work to its event."""
        try:
            result = await work()
        except (CallError, ModelError) as error:
            self._failed(attempt, error)
        else:
            self._completed(attempt, result)

    def _completed(self, attempt: _Attempt, result: Any) -> None:
        self._ended([(attempt, result, None)])

    def _unused(self, attempt: _Attempt) -> bool:
        graph = self.core.graph
        return attempt.call.id in graph and not any(map(graph.users, graph.alike(attempt.call.id)))

    def _free(self, calls: Iterable[CallId]) -> None:
        """Free large results that every call which uses them is done with."""
        files = self.results.release(spent(calls, self.core))
        if files:  # on a thread: giving much memory back takes long
            self._group.create_task(asyncio.to_thread(files.clear))

    def _failed(self, attempt: _Attempt, error: Exception) -> None:
        self._ended([(attempt, None, error)])

    def _ended(self, ended: Iterable[tuple[_Attempt, Any, Exception | None]]) -> None:
        """Tell the core of calls that ended at once, and what is known now of those that use their results."""
        events: list[CallCompleted | CallFailed] = []
        known: list[CallId] = []
        for attempt, result, error in ended:
            if attempt.unwanted:  # ``_stopped`` comes
                continue
            if self._running.pop(attempt.key, None) is None:  # cancelled, and it would not hear of it
                continue
            if error is not None:
                events.append(CallFailed(*attempt.key, str(error)))
                continue
            events.append(CallCompleted(*attempt.key))
            self._values[attempt.key] = result
            if attempt.spent is not None:
                self.spent[attempt.key] = attempt.spent
            state = self.core.states.get(attempt.call.id)
            if isinstance(result, Shown) and result.why:
                self._unshown(self._functions[attempt.call.function], result.why)
            if state is not None and state.attempt == attempt.number:
                self._know(attempt.call.id, result)
                known.append(attempt.call.id)
        if events:
            self._handle(events[0] if len(events) == 1 else BatchEnded(tuple(events)))
        if known and self._only and self.core.complete:
            self._free(used for call in known for used in self.core.graph.call(call).uses)
        if any(isinstance(event, CallFailed) for event in events):
            self._failed_lately = True
            self._news.set()
        if known:
            graph = self.core.graph
            self._narrow([user for call in known for same in graph.alike(call) for user in graph.users(same)])
            self._read_ahead()

    def _know(self, call: CallId, came: Any) -> None:
        """Take a result, and its text if there is one."""
        self.results[call] = came.result if isinstance(came, Shown) else came
        if isinstance(came, Shown) and came.text is not None:
            self.shown[call] = came.text

    def _unshown(self, function: Function, why: str) -> None:
        self.notes[function.name] = (
            f"show of {function.name} failed, so the model was shown the result as if it had none: {why}"
        )

    def _read_ahead(self) -> None:
        """Have the model read what is known of the next prompt of ``self``, while nothing computes."""
        if self._ahead is None or self._planning or self._reading is not None or self._finished.is_set():
            return
        for attempt in self._running.values():
            if attempt.processors or self._functions[attempt.call.function].asks_model:
                return
        states = self.core.states.values()
        call = next(
            (item.call for item in states if item.status == "planned" and item.call.function == SELF), None
        )
        if call is None:
            return
        known = beginning(next(iter(call.args.values())), self.results, self.shown)
        if len(known) < MIN_AHEAD + (len(self._read) if known.startswith(self._read) else 0):
            return
        self._read = known
        self._reading = self._group.create_task(self._reads(self._ahead, known))

    async def _reads(self, ahead: Callable[[str], Awaitable[None]], known: str) -> None:
        try:
            with suppress(ModelError):  # the request that follows will tell
                await ahead(known)
        finally:
            self._reading = None
        self._read_ahead()

    def _narrow(self, calls: Iterable[CallId]) -> None:
        """Tell the core what calls touch, where results that came in say more than the plan did."""
        for id_ in calls:
            call = self.core.graph.call(id_)
            function = self._functions[call.function]
            if function.reads or function.writes:
                touch = touches(function, call, self.results)
                if touch != self.core.graph.touch(id_):
                    self._handle(EffectsKnown(id_, touch))

    async def _made(self, attempt: _Attempt, call: FunctionCall, given: Results) -> Any:
        """A call's result, made again after a pause where that was declared."""
        function = self._functions[call.function]
        began = self._clock()
        number = 1
        while True:
            try:
                return await self._work(attempt, call, function, given)
            except CallError as error:
                reason, kinds = str(error), error.kinds
            except ModelError as error:  # how often a model is asked is its own to say
                reason, kinds = str(error), ()
            since = self._clock() - began
            pause = next_pause(function, kinds, attempt=number, since=since, chance=self._chance)
            if pause is not None:
                await self._pause(function, pause)
            if pause is None or not in_time(self._clock() - began):  # a pause may have lasted longer
                raise CallError(_after(reason, number))
            self.retried.append(Retried(attempt.call.id, function.name, number, reason, pause))
            number += 1

    async def _work(self, attempt: _Attempt, call: FunctionCall, function: Function, given: Results) -> Any:
        """One attempt, with arguments of its own: the one before may have changed what it was given."""
        elsewhere = not function.asks_model and (bool(attempt.processors) or function.in_process)
        if function.name == SELF:
            args = {name: prompt(text, given, attempt.shown) for name, text in call.args.items()}
        else:
            args = arguments(call, function, given, handed=elsewhere)
        if function.asks_model:
            attempt.spent = attempt.spent or Usage()
            plain = function if function.show is None else replace(function, show=None)
            try:
                async with asyncio.timeout(function.timeout) as limit:
                    made = await self._asked(plain, args, attempt.spent)
            except TimeoutError:
                if not limit.expired():
                    raise
                raise late(function.name, function.timeout) from None
            return await self._inline.shown(function, made)
        result = await self._execute(attempt, function, args)
        # What no call can use is opened while it still is this call that fails if it can't be.
        return opened(result) if elsewhere and self.core.complete and self._unused(attempt) else result

    async def _opened(self, attempt: _Attempt, function: Function, args: Mapping[str, Any]) -> Any:
        """The same with a value as its result."""
        return opened(await self._execute(attempt, function, args))

    async def _execute(self, attempt: _Attempt, function: Function, args: Mapping[str, Any]) -> Any:
        """Call a function in the attempt's place; a large result may be held."""
        if attempt.processors:
            return await self._workers(attempt.processors, attempt.device).hand(function, args)
        if function.in_process:
            return await self._processes.hand(function, args)
        return await self._inline.execute(function, args)

    async def _asked(self, function: Function, args: Mapping[str, Any], spent: Usage) -> Any:
        """What a function that asks the model comes to: the reply, or what it makes of its replies."""
        made = await self._inline.execute(function, args)
        if not isinstance(made, Generator):
            return await self._ask(_prompt(function, made), spent)

        def step(reply: str | None) -> tuple[bool, Any]:
            try:
                return False, made.send(reply)
            except StopIteration as stop:
                return True, stop.value

        advance = replace(function, call=step, timeout=None)
        reply = None
        for _ in range(MAX_PROMPTS + 1):
            returned, value = await self._inline.execute(advance, {"reply": reply})
            if returned:
                return value
            reply = await self._ask(_prompt(function, value), spent)
        raise CallError(f"{function.name} asked the model more than {MAX_PROMPTS} times")


def _after(reason: str, attempts: int) -> str:
    return reason if attempts == 1 else f"{reason} (after {attempts} attempts)"


def _told(outcome: tuple[Any, CallError | None], attempts: int) -> tuple[Any, CallError | None]:
    """What one call of a batch came to, with the number of attempts if it failed."""
    result, error = outcome
    return result, None if error is None else CallError(_after(str(error), attempts))


def _prompt(function: Function, made: Any) -> str:
    try:
        return as_text(made)
    except EvaluationError as error:
        raise CallError(f"{function.name} made no prompt: {error}") from None


async def _raised(defect: Exception) -> None:
    raise defect
