"""Plans whose calls' durations are known: AsyncHow's, and random ones of calls with unequal durations.

Decides nothing about order, and must not know any policy: a makespan is the runtime's own simulation.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.questions import DataMissing, json_of
from llmorch import Orchestrator, function, render, simulate
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmorch import Plan

PUBLISHED = "it is published at https://github.com/fangru-lin/graph-llm-asynchow-plan (AsyncHow)"
OPTIMA = Path(__file__).parent / "recorded" / "optima.json"
"""The exact optimum of each published plan on so many processors, which the tests' search has found."""
LEAST, MOST = 6, 40  # calls of one random graph


def _stand_in(name: str, kind: Any = "compute") -> Any:
    """A function that is never run: a virtual clock only takes its time."""

    def after_others(after: list[None]) -> None: ...

    return function(name=name, kind=kind)(after_others)


TYPICAL = {"search": 0.8, "fetch": 3.0, "parse": 0.3, "measure": 1.0, "train": 6.0}
"""About how long a call takes, in seconds; the first two wait, the others compute."""
_WAITING, _COMPUTING = list(TYPICAL)[:2], list(TYPICAL)[2:]
_FUNCTIONS = [*(_stand_in(name, "inout") for name in _WAITING), *map(_stand_in, ("step", *_COMPUTING))]
_ORCHESTRATOR = Orchestrator(_FUNCTIONS, model=ScriptedModel([]), processors=1)


@dataclass(frozen=True)
class TimedPlan:
    """A plan, and how long each of its calls takes, in seconds."""

    plan: Plan
    durations: Mapping[str, float]
    optimum: float | None = None
    """The makespan with unlimited processors, where it is published."""
    optima: Mapping[str, float] = field(default_factory=dict)
    """The exact shortest makespan by number of processors, where it is recorded."""

    @property
    def key(self) -> str:
        """Tells it from other plans."""
        said = repr((render(self.plan), sorted(self.durations.items())))
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    @property
    def learned(self) -> dict[str, float]:
        """What measuring its functions would tell: the median of each function's calls, by its name."""
        by_function: dict[str, list[float]] = {}
        for call in self.plan:
            by_function.setdefault(call.function, []).append(self.durations[call.id])
        return {name: median(seconds) for name, seconds in by_function.items()}

    def simulated(
        self, policy: str, processors: int, expected: Mapping[str, float] | None = None
    ) -> tuple[float, float]:
        """The makespan under a policy, and the lower bound of any; ``expected`` is what the policy knows."""
        done = simulate(
            self.plan,
            _ORCHESTRATOR.functions,
            self.durations,
            processors=processors,
            policy=policy,
            expected=expected,
            optimize=False,
        )
        return done.makespan, done.lower_bound


def timed_plan(durations: Mapping[str, float], edges: Sequence[Sequence[str]], optimum: float) -> TimedPlan:
    """From steps in any order and the pairs (before, after) among them.

    Raises ``ValueError``, also for an optimum that can't be one.
    """
    before: dict[str, list[str]] = {name: [] for name in durations}
    for first, then in edges:
        if first not in before or then not in before:
            raise ValueError(f"an edge from {first!r} to {then!r}, which are not both steps")
        before[then].append(first)
    if not durations or not all(math.isfinite(value) and value >= 0 for value in durations.values()):
        raise ValueError("durations are numbers of seconds, at least one, none of them negative")
    order: list[str] = []  # as they stand, each moved down only as far as what it waits for needs
    while left := [name for name in before if name not in order]:
        name = next((name for name in left if set(order).issuperset(before[name])), None)
        if name is None:
            raise ValueError(f"the steps {', '.join(left)} wait for each other")
        order.append(name)
    ids = {name: f"s{number}" for number, name in enumerate(order, 1)}
    lines = [f"{ids[name]} = step(after=[{', '.join(ids[b] for b in before[name])}])" for name in order]
    ends: dict[str, float] = {}
    for name in order:
        ends[name] = float(durations[name]) + max((ends[b] for b in before[name]), default=0.0)
    # Nothing waits for a processor there, so it is the longest chain and nothing else.
    longest = max(ends.values())
    if not math.isclose(float(optimum), longest, rel_tol=1e-6) or not math.isfinite(longest):
        raise ValueError(
            f"the optimum is {float(optimum):g} s, "
            f"but with unlimited processors the longest chain of steps takes {longest:g} s"
        )
    seconds = {ids[name]: float(durations[name]) for name in order}
    return TimedPlan(_ORCHESTRATOR.check("\n".join(lines)), seconds, float(optimum))


