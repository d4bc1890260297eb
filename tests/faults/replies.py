"""Replies that break off, turn to garbage or never end while calls of theirs run already.

Every call says when it starts, so what was made twice is counted. A run must end, by an
answer where the model is asked again and writes the right plan, else by an error of one line.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmorch import LLMOrchError, ModelError, Orchestrator
from llmorch.testing import ScriptedModel
from tests.faults.failures import HANG, faulty_plans, functions
from tests.faults.wanted import Wanted, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.faults.failures import Faulty

PLANS = 100
"""Of each kind of fault."""
CUT, GARBAGE, ENDLESS = "cut off", "garbage after 3 calls", "text without end"
KINDS = (CUT, GARBAGE, ENDLESS)
_CHUNK = 12
_GARBAGE = (
    "%$&!\n",
    "s4 wait(name=1)\n",
    "s4 = \n",
    "s4 = wait(\n",
    "s4 = {}[]\n",
    "s4 = wait(name=s99)\n",
    "\x00\x00\n",
)
_ENDLESS = ("# and so on\n", "x", " ", "\n", '"')


@dataclass
class Ended:
    """How one run ended."""

    kind: str
    hung: bool = False
    answered: bool = False
    clear: bool = False
    """Whether it ended by an answer, or by an error of ours that says in one line what happened."""
    twice: int = 0
    """Calls that were made more than once."""
    lost: int = 0
    """Calls of the answered plan that were not made."""
    seconds: float = 0.0


class _Breaking(ScriptedModel):
    """Writes a reply with a fault in it, and the right plan if it is asked again."""

    def __init__(self, right: str, kind: str, chance: random.Random) -> None:
        super().__init__(self._reply)
        self._right, self._fault, self._chance = right, kind, chance

    def _reply(self, request: Any) -> Any:
        if len(self.requests) > 1:
            return _chunks(self._right)
        first = "".join(self._right.splitlines(keepends=True)[:3])
        if self._fault == GARBAGE:
            return _chunks(first + self._chance.choice(_GARBAGE))
        if self._fault == ENDLESS:
            return itertools.chain(_chunks(first), itertools.repeat(self._chance.choice(_ENDLESS) * _CHUNK))
        cut = self._right[: self._chance.randrange(len(self._right))]
        return [*_chunks(cut), ModelError("the reply broke off")]


def _chunks(text: str) -> list[str]:
    return [text[at : at + _CHUNK] for at in range(0, len(text), _CHUNK)]


def measured(count: int, seed: int) -> list[Ended]:
    """So many plans for each kind of fault."""

    async def all_of_them() -> list[Ended]:
        return [await _ended(*work) for work in _work(count, seed)]

    return asyncio.run(all_of_them())


def _work(count: int, seed: int) -> Iterator[tuple[Faulty, str, random.Random]]:
    chance = random.Random(seed)
    for plan in faulty_plans(count, seed):
        for kind in KINDS:
            yield replace(plan, causes={}), kind, chance


async def _ended(plan: Faulty, kind: str, chance: random.Random) -> Ended:
    made: Counter[str] = Counter()
    seen = Ended(kind)
    model = _Breaking(plan.text({}) + "\n", kind, chance)
    began = time.perf_counter()
    async with Orchestrator(functions(plan, made), model=model, processors=1, learn=False) as orchestrator:
        try:
            async with asyncio.timeout(HANG):
                result = await orchestrator.run("Do it.")
        except TimeoutError:
            seen.hung = True
        except LLMOrchError as error:
            seen.clear = bool(str(error).strip()) and "\n" not in str(error)
        else:
            seen.clear = seen.answered = result.status == "answered"
            seen.lost = sum(made[id_] == 0 for id_ in plan.uses)
    seen.seconds = time.perf_counter() - began
    seen.twice = sum(times > 1 for times in made.values())
    return seen


def wanted(runs: Sequence[Ended]) -> list[Wanted]:
    """What none of them may come to."""
    kind = f"{len(runs)} replies that break"
    counts = {
        "runs that hang": sum(run.hung for run in runs),
        "calls made twice": sum(run.twice for run in runs),
        "calls of an answered plan that were not made": sum(run.lost for run in runs),
        "runs that end without an answer or a clear error": sum(not run.clear for run in runs),
    }
    return [Wanted(name, kind, [count], at_most=0) for name, count in counts.items()]


def report(count: int = PLANS, seed: int = 0) -> str:
    """One row for each kind of fault."""
    runs = measured(count, seed)
    return table(_COLUMNS, [[run for run in runs if run.kind == kind] for kind in KINDS], wanted(runs))


_COLUMNS: Mapping[str, Callable[[Sequence[Ended]], object]] = {
    "fault": lambda runs: runs[0].kind,
    "plans": len,
    "hang": lambda runs: sum(run.hung for run in runs),
    "answered after a repair": lambda runs: sum(run.answered for run in runs),
    "ended by a clear error": lambda runs: sum(run.clear and not run.answered for run in runs),
    "calls made twice": lambda runs: sum(run.twice for run in runs),
    "slowest, s": lambda runs: f"{max(run.seconds for run in runs):.2f}",
}
