"""An event loop on a virtual clock: an hour of waiting takes no time, and the loop's time is exact.

Decides when time may jump: when every coroutine waits, to the moment for which the next of
them waits. It must never pass over what happens outside the loop, which really takes its time.
So nothing is jumped over, and time passes as on any other clock, while

* a job is on a thread, by ``asyncio.to_thread`` or ``loop.run_in_executor``;
* another thread is alive that was started after the loop was made: nobody can tell whether it
  has work to do. That is also so from the first call of a sync function in an ``Orchestrator``
  until that is closed: let an async function wait for ``asyncio.to_thread`` instead;
* a socket or a pipe is watched; or a subprocess has been started, from then on.

Everything else is exact: a coroutine that sleeps for 0.1 s wakes up at the very float.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from heapq import heappop, heappush
from math import inf, nextafter
from selectors import DefaultSelector
from time import get_clock_info, monotonic
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from llmorch.arguments import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Executor
    from contextvars import Context
    from selectors import SelectorKey

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_RESOLUTION = get_clock_info("monotonic").resolution
_LONGEST = 3600.0
"""Real seconds that are waited at once; a selector can't take a number however large."""
_THREADS = "virtual-clock"
"""How the names of the threads begin that ``run_in_executor`` keeps: its jobs are counted."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to what is due next when nothing else is left to do.

    Its time begins at 0. Give the class to whoever makes an event loop: ``run_virtually``,
    ``asyncio.Runner(loop_factory=VirtualLoop)``, or anyio's pytest plugin, whose fixture
    ``anyio_backend`` may return ``("asyncio", {"loop_factory": VirtualLoop})``.
    """

    virtual = True
    """Where processes aren't started before they are needed: while one runs, time is real."""

    def __init__(self) -> None:
        self._others = set(threading.enumerate())
        self._outside = 0
        """Jobs on threads, and subprocesses."""
        self._timers: list[asyncio.TimerHandle] = []
        self._clock = _Jumping(self._next, self._may_jump)
        super().__init__(self._clock)
        self._own = len(self._clock.get_map())
        """What a loop watches for itself: that another thread wakes it."""
        self.set_default_executor(ThreadPoolExecutor(thread_name_prefix=_THREADS))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._clock.now

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As in every loop; noted here, since a sum of differences would not be exactly ``when``."""
        timer = super().call_at(when, callback, *args, context=context)
        heappush(self._timers, timer)
        return timer

    def set_default_executor(self, executor: ThreadPoolExecutor) -> None:  # type: ignore[override]
        """As in every loop."""
        super().set_default_executor(executor)
        self._threads = executor

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As in every loop; time doesn't jump before the job has ended, also if nobody waits for it any more."""
        job = (executor or self._threads).submit(func, *args)
        self._outside += 1
        ended = asyncio.wrap_future(job, loop=self)
        job.add_done_callback(self._tell)  # after that of the future: whoever waits hears of it first
        return ended

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the jobs on threads, however long they really take."""
        self._outside += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._outside -= 1

    async def subprocess_exec(self, *args: Any, **options: Any) -> Any:
        """As in every loop; from here on, time passes as it really does."""
        self._outside += 1
        return await super().subprocess_exec(*args, **options)

    async def subprocess_shell(self, *args: Any, **options: Any) -> Any:
        """As in every loop; from here on, time passes as it really does."""
        self._outside += 1
        return await super().subprocess_shell(*args, **options)

    def _tell(self, _: object) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile: its time has ended
            self.call_soon_threadsafe(self._is_back)

    def _is_back(self) -> None:
        self._outside -= 1

    def _next(self) -> float | None:
        """When the next timer is due that is still wanted."""
        while self._timers and (self._timers[0].cancelled() or self._timers[0].when() <= self.time()):
            heappop(self._timers)
        return self._timers[0].when() if self._timers else None

    def _may_jump(self) -> bool:
        return (
            not self._outside
            and len(self._clock.get_map()) == self._own
            and all(
                thread in self._others or thread.name.startswith(_THREADS) for thread in threading.enumerate()
            )
        )


class _Jumping(DefaultSelector):
    """Moves the clock instead of waiting, where it may."""

    def __init__(self, due: Callable[[], float | None], may_jump: Callable[[], bool]) -> None:
        super().__init__()
        self.now = 0.0
        self._due = due
        self._may_jump = may_jump

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        due = self._due()
        if due is not None and self._may_jump():
            self.now = _past(due)
            return super().select(0)
        began = monotonic()
        left = None if due is None else due - self.now
        happened = super().select(left if left is None else min(left, _LONGEST))
        self.now += monotonic() - began
        if due is not None and left is not None and (self.now > due or (not happened and left <= _LONGEST)):
            self.now = _past(due)
        return happened


def _past(due: float) -> float:
    """The moment at which an event loop takes that to be due.

    That is within the resolution of the real clock, which is less than one digit of the time
    after three months.
    """
    return due if due + _RESOLUTION > due else nextafter(due, inf)


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result, at once however long it would wait; a test of hours takes no time.

    >>> import asyncio
    >>> from llmorch import Orchestrator, function
    >>> from llmorch.testing import ScriptedModel, run_virtually
    >>> @function
    ... async def wait(hours: float, after: object = None) -> float:
    ...     await asyncio.sleep(hours * 3600)
    ...     return hours
    >>> async def waited() -> float:
    ...     async with Orchestrator([wait], model=ScriptedModel([])) as orchestrator:
    ...         plan = "s1 = wait(hours=2)\\ns2 = wait(hours=1)\\ns3 = wait(hours=3, after=s1)"
    ...         return (await orchestrator.execute(plan)).makespan
    >>> run_virtually(waited())
    18000.0
    """
    if not asyncio.iscoroutine(main):
        refuse("main", "a coroutine, such as main()", main)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
