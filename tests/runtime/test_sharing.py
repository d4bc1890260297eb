"""Limits that hold in real runs, across orchestrators, threads and calls that were given up."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from llmorch import Orchestrator, function
from llmorch.runtime.ledger import Ledger, Member
from llmorch.testing import ScriptedModel

pytestmark = pytest.mark.anyio


class Watch:
    """How many are inside at once, the most ever, and when each came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self.most = 0
        self.came: list[float] = []

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
            self.came.append(time.monotonic())

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1


def offering(*functions, **settings) -> Orchestrator:
    return Orchestrator(functions, model=ScriptedModel([]), processors=1, optimize=False, **settings)


async def _executed(work, plan: str, there: dict[str, int]):
    async with offering(work, resources=there) as orchestrator:
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

    async with offering(work, resources={"desk": 2}) as one, offering(work, resources={"desk": 2}) as two:
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

    async with offering(work, resources={"desk": 1}) as one, offering(work, resources={"desk": 1}) as two:
        await asyncio.gather(one.execute(plan_of("work", 10)), two.execute(plan_of("work", 10, seed=100)))
    assert "two" in order[:4]
    assert "one" in order[-4:]


def test_a_limit_holds_across_orchestrators_on_different_threads() -> None:
    watch = Watch()

    @function(max_concurrency=3, resources={"desk": 2})
    def work(x: int) -> int:
        with watch:
            time.sleep(0.002)
        return x

    failed: list[BaseException] = []

    def run() -> None:
        try:
            for _ in range(3):
                assert asyncio.run(_executed(work, plan_of("work", 12), {"desk": 5})).answer == 12
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
    watch = Watch()

    @function(rate="4/s")
    async def ping(x: int) -> int:
        with watch:
            return x

    for count in (3, 3):
        async with offering(ping) as orchestrator:
            await orchestrator.execute(plan_of("ping", count))
    assert all(later - first > 0.9 for first, later in zip(watch.came, watch.came[4:], strict=False))
    assert len(watch.came) == 6


async def test_a_retry_counts_to_the_rate() -> None:
    watch = Watch()

    @function(rate="2/s", retries=3, backoff=0.0)
    async def flaky(x: int) -> int:
        with watch:
            if len(watch.came) < 4:
                raise ConnectionError("reset")
        return x

    async with offering(flaky) as orchestrator:
        assert (await orchestrator.execute(plan_of("flaky", 1))).answer == 1
    assert all(later - first > 0.9 for first, later in zip(watch.came, watch.came[2:], strict=False))


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

    run = asyncio.create_task(_executed(film, "s1 = film(x=1)", {"camera": 1}))
    await asyncio.to_thread(inside.wait, 30)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    async with offering(film, resources={"camera": 1}) as two:
        later = asyncio.create_task(two.execute("s1 = film(x=2)"))
        await asyncio.sleep(0.1)
        assert len(watch.came) == 1
        release.set()
        assert (await later).answer == 2
    assert watch.most == 1


async def test_a_run_that_shares_nothing_is_not_in_the_account() -> None:
    from llmorch.runtime.sharing import shares

    @function(resources={"cpu": 1})
    def compute() -> None: ...

    @function
    def plain() -> None: ...

    async with offering(compute, plain) as orchestrator:
        assert not shares(orchestrator.functions)


async def test_nothing_is_left_in_the_account_when_runs_are_over() -> None:
    from llmorch.runtime.ledger import LEDGER

    @function(resources={"desk": 1}, max_concurrency=1)
    def fail(x: int) -> int:
        raise ValueError("no")

    await _executed(fail, plan_of("fail", 3), {"desk": 1})
    # Calls of other tests may still count to their rates.
    assert not [
        key
        for key in LEDGER.others(Member(lambda: None))
        if key == "desk" or (isinstance(key, tuple) and fail in key)
    ]


def test_who_wanted_first_is_left_room_first() -> None:
    ledger = Ledger()
    first, second, third = (Member(lambda: None) for _ in range(3))
    for member in (first, second, third):
        ledger.join(member)
    ledger.publish(third, {"memory": 4}, {})
    ledger.publish(first, {}, {"memory": 20})
    ledger.publish(second, {}, {"memory": 8})
    assert ledger.others(first) == {"memory": 4}
    assert ledger.others(second) == {"memory": 24}
    assert ledger.others(third) == {"memory": 28}
    ledger.publish(first, {"memory": 20}, {})
    assert ledger.others(second) == {"memory": 24}
    ledger.leave(first)
    assert ledger.others(second) == {"memory": 4}


def test_what_began_counts_to_its_rate_for_its_time_and_no_longer() -> None:
    now = [0.0]
    ledger = Ledger(clock=lambda: now[0])
    asking = Member(lambda: None)
    assert ledger.begin_or_wait("ping", 2, 10.0) == 0.0
    now[0] = 4.0
    assert ledger.begin_or_wait("ping", 2, 10.0) == 0.0
    assert ledger.begin_or_wait("ping", 2, 10.0) == 6.0
    assert ledger.others(asking) == {"ping": 2}
    assert ledger.next_return(asking, {"ping": None}) == 10.0
    now[0] = 10.0
    assert ledger.others(asking) == {"ping": 1}
    assert ledger.begin_or_wait("ping", 2, 10.0) == 0.0
