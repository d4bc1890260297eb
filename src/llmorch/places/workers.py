"""Worker processes: one for each processor, or as many as there are calls, kept for the next call.

Decides which process a call gets, when one starts, ends and is replaced, and what its end means for
the call it was running. How a process is spoken to is ``process.py`` and ``exchange.py``.
"""

from __future__ import annotations

import asyncio
import os
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any

from llmorch.errors import CallError, shortage
from llmorch.machine import allowed_processors
from llmorch.places.exchange import exchange, outgrown
from llmorch.places.failure import CRASHED, late
from llmorch.places.forks import forgotten_in_children
from llmorch.places.handles import opened
from llmorch.places.keeper import MEMORY, NONE
from llmorch.places.keepers import Keeper
from llmorch.places.process import LateError, Process, UnsentError
from llmorch.places.surroundings import Environment
from llmorch.places.turns import Turns, over
from llmorch.places.wire import BrokenError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from concurrent.futures import Future

    from llmorch.declare.functions import Function

A_CPU, LIMIT = 8, 64
"""The most processes of calls without processors, for each CPU and in all. More of them than that, all
starting or ending at once, would hold up one another, and the keeper that has to stop them in time."""
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


class Workers:
    """The worker processes of a program, for calls from any event loop.

    A call with processors gets their worker: a process of its own kind where there are several or a
    GPU, since libraries read how many threads and which GPU they have once, when they are loaded.
    ``devices`` are what the GPUs are called where a process chooses one, and ``only`` the names of the
    variables of the program that processes have, if not all. Calls without processors get
    any process, up to a limit. Every process is started when first needed, and kept.

    Workers that are dropped without ``close`` kill their processes, and so does the end of the program.
    """

    def __init__(
        self,
        count: int = 1,
        devices: Sequence[str] = (),
        *,
        only: Collection[str] | None = None,
        limit: int | None = None,
    ) -> None:
        if count < 1:
            raise ValueError(f"there is at least one processor, not {count}")
        self._count = count
        self._devices = devices
        self._only = only
        self._limit = limit or min(LIMIT, A_CPU * allowed_processors())
        self._closed = False
        self._begin()
        forgotten_in_children(self)

    def _begin(self) -> None:
        # On Linux a keeper dies with the *thread* that started it, so all are started
        # on one thread that lives as long as they may.
        self._starter = new_starter()
        self._all: list[Worker] = []
        self._placed: dict[tuple[int, int, int | None], Worker] = {}
        """By first processor, number of processors, and GPU."""
        self._idle: list[Worker] = []
        self._turns = Turns(self._limit)
        self._lock = Lock()
        self._kill = weakref.finalize(self, _kill_all, self._all, self._starter)

    def forget(self) -> None:
        """Begin anew, in a forked child: the processes are its parent's."""
        self._kill.detach()
        self._begin()

    def worker_for(self, processors: tuple[int, ...], device: int | None = None) -> Worker:
        """The worker for a call that occupies these processors, and has this GPU."""
        key = processors[0], len(processors), device
        worker = self._placed.get(key)
        if worker is None:
            environment = threads(len(processors))
            if device is not None:
                environment["CUDA_VISIBLE_DEVICES"] = self._devices[device]
            with self._lock:
                worker = self._placed.get(key) or self._new(cpus_of(processors), environment)
                self._placed[key] = worker
        if len(processors) > 1:
            worker.cpus = cpus_of(processors)
        return worker

    def _new(self, cpus: tuple[int, ...], own: Mapping[str, str]) -> Worker:
        worker = Worker(cpus, environment=Environment(own, self._only), starter=self._starter)
        worker.closed = self._closed
        self._all.append(worker)
        return worker

    def start(self) -> None:
        """Start a process for each processor without waiting: they come up while a plan is written."""
        for processor in range(self._count):
            with suppress(RuntimeError):  # no thread can be had: the call that needs the process will say so
                self.worker_for((processor,)).start()

    async def execute(self, function: Function, args: Mapping[str, Any]) -> Any:
        """Call ``function`` with ``args`` in any process and return what it returns."""
        return _opened(await self.hand(function, args), function)

    async def hand(self, function: Function, args: Mapping[str, Any]) -> Any:
        """The same, but what isn't plain stays ``Unopened``, and an argument may be a ``Later``."""
        if self._closed:
            raise CallError(f"{function.name} can't be called: its processors are closed")
        async with self._turns.take():
            try:
                worker = self._idle.pop()
            except IndexError:
                worker = self._new((), threads(1))
            try:
                return await worker.hand(function, args)
            finally:
                self._idle.append(worker)

    async def close(self) -> None:
        """End every process; may be called twice."""
        self._closed = True
        await asyncio.gather(*(worker.close() for worker in tuple(self._all)))
        self._kill()

    def kill(self) -> None:
        """End every process at once, without an event loop."""
        self._closed = True
        self._kill()


