"""Whether compute calls get real processors: two of them against one."""

from __future__ import annotations

from contextlib import ExitStack
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.bare import BURN, Bare
from benchmarks.executing import executing
from benchmarks.figures import Figure, Series, interleaved
from benchmarks.work import burn, rounds_in
from llmorch import function

if TYPE_CHECKING:
    from collections.abc import Sequence

CALLS = 4
SHARE = 0.95
"""How much of the speed-up of bare processes is wanted."""


def measure(repeats: int, *, quick: bool) -> list[Figure]:
    """Makespans of the same calls on one and on two processors, ours and bare ones."""
    rounds = rounds_in(0.02 if quick else 1.5)
    plan = _plan(rounds)
    functions = [function(kind="compute")(burn)]
    with ExitStack() as stack:
        ours = [stack.enter_context(executing(functions, processors=count)) for count in (1, 2)]
        bare = [stack.enter_context(Bare(index)) for index in range(2)]
        for execute in ours:
            execute(_plan(1))  # every process is up and knows the function
        spans = interleaved(
            repeats,
            {
                "ours on 1": lambda: ours[0](plan)[0].makespan,
                "bare on 1": lambda: _bare_makespan(bare[:1], rounds),
                "ours on 2": lambda: ours[1](plan)[0].makespan,
                "bare on 2": lambda: _bare_makespan(bare, rounds),
            },
        )
    speedup = Series([one / two for one, two in zip(spans["ours on 1"], spans["ours on 2"], strict=True)])
    floor = Series([one / two for one, two in zip(spans["bare on 1"], spans["bare on 2"], strict=True)])
    return [
        Figure(
            "compute",
            f"{CALLS} pure-Python calls on 2 processors against 1, wanted {SHARE:.0%} of two bare processes",
            "times",
            speedup,
            {"two bare processes": floor},
            at_least=SHARE * floor.median,
        ),
        Figure(
            "compute, makespan",
            f"{CALLS} pure-Python calls on 2 processors",
            "s",
            Series(spans["ours on 2"]),
            {"two bare processes": Series(spans["bare on 2"])},
        ),
    ]


def _plan(rounds: int) -> str:
    return "\n".join(f"s{number} = burn(rounds={rounds})" for number in range(1, CALLS + 1))


def _bare_makespan(processes: Sequence[Bare], rounds: int) -> float:
    """As many rounds on each process, one call after the other."""
    began = perf_counter()
    for _ in range(CALLS // len(processes)):
        for process in processes:
            process.send(BURN, rounds)
        for process in processes:
            process.receive()
    return perf_counter() - began
