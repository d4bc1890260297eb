"""The core: the runs on one set of processors as a state machine without I/O.

Rule 1: everything that decides what happens next is in this package.
Rule 2: nothing here waits, reads a clock, starts a thread or calls a model.
        A driver reports events, each of one run; the core answers with commands for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.declare.resources import Supply
from llmorch.schedule.coordinator import Coordinator
from llmorch.schedule.messages import Abort, CancelRequested, Wake
from llmorch.schedule.nested import waits_for_ever
from llmorch.schedule.orchestration import Orchestration
from llmorch.schedule.room import Capacity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmorch.declare.functions import Function
    from llmorch.schedule.account import Account
    from llmorch.schedule.messages import Command, Event
    from llmorch.schedule.nested import Caller
    from llmorch.schedule.policy import Policy


class Core:
    """Many runs, each with its own scheduler, and the coordinator that they share."""

    def __init__(self, processors: int, supply: Supply | None = None) -> None:
        self.coordinator = Coordinator(Capacity(processors, supply or Supply()))
        self._runs: dict[Account, Orchestration] = {}
        self._nested = 0
        """How many of them calls of others wait for."""

    def open(
        self,
        functions: Mapping[str, Function],
        *,
        policy: Policy,
        priority: float = 1.0,
        durations: Mapping[str, float] | None = None,
        optimize: bool = False,
        above: Sequence[Caller] = (),
    ) -> Orchestration:
        """A new run. Every call of its functions has to fit what there is."""
        run = Orchestration(
            functions,
            coordinator=self.coordinator,
            policy=policy,
            priority=priority,
            durations=durations,
            optimize=optimize,
            above=above,
        )
        self._runs[run.account] = run
        self._nested += bool(run.above)
        return run

    def close(self, run: Orchestration) -> None:
        """Forget a run that has ended; what still has to stop goes on holding what it holds."""
        run.close()
        self._runs.pop(run.account, None)
        self._nested -= bool(run.above)

    def lose(self, run: Orchestration, *, at: float) -> list[tuple[Orchestration, list[Command]]]:
        """Forget a run whose driver is gone, with all that it holds: nobody will tell of any end."""
        self.coordinator.pass_to(at)
        if not run.cancelled:
            run.take(CancelRequested(), at - run.began)
        self.coordinator.forget(run.account)
        self.close(run)
        told: dict[Orchestration, list[Command]] = {}
        self._dispatch(told, at)
        return list(told.items())

    @property
    def runs(self) -> Iterable[Orchestration]:
        """The runs that are open."""
        return self._runs.values()

    def handle(
        self, run: Orchestration, event: Event, *, at: float
    ) -> list[tuple[Orchestration, list[Command]]]:
        """Account for one event of a run, and say what to do about it: what this run has to do first.

        ``at`` is the driver's time in seconds, the same for all runs; the core only copies it
        into the story. An event that the state rules out changes nothing and raises ``IllegalEvent``.
        """
        coordinator = self.coordinator
        coordinator.pass_to(at)
        commands = run.take(event, at - run.began)
        told = {run: commands}
        self._dispatch(told, at)
        while (
            self._nested and coordinator.waits and (found := waits_for_ever(self._runs.values(), coordinator))
        ):
            other, needs, lack = found
            call = coordinator.take_out(other.account, needs)
            if call is None:
                break
            why = f"all of {lack} is held by calls that wait for such calls"
            told.setdefault(other, []).extend(other.refuse(call, why, at - other.began))
            told[other] += other.end()
            self._dispatch(told, at)
        for account, seconds in coordinator.wakes() if coordinator.waits else ():
            told.setdefault(self._runs[account], []).append(Wake(seconds))
        if coordinator.broken:  # by a policy that was asked once more for all this
            self._dispatch(told, at)
        commands += run.end()
        return list(told.items())

    def _abort(self, account: Account, told: dict[Orchestration, list[Command]], at: float) -> None:
        """End the run whose policy broke a promise; what it held, others may have."""
        run = self._runs.get(account)
        if run is None or run.cancelled or account.broken is None:
            return
        aborted = [Abort(str(account.broken)), *run.take(CancelRequested(), at - run.began)]
        told.setdefault(run, []).extend(aborted)

    def _dispatch(self, told: dict[Orchestration, list[Command]], at: float) -> None:
        coordinator = self.coordinator
        while True:
            for account, calls, lease in coordinator.dispatch() if coordinator.waits else ():
                other = self._runs[account]
                told.setdefault(other, []).append(other.begin(calls, lease, at - other.began))
            if not coordinator.broken:
                return
            self._abort(coordinator.broken.pop(), told, at)


class Alone(Orchestration):
    """One run that has all processors to itself, as simulations and tests play it."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        *,
        processors: int,
        policy: Policy,
        supply: Supply | None = None,
        durations: Mapping[str, float] | None = None,
        optimize: bool = False,
    ) -> None:
        self.core = Core(processors, supply)
        super().__init__(
            functions,
            coordinator=self.core.coordinator,
            policy=policy,
            durations=durations,
            optimize=optimize,
        )
        self.core._runs[self.account] = self

    def handle(self, event: Event, *, at: float) -> list[Command]:
        """Account for one event and say what to do about it."""
        ((_, commands),) = self.core.handle(self, event, at=at)
        if self.account.broken is not None:
            raise self.account.broken
        return commands
