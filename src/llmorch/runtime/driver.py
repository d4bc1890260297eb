"""The asyncio driver of one run: events from its calls to the core, and commands of the core to its calls.

Every call that runs is known here until nothing of it runs any more, every function's exception
becomes an event, and what happens next, in which order, is the core's to say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, assert_never

from llmorch.errors import PolicyError
from llmorch.runtime.ahead import ReadingAhead
from llmorch.runtime.call import Made
from llmorch.runtime.callers import CALLING
from llmorch.runtime.group import end_group, raised
from llmorch.runtime.observers import Observing
from llmorch.runtime.store import Store, close_aside
from llmorch.runtime.touched import Touched
from llmorch.schedule import (
    Abort,
    BatchEnded,
    CallCancelled,
    CallCompleted,
    Caller,
    CallFailed,
    CallStopped,
    Cancel,
    CancelRequested,
    Dispatch,
    Finish,
    Keep,
    ModelOccupied,
    ModelReleased,
    PlanExtended,
    PlanRevised,
    Refuse,
    Share,
    TimePassed,
    Wake,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.places.port import End, Handle, Place
    from llmorch.runtime.call import Attempt
    from llmorch.runtime.door import Door
    from llmorch.runtime.observers import Observer
    from llmorch.runtime.retries import Retried
    from llmorch.schedule import Command, Event

T = TypeVar("T")


class Execution:
    """The calls of one run.

    ``places`` says by function where its calls are made. ``ahead`` has an idle model read the beginning of a
    prompt that it will be asked, where it can. ``only`` says that nothing is planned in the light of this
    plan's results: they are freed after their last use. ``said`` is what ``Core.open`` takes.
    """

    def __init__(
        self,
        door: Door,
        functions: Mapping[str, Function],
        *,
        places: Callable[[Function], Place],
        ahead: Callable[[str], Awaitable[None]] | None = None,
        observer: Observer | None = None,
        only: bool = False,
        **said: Any,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock = self.loop.time
        self.store = Store()
        self.makespan, self.has_begun = 0.0, False
        self.withheld: tuple[FunctionCall, ...] = ()
        """Calls of the plan that a technique withholds while it asks."""
        self.forbidden: Mapping[CallId, str] = {}
        """Calls that may not be made, and why."""
        self.inbox: deque[tuple[Event | None, list[Command], float]] = deque()
        """What the core has said to this run, in order, and at which event of its own."""
        self.retried: list[Retried] = []
        """The attempts that failed and were followed by another, as that one began."""
        self.core = door.open(self, functions, **said)
        self.notes: dict[str, str] = {}
        """By function, what there is to say of where its calls ran."""
        self._door = door
        self._within = CALLING.get()
        self._functions = functions
        self._places = places
        self._only = only
        self._running: dict[tuple[CallId, int], Attempt] = {}
        self._stopping: set[Made] = set()
        """What runs, also of calls that nobody wants any more, but for what can't be stopped."""
        self._stopped = asyncio.Event()
        self._broken = False  # by a defect of ours, which may have lost an end
        self._following = False
        self._group = asyncio.TaskGroup()
        self._observing = None if observer is None else Observing(observer)
        self._finished = asyncio.Event()
        self._failed_lately = False
        self._news = asyncio.Event()
        self._wakes: asyncio.TimerHandle | None = None
        # These refer to nothing here, so that large results end with the last reference to this.
        self._ahead = ReadingAhead(
            ahead, self.core, functions, self.store, self._running, finished=self._finished, group=self._group
        )
        self._touched = Touched(self.core, functions, self.store, inline=door.inline, group=self._group)

    async def __aenter__(self) -> Execution:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if kind is GeneratorExit:
            return  # the event loop is gone, and nothing can be awaited: the door forgets this
        came = await self._wound_up(error)
        if came is not None and came is not error:
            try:
                raise came
            finally:  # no frame of an error leads to it
                del came, error, trace

    async def _wound_up(self, error: BaseException | None) -> BaseException | None:
        """End all that goes on, because of an error where there is one; the error that it ended with."""
        if not self._finished.is_set():
            self.handle(CancelRequested())
        while self._stopping and not self._broken:  # not for long: they are stopped
            self._stopped.clear()
            try:
                await self._stopped.wait()
            except asyncio.CancelledError as cancelled:
                error = cancelled.with_traceback(None)
        self._ahead.stop()
        self._touched.stop()
        if self._wakes is not None:
            self._wakes.cancel()
        if self._observing is not None:
            error = await self._observing.end(error)
        try:
            return await end_group(self._group, error)
        finally:
            del self._places  # one of them leads here
            self._door.close(self.core, broken=self._broken)
            if closing := self.store.settle(self.core):
                await close_aside(closing)

    def extend(
        self,
        calls: Sequence[FunctionCall],
        *,
        complete: bool = False,
        unused: frozenset[CallId] = frozenset(),
    ) -> None:
        """More of the plan is known; calls that are ready start before this returns."""
        self._finished.clear()
        self.handle(PlanExtended(tuple(calls), complete, unused, tuple(self.forbidden.items())))
        self._touched.narrow((call.id for call in calls if call.uses), self.handle)
        if complete:
            self.store.drop_others(self.core)

    def revise(self) -> None:
        """The plan so far is void; ``extend`` tells the new one."""
        self._finished.clear()
        self.store.revise()
        self.handle(PlanRevised())

    def occupy(self) -> None:
        """The model works on the plan from now on, on one of these processors."""
        self._ahead.planning = True
        self.handle(ModelOccupied())

    def vacate(self) -> None:
        """The model is free for the plan's own calls."""
        self._ahead.planning = False
        self.handle(ModelReleased())
        self._ahead.look()

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
        """Stop one call; nothing happens if it has ended.

        It counts as cancelled as soon as nothing of it runs any more, or nobody can stop it.
        """
        state = self.core.states[call]
        attempt = self._running.get(state.key)
        if attempt is None and state.status in ("planned", "submitted"):
            self.handle(CallCancelled(*state.key))
        if attempt is None or attempt.unwanted:
            return
        attempt.unwanted = True
        attempt.cancel()
        if attempt.made.wanted or not attempt.made.stops:
            self._unwanted(attempt)
            self._leave(attempt.made)

    def _unwanted(self, attempt: Attempt) -> None:
        if self._running.pop(attempt.key, None) is not None:
            self.handle(CallCancelled(*attempt.key))

    def guard(self, step: Callable[..., None], *args: Any) -> None:
        """Take a step in a callback of the event loop, where nobody would hear of a defect."""
        try:
            step(*args)
        except Exception as defect:
            self._broken = True
            self._stopped.set()
            self.fail(defect)

    def fail(self, error: Exception) -> None:
        """End the run with this error."""
        self._group.create_task(raised(error))

    def call(self) -> None:
        """Have the inbox read soon, from any thread."""
        with suppress(RuntimeError):  # the loop is closed: this run has ended
            self.loop.call_soon_threadsafe(self.guard, self.follow)

    def follow(self) -> None:
        """Do what is in the inbox."""
        if self._following:
            return
        self._following = True
        try:
            while self.inbox:
                event, commands, at = self.inbox.popleft()
                for command in commands:
                    self._follow(command, at)
                if self._observing is not None:  # whatever it does to them, they are done
                    self._observing.tell((event, *commands), at)
        finally:
            self._following = False

    async def apart(self, function: Function, compute: Callable[[], T]) -> T:
        """What a computation comes to that may run somebody's code, on a thread. Raises ``CallError``."""
        return await self._door.inline.apart(function, compute)

    def offers(self, function: Function) -> bool:
        """Whether it is one of this run's."""
        return self._functions.get(function.name) is function

    def again(self, function: Function) -> float:
        """Seconds until one more attempt of a call may begin; it is counted to its rate if that is 0."""
        return 0.0 if function.rate is None else self._door.again(self.core.needs(function), self.clock())

    def handle(self, event: Event) -> None:
        """Put an event to the core, and do what it says."""
        self._door.handle(self, event)

    def _follow(self, command: Command, at: float) -> None:
        match command:
            case Dispatch():
                self._start(command)
            case Keep():
                self._keep(command)
            case Share(call, same_as):
                self.store.share(call, same_as)
            case Refuse(call, error):
                self.refused(call, error)
            case Cancel(call, number):
                if (attempt := self._running.pop((call, number), None)) is not None:
                    attempt.given_up = True
                    attempt.cancel()
                    self._leave(attempt.made)
            case Wake(after):
                if self._wakes is not None:
                    self._wakes.cancel()
                self._wakes = self.loop.call_later(after, self.guard, self.handle, TimePassed())
            case Abort(error):
                self.fail(self.core.account.broken or PolicyError(error))
            case Finish():
                self.makespan = at
                self._finished.set()
                self._news.set()
                self._ahead.stop()
            case _:
                assert_never(command)

    def refused(self, call: CallId, error: str) -> None:
        """Take note that a call failed without being made."""
        self._failed_lately = True
        self._news.set()

    def _keep(self, kept: Keep) -> None:
        self.store.keep(kept)
        attempt = self._running.pop((kept.before, kept.before_attempt), None)
        if attempt is not None:
            attempt.become(self.core.graph.call(kept.call), kept.attempt)
            self._running[attempt.key] = attempt

    def _start(self, command: Dispatch) -> None:
        """Start what was dispatched, with what it uses as it is now: the plan may be revised meanwhile."""
        call, inputs = self.given(command.call)
        calls = [(call, command.attempt)]
        for id_, number in command.together:
            other, more = self.given(id_)
            calls.append((other, number))
            inputs = {**inputs, **more}
        function, place = self.place(call)
        started = Made(self, function, place, calls, inputs, command)
        for attempt in started.attempts:
            self._running[attempt.key] = attempt
        self._stopping.add(started)
        # No values lead from here: a context outlives its call, in a handle of the event loop.
        started.caller = Caller(self.core, self.core.needs(function), tuple([call.id for call, _ in calls]))
        token = CALLING.set((*self._within, (self._door, started.caller)))
        try:
            started.begin()
        finally:
            CALLING.reset(token)

    def given(self, id_: CallId) -> tuple[FunctionCall, Mapping[CallId, Handle]]:
        """A call as it is made, and what it uses."""
        call = self.core.graph.call(id_)
        return call, {used: self.store.handles[used] for used in call.uses} if call.uses else {}

    def place(self, call: FunctionCall) -> tuple[Function, Place]:
        """What is called, and where."""
        function = self._functions[call.function]
        return function, self._places(function)

    def _leave(self, made: Made) -> None:
        """Wait no longer for what can't be stopped."""
        if not made.stops:
            self._stopping.discard(made)

    def finish(self, made: Made, reported: Sequence[tuple[Attempt, End]]) -> None:
        """Take note that nothing of this runs any more, maybe on another thread if it could not be stopped."""
        if reported:
            self.ended(reported)
        for attempt in made.attempts:
            if attempt.unwanted and made.stops:
                self._unwanted(attempt)
            if attempt.unwanted or attempt.given_up:
                self.handle(CallStopped(*attempt.key))
        if made.stops:
            self._stopping.discard(made)
            if not self._stopping:
                self._stopped.set()

    def ended(self, ended: Sequence[tuple[Attempt, End]]) -> None:
        """Tell the core of calls that ended at once, and what is known now of those that use their results."""
        events: list[CallCompleted | CallFailed] = []
        known: list[CallId] = []
        for attempt, end in ended:
            if self._running.pop(attempt.key, None) is None:
                continue
            id_, number = attempt.key
            current = (state := self.core.states.get(id_)) is not None and state.attempt == number
            self.store.take(attempt.key, attempt.made.function, end, current=current)
            if end.error is not None:
                events.append(CallFailed(id_, number, str(end.error)))
            else:
                events.append(CallCompleted(id_, number))
                if current:
                    known.append(id_)
        if events:
            self._door.handle(self, events[0] if len(events) == 1 else BatchEnded(tuple(events)))
        if known and self._only and self.store.elsewhere and self.core.complete:
            self._free(used for call in known for used in self.core.graph.call(call).uses)
        if len(known) < len(events):
            self._failed_lately = True
            self._news.set()
        self._touched.narrow_users(known, self.handle)
        if known:
            self._ahead.look()

    def _free(self, calls: Iterable[CallId]) -> None:
        """Free large results that every call which uses them is done with."""
        if closing := self.store.release(calls, self.core):  # on a thread: giving much memory back takes long
            self._group.create_task(close_aside(closing))
