"""The account of one set of processors: what there is, what a call needs of it, and what is free.

Accounting, nothing else: this module must not know who comes first.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from llmorch.declare.resources import CPU, GPU_MEMORY, Supply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmorch.declare.functions import Function

MODEL = "model"
NOTHING: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit on the calls of one function: so many at once, or so many in any ``seconds``."""

    name: str
    most: int
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Needs:
    """What a call takes while it runs.

    ``shared`` are amounts of named resources. ``limits`` are those on the calls of its own
    function, which takes one of each; of a rate it takes one for a time, however short it runs.
    At most ``size`` calls of the function ``batch`` take all of this together, as one.
    """

    processors: int = 0
    model: int = 0
    gpu_memory: int = 0
    shared: tuple[tuple[str, int], ...] = ()
    limits: tuple[Limit, ...] = ()
    batch: str = ""
    size: int = 1
    nothing: bool = field(init=False, compare=False, repr=False, default=True)
    """Whether it always fits."""
    simple: bool = field(init=False, compare=False, repr=False, default=True)
    """Whether it fits wherever anything does: a call that needs more can be overtaken for ever."""
    plain: bool = field(init=False, compare=False, repr=False, default=True)
    """Whether it is simple, and without limits."""
    _hash: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        rest = self.shared or self.gpu_memory
        object.__setattr__(self, "simple", self.processors <= 1 and not rest)
        object.__setattr__(self, "plain", self.simple and not self.limits)
        object.__setattr__(self, "nothing", not (self.processors or self.model or rest or self.limits))
        parts = (
            self.processors,
            self.model,
            self.gpu_memory,
            self.shared,
            self.limits,
            self.batch,
            self.size,
        )
        object.__setattr__(self, "_hash", hash(parts))

    def __hash__(self) -> int:  # once: calls are kept by what they need
        return self._hash

    @classmethod
    def of(cls, function: Function, name: str | None = None) -> Needs:
        """What every call of a function needs; ``name`` tells its limits from those of others."""
        compute = function.kind == "compute"
        taken = function.resources
        return cls(
            processors=taken.get(CPU, 1) if compute else 0,
            model=int(compute and function.asks_model),
            gpu_memory=taken.get(GPU_MEMORY, 0),
            shared=tuple(sorted((n, amount) for n, amount in taken.items() if n not in (CPU, GPU_MEMORY))),
            limits=limits_of(function, name or function.name),
            batch="" if function.batch is None else name or function.name,
            size=1 if function.batch is None else function.batch.size,
        )

    @property
    def amounts(self) -> dict[str, int]:
        """What it takes of what calls of other functions take too, by name."""
        named = {CPU: self.processors, MODEL: self.model, GPU_MEMORY: self.gpu_memory, **dict(self.shared)}
        return {name: amount for name, amount in named.items() if amount}

    def held(self, lease: Lease) -> dict[str, int]:
        """What it holds by name, with that lease, but for processors, the model, and rates."""
        amounts = dict(self.shared)
        if lease.device is not None:
            amounts[device(lease.device)] = self.gpu_memory
        return amounts | {limit.name: 1 for limit in self.limits if not limit.seconds}


def limits_of(function: Function, name: str) -> tuple[Limit, ...]:
    """The limits on the calls of a function, by a name that no resource has."""
    limits = []
    if function.max_concurrency is not None:
        limits.append(Limit(f"{name}()", function.max_concurrency))
    if function.rate is not None:
        limits.append(Limit(f"{name}() {function.rate}", function.rate.calls, function.rate.seconds))
    return tuple(limits)


def device(number: int) -> str:
    """The name of one GPU's memory."""
    return f"{GPU_MEMORY}/{number}"


@dataclass(frozen=True)
class Capacity:
    """What there is in all."""

    processors: int
    supply: Supply = field(default_factory=Supply)

    def parts(self, needs: Needs) -> dict[str, tuple[int, int]]:
        """How much a call takes of each thing it needs, and how much there is in all.

        Nothing for a call that may share all of it with others: what it takes of its own bounds nothing.
        """
        if needs.batch:
            return {}
        there = {**self.supply.named, CPU: self.processors, MODEL: 1, GPU_MEMORY: sum(self.supply.gpus)}
        parts = {name: (amount, there[name]) for name, amount in needs.amounts.items() if there.get(name)}
        return parts | {limit.name: (1, limit.most) for limit in needs.limits if not limit.seconds}

    def lacks(self, needs: Needs, above: Sequence[Needs]) -> str:
        """Why a call can never begin beside calls that wait for it and hold what is ``above``; empty where it can."""
        held = Counter[str]()
        for one in above:
            held.update(one.amounts)
            held.update({limit.name: 1 for limit in one.limits if not limit.seconds})
        for name, (amount, there) in self.parts(replace(needs, batch="")).items():
            if held[name] and held[name] + amount > there:
                return f"the call that waits for it holds {held[name]} of {name}, and there is no more than {there}"
        return ""


@dataclass(frozen=True, slots=True)
class Lease:
    """What of the machine a call was given until it ends: processors, lowest first, and its GPU."""

    processors: tuple[int, ...] = ()
    device: int | None = None


NO_LEASE = Lease()


