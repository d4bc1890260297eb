"""The one door to the core of a set of processors: every event passes it in order, every command leaves by it.

Runs may be on different event loops of different threads. An account of all is kept behind one
lock, which is held for microseconds; what comes of an event for another run is handed to that run's
event loop. This module must not decide any order.
"""

from __future__ import annotations

import asyncio
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from llmorch.schedule import CallAdded, Core, PlanExtended

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Mapping
    from typing import Any

    from llmorch.declare.functions import Function
    from llmorch.declare.resources import Supply
    from llmorch.places.local import Local
    from llmorch.places.port import Place
    from llmorch.schedule import Command, Event, Needs, Orchestration


WORTH = 0.1
"""Seconds on a CPU from which a call of an undeclared function is worth a word."""


class Driver(Protocol):
    """The driver of one run, as far as the door needs it."""

    core: Orchestration
    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    has_begun: bool
    inbox: deque[tuple[Event | None, list[Command], float]]
    notes: dict[str, str]
    """By function, what there is to say of where its calls ran."""

    def offers(self, function: Function) -> bool:
        """Whether it is one of its functions."""

    def follow(self) -> None:
        """Do what is in the inbox."""

    def call(self) -> None:
        """Have the inbox read soon, from any thread."""


class Door:
    """A core, the place where its calls run, and the runs that are open.

    ``inline`` runs the own code of functions that ask a model, whatever the place is.
    """

    def __init__(self, processors: int, supply: Supply, place: Place, inline: Local) -> None:
        self.place = place
        self.inline = inline
        self._core = Core(processors, supply)
        self._lock = Lock()
        self._drivers: dict[Orchestration, Driver] = {}

    def grow(self, supply: Supply) -> None:
        """Know of GPUs that the driver reported meanwhile."""
        with self._lock:
            self._core.coordinator.grow(supply)

    def open(self, driver: Driver, functions: Mapping[str, Function], **said: Any) -> Orchestration:
        """Let a run take part from now on; ``said`` is what ``Core.open`` takes."""
        self._lose(driver.clock())
        with self._lock:
            run = self._core.open(functions, **said)
            self._drivers[run] = driver
        return run

    def close(self, run: Orchestration, *, broken: bool = False) -> None:
        """Forget a run that has ended; what still has to stop is reported all the same, if it isn't broken."""
        others: list[Driver] = []
        with self._lock:
            driver = self._drivers.pop(run, None)
            if driver is not None and broken:
                others = self._lost(run, driver.clock())
            elif driver is not None:
                self._core.close(run)
        for found in others:
            found.call()

    def handle(self, driver: Driver, event: Event) -> None:
        """Put an event to the core, and its commands into the inboxes of the runs that they are for."""
        run = driver.core
        others = []
        with self._lock:
            at = driver.clock()
            if not driver.has_begun:
                run.began = at
                driver.has_begun = isinstance(event, CallAdded) or (
                    isinstance(event, PlanExtended) and bool(event.calls)
                )
            for other, commands in self._core.handle(run, event, at=at):
                found = self._drivers.get(other)
                if found is not None and (commands or found is driver):
                    own = event if found is driver else None
                    found.inbox.append((own, commands, at - other.began))
                    if found is not driver:
                        others.append(found)
        if others:
            for other_driver in others:
                other_driver.call()
            if any(other_driver.loop.is_closed() for other_driver in others):
                self._lose(at)
        if asyncio._get_running_loop() is driver.loop:
            driver.follow()
        elif driver.inbox:
            driver.call()

    def _lose(self, at: float) -> None:
        """Forget the runs whose event loops were closed before they had ended: nothing of them goes on."""
        others: list[Driver] = []
        with self._lock:
            for run, driver in list(self._drivers.items()):
                if driver.loop.is_closed():
                    del self._drivers[run]
                    others += self._lost(run, at)
        for found in others:
            found.call()

    def _lost(self, run: Orchestration, at: float) -> list[Driver]:
        """Take back what a run holds of which nobody tells any more; who has something to do for it."""
        others = []
        for other, commands in self._core.lose(run, at=at):
            if (found := self._drivers.get(other)) is not None:
                found.inbox.append((None, commands, at - other.began))
                others.append(found)
        return others

    def measured(self, function: Function, cpu: float, share: float) -> None:
        """Take note that a call on a thread took so many seconds of a CPU, of those in which it could have had one."""
        if function.declared or cpu < WORTH or cpu < share / 2:
            return
        with self._lock:
            drivers = list(self._drivers.values())
        for driver in drivers:
            if driver.offers(function):
                driver.notes[function.name] = (
                    f"{function.name} spent most of its time on the CPU ({cpu:.1f} s), where it holds up every "
                    'other call: declare it with @function(kind="compute") to give it a processor'
                )

    def again(self, needs: Needs, at: float) -> float:
        """Count one more attempt to its rate; or the seconds until it is worth asking again."""
        with self._lock:
            self._core.coordinator.pass_to(at)
            return self._core.coordinator.again(needs)

    @property
    def runs(self) -> int:
        """How many runs are open."""
        return len(self._drivers)
