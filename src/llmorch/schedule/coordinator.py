"""The execution coordinator: decides where and when the submitted calls of all runs are made.

A call starts when all that it needs is free, and takes all of it at once, so that no two
calls ever wait for each other. Among runs that wait, who has used least goes first (fair
queueing: A. Demers et al., 1989); within a run, its policy decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from llmorch.schedule.account import Account
from llmorch.schedule.guarded import Guarded
from llmorch.schedule.policy import POLICIES
from llmorch.schedule.reservations import Reservations
from llmorch.schedule.room import Needs, Room, limits_of

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence

    from llmorch.calls import CallId
    from llmorch.declare.functions import Function
    from llmorch.declare.resources import Supply
    from llmorch.errors import PolicyError
    from llmorch.schedule.policy import Policy, Urgency, Waiting
    from llmorch.schedule.room import Capacity, Lease
    from llmorch.schedule.state import Attempt

_PLANNING = Needs(model=1)


@dataclass(slots=True)
class _Named:
    """A function whose calls are limited, by the name of its limits, and how many runs offer it."""

    name: str
    function: Function
    """Kept, so that what tells it from others is nothing else's meanwhile."""
    runs: int = 0


def callable_of(function: Function) -> Hashable:
    """What tells the callable of a function from all others: by it its limits are counted."""
    call = function.call if function.batch is None else function.batch.call  # of both forms the same
    try:
        hash(call)
    except TypeError:
        return id(call)
    return call


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}#{number}" for number in count(2))


