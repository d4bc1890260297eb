"""The processors that runs share: the place where calls run, resources, and limits, kept on one account.

Decides what there is and when it is started.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from llmorch.arguments import variables, whole
from llmorch.declare.offered import fitted
from llmorch.declare.resources import GPU_MEMORY, Supply, supply_of
from llmorch.errors import FunctionError, WrongArgument
from llmorch.machine import allowed_processors, device_name, gpus
from llmorch.runtime.door import Door
from llmorch.schedule import callable_of

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Mapping, Sequence

    from llmorch.declare.functions import Function
    from llmorch.declare.resources import Amount
    from llmorch.places.local import Local
    from llmorch.places.port import Place

    _Offered = dict[Hashable, list[tuple[weakref.ref[object], str]]]
    """By callable, the orchestrators that there are and what limits each declares of it."""

MOST = 1024


class Processors:
    """What any number of orchestrators, runs and sessions share, from any thread and event loop.

    ``count`` is how many compute calls may run at once, each in a process of its own; by default as
    many as this process may use. ``resources`` is what there is of what calls take by name, as in
    ``{"camera": 1, "gpu_memory": "24GiB"}`` (a list has one amount a GPU); without ``gpu_memory`` the
    driver is asked for its GPUs where a function needs one. Resources, ``max_concurrency``, ``rate`` and
    the local model are limits of these processors, for all runs on them: two ``Processors`` know
    nothing of each other. ``environment`` are the names of the variables that processes have of this
    program's, as they are when a call begins; by default all. ``place`` is where calls run instead
    (see ``llmorch.places.port``).

    Processes are started when they are first needed; ``close`` ends them, as does the end of
    ``async with`` and the end of the program. A later run starts them again (but not a ``place``, which is
    closed for good). A process that is forked from this one, or to which they are sent, begins with an account
    and processes of its own. Raises ``WrongArgument``.
    """

    def __init__(
        self,
        count: int | None = None,
        *,
        resources: Mapping[str, Amount | Sequence[Amount]] | None = None,
        environment: Collection[str] | None = None,
        place: Place | None = None,
    ) -> None:
        if count is not None:
            whole("processors", count, 1, MOST)
        if environment is not None:
            variables("environment", environment)
        if isinstance(place, type):
            raise WrongArgument(f"place is an object, not the class {place.__name__}: make one of it")
        if place is not None and not all(callable(getattr(place, name, None)) for name in ("begin", "close")):
            raise WrongArgument(
                f"place has begin(job, ended) and close(), which {type(place).__name__} has not"
            )
        self.count = count or allowed_processors()
        self.supply = supply_of(resources)
        self._asks_driver = GPU_MEMORY not in (resources or {})
        self._devices = [device_name(number) for number in range(len(self.supply.gpus))]
        self._place = place
        self._resources = None if resources is None else dict(resources)
        self._environment = None if environment is None else tuple(environment)
        self._lock = Lock()
        self._door: Door | None = None
        self._virtual: dict[asyncio.AbstractEventLoop, Door] = {}
        self._local: Local | None = None
        self._process = os.getpid()
        self._offered: _Offered = {}

    def __reduce__(self) -> Any:
        """In another process, processors of its own."""
        if self._place is not None:
            raise TypeError("Processors with a place of their own can't be sent to another process")
        return partial(Processors, resources=self._resources, environment=self._environment), (self.count,)

    async def __aenter__(self) -> Processors:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def fitting(self, functions: Mapping[str, Function]) -> dict[str, Function]:
        """The functions, each with why no call of it can be made with what there is, where that is so."""
        if self._asks_driver and any(GPU_MEMORY in item.resources for item in functions.values()):
            self._asks_driver = False
            found = gpus()
            self.supply = Supply(self.supply.named, tuple(gpu.memory for gpu in found))
            self._devices[:] = [gpu.name for gpu in found]
            with self._lock:
                if self._door is not None:
                    self._door.grow(self.supply)
        return fitted(functions, self.count, self.supply)

    def agree(self, functions: Mapping[str, Function], owner: object) -> None:
        """Raise ``FunctionError`` for a callable that another orchestrator declares with other limits.

        All calls of it have one count. ``owner`` is the orchestrator, which isn't kept.
        """
        for item in functions.values():
            key, said = callable_of(item), _limits(item)
            others = [(ref, before) for ref, before in self._offered.get(key, ()) if ref() is not None]
            for _, before in others:
                if said != before:
                    raise FunctionError(
                        f"{item.name}: another orchestrator on these Processors declares {before} of it, and this one "
                        f"{said}: declare it once for both, or give one of them Processors of its own"
                    )
            mine = weakref.ref(owner, partial(_forget, self._offered, key))
            self._offered[key] = [*others, (mine, said)]

    def door(self, functions: Mapping[str, Function]) -> Door:
        """The way to the account; what these functions need begins to start, without waiting for it."""
        from llmorch.places.local import Local

        if self._process != os.getpid():  # forked: all of that is the parent's
            self._process, self._lock, self._door, self._local = os.getpid(), Lock(), None, None
        with self._lock:
            if self._local is None:
                self._local = Local(self.count, self._devices, self._measured, only=self._environment)
            place, loop = self._place or self._local, asyncio.get_running_loop()
            virtual = getattr(loop, "virtual", False)
            if virtual:  # its time is its own, and so are its rates
                self._virtual = {of: door for of, door in self._virtual.items() if not of.is_closed()}
                door = self._virtual.setdefault(loop, Door(self.count, self.supply, place, self._local))
            else:
                door = self._door = self._door or Door(self.count, self.supply, place, self._local)
            door.place, door.inline = place, self._local
            # On a virtual clock processes start when they are needed: while one runs, time is real.
            if self._place is None and not virtual:
                self._local.start(functions.values())
            return door

    def _measured(self, function: Function, cpu: float, share: float) -> None:
        if self._door is not None:
            self._door.measured(function, cpu, share)

    async def close(self) -> None:
        """Stop what runs on them, and end every process and thread."""
        if self._process != os.getpid():
            return
        with self._lock:  # the account stays: a thread may go on holding what it holds
            local, self._local = self._local, None
        if local is not None:
            await local.close()
        if self._place is not None:
            await self._place.close()


def _limits(function: Function) -> str:
    """What is declared of how many calls may be made."""
    said = {"max_concurrency": function.max_concurrency, "rate": function.rate and f'"{function.rate}"'}
    return ", ".join(f"{name}={value}" for name, value in said.items() if value) or "no limit"


def _forget(offered: _Offered, key: Hashable, _: object) -> None:
    """Keep no callable for orchestrators that are gone."""
    if not any(ref() is not None for ref, _ in offered.get(key, ())):
        offered.pop(key, None)
