"""Calls that fail in random plans, and are recovered: what is made again, and what a restart would make.

Every call says when it starts, so what was made is counted, not believed. Which calls a
recovery may touch is worked out here from the plan's text, apart from how LLMOrch does it.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel
from tests.faults.wanted import Wanted, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from llmorch import Result

PLANS = 1000
SLOWEST = 0.004
"""Seconds that a call takes at most: enough for calls to overlap."""
HANG = 20.0
"""Seconds after which a run counts as hanging."""

_REPAIR = re.compile(r"Repair: (\w+ = \w+\(name=\"\w+\", version=)(\d+)(.*)\)$")


@dataclass(frozen=True)
class Faulty:
    """A right plan in which some calls fail until a call above them is repaired."""

    uses: Mapping[str, Sequence[str]]
    kinds: Mapping[str, str]
    seconds: Mapping[str, float]
    causes: Mapping[str, str]
    """By call that fails: the call whose second version it needs, which may be itself."""

    def text(self, versions: Mapping[str, int]) -> str:
        """The plan with these versions of its calls; the first of all others."""
        return "\n".join(
            f'{id_} = {self.kinds[id_]}(name="{id_}", version={versions.get(id_, 1)}, uses=[{", ".join(used)}])'
            for id_, used in self.uses.items()
        )


@dataclass
class Recovered:
    """What became of one faulty plan."""

    calls: int
    faults: int
    recoveries: int = 0
    hung: bool = False
    lost: int = 0
    """Results that are missing or wrong in the end."""
    outside: int = 0
    """Calls outside every affected cone that were not made exactly once."""
    astray: int = 0
    """Calls that were made again, and that no recovery had in its cone."""
    made: int = 0
    restarted: int = 0
    """Calls that are made where each failure begins the plan from scratch."""


def faulty_plans(count: int, seed: int) -> Iterator[Faulty]:
    """Random plans of 4 to 20 calls, in which 1 to 3 fail; a fifth of these for a cause two steps above."""
    chance = random.Random(seed)
    for _ in range(count):
        ids = [f"s{number}" for number in range(1, chance.randint(4, 20) + 1)]
        uses = {
            id_: sorted(chance.sample(ids[:at], min(at, chance.choice((0, 1, 1, 2, 3)))), key=ids.index)
            for at, id_ in enumerate(ids)
        }
        used = {one for others in uses.values() for one in others}
        last = f"s{len(ids) + 1}"
        uses[last] = [id_ for id_ in ids if id_ not in used]
        ids.append(last)
        causes = {}
        for id_ in chance.sample(ids, chance.randint(1, 3)):
            step = 2 if chance.random() < 0.2 else 1
            causes[id_] = chance.choice(sorted(_points(uses, id_, step), key=ids.index))
        yield Faulty(
            uses,
            {id_: chance.choice(("wait", "wait", "block")) for id_ in ids},
            {id_: chance.uniform(0, SLOWEST) for id_ in ids},
            causes,
        )


async def recovered(plan: Faulty) -> Recovered:
    """Run a plan with a model that repairs whatever it is asked for, and count."""
    seen = Recovered(len(plan.uses), len(plan.causes))
    made: Counter[str] = Counter()

    def reply(request: Any) -> str:
        asked = _REPAIR.search(request.messages[-1].text)
        if asked is None:
            return plan.text({})
        return f"{asked[1]}{int(asked[2]) + 1}{asked[3]})"

    async with Orchestrator(
        functions(plan, made), model=ScriptedModel(reply), max_recoveries=8, learn=False
    ) as orchestrator:
        try:
            async with asyncio.timeout(HANG):
                result = await orchestrator.run("Do it.")
        except TimeoutError:
            seen.hung = True
            return seen
        seen.recoveries = len(result.recoveries)
        seen.made = made.total()
        _judge(plan, result, made, seen)
        seen.restarted = await _restarted(orchestrator, plan, result, made)
    return seen


def _judge(plan: Faulty, result: Result, made: Counter[str], seen: Recovered) -> None:
    values = {call.id: call.result for call in result.calls if call.status == "completed"}
    versions = {id_: values[id_][id_] for id_ in values}
    expected: dict[str, dict[str, int]] = {}
    for id_, used in plan.uses.items():
        above = {name: version for one in used for name, version in expected[one].items()}
        expected[id_] = above | {id_: versions.get(id_, 1)}
    seen.lost = sum(values.get(id_) != expected[id_] for id_ in plan.uses)
    attempts: Counter[str] = Counter()
    again: Counter[str] = Counter()
    cones: set[str] = set()
    for recovery in result.recoveries:
        attempts.update(recovery.failed)
        points = {point for id_ in recovery.failed for point in _points(plan.uses, id_, attempts[id_])}
        cone = points | {below for point in points for below in _below(plan.uses, point)}
        seen.astray += sum(id_ not in cone for id_ in (*recovery.again, *recovery.changed))
        again.update(recovery.again)
        cones |= cone
    seen.outside = sum(made[id_] != 1 for id_ in plan.uses if id_ not in cones)
    # One that is cancelled before it begins isn't made.
    seen.astray += sum(not 1 <= made[id_] <= 1 + again[id_] for id_ in cones)


async def _restarted(orchestrator: Orchestrator, plan: Faulty, result: Result, made: Counter[str]) -> int:
    """The calls that are made where every recovery runs the whole changed plan from its first call."""
    before, versions = made.total(), {}
    await orchestrator.execute(plan.text(versions))
    for recovery in result.recoveries:
        for id_, text in recovery.changed.items():
            versions[id_] = int(re.findall(r"version=(\d+)", text)[0])
        await orchestrator.execute(plan.text(versions))
    return made.total() - before


def functions(plan: Faulty, made: Counter[str]) -> list[Any]:
    """The functions that a faulty plan calls; ``made`` counts their calls by name."""

    def work(name: str, version: int, uses: list[dict[str, int]]) -> dict[str, int]:
        known = {one: number for used in uses for one, number in used.items()} | {name: version}
        cause = plan.causes.get(name)
        if cause is not None and known[cause] < 2:
            raise RuntimeError(f"{name} needs another {cause}")
        return known

    @function(pure=True)
    async def wait(name: str, version: int, uses: list[dict[str, int]]) -> dict[str, int]:
        """Wait, then work."""
        made[name] += 1
        await asyncio.sleep(plan.seconds[name])
        return work(name, version, uses)

    @function(pure=True)
    def block(name: str, version: int, uses: list[dict[str, int]]) -> dict[str, int]:
        """Work on a thread."""
        made[name] += 1
        return work(name, version, uses)

    return [wait, block]


def _points(uses: Mapping[str, Sequence[str]], failed: str, step: int) -> set[str]:
    """The closest parents of smallest rank; then those left aside and what is one step further up."""

    def lowest(calls: Sequence[str]) -> set[str]:
        least = min((_rank(uses, call) for call in calls), default=0)
        return {call for call in calls if _rank(uses, call) == least}

    points = lowest(uses[failed]) or {failed}
    for number in range(1, step):
        aside = set(uses[failed]) - points if number == 1 else set()
        points = aside | {above for point in points for above in lowest(uses[point]) or {point}}
    return points


def _rank(uses: Mapping[str, Sequence[str]], call: str) -> int:
    return 1 + max((_rank(uses, used) for used in uses[call]), default=0)


def _below(uses: Mapping[str, Sequence[str]], call: str) -> set[str]:
    found = {call}
    for other, used in uses.items():  # in the plan's order
        if found.intersection(used):
            found.add(other)
    return found - {call}


def measured(count: int, seed: int) -> list[Recovered]:
    """Every plan, one after the other."""

    async def all_of_them() -> list[Recovered]:
        return [await recovered(plan) for plan in faulty_plans(count, seed)]

    return asyncio.run(all_of_them())


def wanted(runs: Sequence[Recovered]) -> list[Wanted]:
    """What none of them may come to."""
    kind = f"{len(runs)} random plans with 1 to 3 failing calls"
    counts = {
        "runs that hang": [run.hung for run in runs],
        "results lost or wrong": [run.lost for run in runs],
        "calls outside the cones that were not made exactly once": [run.outside for run in runs],
        "calls made again that were in no cone": [run.astray for run in runs],
    }
    return [Wanted(name, kind, [sum(count)], at_most=0) for name, count in counts.items()]


def report(count: int = PLANS, seed: int = 0) -> str:
    """The work that is made again, beside that of a restart from scratch."""
    runs = measured(count, seed)
    by_faults = [
        [run for run in runs if run.faults == faults] for faults in sorted({run.faults for run in runs})
    ]
    return table(_COLUMNS, by_faults, wanted(runs))


def _again(runs: Sequence[Recovered]) -> int:
    return sum(run.made - run.calls for run in runs)


def _restarts(runs: Sequence[Recovered]) -> int:
    return sum(run.restarted - run.calls for run in runs)


_COLUMNS: Mapping[str, Callable[[Sequence[Recovered]], object]] = {
    "failing calls": lambda runs: runs[0].faults,
    "plans": len,
    "calls in them": lambda runs: sum(run.calls for run in runs),
    "recoveries": lambda runs: sum(run.recoveries for run in runs),
    "made again": _again,
    "made again by restarts": _restarts,
    "saved": lambda runs: f"{1 - _again(runs) / _restarts(runs):.0%}" if _restarts(runs) > 0 else "",
}
