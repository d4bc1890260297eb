"""Random graphs of calls with unequal durations: shapes that plans have, and times that real functions take.

Right by construction, and the same for the same seed. It must not know any policy.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch import Plan

LEAST, MOST = 6, 40
"""Calls of one graph."""


@function
async def search(after: list[None]) -> None: ...


@function
async def fetch(after: list[None]) -> None: ...


@function(kind="compute")
def parse(after: list[None]) -> None: ...


@function(kind="compute")
def measure(after: list[None]) -> None: ...


@function(kind="compute")
def train(after: list[None]) -> None: ...


TYPICAL = {"search": 0.8, "fetch": 3.0, "parse": 0.3, "measure": 1.0, "train": 6.0}
"""About how long a call takes, in seconds."""
_ORCHESTRATOR = Orchestrator([search, fetch, parse, measure, train], model=ScriptedModel([]), processors=1)
FUNCTIONS = _ORCHESTRATOR.functions


@dataclass(frozen=True)
class TimedGraph:
    """A plan, how long each of its calls takes, and what measuring its functions would tell of that."""

    shape: str
    plan: Plan
    durations: Mapping[str, float]

    @property
    def learned(self) -> dict[str, float]:
        """The median of each function's calls, by its name."""
        by_function: dict[str, list[float]] = {}
        for call in self.plan:
            by_function.setdefault(call.function, []).append(self.durations[call.id])
        return {name: median(seconds) for name, seconds in by_function.items()}


def timed_graphs(count: int, seed: int = 0) -> list[TimedGraph]:
    """So many graphs, of every shape in turn."""
    return [_graph(random.Random(f"{seed} {number}"), number) for number in range(count)]


def _graph(chance: random.Random, number: int) -> TimedGraph:
    shape = list(_SHAPES)[number % len(_SHAPES)]
    calls = chance.randint(LEAST, MOST)
    before = _SHAPES[shape](chance, calls)
    inout = chance.choice([0.0, 0.2, 0.5])
    names = [
        chance.choice(["search", "fetch"] if chance.random() < inout else ["parse", "measure", "train"])
        for _ in before
    ]
    lines = [
        f"s{at} = {name}(after=[{', '.join(f's{other + 1}' for other in before[at - 1])}])"
        for at, name in enumerate(names, 1)
    ]
    spread = chance.choice([_lognormal, _bimodal])
    seconds = {f"s{at}": TYPICAL[name] * spread(chance) for at, name in enumerate(names, 1)}
    return TimedGraph(shape, _ORCHESTRATOR.check("\n".join(lines)), seconds)


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
    return [
        [other for other in range((at // width - 1) * width, at // width * width) if chance.random() < 0.4]
        if at >= width
        else []
        for at in range(calls)
    ]


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


_SHAPES = {
    "independent": _independent,
    "sparse": _sparse,
    "layered": _layered,
    "chains": _chains,
    "tree": _tree,
    "gathered": _gathered,
}
SHAPES = tuple(_SHAPES)
