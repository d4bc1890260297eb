"""A session: calls that are added one by one while others run, each awaited by itself.

Decides what a call is checked for, and what its caller gets. It must not know where or in which
order calls run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from llmorch.arguments import called
from llmorch.calls import FunctionCall, Reference
from llmorch.declare.text import brief
from llmorch.errors import CallError, InvalidArgument, LLMOrchError, PlanError, WrongArgument
from llmorch.places.arguments import Inputs
from llmorch.places.failure import raised
from llmorch.places.jobs import Jobs
from llmorch.places.port import End, Here
from llmorch.plan import Checker
from llmorch.relations import touches
from llmorch.runtime.callers import callers
from llmorch.runtime.driver import Execution
from llmorch.schedule import CallAdded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmorch.calls import CallId
    from llmorch.declare.functions import Function
    from llmorch.places.port import Handle, Job, Place, Work
    from llmorch.runtime.call import Attempt, Made

    Handler = Callable[[], Any]


class Session:
    """Calls of one orchestrator's functions, added as they come: see ``Orchestrator.session``.

    It belongs to the event loop on which it was entered.
    """

    def __init__(self, execution: Callable[[type[Calls]], Calls], functions: Mapping[str, Function]) -> None:
        self._begin = execution
        self._functions = functions
        self._checker = Checker(functions)
        self._required = {name: frozenset(item.required) for name, item in functions.items()}
        self._calls: Calls | None = None
        self._count = 0

    async def __aenter__(self) -> Session:
        if self._calls is not None:
            raise LLMOrchError("a session is entered once; ask the orchestrator for another one")
        self._calls = self._begin(Calls)
        await self._calls.__aenter__()
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        assert self._calls is not None
        await self._calls.__aexit__(kind, error, trace)

    async def call(
        self, function: str, args: Mapping[str, Any] | None = None, *, via: Handler | None = None
    ) -> Any:
        """Make a call as soon as nothing that came before is in its way, and return what it came to.

        ``args`` are values by parameter. Calls whose effects conflict are made in the order in
        which they were added, every limit of the processors holds, and all else runs together. To cancel
        the task that waits stops the call. With ``via``, a callable without arguments, sync or async, that
        is what is made once the call's turn has come, on this event loop; what it raises comes back
        as it is, and the function's timeout and retries are its own to keep.

        Raises ``PlanError`` for a function or an argument that can't be, before anything is made, and
        ``CallError`` for a call that failed, with the function's traceback in its ``detail``.
        """
        calls = self._calls
        if calls is None or calls.closed:
            raise LLMOrchError("the session is not open; write: async with orchestrator.session() as session")
        if asyncio._get_running_loop() is not calls.loop:
            raise LLMOrchError("a session belongs to one event loop; open another session on this one")
        values = {} if args is None else args
        if not (
            isinstance(function, str)
            and isinstance(values, Mapping)
            and all(type(name) is str for name in values)
        ):
            given = f"{brief(function)}, {brief(values)}"
            raise WrongArgument(
                f'a call is a function and its args by name, as in "search", {{"query": "Texas"}}, not {given}'
            )
        if via is not None:
            called("via", via, "a callable without arguments")
        self._count += 1
        id_ = f"c{self._count}"
        call = FunctionCall(id_, function, {name: Reference(f"{id_}.{name}") for name in values})
        declared = self._functions.get(function)
        if (
            declared is None
            or declared.shortage
            or values.keys() - declared.by_name.keys()
            or (not values.keys() >= self._required[function])
        ):
            try:
                self._checker.check(call)  # which says what is wrong
            except PlanError as error:
                error.line = 0  # nobody wrote a plan
                raise
        assert declared is not None
        if via is None:
            self._check(declared, values)
        end = await calls.made(call, {f"{id_}.{name}": Here(value) for name, value in values.items()}, via)
        if end.error is not None:
            raise end.error if via is None or end.error.__cause__ is None else end.error.__cause__
        assert end.value is not None
        return end.value.open()

    @property
    def waiting(self) -> int:
        """How many calls have not ended."""
        return 0 if self._calls is None else len(self._calls.core.states)

    def _check(self, function: Function, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            try:
                function.by_name[name].accept(value)
            except ValueError as error:
                hint = f"it is {function.signature}"
                raise InvalidArgument(f"{name} of {function.name}: {error}", line=0, hint=hint) from None


class _Added:
    """One call of a session until it has ended."""

    __slots__ = ("call", "end", "inputs", "over", "via")

    def __init__(
        self,
        call: FunctionCall,
        inputs: Mapping[CallId, Handle],
        via: Handler | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.call = call
        self.inputs = inputs
        self.via = via
        self.end: asyncio.Future[End] = loop.create_future()
        """What it came to."""
        self.over: asyncio.Event | None = None
        """Set when nothing of it runs any more, or nobody can stop it; where somebody waits for that."""


class Calls(Execution):
    """The calls of a session: each is forgotten once it has ended."""

    closed = False

    def __init__(self, *args: Any, **said: Any) -> None:
        super().__init__(*args, **said)
        self._added: dict[CallId, _Added] = {}
        self._gated: dict[str, Function] = {}
        self._jobs = Jobs()
        """Of calls that their callers make."""

    async def made(self, call: FunctionCall, inputs: Mapping[CallId, Handle], via: Handler | None) -> End:
        """Add a call, and wait for its end."""
        added = self._added[call.id] = _Added(call, inputs, via, self.loop)
        function = self._functions[call.function]
        known = function.reads or function.writes
        touch = touches(function, call, Inputs(inputs) if known else None)
        # The core knows no values: of what the call is given it sees nothing.
        if within := callers(self._door, self._within):
            self.core.within[call.id] = within
        self.handle(CallAdded(FunctionCall(call.id, call.function, {}), touch, via is not None))
        try:
            return await added.end
        except asyncio.CancelledError:
            if call.id in self._added:
                added.over = asyncio.Event()
                self.cancel(call.id)
                await added.over.wait()
            raise

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.closed = True
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            for id_ in list(self._added):
                self._over(id_)

    def given(self, call: CallId) -> FunctionCall:
        return self._added[call].call

    def inputs(self, call: FunctionCall) -> Mapping[CallId, Handle]:
        return self._added[call.id].inputs

    def place(self, call: FunctionCall) -> tuple[Function, Place]:
        via = self._added[call.id].via
        if via is None:
            return super().place(call)
        if call.function not in self._gated:
            self._gated[call.function] = replace(self._functions[call.function], retries=0)
        return self._gated[call.function], _Via(via, self._jobs)

    def ended(self, ended: Sequence[tuple[Attempt, End]]) -> None:
        super().ended(ended)
        for attempt, end in ended:
            added = self._added.get(attempt.call.id)
            if added is not None and not added.end.done():
                added.end.set_result(end)
            self._over(attempt.call.id)

    def refused(self, call: CallId, error: str) -> None:
        self._over(call, error)

    def cancel(self, call: CallId) -> None:
        super().cancel(call)
        if self.core.states[call].status == "cancelled":
            self._over(call)

    def finish(self, made: Made, told: Sequence[tuple[Attempt, End]]) -> None:
        super().finish(made, told)
        if made.stops:
            for attempt in made.attempts:
                self._over(attempt.call.id)

    def _over(self, call: CallId, why: str = "") -> None:
        """Forget a call that has ended."""
        added = self._added.pop(call, None)
        if added is None:
            return
        if not added.end.done():
            why = why or ("it was stopped: the session has ended" if self.closed else "it was cancelled")
            added.end.set_result(End(error=CallError(f"{added.call.function}: {why}")))
        if added.over is not None:
            added.over.set()
        self.retried.clear()  # nobody is told
        state = self.core.states.get(call)
        if state is not None and not self.closed:
            self.store.forget(state.key)
            self.core.forget(call)


class _Via:
    """The place of one call that its caller makes."""

    def __init__(self, handler: Handler, jobs: Jobs) -> None:
        self._handler = handler
        self._jobs = jobs

    def begin(self, job: Job, ended: Callable[[Sequence[End]], None]) -> Work:
        """Start it."""
        return self._jobs.begin(job, self._made(), ended)

    async def _made(self) -> Sequence[End]:
        try:
            made = self._handler()
            return (End(Here(await made if isawaitable(made) else made)),)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # it is stopped from outside
            failed = raised(error)
            told = CallError(failed.message, detail=failed.detail, kinds=failed.kinds)
            told.__cause__ = error
            return (End(error=told),)

    async def close(self) -> None:
        """Nothing is held."""