class Coordinator:
    """Dispatches the submitted calls of all runs, as far as they fit.

    A compute call gets processors of its own until it ends; an inout call takes none. Calls
    that ask a local model take turns at it.
    """

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self._room = Room(capacity)
        self._reservations = Reservations(self._room)
        self.waiting: dict[Account, None] = {}
        """The runs that have calls which wait."""
        self._lines: dict[Needs, dict[Account, None]] = {}
        """The runs that offer a call of these needs."""
        self._mixed = 0
        """The lines whose calls need more than a processor."""
        self._changed: dict[Account, None] = {}
        """The runs that may offer other calls than they did."""
        self._stopping: dict[tuple[Account, Attempt], tuple[Needs, Lease]] = {}
        """What attempts that were cancelled hold until nothing of them runs any more."""
        self._named: dict[Hashable, _Named] = {}
        self._count = 0
        self._planning = 0
        self.broken: list[Account] = []
        """The runs whose policy broke a promise, as long as they have to be ended for it."""
        self._at = 0.0
        self._width = 0
        self._weight = 0.0
        self._fair = 0.0
        """What a run has used by now that wanted something all the time."""

    def grow(self, supply: Supply) -> None:
        """Know of GPUs that there are beside what there was."""
        self.capacity = replace(self.capacity, supply=supply)
        self._room.grow(supply)

    def open(self, policy: Policy, *, priority: float = 1.0) -> Account:
        """Take part from now on."""
        self._count += 1
        account = Account(policy, priority, self._count)
        if type(policy) not in POLICIES.values():

            def broke(error: PolicyError) -> None:
                account.broken = error
                self.broken.append(account)

            account.policy = Guarded(policy, broke)
        return account

    def close(self, account: Account) -> None:
        """Take no part any more. What still has to stop goes on holding what it holds."""
        self.withdraw(account)
        if account.planning is not None:
            self.vacate(account)
        self._changed.pop(account, None)
        self._offers(account, ())
        for key in account.limited:
            self._named[key].runs -= 1
        account.limited.clear()
        for key in [key for key, named in self._named.items() if not named.runs]:
            if not self._room.counts(self._named[key].name):
                del self._named[key]

    def needs(self, account: Account, function: Function) -> Needs:
        """What a call of a function needs: of the same limits as those of the same callable in other runs."""
        if not limits_of(function, ""):
            return Needs.of(function)
        key = callable_of(function)
        if key not in self._named:
            taken = {named.name for named in self._named.values()}
            name = next(name for name in _numbered(function.name) if name not in taken)
            self._named[key] = _Named(name, function)
        if key not in account.limited:
            account.limited[key] = None
            self._named[key].runs += 1
        return Needs.of(function, self._named[key].name)

    def pass_to(self, at: float) -> None:
        """Know the time, in seconds, which never goes back."""
        passed = max(0.0, at - self._at)
        self._at = at
        self._room.pass_to(at)
        if passed and self._weight:
            self._fair += passed * self._width / self._weight

    def submit(self, account: Account, calls: Sequence[Waiting]) -> None:
        """Take a set of calls of a run that became ready together."""
        if not calls:
            return
        account.waiting += len(calls)
        for call in calls:
            account.mixed = account.mixed or not call.needs.plain
        self.waiting[account] = None
        self._activity(account)
        account.policy.push(calls)
        self._changed[account] = None

    def dispatch(self) -> tuple[Account, list[CallId], Lease] | None:
        """The next call to start now, with what it is given, or several with what they share."""
        found = self._next()
        if found is None:
            return None
        account, call, lease = found
        calls = [call.id]
        if call.needs.batch:
            several = [call, *account.policy.along(call.needs, call.needs.size - 1)]
            calls = [waiting.id for waiting in sorted(several, key=lambda waiting: waiting.order)]
        account.running += 1
        account.started += 1
        if not call.needs.nothing:
            self._occupies(account, call.needs, 1)
        self._left(account, len(calls))
        return account, calls, lease

    def stalled(self) -> list[tuple[Account, Guarded]]:
        """The runs whose policies withhold calls although all is free."""
        if self._width or self._stopping or self._planning:
            return []
        return [
            (account, policy)
            for account in self.waiting
            if isinstance(policy := account.policy, Guarded)
            and not account.running
            and policy.withholds(self._room.fits)
        ]

    def _next(self) -> tuple[Account, Waiting, Lease] | None:
        if len(self.waiting) == 1 and not self._mixed:
            (account,) = self.waiting
            if not account.mixed:
                call = account.policy.pop(self._room.fits, account.running)
                return None if call is None else (account, call, self._room.take(call.needs))
        self._renew()
        spare: dict[Needs, Mapping[str, int]] = {}
        if self._mixed:
            self._reservations.renew(self._lines)
            turn = self._reservations.next()
            spare = {needs: self._reservations.spare(needs) for needs in ([turn] if turn else self._lines)}
        fitting = [
            needs
            for needs in spare or self._lines
            if self._lines[needs] and self._room.fits(needs, spare.get(needs, {}))
        ]
        while fitting:
            lines = {account for needs in fitting for account in self._lines[needs]}
            account = min(lines, key=lambda one: one.order(self._at)) if len(lines) > 1 else lines.pop()
            call = account.policy.pop(set(fitting).__contains__, account.running)
            if call is not None:
                return account, call, self._taken(call.needs, spare.get(call.needs, {}))
            for needs in fitting:  # it offers what it doesn't hand out
                self._lines[needs].pop(account, None)
            fitting = [needs for needs in fitting if self._lines[needs]]
        return None

    def _taken(self, needs: Needs, spare: Mapping[str, int]) -> Lease:
        if not self._mixed:
            return self._room.take(needs)
        overtaken = self._reservations.waiting(self._lines)
        lease = self._room.take(needs, spare)
        self._reservations.served(needs)
        self._reservations.overtaken([line for line in overtaken if line != needs], needs.amounts)
        return lease

    def _renew(self) -> None:
        """Ask those runs anew what they offer."""
        for account in self._changed:
            self._offers(account, account.policy.offered(account.running) if account.waiting else ())
        self._changed.clear()

    def _offers(self, account: Account, offered: Collection[Needs]) -> None:
        for needs in account.offered:
            line = self._lines.get(needs, {})
            line.pop(account, None)
            if not line and self._lines.pop(needs, None) is not None:
                self._mixed -= not needs.plain
        for needs in offered:
            if needs not in self._lines:
                self._lines[needs] = {}
                self._mixed += not needs.plain
            self._lines[needs][account] = None
        account.offered = tuple(offered)

    def _left(self, account: Account, count: int) -> None:
        """Take note that so many calls of a run don't wait any more."""
        account.waiting -= count
        if not account.waiting:
            account.mixed = False
            self.waiting.pop(account, None)
            self._activity(account)
        self._changed[account] = None

    def _occupies(self, account: Account, needs: Needs, sign: int) -> None:
        """Take note that a call begins or ends to occupy what runs share."""
        account.used += account.width * (self._at - account.since) / account.weight
        account.since = self._at
        width = sign * max(1, needs.processors)
        account.width += width
        self._width += width
        self._activity(account)

    def _activity(self, account: Account) -> None:
        active = bool(account.waiting or account.width)
        if active != account.active:
            account.active = active
            self._weight += account.weight if active else -account.weight
            if active:  # it has nothing to catch up with
                account.used = max(account.used, self._fair)
                account.since = self._at

    def release(self, account: Account, needs: Needs, lease: Lease) -> None:
        """Give back what a call held, or all calls of a batch together."""
        account.running -= 1
        if not needs.nothing:
            self._occupies(account, needs, -1)
            self._room.give_back(needs, lease)
        if account.waiting:
            self._changed[account] = None

    def stop(self, account: Account, attempt: Attempt, needs: Needs, lease: Lease) -> None:
        """Go on holding what a call holds that was given up, until ``stopped``."""
        if needs.plain:  # whoever has its processor next waits for its end there
            self.release(account, needs, lease)
        else:
            self._stopping[account, attempt] = (needs, lease)

    def stopped(self, account: Account, attempt: Attempt) -> None:
        """Take note that nothing of an attempt runs any more, maybe after its run was closed."""
        if (held := self._stopping.pop((account, attempt), None)) is not None:
            self.release(account, *held)

    def forget(self, account: Account) -> None:
        """Take back what attempts of a run hold that nobody will report as stopped."""
        for of, attempt in list(self._stopping):
            if of is account:
                self.stopped(account, attempt)

    def again(self, needs: Needs) -> float:
        """Count one more attempt of a call that runs to its rate: 0, or the seconds until it is worth asking again."""
        rates = [limit for limit in needs.limits if limit.seconds]
        only = Needs(limits=tuple(rates))
        if (returns := self._room.returns(only)) is not None:
            return max(returns - self._at, 0.001)
        for rate in rates:
            self._room.begin(rate)
        return 0.0

    def wakes(self) -> Iterator[tuple[Account, float]]:
        """The runs whose calls wait for a rate, each with the seconds until one more may begin; once for each time."""
        if self._mixed and self._changed:
            self._renew()
        for needs, line in self._lines.items() if self._mixed else ():
            returns = self._room.returns(needs)
            for account in line if returns is not None else ():
                assert returns is not None
                if account.wakes is None or returns < account.wakes:
                    account.wakes = returns
                    yield account, returns - self._at

    def woken(self, account: Account) -> None:
        """Take note that the time came for which a run was to be woken."""
        account.wakes = None

    def lacking(self, needs: Needs) -> dict[str, int]:
        """What calls of these needs wait for, by name, but for processors and rates; and how much of it is held."""
        rates = {limit.name for limit in needs.limits if limit.seconds}
        names = {*self._room.lacks(needs), *self._room.limited(needs)} - rates
        held = self._room.held
        return {name: held.get(name, 0) for name in names}

    def take_out(self, account: Account, needs: Needs) -> CallId | None:
        """Hand out a call of these needs that waits, which is not made."""
        call = account.policy.pop(lambda one: one == needs, account.running)
        if call is None:
            return None
        self._left(account, 1)
        return call.id

    def drop(self, account: Account, call: CallId) -> None:
        """Forget one call that waits."""
        account.policy.drop(call)
        self._left(account, 1)

    def withdraw(self, account: Account) -> None:
        """Forget every call of a run that waits."""
        account.policy.clear()
        self._left(account, account.waiting)

    def reorder(self, account: Account, urgency: Mapping[CallId, Urgency]) -> None:
        """Hand better estimates to a run's policy."""
        account.policy.reorder(urgency)
        self._changed[account] = None

    def occupy(self, account: Account) -> Lease:
        """Set a processor and the model aside while the model writes a run's plan; which processor that is.

        Where every processor is busy the model has to share one: the plan comes first.
        """
        self._planning += 1
        account.planning = self._room.set_aside()
        return account.planning

    def vacate(self, account: Account) -> None:
        """Take back what ``occupy`` reserved."""
        assert account.planning is not None
        self._room.give_back(_PLANNING, account.planning)
        account.planning = None
        self._planning -= 1

    @property
    def planning(self) -> bool:
        """Whether a model works on a plan."""
        return self._planning > 0

    @property
    def stopping(self) -> Collection[tuple[Needs, Lease]]:
        """What is held by attempts that have to stop."""
        return self._stopping.values()

    @property
    def idle(self) -> int:
        """How many processors are free."""
        return self._room.idle

    @property
    def held(self) -> Mapping[str, int]:
        """What is held of what calls share, but for processors, the model and rates."""
        return self._room.held
