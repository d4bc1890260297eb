"""The core: the runs on one set of processors as a state machine without I/O.

Rule 1: everything that decides what happens next is in this package.
Rule 2: nothing here waits, reads a clock, starts a thread or calls a model.
        A driver reports events, each of one run; the core answers with commands for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.declare.resources import Supply
from llmorch.schedule.coordinator import Coordinator
from llmorch.schedule.messages import Abort, CallAdded, CancelRequested, Wake
from llmorch.schedule.nested import comes_after_caller, waits_for_ever
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
        commands: dict[Orchestration, list[Command]] = {}
        self._dispatch(commands, at)
        return list(commands.items())

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
        if isinstance(event, CallAdded) and (caller := comes_after_caller(run, event.call.id, self.runs)):
            why = f"{caller} waits for it, and touches what it touches, so that it comes after {caller}"
            commands += run.refuse(event.call.id, why, at - run.began)
        by_run = {run: commands}
        if coordinator.waiting or coordinator.broken:
            self._dispatch(by_run, at)
            while self._nested and coordinator.waiting and self._refuse_one(by_run, at):
                self._dispatch(by_run, at)
            for account, seconds in coordinator.wakes() if coordinator.waiting else ():
                by_run.setdefault(self._runs[account], []).append(Wake(seconds))
            if coordinator.broken:  # by a policy that was asked once more for all this
                self._dispatch(by_run, at)
        commands += run.end()
        return list(by_run.items())

    def _dispatch(self, commands: dict[Orchestration, list[Command]], at: float) -> None:
        coordinator = self.coordinator
        while True:
            while coordinator.waiting and (found := coordinator.dispatch()) is not None:
                account, calls, lease = found
                run = self._runs[account]
                begun = run.begin(calls, lease, at - run.began)
                if run in commands:
                    commands[run].append(begun)
                else:
                    commands[run] = [begun]
            for account, policy in coordinator.stalled() if coordinator.waiting else ():
                if self._runs[account].complete:
                    policy.stalled()
            if not coordinator.broken:
                return
            self._abort(coordinator.broken.pop(), commands, at)

    def _abort(self, account: Account, commands: dict[Orchestration, list[Command]], at: float) -> None:
        """End the run whose policy broke a promise; what it held, others may have."""
        run = self._runs.get(account)
        if run is None or run.cancelled or account.broken is None:
            return
        aborted = [Abort(str(account.broken)), *run.take(CancelRequested(), at - run.began)]
        commands.setdefault(run, []).extend(aborted)

    def _refuse_one(self, commands: dict[Orchestration, list[Command]], at: float) -> bool:
        """Fail a call that would wait for ever, if there is one."""
        found = waits_for_ever(self._runs.values(), self.coordinator)
        if found is None:
            return False
        run, needs, lack = found
        call = self.coordinator.take_out(run.account, needs)
        if call is None:
            return False
        why = f"all of {lack} is held by calls that wait for such calls"
        commands.setdefault(run, []).extend(run.refuse(call, why, at - run.began))
        commands[run] += run.end()
        return True


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
