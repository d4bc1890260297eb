"""What there is, what a call needs of it, and what is free: accounting, nothing else.

Processors and the model belong to one run. All else is shared with the runs beside it:
resources by name, GPUs, and the limits on the calls of a function. This module must not
know who comes first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from llmorch.declare.resources import CPU, GPU_MEMORY, Supply

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmorch.declare.functions import Function

MODEL = "model"
NOTHING: Mapping[str, int] = {}


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
    limits: tuple[str, ...] = ()
    batch: str = ""
    size: int = 1

    @classmethod
    def of(cls, function: Function) -> Needs:
        """What every call of a function needs."""
        compute = function.kind == "compute"
        taken = function.resources
        return cls(
            processors=taken.get(CPU, 1) if compute else 0,
            model=int(compute and function.asks_model),
            gpu_memory=taken.get(GPU_MEMORY, 0),
            shared=tuple(sorted((n, amount) for n, amount in taken.items() if n not in (CPU, GPU_MEMORY))),
            limits=tuple(slots_and_rate(function)),
            batch="" if function.batch is None else function.name,
            size=1 if function.batch is None else function.batch.size,
        )

    @property
    def simple(self) -> bool:
        """Whether it fits wherever anything does: a call that needs more can be overtaken for ever."""
        return self.processors <= 1 and not self.shared and not self.gpu_memory

    @property
    def amounts(self) -> dict[str, int]:
        """What it takes of what calls of other functions take too, by name."""
        named = {CPU: self.processors, MODEL: self.model, GPU_MEMORY: self.gpu_memory, **dict(self.shared)}
        return {name: amount for name, amount in named.items() if amount}


def slots_and_rate(function: Function) -> dict[str, int]:
    """The limits on the calls of a function, by a name that no resource has: how many there may be."""
    limits = {}
    if function.max_concurrency is not None:
        limits[f"{function.name}()"] = function.max_concurrency
    if function.rate is not None:
        limits[rate_name(function)] = function.rate.calls
    return limits


def rate_name(function: Function) -> str:
    """The name of the limit that a function's rate is."""
    return f"{function.name}() {function.rate}"


def device(number: int) -> str:
    """The name of one GPU's memory."""
    return f"{GPU_MEMORY}/{number}"


@dataclass(frozen=True)
class Capacity:
    """What there is in all. ``periods`` are the seconds that a rate's one is taken for."""

    processors: int
    supply: Supply = field(default_factory=Supply)
    limits: Mapping[str, int] = field(default_factory=dict)
    periods: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, functions: Mapping[str, Function], processors: int, supply: Supply) -> Capacity:
        """What there is for calls of these functions."""
        limits: dict[str, int] = {}
        periods = {}
        for function in functions.values():
            limits |= slots_and_rate(function)
            if function.rate is not None:
                periods[rate_name(function)] = function.rate.seconds
        return cls(processors, supply, limits, periods)

    def parts(self, needs: Needs) -> dict[str, tuple[int, int]]:
        """How much a call takes of each thing it needs, and how much there is in all.

        Nothing for a call that may share all of it with others: what it takes of its own bounds nothing.
        """
        if needs.batch:
            return {}
        there = {**self.supply.named, CPU: self.processors, MODEL: 1, GPU_MEMORY: sum(self.supply.gpus)}
        parts = {name: (amount, there[name]) for name, amount in needs.amounts.items() if there.get(name)}
        slots = {limit: (1, self.limits[limit]) for limit in needs.limits if limit not in self.periods}
        return parts | slots


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call runs: the processors it occupies, lowest first, and its GPU."""

    processors: tuple[int, ...] = ()
    device: int | None = None


class Room:
    """What is free of what there is.

    ``fits`` and ``take`` leave ``spare`` alone, which is amounts by name; a GPU's has the
    GPU's number in it.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._idle = list(range(capacity.processors))
        self._model = 1
        self._periods = capacity.periods
        self._gpus = capacity.supply.gpus
        memory = {device(number): size for number, size in enumerate(self._gpus)}
        self._free: dict[str, int] = {**capacity.supply.named, **memory, **capacity.limits}
        self._others: Mapping[str, int] = NOTHING
        self.held: dict[str, int] = {}
        """What this run holds of what is shared with others, but for rates."""

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
            and all(free[limit] > 0 for limit in needs.limits)
            and (not needs.gpu_memory or self._device(needs.gpu_memory, spare) is not None)
        )

    def take(self, needs: Needs, spare: Mapping[str, int] = NOTHING) -> Place:
        """Take all of it, which fits: the lowest processors, and the fullest GPU with room."""
        processors = tuple([heappop(self._idle) for _ in range(needs.processors)])
        self._model -= needs.model
        if not (needs.shared or needs.limits or needs.gpu_memory):
            return Place(processors)
        gpu = self._device(needs.gpu_memory, spare) if needs.gpu_memory else None
        for limit in needs.limits:
            self._free[limit] -= 1
        self._hold(needs, gpu, 1)
        return Place(processors, gpu)

    def give_back(self, needs: Needs, place: Place) -> None:
        """Take back what a call held; a rate's share comes back by ``returned``."""
        for processor in place.processors:
            heappush(self._idle, processor)
        self._model += needs.model
        for limit in needs.limits:
            if limit not in self._periods:
                self._free[limit] += 1
        self._hold(needs, place.device, -1)

    def _hold(self, needs: Needs, gpu: int | None, sign: int) -> None:
        for name, amount in needs.shared:
            self._free[name] -= sign * amount
            self.held[name] = self.held.get(name, 0) + sign * amount
        if gpu is not None:
            self._free[device(gpu)] -= sign * needs.gpu_memory
            self.held[device(gpu)] = self.held.get(device(gpu), 0) + sign * needs.gpu_memory
        for limit in needs.limits:
            if limit not in self._periods:
                self.held[limit] = self.held.get(limit, 0) + sign

    def returned(self, limit: str) -> None:
        """Take note that the time of one call of a rate is over."""
        self._free[limit] += 1

    def others(self, held: Mapping[str, int]) -> None:
        """Take note of what other runs hold."""
        before, self._others = self._others, held
        for name in {*before, *held} & self._free.keys():
            self._free[name] += before.get(name, 0) - held.get(name, 0)

    def set_aside(self) -> Place:
        """Take the model and the highest free processor, if any is, for the plan itself."""
        self._model -= 1
        if not self._idle:
            return Place()
        processor = max(self._idle)
        self._idle.remove(processor)
        heapify(self._idle)
        return Place((processor,))

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

    def limited(self, needs: Needs) -> list[str]:
        """The limits by which it waits for calls of its own function, or for the clock."""
        return [limit for limit in needs.limits if self._free[limit] < 1]

    @property
    def alone(self) -> bool:
        """Whether nobody else holds any of it."""
        return not any(self._others.values())

    def others_have(self, names: Iterable[str]) -> bool:
        """Whether other runs hold any of these."""
        held = {name.partition("/")[0] for name, amount in self._others.items() if amount > 0}
        return not held.isdisjoint(names)

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
