"""Limits that hold in real runs, across orchestrators, threads and calls that were given up."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from llmorch import Orchestrator, Processors, function
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Callable

VIRTUAL = True
pytestmark = pytest.mark.anyio


class Watch:
    """How many are inside at once, the most ever, and when each came."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._inside = 0
        self.most = 0
        self.came: list[float] = []

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
            self.came.append(self._clock())

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1


def offering(*functions, processors: int | Processors = 1, **settings) -> Orchestrator:
    return Orchestrator(functions, model=ScriptedModel([]), processors=processors, optimize=False, **settings)


async def _executed(work, plan: str, processors: Processors):
    async with offering(work, processors=processors) as orchestrator:
        return await orchestrator.execute(plan)


def plan_of(name: str, count: int, *, seed: int = 0) -> str:
    return "\n".join(f"s{at} = {name}(x={at + seed})" for at in range(1, count + 1))


@pytest.mark.parametrize(
    "said", [{"max_concurrency": 2}, {"resources": {"desk": 1}}], ids=["calls at once", "a resource"]
)
async def test_a_limit_holds_across_orchestrators(said) -> None:
    watch = Watch()

    @function(**said)
    async def work(x: int) -> int:
        with watch:
            await asyncio.sleep(0.01)
        return x

    async with Processors(1, resources={"desk": 2}) as shared:
        one, two = (offering(work, processors=shared) for _ in range(2))
        results = await asyncio.gather(*(each.execute(plan_of("work", 8)) for each in (one, two)))
    assert [result.answer for result in results] == [8, 8]
    assert (watch.most, len(watch.came)) == (2, 16)


async def test_neither_of_two_orchestrators_waits_until_the_other_is_done() -> None:
    order: list[str] = []

    @function(resources={"desk": 1})
    async def work(x: int) -> int:
        order.append("one" if x < 100 else "two")
        await asyncio.sleep(0.005)
        return x

    async with Processors(1, resources={"desk": 1}) as shared:
        one, two = (offering(work, processors=shared) for _ in range(2))
        await asyncio.gather(one.execute(plan_of("work", 10)), two.execute(plan_of("work", 10, seed=100)))
    assert "two" in order[:4]
    assert "one" in order[-4:]


def test_a_limit_holds_across_orchestrators_on_different_threads() -> None:
    watch = Watch()

    @function(max_concurrency=3, resources={"desk": 1})
    def work(x: int) -> int:
        with watch:
            time.sleep(0.002)
        return x

    failed: list[BaseException] = []
    shared = Processors(1, resources={"desk": 2})

    def run() -> None:
        try:
            for _ in range(3):
                assert asyncio.run(_executed(work, plan_of("work", 12), shared)).answer == 12
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not failed
    assert (watch.most, len(watch.came)) == (2, 4 * 3 * 12)


async def test_a_rate_holds_across_runs_one_after_the_other() -> None:
    watch = Watch(asyncio.get_running_loop().time)

    @function(rate="4/s")
    async def ping(x: int) -> int:
        with watch:
            return x

    shared = Processors(1)
    for count in (3, 3):
        async with offering(ping, processors=shared) as orchestrator:
            await orchestrator.execute(plan_of("ping", count))
    assert all(later - first >= 1 for first, later in zip(watch.came, watch.came[4:], strict=False))
    assert len(watch.came) == 6


async def test_a_retry_counts_to_the_rate() -> None:
    watch = Watch(asyncio.get_running_loop().time)

    @function(rate="2/s", retries=3, backoff=0.0)
    async def flaky(x: int) -> int:
        with watch:
            if len(watch.came) < 4:
                raise ConnectionError("reset")
        return x

    async with offering(flaky) as orchestrator:
        assert (await orchestrator.execute(plan_of("flaky", 1))).answer == 1
    assert all(later - first >= 1 for first, later in zip(watch.came, watch.came[2:], strict=False))


async def test_a_thread_that_cant_be_stopped_keeps_what_it_took_until_it_ends() -> None:
    watch = Watch()
    inside, release = threading.Event(), threading.Event()

    @function(resources={"camera": 1})
    def film(x: int) -> int:
        with watch:
            if x == 1:
                inside.set()
                release.wait(30)
        return x

    shared = Processors(1, resources={"camera": 1})
    run = asyncio.create_task(_executed(film, "s1 = film(x=1)", shared))
    await asyncio.to_thread(inside.wait, 30)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    async with offering(film, processors=shared) as two:
        later = asyncio.create_task(two.execute("s1 = film(x=2)"))
        await asyncio.sleep(0.1)
        assert len(watch.came) == 1
        release.set()
        assert (await later).answer == 2
    assert watch.most == 1