class Room:
    """What is free of what there is.

    ``fits`` and ``take`` leave ``spare`` alone, which is amounts by name; a GPU's has the
    GPU's number in it.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._idle = list(range(capacity.processors))
        self._model = 1
        self._gpus: tuple[int, ...] = ()
        self._all: dict[str, int] = dict(capacity.supply.named)
        self._free = dict(self._all)
        self.grow(capacity.supply)
        self._used: dict[str, int] = {}
        """How many calls there are of a function whose number is limited, by the limit's name."""
        self._begun: dict[str, deque[float]] = {}
        """By rate, until when each call that began counts."""
        self._at = 0.0

    def grow(self, supply: Supply) -> None:
        """Know of the GPUs that there are."""
        self._gpus = supply.gpus
        for number, size in enumerate(supply.gpus):
            self._all[device(number)] = self._free[device(number)] = size

    def pass_to(self, at: float) -> None:
        """Know the time: what began long enough ago no longer counts to its rate."""
        self._at = at
        for name, begun in list(self._begun.items()) if self._begun else ():
            while begun and begun[0] <= at:
                begun.popleft()
            if not begun:
                del self._begun[name]

    def fits(self, needs: Needs, spare: Mapping[str, int] = NOTHING) -> bool:
        """Whether all of this is free at once."""
        if needs.processors and needs.processors > len(self._idle) - spare.get(CPU, 0):
            return False
        if needs.model and needs.model > self._model - spare.get(MODEL, 0):
            return False
        if not (needs.shared or needs.limits or needs.gpu_memory):
            return True
        free = self._free
        return (
            all(free.get(name, 0) - spare.get(name, 0) >= amount for name, amount in needs.shared)
            and not self.limited(needs)
            and (not needs.gpu_memory or self._device(needs.gpu_memory, spare) is not None)
        )

    def take(self, needs: Needs, spare: Mapping[str, int] = NOTHING) -> Lease:
        """Take all of it, which fits: the lowest processors, and the fullest GPU with room."""
        self._model -= needs.model
        processors = tuple([heappop(self._idle) for _ in range(needs.processors)]) if needs.processors else ()
        if not (needs.shared or needs.limits or needs.gpu_memory):
            return Lease(processors) if processors else NO_LEASE
        gpu = self._device(needs.gpu_memory, spare) if needs.gpu_memory else None
        lease = Lease(processors, gpu)
        for limit in needs.limits:
            if limit.seconds:
                self.begin(limit)
        self._hold(needs, lease, 1)
        return lease

    def give_back(self, needs: Needs, lease: Lease) -> None:
        """Take back what a call held; what it began counts to its rate until the time is over."""
        for processor in lease.processors:
            heappush(self._idle, processor)
        self._model += needs.model
        if needs.shared or needs.limits or lease.device is not None:
            self._hold(needs, lease, -1)

    def _hold(self, needs: Needs, lease: Lease, sign: int) -> None:
        for name, amount in needs.held(lease).items():
            if name in self._free:
                self._free[name] -= sign * amount
            else:
                self._used[name] = self._used.get(name, 0) + sign * amount
                if not self._used[name]:
                    del self._used[name]

    def begin(self, rate: Limit) -> None:
        """Count a call that begins now to its rate."""
        self._begun.setdefault(rate.name, deque()).append(self._at + rate.seconds)

    def limited(self, needs: Needs) -> list[str]:
        """The limits by which it waits for calls of its own function, or for the clock."""
        return [limit.name for limit in needs.limits if self._full(limit)]

    def _full(self, limit: Limit) -> bool:
        count = len(self._begun.get(limit.name, ())) if limit.seconds else self._used.get(limit.name, 0)
        return count >= limit.most

    def returns(self, needs: Needs) -> float | None:
        """When the last of the rates by which it waits lets one more call begin; ``None`` if it waits for none."""
        full = [limit for limit in needs.limits if limit.seconds and self._full(limit)]
        return max((self._begun[limit.name][-limit.most] for limit in full), default=None)

    def counts(self, name: str) -> bool:
        """Whether any call counts to a limit of the function of this name."""
        return any(limit.startswith(f"{name}()") for limit in (*self._used, *self._begun))

    @property
    def idle(self) -> int:
        """How many processors are free."""
        return len(self._idle)

    @property
    def held(self) -> dict[str, int]:
        """What is held by name, but for processors, the model, and rates."""
        taken = {name: amount - self._free[name] for name, amount in self._all.items()}
        return {name: amount for name, amount in taken.items() if amount} | self._used

    def set_aside(self) -> Lease:
        """Take the model and the highest free processor, if any is, for the plan itself."""
        self._model -= 1
        if not self._idle:
            return NO_LEASE
        processor = max(self._idle)
        self._idle.remove(processor)
        heapify(self._idle)
        return Lease((processor,))

    def lacks(self, needs: Needs) -> list[str]:
        """What of this there isn't enough of, by name, what most calls take last."""
        lacking = [name for name, amount in needs.shared if self._free.get(name, 0) < amount]
        if needs.gpu_memory and self._device(needs.gpu_memory, NOTHING) is None:
            lacking.append(GPU_MEMORY)
        if needs.model > self._model:
            lacking.append(MODEL)
        if needs.processors > len(self._idle):
            lacking.append(CPU)
        return lacking

    def emptiest(self, memory: int) -> int:
        """The GPU on which that much memory will be free soonest: of those that have it, the emptiest."""
        fitting = [number for number, size in enumerate(self._gpus) if size >= memory]
        return min(fitting, key=lambda number: (-self._free[device(number)], number))

    def _device(self, memory: int, spare: Mapping[str, int]) -> int | None:
        room = [
            (free, number)
            for number in range(len(self._gpus))
            if (free := self._free[device(number)]) - spare.get(device(number), 0) >= memory
        ]
        return min(room)[1] if room else None
