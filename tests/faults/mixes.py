"""Random mixes of calls and limits on a virtual clock: is a limit ever exceeded, does a call ever not come?

Decides nothing about order: every schedule is the runtime's own simulation, and what is
checked is read off the times at which calls began and ended.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from llmorch import check, function, parse, simulate
from llmorch.declare.offered import as_functions
from llmorch.schedule import POLICIES
from tests.faults.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmorch import Function, Plan, Simulation

MIXES = 10_000
GIB = 2**30
MEMORY = 24
"""GiB of the simulated GPU on which calls are packed."""
SMALL, LARGE = 6, 20
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Mix:
    """A plan, its functions and durations, and what there is."""

    plan: Plan
    functions: Mapping[str, Function]
    durations: Mapping[str, float]
    processors: int
    resources: Mapping[str, Any]

    def simulated(self, policy: str) -> Simulation:
        """The mix on a virtual clock."""
        return simulate(
            self.plan,
            self.functions,
            self.durations,
            processors=self.processors,
            policy=policy,
            resources=self.resources,
            optimize=False,
        )


def random_mix(chance: random.Random, calls: int = 30) -> Mix:
    """Up to so many calls of a few functions, which take whatever there happens to be."""
    processors = chance.randint(1, 4)
    gpus = [chance.randint(8, MEMORY) for _ in range(chance.randint(1, 3))]
    there = {"camera": 1, "server": chance.randint(1, 4)}
    functions = as_functions(
        _declared(chance, f"f{number}", processors, max(gpus), there["server"])
        for number in range(1, chance.randint(2, 6))
    )
    names = [f"s{number}" for number in range(1, chance.randint(2, calls) + 1)]
    lines = []
    for at, name in enumerate(names):
        used = [other for other in names[:at] if chance.random() < 1.5 / (at + 1)]
        lines.append(f"{name} = {chance.choice(sorted(functions))}(after=[{', '.join(used)}])")
    return Mix(
        check(parse("\n".join(lines)), functions),
        functions,
        {name: chance.choice((0.1, 0.25, 0.5, 1.0, 1.5, 4.0)) for name in names},
        processors,
        {**there, "gpu_memory": [f"{size}GiB" for size in gpus]},
    )


def _declared(chance: random.Random, name: str, processors: int, memory: int, servers: int) -> Any:
    taken: dict[str, int | str] = {}
    if chance.random() < 0.4:
        taken["cpu"] = chance.randint(1, processors)
    if chance.random() < 0.4:
        taken["gpu_memory"] = f"{chance.randint(1, memory)}GiB"
    if chance.random() < 0.3:
        taken["camera"] = 1
    if chance.random() < 0.3:
        taken["server"] = chance.randint(1, servers)

    def call(after: list[None]) -> None: ...

    return function(
        name=name,
        resources=taken,
        max_concurrency=chance.randint(1, 4) if chance.random() < 0.3 else None,
        rate=f"{chance.randint(1, 5)}/s" if chance.random() < 0.3 else None,
    )(call)


def exceeded(mix: Mix, run: Simulation) -> list[str]:
    """Every limit that was exceeded at some time, in words."""
    return [problem for name, limit, held in _held(mix, run) if (problem := _over(name, limit, held))] + [
        f"{name} began more than {item.rate} times"
        for name, item in mix.functions.items()
        if item.rate is not None and _too_often(_begins(run, name), item.rate.calls, item.rate.seconds)
    ]


Held = list[tuple[float, float, int]]
"""From when to when how much was held."""


def _held(mix: Mix, run: Simulation) -> Iterator[tuple[str, int, Held]]:
    states = [state for state in run.states.values() if state.dispatched is not None]

    def times(state: Any, amount: int) -> tuple[float, float, int]:
        return state.dispatched, state.completed, amount

    def taken(state: Any, name: str) -> int:
        return mix.functions[state.call.function].resources.get(name, 0)

    for processor in range(mix.processors):
        yield (
            f"processor {processor}",
            1,
            [times(state, 1) for state in states if processor in state.lease.processors],
        )
    for name in ("camera", "server"):
        yield name, mix.resources[name], [times(state, taken(state, name)) for state in states]
    for number, memory in enumerate(mix.resources["gpu_memory"]):
        on_it = [times(state, taken(state, "gpu_memory")) for state in states if state.lease.device == number]
        yield f"GPU {number}", int(memory.removesuffix("GiB")) * GIB, on_it
    for name, item in mix.functions.items():
        if item.max_concurrency is not None:
            yield (
                f"{name} at once",
                item.max_concurrency,
                [times(state, 1) for state in states if state.call.function == name],
            )


def _over(name: str, limit: int, held: Held) -> str:
    # What ends at a moment ends before anything begins at it: no call here takes no time.
    changes = sorted(
        [(end, -amount) for _, end, amount in held] + [(start, amount) for start, _, amount in held]
    )
    total = most = 0
    for _, amount in changes:
        total += amount
        most = max(most, total)
    return f"{name}: {most} of {limit}" if most > limit else ""


def _begins(run: Simulation, name: str) -> list[float]:
    return sorted(
        state.dispatched
        for state in run.states.values()
        if state.call.function == name and state.dispatched is not None
    )


def _too_often(begins: Sequence[float], calls: int, seconds: float) -> bool:
    return any(
        later - first < seconds - _ROUNDING for first, later in zip(begins, begins[calls:], strict=False)
    )


def waiting(run: Simulation) -> list[str]:
    """The calls that never ran."""
    return [call for call, state in run.states.items() if state.status != "completed"]


def crowded(chance: random.Random, length: int = 60) -> tuple[Mix, str]:
    """A large call beside chains of small ones that always have a next call ready; and the large one's id."""

    @function(resources={"gpu_memory": f"{SMALL}GiB"})
    def small(after: list[None]) -> None: ...

    @function(resources={"gpu_memory": f"{LARGE}GiB", "cpu": chance.randint(1, 4)})
    def large(after: list[None]) -> None: ...

    chains = [[f"c{chain}_{at}" for at in range(length)] for chain in range(chance.randint(3, 6))]
    lines = [f"{chain[0]} = small(after=[])" for chain in chains]
    lines += [f"{later} = small(after=[{first}])" for chain in chains for first, later in pairwise(chain)]
    lines.insert(chance.randint(0, len(chains)), "big = large(after=[])")
    functions = as_functions([small, large])
    seconds = {call: chance.uniform(0.5, 1.5) for chain in chains for call in chain} | {"big": 1.0}
    plan = check(parse("\n".join(lines)), functions)
    return Mix(plan, functions, seconds, 6, {"gpu_memory": [f"{MEMORY}GiB"]}), "big"


