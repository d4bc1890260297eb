"""One run's part in what the runs of this process share.

Puts each event to the core together with what the other runs hold at that moment, and
tells the ledger what the core made of it, all under the ledger's lock: so two runs never
both take the last of something. A run whose functions share nothing has no such part.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from llmorch.declare.resources import CPU
from llmorch.runtime.ledger import LEDGER, Member
from llmorch.schedule import Needs, OthersHold, RateReturned, ReturnRate, rate_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from llmorch.declare.functions import Function
    from llmorch.runtime.ledger import Ledger
    from llmorch.schedule import Command, Event, Orchestration


def shares(functions: Mapping[str, Function]) -> bool:
    """Whether calls of these functions take anything that another run may take too."""
    return any(
        function.max_concurrency or function.rate or set(function.resources) - {CPU}
        for function in functions.values()
    )


def leave_running(function: Function, ledger: Ledger = LEDGER) -> Callable[[], None]:
    """Go on holding what a call takes that was given up and can't be stopped, until that is called."""
    needs = Needs.of(function)
    amounts: dict[Hashable, int] = dict(needs.shared)
    amounts |= {_key(limit, function): 1 for limit in needs.limits if limit != rate_name(function)}
    return ledger.leave_behind(amounts) if amounts else _nothing


def _nothing() -> None:
    pass


def _key(limit: str, function: Function) -> Hashable:
    """A limit on one function's calls, whatever functions of other runs are called."""
    call = function.call if function.batch is None else function.batch.call  # of both forms the same
    try:
        hash(call)
    except TypeError:
        return limit, id(call)
    return limit, call


class Sharing:
    """Handles the events of one run; ``hear`` is the driver's, for those that come from here."""

    def __init__(
        self,
        core: Orchestration,
        functions: Mapping[str, Function],
        hear: Callable[[Event | None], None],
        ledger: Ledger = LEDGER,
    ) -> None:
        self._core = core
        self._hear = hear
        self._ledger = ledger
        self._loop = asyncio.get_running_loop()
        self._names: dict[Hashable, str] = {}
        self._keys: dict[str, Hashable] = {}
        for function in functions.values():
            for limit in Needs.of(function).limits:
                self._keys[limit] = _key(limit, function)
                self._names[self._keys[limit]] = limit
        self._rates = {self._keys[limit]: None for limit in core.capacity.periods}
        self._others: Mapping[str, int] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self._again: asyncio.TimerHandle | None = None
        self._told = False
        self._closed = False
        self._member = Member(self._changed)
        ledger.join(self._member)

    def handle(self, event: Event | None, at: float) -> list[tuple[Event, list[Command]]]:
        """Put an event to the core, after what others hold if that has changed; what came of each."""
        heard: list[tuple[Event, list[Command]]] = []
        if self._closed:
            return [] if event is None else [(event, self._core.handle(event, at=at))]
        with self._ledger.lock:
            self._told = False
            others = {
                name: amount
                for key, amount in self._ledger.others(self._member).items()
                if isinstance(name := self._names.get(key, key), str)
            }
            if others != self._others:
                self._others = others
                heard.append((OthersHold(others), self._core.handle(OthersHold(others), at=at)))
            if event is not None:
                heard.append((event, self._core.handle(event, at=at)))
            for _, commands in heard:
                for command in commands:
                    if isinstance(command, ReturnRate):
                        self._begun(command)
            self._ledger.publish(self._member, self._known(self._core.held), self._known(self._core.wanted))
        self._wait_for_rates()
        return heard

    def _known(self, amounts: Mapping[str, int]) -> dict[Hashable, int]:
        return {self._keys.get(name, name): amount for name, amount in amounts.items()}

    def _begun(self, command: ReturnRate) -> None:
        self._ledger.begin(self._keys[command.limit], command.after, self._member)

        def over() -> None:
            self._timers.discard(timer)
            self._hear(RateReturned(command.limit))

        timer = self._loop.call_later(command.after, over)
        self._timers.add(timer)

    def _wait_for_rates(self) -> None:
        """Look again when a call of another run no longer counts to a rate of ours."""
        end = self._ledger.next_return(self._member, self._rates) if self._rates else None
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if end is not None:
            pause = max(end - self._ledger.clock(), 0.001)
            self._again = self._loop.call_later(pause, self._hear, None)

    def _changed(self) -> None:
        """Hear, on the event loop and once, that others hold something else."""
        if not self._told:
            self._told = True
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        if self._told and not self._closed:
            self._hear(None)

    async def another(self, function: Function) -> None:
        """Wait until one more call of a function may begin, and count it: it is made again."""
        if function.rate is None:
            return
        key = self._keys[rate_name(function)]
        while True:
            pause = self._ledger.begin_or_wait(key, function.rate.calls, function.rate.seconds)
            if not pause:
                return
            await asyncio.sleep(pause)

    def close(self) -> None:
        """Take no part any more."""
        for timer in self._timers:
            timer.cancel()
        if self._again is not None:
            self._again.cancel()
        self._closed = True
        self._ledger.leave(self._member)
