"""One processor that is a process of its own, for one call at a time.

Decides when the process starts, ends and is replaced, and what its end means for the call
it was running. It must not know which call should run where, nor how a process is
started or spoken to: that is ``process.py``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from llmorch.errors import CallError
from llmorch.places.exchange import exchange, outgrown
from llmorch.places.failure import CRASHED, late
from llmorch.places.handing import opened
from llmorch.places.keeper import MEMORY
from llmorch.places.keeping import Keeper
from llmorch.places.process import LateError, Process, UnsentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from llmorch.declare.functions import Function

T = TypeVar("T")

GRACE = 1.0
"""Seconds an idle process has to end by itself, its exit handlers included."""
_STARTS = 3
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class Worker:
    """A processor that is a process of its own, pinned to a CPU where the platform can.

    It runs one call at a time; a second one waits its turn. A process that crashed, was
    killed to stop a call, or in which a call left something behind, is replaced. Without
    ``index`` it runs on any CPU. ``environment`` is what the process finds beside this
    one's own; ``cpus`` may be set before each call.
    """

    def __init__(
        self,
        index: int | None = None,
        *,
        starter: ThreadPoolExecutor | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        # On Linux a keeper dies with the *thread* that started it, so all are started
        # on one thread that lives as long as they may.
        self._starter = starter or new_starter()
        self._owns_starter = starter is None
        self.cpus = () if index is None else cpus_of((index,))
        self._environment = threads(1) if environment is None else environment
        self._keeper: Keeper | None = None
        self._coming: Future[Process] | None = None
        self._current: Process | None = None
        self._ending: Future[Process | None] | None = None
        """The end of its last process, once it is closed."""
        self._closed = False
        self._busy = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn: asyncio.Lock

    @property
    def pid(self) -> int | None:
        """The process that is running now, if one is."""
        return self._current.pid if self._current is not None else None

    def start(self) -> None:
        """Start the process without waiting for it, unless it is there already."""
        if self._coming is None and not self._closed:
            self._coming = self._starter.submit(self._start)

    def _start(self) -> Process:
        if self._closed:
            raise CallError("its processor is closed")
        if self._keeper is None or self._keeper.ended:
            self._drop_keeper()
            self._keeper = Keeper(self.cpus, self._environment)
        return self._keeper.start()

    def _drop_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close()

    async def execute(self, function: Function, args: Mapping[str, Any]) -> Any:
        """Call ``function`` with ``args`` in the process and return what it returns."""
        return opened(await self.hand(function, args))

    async def hand(self, function: Function, args: Mapping[str, Any]) -> Any:
        """The same, but a large result stays ``Held``, and an argument may be a ``Later``."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._turn = asyncio.Lock()
        async with self._turn:
            self._busy = True
            try:
                for _ in range(_STARTS):
                    process = self._current
                    if process is None or not process.ready or process.gone or process.loop is not loop:
                        process = await self._up(function, loop)
                    try:
                        result = await exchange(process, function, args, self.cpus)
                        if process.spent:  # what is left of the call ends before anybody hears of its end
                            await self._bury(process)
                        return result
                    except UnsentError:  # it ended while nothing ran on it: no call's fault
                        await self._bury(process)
                    except EOFError:
                        how = await self._bury(process)
                        if how == MEMORY:
                            raise outgrown(function) from None
                        kinds = () if self._closed else CRASHED
                        raise CallError(f"{function.name} {self._ended(how)}", kinds=kinds) from None
                    except LateError:
                        await self._bury(process)
                        raise late(function.name, function.timeout) from None
                    except BaseException:
                        # Cancelled: what it does now must not happen. Or it failed and left something.
                        if process.outstanding or process.spent:
                            await self._bury(process)
                        raise
            finally:
                self._busy = False
        raise CallError(f"{function.name} can't be called: its processes end before they get the call")

    def _ended(self, how: str) -> str:
        return "was stopped: its processor was closed" if self._closed else f"ended its process ({how})"

    async def _up(self, function: Function, loop: asyncio.AbstractEventLoop) -> Process:
        """The process, ready for a message and heard on this event loop."""
        if self._current is not None and self._current.gone:
            await self._bury(self._current)
        if self._closed:
            raise CallError(f"{function.name} can't be called: its processor is closed")
        self.start()
        coming = self._coming
        assert coming is not None
        try:
            process = coming.result() if coming.done() else await _wait(coming)
        except (OSError, CallError) as error:
            self._coming = None
            raise CallError(f"{function.name} can't be called: no process was started: {error}") from None
        if self._closed:
            raise CallError(f"{function.name} can't be called: its processor is closed")
        self._current = process
        process.attach(loop)
        try:
            await process.started()
        except EOFError:
            how = await self._bury(process, replace=False)
            if self._closed:
                raise CallError(f"{function.name} was stopped: its processor was closed") from None
            raise CallError(
                f"{function.name} can't be called: its process ended before it was ready ({how}); "
                "the reason is on standard error"
            ) from None
        return process

    async def _bury(self, process: Process, *, replace: bool = True) -> str:
        """Kill a process, start the next one, and return once this one can do no more."""
        if self._closed:  # who closed this hears the process's end: it is told once
            if self._ending is not None:
                await _wait(self._ending)
            return ""
        process.kill()
        if self._current is process:
            self._current = self._coming = None
        if replace:
            self.start()  # it begins once this one has ended
        try:
            how = await process.ended()
        finally:
            process.release()
        if process.stuck:  # its keeper waits for it; the next one needs another
            self._keeper = None
        return how

    async def close(self) -> None:
        """End the process, gently if it is idle; whatever runs on it is stopped."""
        self._closed = True
        coming, self._coming, self._current = self._coming, None, None
        grace = 0.0 if self._busy else GRACE
        if grace and coming is not None and coming.done() and coming.exception() is None:
            coming.result().hang_up()  # now, so that all of a pool end side by side
        if self._keeper is not None:
            self._keeper.hang_up()
        with suppress(RuntimeError):  # closed before: the starter takes nothing more
            # Also without a process: those that were killed before are reaped by then.
            self._ending = self._starter.submit(self._end, coming, grace)
            process = await _wait(self._ending)
            if process is not None:
                process.release()
        if self._owns_starter:
            self._starter.shutdown(wait=False)

    def kill(self) -> None:
        """End the process at once, from anywhere; for when ``close`` can't be awaited."""
        self._closed = True
        coming, self._coming, self._current = self._coming, None, None
        if coming is None:
            self._drop_keeper()
        else:
            coming.add_done_callback(self._end_now)
        if self._owns_starter:
            self._starter.shutdown(wait=False)

    def _end_now(self, coming: Future[Process]) -> None:
        """Kill a process, on whatever thread, and give its socket back on the loop's own."""
        process = self._end(coming, 0.0)
        if process is None:
            return
        loop = process.loop
        here = asyncio._get_running_loop()
        if loop is None or loop is here or not loop.is_running():
            process.release()
        else:
            with suppress(RuntimeError):  # closed this very moment
                loop.call_soon_threadsafe(process.release)

    def _end(self, coming: Future[Process] | None, grace: float) -> Process | None:
        """End a process that was started, if one was, and what kept it."""
        process = None
        if coming is not None and coming.exception() is None:
            process = coming.result()
            process.hang_up()
            process.reap(grace)
        self._drop_keeper()
        return process


def new_starter() -> ThreadPoolExecutor:
    """A thread to start the processes of workers on."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="llmorch-starter")


def cpus_of(processors: Sequence[int]) -> tuple[int, ...]:
    """The CPUs behind processors: those this process may use, in turn; none where they can't be chosen."""
    if sys.platform != "linux":
        return ()
    allowed = sorted(os.sched_getaffinity(0))
    return tuple(sorted({allowed[processor % len(allowed)] for processor in processors}))


def threads(count: int) -> dict[str, str]:
    """The environment that tells libraries how many threads they have."""
    return dict.fromkeys(_THREADS, str(count))


async def _wait(future: Future[T]) -> T:
    """Wait for another thread's work; cancelling the wait leaves the work alone."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wake(_: Future[T]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(wake)
    await done.wait()
    return future.result()