def overtaken(run: Simulation, call: str) -> int:
    """How many other calls began while one waited."""
    began = run.states[call].dispatched
    submitted = run.states[call].submitted
    assert began is not None
    assert submitted is not None
    return sum(
        state.dispatched is not None and submitted <= state.dispatched < began
        for state in run.states.values()
    )


def packable(chance: random.Random | None = None) -> Mix:
    """Small and large calls for one GPU, two small ones to each large; by default 6, 20 and 6 GiB."""

    @function(resources={"gpu_memory": f"{SMALL}GiB"})
    def small() -> None: ...

    @function(resources={"gpu_memory": f"{LARGE}GiB"})
    def large() -> None: ...

    names = ["small", "large", "small"]
    if chance is not None:
        names *= chance.randint(1, 6)
        chance.shuffle(names)
    lines = [f"s{at} = {name}()" for at, name in enumerate(names, 1)]
    functions = as_functions([small, large])
    seconds = {
        f"s{at}": 1.0 if chance is None else chance.uniform(0.8, 1.2) for at in range(1, len(names) + 1)
    }
    plan = check(parse("\n".join(lines)), functions)
    return Mix(plan, functions, seconds, 8, {"gpu_memory": [f"{MEMORY}GiB"]})


def speedup(mix: Mix) -> float:
    """How many times faster than one call at a time."""
    return sum(mix.durations.values()) / mix.simulated("critical").makespan


def wanted(count: int = MIXES, seed: int = 0) -> list[Wanted]:
    """What so many random mixes came to."""
    chance = random.Random(seed)
    over = stuck = 0
    for _ in range(count):
        mix = random_mix(chance)
        run = mix.simulated(chance.choice(list(POLICIES)))
        over += bool(exceeded(mix, run))
        stuck += bool(waiting(run))
    passed = []
    for _ in range(max(1, count // 50)):
        mix, call = crowded(chance)
        passed.append(overtaken(mix.simulated(chance.choice(("critical", "greedy"))), call))
    packed = [speedup(packable(chance)) for _ in range(max(1, count // 10))]
    against = "against one call at a time"
    crowds = f"{len(passed)} crowds of some 300 small calls, the worst"
    many = f"{len(packed)} mixes of up to 18 calls, {against}"
    mean = sum(packed) / len(packed)
    return [
        Wanted("mixes with a limit exceeded", f"of {count} mixes", [over], at_most=0),
        Wanted("mixes with a call that never ran", f"of {count}", [stuck], at_most=0),
        Wanted("calls that overtook a large one", crowds, [max(passed)], at_most=16, unit="calls"),
        Wanted(
            "6, 6 and 20 GiB on a GPU of 24 GiB", against, [speedup(packable())], at_least=1.5, unit="times"
        ),
        Wanted("many such mixes, the mean", many, [mean], at_least=1.5, unit="times"),
    ]


def report(count: int = MIXES, seed: int = 0) -> str:
    """A line for each."""
    return "\n".join([*map(str, wanted(count, seed)), ""])