def published(data: Path) -> list[TimedPlan]:
    """Every plan of AsyncHow's file below ``data``. Raises ``DataMissing``."""
    path = data / "asynchow" / "plans.json"
    made, optima = [], json.loads(OPTIMA.read_text(encoding="utf-8"))
    for place, item in enumerate(json_of(path, PUBLISHED), 1):
        try:
            plan = timed_plan(item["durations"], item["edges"], item["optimum"])
            made.append(replace(plan, optima=optima.get(plan.key, {})))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else error
            raise DataMissing(f"{path}: plan {place}: {reason}; {PUBLISHED}") from None
    return made


def random_plans(count: int, seed: int = 0) -> list[TimedPlan]:
    """So many random graphs, of every shape in turn; the same for the same seed."""
    return [_random_plan(random.Random(f"{seed} {number}"), number) for number in range(count)]


def _random_plan(chance: random.Random, number: int) -> TimedPlan:
    calls = chance.randint(LEAST, MOST)
    before = SHAPES[number % len(SHAPES)](chance, calls)
    inout = chance.choice([0.0, 0.2, 0.5])
    names = [chance.choice(_WAITING if chance.random() < inout else _COMPUTING) for _ in before]
    lines = [
        f"s{at} = {name}(after=[{', '.join(f's{other + 1}' for other in before[at - 1])}])"
        for at, name in enumerate(names, 1)
    ]
    spread = chance.choice([_lognormal, _bimodal])
    seconds = {f"s{at}": TYPICAL[name] * spread(chance) for at, name in enumerate(names, 1)}
    return TimedPlan(_ORCHESTRATOR.check("\n".join(lines)), seconds)


def _lognormal(chance: random.Random) -> float:
    return chance.lognormvariate(0.0, 0.8)


def _bimodal(chance: random.Random) -> float:
    """Mostly quick, as from a cache, and sometimes not."""
    return chance.uniform(0.1, 0.3) if chance.random() < 0.7 else chance.uniform(2.0, 4.0)


def _independent(chance: random.Random, calls: int) -> list[list[int]]:
    """Nothing uses anything, but for a last call that uses all."""
    return [[] for _ in range(calls - 1)] + [list(range(calls - 1))]


def _sparse(chance: random.Random, calls: int) -> list[list[int]]:
    """Each call uses a few of any before it."""
    share = chance.uniform(0.5, 2.5)
    return [[other for other in range(at) if chance.random() < share / max(at, 1)] for at in range(calls)]


def _layered(chance: random.Random, calls: int) -> list[list[int]]:
    """Each call uses some of the layer above it."""
    width = chance.randint(2, 8)
    above = [range(max(0, (at // width - 1) * width), at // width * width) for at in range(calls)]
    return [[other for other in layer if chance.random() < 0.4] for layer in above]


def _chains(chance: random.Random, calls: int) -> list[list[int]]:
    """Chains side by side, of unequal lengths, and a call that uses their ends."""
    ends: list[int] = []
    before: list[list[int]] = []
    for at in range(calls - 1):
        if not ends or chance.random() < 0.25:
            before.append([])
            ends.append(at)
        else:
            chain = chance.randrange(len(ends))
            before.append([ends[chain]])
            ends[chain] = at
    return [*before, ends]


def _tree(chance: random.Random, calls: int) -> list[list[int]]:
    """Each call but the first uses one earlier call."""
    return [[]] + [[chance.randrange(at)] for at in range(1, calls)]


def _gathered(chance: random.Random, calls: int) -> list[list[int]]:
    """Each call is used by one later call."""
    before: list[list[int]] = [[] for _ in range(calls)]
    for at in range(calls - 1):
        before[chance.randint(at + 1, min(calls - 1, at + 8))].append(at)
    return before


SHAPES: Any = (_independent, _sparse, _layered, _chains, _tree, _gathered)
