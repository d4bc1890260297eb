"""Turns of calls on stateful systems: as fast as their effects allow, and never otherwise than in sequence.

Every turn of two calls or more is run from the state that the turns before it leave, with a
random latency for each call, once for each seed: by our executor with the effects that are
declared in ``declared.toml``, and once more with effects ignored. What it returns and what it
leaves is compared with the same calls one after the other, and the time with the ideal: a
graph that orders only those pairs of calls of which a test shows that they don't commute.
A call does all that it does at one random moment of its latency, as a remote system would.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from random import Random
from typing import TYPE_CHECKING, Any

from benchmarks.effects.systems import installed, seen, tasks
from benchmarks.figures import Figure, Series, verdicts
from benchmarks.questions import DataMissing
from benchmarks.records import Progress
from llmorch import Orchestrator, discover, methods_of
from llmorch.testing import ScriptedModel, run_virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.asking import Settings
    from benchmarks.effects.systems import Task, TracedCall
    from llmorch import Function

    Ended = tuple[Any, Any]
    """What calls returned, in the plan's order, and the state that they left."""
    Pairs = Iterable[tuple[int, int]]

SEEDS, QUICK = 20, 2
LATENCY = (0.1, 1.0)  # seconds; a call takes something between
OF_IDEAL = 0.9


@dataclass(frozen=True)
class Timing:
    """How long each call of a turn takes, in seconds, and after which part of that it acts."""

    latencies: Sequence[float]
    moments: Sequence[float]

    @classmethod
    def drawn(cls, seed: str, calls: int) -> Timing:
        chance = Random(seed)
        return cls([chance.uniform(*LATENCY) for _ in range(calls)], [chance.random() for _ in range(calls)])


@dataclass(frozen=True)
class Way:
    """What one way of running a turn came to: seconds, and whether it ended as in sequence."""

    seconds: float
    right: bool


@dataclass(frozen=True)
class Turn:
    """One turn, and all its runs, one a seed."""

    task: str
    methods: tuple[str, ...]
    needless: tuple[tuple[str, str], ...]
    """Pairs that are kept in order, by themselves or through others, though they commute."""
    missed: tuple[tuple[str, str], ...]
    """Pairs that don't commute, and which nothing keeps in order."""
    sequential: Sequence[float] = field(default_factory=list)
    ours: Sequence[Way] = field(default_factory=list)
    ignored: Sequence[Way] = field(default_factory=list)
    ideal: Sequence[Way] = field(default_factory=list)


def run(settings: Settings) -> str:
    """The table and what was wanted. Raises ``DataMissing``, also where the systems' code is missing."""
    found = tasks(settings.data)[: settings.limit]
    seeds = range(settings.seed, settings.seed + (QUICK if settings.quick else SEEDS))
    with installed({name for task in found for name in task.systems}) as systems:
        turns = measure(found, systems, seeds, told=Progress("effects").counted)
    return f"{markdown(turns)}\n\n{verdicts(figures(turns))}"


def measure(
    tasks: Sequence[Task],
    classes: Mapping[str, type[Any]],
    seeds: Sequence[int],
    told: Callable[[int, int, str], None] = lambda *_: None,
) -> list[Turn]:
    """Every turn of two calls or more, in every way. Raises ``DataMissing`` for a call that can't be made."""
    turns = []
    for done, task in enumerate(tasks, 1):
        systems = task.started(classes)
        for number, calls in enumerate(task.turns):
            if len(calls) > 1:
                turns.append(Measuring(f"{task.id}/{number}", calls, systems).turn(seeds))
            for call in calls:
                _made(systems, *_found(systems, call))
        told(done, len(tasks), task.id)
    return turns


