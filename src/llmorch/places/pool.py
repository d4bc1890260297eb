"""The processors of compute calls: so many workers, and those of other sizes as calls need them.

Decides which worker a call's processors and GPU mean. It must not know which call should
run where, nor how a worker runs it.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING

from llmorch.places.single import Worker, cpus_of, new_starter, threads

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["Pool", "Worker", "kill_all"]


class Pool:
    """A number of workers, each a processor for one call at a time.

    ``start`` brings them all up at once without waiting. A call of several processors, or
    with a GPU, gets a process of its own kind: libraries read how many threads and which
    GPU they have once, when they are loaded. Those processes are started when first
    needed, and kept. ``devices`` are what the GPUs are called where a process chooses one.

    A pool that is dropped without ``close`` kills its processes, and so does the end of the program.
    """

    def __init__(self, count: int, devices: Sequence[str] = ()) -> None:
        if count < 1:
            raise ValueError(f"a pool needs at least one worker, not {count}")
        self._starter = new_starter()
        self._devices = devices
        self.workers = tuple(Worker(index, starter=self._starter) for index in range(count))
        self._all = list(self.workers)
        self._special: dict[tuple[int, int, int | None], Worker] = {}
        """By first processor, number of processors, and GPU."""
        self._kill = weakref.finalize(self, kill_all, self._all, self._starter)

    def place(self, processors: tuple[int, ...], device: int | None = None) -> Worker:
        """The worker for a call that occupies these processors, and has this GPU."""
        first, count = processors[0], len(processors)
        if count == 1 and device is None:
            return self.workers[first]
        worker = self._special.get((first, count, device))
        if worker is None:
            environment = threads(count)
            if device is not None:
                environment["CUDA_VISIBLE_DEVICES"] = self._devices[device]
            worker = Worker(first, starter=self._starter, environment=environment)
            self._special[first, count, device] = worker
            self._all.append(worker)
        worker.cpus = cpus_of(processors)
        return worker

    def __len__(self) -> int:
        return len(self.workers)

    def __getitem__(self, index: int) -> Worker:
        return self.workers[index]

    def start(self) -> None:
        """Start every process without waiting: they come up while a plan is written."""
        for worker in self.workers:
            worker.start()

    async def close(self) -> None:
        """End every process; may be called twice."""
        await asyncio.gather(*(worker.close() for worker in self._all))
        self._kill()

    def kill(self) -> None:
        """End every process at once, without an event loop."""
        self._kill()


def kill_all(workers: list[Worker], starter: ThreadPoolExecutor) -> None:
    """End the processes of all workers, and the thread that started them."""
    for worker in workers:
        worker.kill()
    starter.shutdown(wait=False)
