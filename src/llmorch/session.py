"""A session: calls that are added one by one while others run, each awaited by itself.

Decides what a call is checked for, and what its caller gets.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from llmorch.arguments import called
from llmorch.calls import FunctionCall, Reference
from llmorch.declare.functions import Function
from llmorch.declare.text import brief
from llmorch.errors import CallError, InvalidArgument, LLMOrchError, PlanError, WrongArgument
from llmorch.places.arguments import Inputs
from llmorch.places.coroutines import Awaited
from llmorch.places.failure import line_of, raised
from llmorch.places.jobs import Begun, Jobs
from llmorch.places.port import End, Here
from llmorch.plan import Checker
from llmorch.relations import touches
from llmorch.runtime.callers import callers
from llmorch.runtime.driver import Execution
from llmorch.schedule import CallAdded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmorch.calls import CallId
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
        self._left = weakref.finalize(self, self._calls.leave)
        self._left.atexit = False
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        assert self._calls is not None
        self._left.detach()
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
        if calls.failure is not None:
            raise calls.failure.with_traceback(None)  # else each call would add its frames to it
        if asyncio._get_running_loop() is not calls.loop:
            raise LLMOrchError("a session belongs to one event loop; open another session on this one")
        values = {} if args is None else args
        if not (
            isinstance(function, str)
            and isinstance(values, dict | Mapping)
            and {str}.issuperset(map(type, values))
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
            try:
                raise end.error if via is None or end.error.__cause__ is None else end.error.__cause__
            finally:
                del end  # else what was given waits for the collector: the error's frames lead to the error
        handle = end.value
        assert handle is not None
        return handle.open() if handle.here else await calls.apart(declared, handle.open)

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
    failure: LLMOrchError | None = None
    """Why no call is made any more."""

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
        touch = touches(function, call, Inputs(inputs, apart=False) if known else None)
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

    def leave(self) -> None:
        """End it from any thread, since nobody has the session any more who could."""
        with suppress(RuntimeError):  # the event loop is closed: the door forgets this
            self.loop.call_soon_threadsafe(self._leave_soon)

    def _leave_soon(self) -> None:
        self._leaving = self.loop.create_task(self.__aexit__(None, None, None))

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.closed = True
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            for id_ in list(self._added):
                self._over(id_)
        if self.failure is not None and error is None:
            raise self.failure

    def fail(self, error: Exception) -> None:
        """End the session with this error: whoever waits for a call gets it, and who leaves the session."""
        failure = self.failure
        if failure is None:
            if isinstance(error, LLMOrchError):
                failure = error
            else:
                failure = LLMOrchError(f"the session has ended: {line_of(error)}")
                failure.__cause__ = error
            self.failure = failure
        for added in list(self._added.values()):
            if not added.end.done():
                added.end.set_exception(failure)
                added.end.exception()  # whoever waited may be gone: nothing is to be logged
            if added.over is not None:
                added.over.set()

    def given(self, id_: CallId) -> tuple[FunctionCall, Mapping[CallId, Handle]]:
        added = self._added[id_]
        return added.call, added.inputs

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

    def finish(self, made: Made, reported: Sequence[tuple[Attempt, End]]) -> None:
        super().finish(made, reported)
        if made.stops:
            for attempt in made.attempts:
                if attempt.call.id in self._added:
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
        self.retried.clear()  # nobody asks
        state = self.core.states.get(call)
        if state is not None and not self.closed:
            self.store.forget(state.key)
            self.core.forget(call)


class _Via:
    """The place of one call that its caller makes, stopped as an async function is."""

    def __init__(self, handler: Handler, jobs: Jobs) -> None:
        self._handler = handler
        self._jobs = jobs

    def begin(self, job: Job, ended: Callable[[Sequence[End]], None]) -> Work:
        """Start it."""
        begun = _Begun(self._jobs, job, ended)
        function = Function(job.function.name, self._handler)  # its timeout is the handler's to keep
        begun.work = Awaited(function, self._made(), {}, begun, _not_drawn)
        return begun

    async def _made(self) -> End:
        try:
            made = self._handler()
            return End(Here(await made if isawaitable(made) else made))
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError | GeneratorExit) and _is_stopped():
                raise
            return End(error=_failed(error))

    async def close(self) -> None:
        """Free nothing."""


class _Begun(Begun):
    """A call that its caller makes, while it runs."""

    __slots__ = ()

    def __call__(self, end: End | None, error: CallError | None) -> None:
        """Take how it ended."""
        self.tell((End(error=error) if end is None else end,))


async def _not_drawn(function: Function, result: Any) -> tuple[Any, CallError | None]:
    return result, None  # what a handler returns is its own


def _is_stopped() -> bool:
    """Whether the task is cancelled from outside, or the coroutine is closed."""
    if asyncio._get_running_loop() is None or (task := asyncio.current_task()) is None:
        return True
    return task.cancelling() > 0


def _failed(error: BaseException) -> CallError:
    """What is reported of what a handler raised, with that as its cause."""
    known = raised(error)
    failed = CallError(known.message, detail=known.detail, kinds=known.kinds)
    failed.__cause__ = error
    return failed