class Measuring:
    """One turn from one state of its systems, which stays as it is."""

    def __init__(self, name: str, calls: Sequence[TracedCall], systems: Mapping[str, Any]) -> None:
        self._name, self._calls, self._before = name, calls, systems
        self._found = [_found(systems, call) for call in calls]
        owners = {owner for owner, _, _ in self._found}
        offered = {owner: {item.name: item for item in methods_of(systems[owner])} for owner in owners}
        # A function for each call, so that each has its own latency. The annotations are not
        # always true of the traces, so values pass as they are.
        self._functions = []
        for number, (owner, method, _) in enumerate(self._found, 1):
            one = offered[owner][method]
            parameters = tuple(replace(parameter, annotation=Any) for parameter in one.parameters)
            self._functions.append(replace(one, name=f"{method}_{number}", parameters=parameters))
        self._plan = "\n".join(
            f"s{number} = {item.name}{call.text}"
            for number, (item, call) in enumerate(zip(self._functions, calls, strict=True), 1)
        )
        self._right = self.acted(range(len(calls)))
        self._apart = self._that_do_not_commute()

    def turn(self, seeds: Sequence[int]) -> Turn:
        """All its runs."""
        timings = [Timing.drawn(f"{seed}/{self._name}", len(self._calls)) for seed in seeds]
        ordered, needed = self._ordered(), _through(self._apart)
        pairs = list(combinations(range(len(self._calls)), 2))
        pure = [replace(item, reads=(), writes=(), effects=None) for item in self._functions]

        async def both() -> list[list[Way]]:
            return [[await self._run(of, timing) for timing in timings] for of in (self._functions, pure)]

        return Turn(
            self._name,
            tuple(call.method for call in self._calls),
            self._named(pair for pair in pairs if pair in ordered - needed),
            self._named(pair for pair in pairs if pair in self._apart - ordered),
            [sum(timing.latencies) for timing in timings],
            *run_virtually(both()),
            [self._ideal(timing) for timing in timings],
        )

    def acted(self, order: Sequence[int]) -> Ended:
        """What calls come to that act in this order, one after the other."""
        systems = deepcopy(dict(self._before))
        results = {at: _made(systems, *self._found[at]) for at in order}
        return [results[at] for at in sorted(results)], seen(systems)

    def _that_do_not_commute(self) -> frozenset[tuple[int, int]]:
        """Pairs that end otherwise in the other order, from the state before the first of them."""
        return frozenset(
            (first, then)
            for first, then in combinations(range(len(self._calls)), 2)
            if self.acted([*range(first), first, then]) != self.acted([*range(first), then, first])
        )

    def _ordered(self) -> frozenset[tuple[int, int]]:
        """Pairs that our graph keeps in order, by themselves or through others."""
        orchestrator = Orchestrator(self._functions, model=ScriptedModel([]), processors=1)
        graph = discover(orchestrator.check(self._plan), orchestrator.functions)
        return _through((graph.order(one), graph.order(two)) for two in graph for one in graph.after(two))

    def _named(self, pairs: Pairs) -> tuple[tuple[str, str], ...]:
        return tuple((self._calls[one].method, self._calls[two].method) for one, two in pairs)

    async def _run(self, functions: Sequence[Function], timing: Timing) -> Way:
        """The turn as a plan, by our executor."""
        systems, model = deepcopy(dict(self._before)), ScriptedModel([])
        offered = [replace(item, call=self._slowly(at, systems, timing)) for at, item in enumerate(functions)]
        async with Orchestrator(offered, model=model, processors=1, optimize=False) as orchestrator:
            result = await orchestrator.execute(self._plan)
        ended = [call.result for call in result.calls], seen(systems)
        return Way(result.makespan, ended == self._right)

    def _slowly(self, at: int, systems: Mapping[str, Any], timing: Timing) -> Callable[..., Any]:
        owner, method, _ = self._found[at]
        latency, moment = timing.latencies[at], timing.moments[at]

        async def call(**given: Any) -> Any:
            await asyncio.sleep(latency * moment)
            result = _made(systems, owner, method, given)
            await asyncio.sleep(latency * (1 - moment))
            return result

        return call

    def _ideal(self, timing: Timing) -> Way:
        """Each call begins when those before it have ended with which it does not commute."""
        begins: list[float] = []
        for at in range(len(self._calls)):
            before = [one for one, two in self._apart if two == at]
            begins.append(max((begins[one] + timing.latencies[one] for one in before), default=0.0))
        acts = {at: begins[at] + timing.latencies[at] * timing.moments[at] for at in range(len(begins))}
        ends = [begin + latency for begin, latency in zip(begins, timing.latencies, strict=True)]
        return Way(max(ends), self.acted(sorted(acts, key=acts.__getitem__)) == self._right)


