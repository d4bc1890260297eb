"""What many runs at once cost, beside their floors: ``python docs/measure_many.py``, under a minute.

Each figure is the best of its repeats; two that are compared are taken in turns, in one run.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from llmorch import Session

ROUNDS = 6_000_000
_WORK = f"total = 0\nfor n in range({ROUNDS}): total += n * n"


@function
async def wait(seconds: float) -> float:
    """Wait."""
    await asyncio.sleep(seconds)
    return seconds


@function
async def same(n: int) -> int:
    """Do nothing."""
    return n


@function(kind="compute")
def work(n: int) -> int:
    """Compute for a while."""
    exec(_WORK)
    return n


async def bare(n: int) -> int:
    """What a call of ``same`` is without us."""
    return n


async def seconds_of_runs(made: Orchestrator, count: int) -> float:
    """Of so many runs at once, each of a model and half a second of waiting."""
    began = time.perf_counter()
    await asyncio.gather(*(made.run("Wait.") for _ in range(count)))
    return time.perf_counter() - began


async def microseconds_a_call(session: Session, count: int = 1000) -> float:
    """The median of so many calls, one after the other."""
    taken = []
    for n in range(count):
        began = time.perf_counter()
        await session.call("same", {"n": n})
        taken.append(time.perf_counter() - began)
    return sorted(taken)[count // 2] * 1e6


def seconds_of_two_processes() -> float:
    """Of two that take four of the eight each, without their start."""
    timed = (
        f"began = time.perf_counter()\nfor _ in range(4): exec({_WORK!r})\nprint(time.perf_counter() - began)"
    )
    command = [sys.executable, "-c", f"import time\n{timed}"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    return max(float(one.communicate()[0]) for one in both)


async def compute_beside_bare(made: Orchestrator) -> float:
    """Eight runs of one compute call on two processors, by the time of two processes that take four each."""
    await asyncio.gather(*(made.execute("s1 = work(n=1)") for _ in range(2)))  # the workers are up
    ratios = []
    for _ in range(5):
        began = time.perf_counter()
        await asyncio.gather(*(made.execute(f"s1 = work(n={n})") for n in range(8)))
        ours = time.perf_counter() - began
        ratios.append(ours / await asyncio.to_thread(seconds_of_two_processes))
    return min(ratios)


async def main() -> None:
    """Print a line a figure."""
    model = ScriptedModel(lambda _: "s1 = wait(seconds=0.5)")
    async with Orchestrator([wait, same, work], model=model, processors=2, learn=False) as made:
        for count in (50, 1000):
            took = min([await seconds_of_runs(made, count) for _ in range(3)])
            print(f"{count} runs at once that wait half a second: {took:.2f} s")
        print(f"memory by then: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
        began = time.perf_counter()
        for n in range(5000):
            await asyncio.create_task(bare(n))
        task = (time.perf_counter() - began) / 5000 * 1e6
        async with made.session() as session:
            first = await microseconds_a_call(session)
            for n in range(98_000):
                await session.call("same", {"n": n})
            last = await microseconds_a_call(session)
        print(
            f"a call of a session: {first:.0f} us in the first thousand, {last:.0f} us in the hundredth; "
            f"a task {task:.1f} us"
        )
        print(
            f"8 runs of a compute call on 2 processors: {await compute_beside_bare(made):.2f} of two bare processes"
        )


if __name__ == "__main__":
    asyncio.run(main())