def _opened(result: Any, function: Function) -> Any:
    return [opened(item) for item in result] if function.is_batch and type(result) is list else opened(result)


def _kill_all(workers: list[Worker], starter: ThreadPoolExecutor) -> None:
    """End the processes of all workers, and the thread that started them."""
    for worker in workers:
        worker.kill()
    starter.shutdown(wait=False)


class Worker:
    """A process for one call at a time, pinned to CPUs where the platform can; a second call waits its turn.

    A process that crashed, was killed to stop a call, or in which a call left something behind, is
    replaced. Without ``cpus`` it runs on any. ``environment`` says which variables the process has.
    """

    def __init__(
        self,
        cpus: tuple[int, ...] = (),
        *,
        environment: Environment | None = None,
        starter: ThreadPoolExecutor | None = None,
    ) -> None:
        self.cpus = cpus
        self.closed = False
        self._starter = starter or new_starter()
        self._owns_starter = starter is None
        self._environment = environment or Environment(threads(1))
        self._keeper: Keeper | None = None
        self._coming: Future[Process] | None = None
        self._current: Process | None = None
        self._asked = 0
        """How often a start that was asked for is void."""
        self._ending: Future[None] | None = None
        """The end of its last process, once it is closed."""
        self._busy = False
        self._turn = Turns(1)

    @property
    def pid(self) -> int | None:
        """The process that is running now, if one is."""
        return self._current.pid if self._current is not None else None

    def start(self) -> None:
        """Start the process without waiting for it, unless it is there already."""
        if self._coming is None and not self.closed:
            try:
                self._coming = self._starter.submit(self._start, self._asked)
            except RuntimeError:  # no thread can be had; a later one may find this in the starter's queue
                self._asked += 1
                raise

    def _start(self, asked: int) -> Process:
        if self.closed or asked != self._asked:
            raise CallError("its processors are closed")
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
        return _opened(await self.hand(function, args), function)

    async def hand(self, function: Function, args: Mapping[str, Any]) -> Any:
        """The same, but what isn't plain stays ``Unopened``, and an argument may be a ``Later``."""
        async with self._turn.take():
            self._busy = True
            try:
                for _ in range(_STARTS):
                    process = await self._up(function)
                    try:
                        result = await exchange(process, function, args, self.cpus)
                        if process.used_up:  # what is left of the call ends before anybody hears of its end
                            await self._bury(process)
                        return result
                    except UnsentError:  # it ended while nothing ran on it: no call's fault
                        await self._bury(process)
                    except EOFError:
                        how = await self._bury(process)
                        if how == MEMORY:
                            raise outgrown(function) from None
                        kinds = () if self.closed else CRASHED
                        raise CallError(f"{function.name} {self._ended(how)}", kinds=kinds) from None
                    except BrokenError:
                        await self._bury(process)
                        raise CallError(
                            f"{function.name} ended: its process sent a message that answers nothing, "
                            "and was replaced"
                        ) from None
                    except LateError:
                        await self._bury(process)
                        raise late(function.name, function.timeout) from None
                    except GeneratorExit:  # its event loop is gone: who calls next waits for its end
                        process.kill()
                        raise
                    except BaseException:
                        # Cancelled: what it does now must not happen. Or it failed and left something.
                        if process.outstanding or process.used_up:
                            await self._bury(process)
                        raise
            except OSError as error:  # no file can be opened, or none be written
                raise CallError(f"{function.name} can't be called: {shortage(error) or error}") from None
            finally:
                self._busy = False
        raise CallError(f"{function.name} can't be called: its processes end before they get the call")

    def _ended(self, how: str) -> str:
        return "was stopped: its processors were closed" if self.closed else f"ended its process ({how})"

    async def _up(self, function: Function) -> Process:
        """The process, ready for a message and heard on this event loop."""
        process = self._current
        if process is not None and (process.gone or process.outstanding or not process.is_quiet()):
            # It has ended, or says what answers nothing; or it makes a call of which nobody hears any more,
            # since an event loop was closed.
            await self._bury(process)
            process = None
        if self.closed:
            raise CallError(f"{function.name} can't be called: its processors are closed")
        if process is None:
            try:
                self.start()
                coming = self._coming
                assert coming is not None
                process = coming.result() if coming.done() else await over(coming)
            except (OSError, RuntimeError, CallError) as error:  # no file, memory or thread for it
                self._coming = None
                raise CallError(
                    f"{function.name} can't be called: no process was started: {shortage(error) or error}"
                ) from None
            if self.closed:
                raise CallError(f"{function.name} can't be called: its processors are closed")
            self._current = process
        process.attach()
        if process.ready:
            return process
        try:
            await process.started()
        except (EOFError, BrokenError):
            how = await self._bury(process, replace=False)
            if self.closed:
                raise CallError(f"{function.name} was stopped: its processors were closed") from None
            if not how.startswith(NONE):
                how = f"its process ended before it was ready ({how}); the reason is on standard error"
            raise CallError(f"{function.name} can't be called: {how}") from None
        return process

    async def _bury(self, process: Process, *, replace: bool = True) -> str:
        """Kill a process, start the next one, and return once this one can do no more."""
        if self.closed:  # who closed this hears the process's end: it is reported once
            if self._ending is not None:
                await over(self._ending)
            return ""
        process.kill()
        if self._current is process:
            self._current = self._coming = None
        if replace:
            with suppress(RuntimeError):  # no thread can be had: who calls next will say so
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
        self.closed = True
        coming, self._coming, self._current = self._coming, None, None
        grace = 0.0 if self._busy else GRACE
        if grace and coming is not None and coming.done() and coming.exception() is None:
            coming.result().hang_up()  # now, so that all of a pool end side by side
        if self._keeper is not None:
            self._keeper.hang_up()
        try:
            # Also without a process: those that were killed before are reaped by then.
            self._ending = self._starter.submit(self._end, coming, grace)
            await over(self._ending)
        except RuntimeError as error:  # closed before: the starter takes nothing more
            if shortage(error):
                self._end(coming, grace)
        if self._owns_starter:
            self._starter.shutdown(wait=False)

    def kill(self) -> None:
        """End the process at once, from anywhere; for when ``close`` can't be awaited."""
        self.closed = True
        coming, self._coming, self._current = self._coming, None, None
        if coming is None:
            self._drop_keeper()
        else:
            coming.add_done_callback(lambda coming: self._end(coming, 0.0))
        if self._owns_starter:
            self._starter.shutdown(wait=False)

    def _end(self, coming: Future[Process] | None, grace: float) -> None:
        """End a process that was started, if one was, and what kept it; blocks, on any thread."""
        if coming is not None and coming.exception() is None:
            process = coming.result()
            process.hang_up()
            process.reap(grace)
            process.release()
        self._drop_keeper()


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