def _found(systems: Mapping[str, Any], call: TracedCall) -> tuple[str, str, Mapping[str, Any]]:
    """A call's system, method and arguments by name.

    The system is the last one that has such a method, as in the published checker. Raises
    ``DataMissing`` for a call that fits none.
    """
    owners = [name for name, system in systems.items() if callable(getattr(system, call.method, None))]
    if not owners or call.method.startswith("_"):
        raise DataMissing(f"{call.method}{call.text}: no such method in {', '.join(systems)}")
    method = getattr(systems[owners[-1]], call.method)
    try:
        given = inspect.signature(method).bind(*call.positional, **call.named).arguments
    except TypeError as error:
        raise DataMissing(f"{call.method}{call.text}: {error}") from None
    return owners[-1], call.method, given


def _made(systems: Mapping[str, Any], owner: str, name: str, given: Mapping[str, Any]) -> Any:
    """What a call returns or raises, in a form that later calls can't change.

    Its arguments are copied, defaults too: some are lists, which a system keeps and changes.
    """
    method = getattr(systems[owner], name)
    arguments = inspect.signature(method).bind(**given)
    arguments.apply_defaults()
    try:
        return seen(method(**deepcopy(arguments.arguments)))
    except Exception as error:  # a system's own, and a result as any other
        return "raised", type(error).__name__, str(error)


def _through(pairs: Pairs) -> frozenset[tuple[int, int]]:
    """All pairs that are in order if these are."""
    found = set(pairs)
    while more := {(one, other) for one, two in found for three, other in found if two == three} - found:
        found |= more
    return frozenset(found)


def markdown(turns: Sequence[Turn]) -> str:
    """A line a way of running the turns, and what the declarations order more than they had to."""
    calls, runs = sum(len(turn.methods) for turn in turns), sum(len(turn.ours) for turn in turns)
    sequential = sum(sum(turn.sequential) for turn in turns)
    ideal = sum(way.seconds for turn in turns for way in turn.ideal)
    in_turn = [[Way(seconds, right=True) for seconds in turn.sequential] for turn in turns]
    lines = [
        f"{len(turns)} turns of {calls} calls, each {runs // len(turns)} times with random latencies; a run is wrong "
        "if a result or the state at its end is not that of one call after the other",
        "",
        "| way | speed-up | of the ideal | runs that end wrong | turns that ever do |",
        "|---|---|---|---|---|",
    ]
    for name, ways in (
        ("one after the other", in_turn),
        ("effects declared", [turn.ours for turn in turns]),
        ("effects ignored", [turn.ignored for turn in turns]),
        ("ideal: only what does not commute", [turn.ideal for turn in turns]),
    ):
        seconds = sum(way.seconds for way in chain(*ways))
        wrong = [sum(not way.right for way in of_one) for of_one in ways]
        lines.append(
            f"| {name} | {sequential / seconds:.2f} | {ideal / seconds:.0%} | "
            f"{sum(wrong)} of {runs} | {sum(map(bool, wrong))} of {len(turns)} |"
        )
    for title, pairs in (
        ("Kept in order though they commute here", [turn.needless for turn in turns]),
        ("**Not kept in order though they don't commute**", [turn.missed for turn in turns]),
    ):
        if counted := Counter(chain(*pairs)):
            named = ", ".join(f"{one} and {two} ({count})" for (one, two), count in counted.most_common())
            lines += ["", f"{title}: {named}."]
    return "\n".join(lines)


def figures(turns: Sequence[Turn]) -> list[Figure]:
    """What is wanted: every run right, and nearly as fast as the ideal; by seed."""

    def right(ways: Iterable[Sequence[Way]]) -> Series:
        every = [way.right for way in chain(*ways)]
        return Series([sum(every) / len(every)])

    def seconds(at: int, ways: Iterable[Sequence[Way]]) -> float:
        return sum(of_one[at].seconds for of_one in ways)

    ours, ideal = [turn.ours for turn in turns], [turn.ideal for turn in turns]
    of_ideal = Series([seconds(at, ideal) / seconds(at, ours) for at in range(len(ours[0]))])
    ignored = {"effects ignored": right(turn.ignored for turn in turns)}
    share = "share of the runs that end as in sequence"
    possible = "share of what the pairs that don't commute leave possible, by seed"
    return [
        Figure("right", share, "", right(ours), ignored, at_least=1.0),
        Figure("speed-up", possible, "", of_ideal, at_least=OF_IDEAL),
    ]
