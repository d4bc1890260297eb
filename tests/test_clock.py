"""The virtual clock: nothing is waited for that need not be, and nothing outside is passed over."""

from __future__ import annotations

import asyncio
import doctest
import socket
import subprocess
import sys
import threading
import time

import pytest

from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel, VirtualLoop, clock, run_virtually

HOUR = 3600.0
BRIEFLY = 0.03
"""Real seconds of work outside the loop, which a clock that jumps would pass over."""


def now() -> float:
    return asyncio.get_running_loop().time()


def test_the_example_is_right() -> None:
    assert doctest.testmod(clock) == doctest.TestResults(failed=0, attempted=6)


def test_two_months_of_waiting_take_no_time_and_every_moment_is_exact() -> None:
    waited = (0.1, 0.2, 0.3, 1e-6, HOUR, 60 * 24 * HOUR)

    async def waits() -> list[float]:
        moments = [now()]
        for seconds in waited:
            await asyncio.sleep(seconds)
            moments.append(now())
        return moments

    due = [0.0]
    for seconds in waited:
        due.append(due[-1] + seconds)  # what asyncio adds up, to the last digit
    began = time.monotonic()
    assert run_virtually(waits()) == due
    assert time.monotonic() - began < 10


def test_nor_does_a_century_whose_seconds_are_less_finely_told() -> None:
    async def main() -> float:
        for _ in range(100):
            await asyncio.sleep(365 * 24 * HOUR)
        return now()

    assert run_virtually(main()) == pytest.approx(100 * 365 * 24 * HOUR, abs=1e-3)


def test_what_waits_side_by_side_goes_on_in_the_order_of_time() -> None:
    async def main() -> list[tuple[str, float]]:
        heard: list[tuple[str, float]] = []

        async def wait(name: str, *seconds: float) -> None:
            for each in seconds:
                await asyncio.sleep(each)
                heard.append((name, now()))

        await asyncio.gather(wait("a", 2, 2), wait("b", 1, 2), wait("c", 5))
        return heard

    assert run_virtually(main()) == [("b", 1), ("a", 2), ("b", 3), ("a", 4), ("c", 5)]


def test_a_timer_that_was_cancelled_moves_no_time() -> None:
    async def main() -> float:
        asyncio.get_running_loop().call_later(HOUR, pytest.fail, "it was cancelled").cancel()
        async with asyncio.timeout(2 * HOUR):
            await asyncio.sleep(5)
        await asyncio.sleep(5)
        return now()

    assert run_virtually(main()) == 10


def test_a_timeout_comes_at_its_moment() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), HOUR)
        return now()

    assert run_virtually(main()) == HOUR


@pytest.mark.parametrize("way", ["to_thread", "executor", "bare thread"])
def test_a_thread_that_works_is_waited_for_and_no_time_jumps_over_it(way: str) -> None:
    async def main() -> tuple[float, bool]:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def work() -> None:
            time.sleep(BRIEFLY)

        def work_and_tell() -> None:
            work()
            loop.call_soon_threadsafe(ended.set)

        late = loop.create_task(asyncio.sleep(HOUR))
        if way == "to_thread":
            await asyncio.to_thread(work)
        elif way == "executor":
            await loop.run_in_executor(None, work)
        else:
            thread = threading.Thread(target=work_and_tell)
            thread.start()
            await ended.wait()
            thread.join()
        told = now(), late.done()
        await late  # the thread has ended, or is known to be idle: time jumps again
        assert now() == HOUR  # exactly
        return told

    took, late = run_virtually(main())
    assert took < 60
    assert not late


def test_a_job_that_nobody_waits_for_any_more_is_not_passed_over_either() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait(20)
        time.sleep(3 * BRIEFLY)
        ended.set()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(work), BRIEFLY)
        assert not ended.is_set()
        go_on.set()
        await asyncio.sleep(HOUR)
        assert ended.is_set()
        assert now() == pytest.approx(HOUR, abs=1)

    run_virtually(main())


def test_nothing_is_jumped_between_the_end_of_a_job_and_its_being_heard_of() -> None:
    """It once was, now and then: the clock heard of the end before whoever waited for it."""

    async def main() -> bool:
        late = asyncio.create_task(asyncio.sleep(1000 * HOUR))
        for _ in range(1_000):
            await asyncio.to_thread(lambda: None)
        return late.done()

    assert not run_virtually(main())


def test_what_is_due_while_a_thread_works_comes_when_it_really_is() -> None:
    async def main() -> tuple[float, float]:
        asks = threading.Event()
        working = asyncio.create_task(asyncio.to_thread(asks.wait))
        began = time.monotonic()
        await asyncio.sleep(BRIEFLY / 2)
        await asyncio.sleep(BRIEFLY / 2)
        took, virtual = time.monotonic() - began, now()
        asks.set()
        await working
        return took, virtual

    took, virtual = run_virtually(main())
    assert virtual == BRIEFLY
    assert took >= BRIEFLY * 0.95


def test_a_time_that_is_set_anew_at_every_sign_of_life_does_not_run_out() -> None:
    """The time of all signs together once did."""

    async def main() -> int:
        loop, signs = asyncio.get_running_loop(), asyncio.Queue[int]()

        def work() -> None:
            for number in range(20):
                time.sleep(BRIEFLY)
                loop.call_soon_threadsafe(signs.put_nowait, number)

        working = asyncio.create_task(asyncio.to_thread(work))
        for _ in range(20):
            last = await asyncio.wait_for(signs.get(), 15 * BRIEFLY)
        await working
        return last

    assert run_virtually(main()) == 19


def test_a_socket_is_waited_for() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    async def main() -> tuple[bytes, float]:
        loop = asyncio.get_running_loop()
        late = loop.create_task(asyncio.sleep(HOUR))
        heard, came = await loop.sock_recv(ours, 5), now()
        await late
        assert now() == HOUR
        return heard, came

    script = f"import os, time; time.sleep({BRIEFLY}); os.write(1, b'hello')"
    with ours, theirs, subprocess.Popen([sys.executable, "-c", script], stdout=theirs):
        heard, came = run_virtually(main())
    assert heard == b"hello"
    assert came < 60


@pytest.mark.filterwarnings("ignore:.*child watcher.*:DeprecationWarning")
def test_a_subprocess_is_waited_for() -> None:
    async def main() -> tuple[int, float]:
        async with asyncio.timeout(HOUR):
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", f"import time; time.sleep({BRIEFLY})"
            )
            return await child.wait(), now()

    ended, came = run_virtually(main())
    assert ended == 0
    assert came < 60


def test_an_orchestrators_calls_and_limits_are_kept_in_virtual_time() -> None:
    @function(retries=2, pure=True)
    async def flaky(seconds: float) -> str:
        await asyncio.sleep(seconds)
        raise ConnectionError("reset")

    @function(timeout=60)
    async def endless() -> str:
        await asyncio.Event().wait()
        return "never"

    async def main() -> list[tuple[str, float, float | None, str]]:
        async with Orchestrator([flaky, endless], model=ScriptedModel([])) as orchestrator:
            result = await orchestrator.execute("s1 = flaky(seconds=10)\ns2 = endless()")
        return [(call.status, call.dispatched, call.completed, call.error) for call in result.calls[:2]]

    flaked, ended = run_virtually(main())
    assert flaked[0] == "failed"
    assert 30 < (flaked[2] or 0) < 40  # three attempts, and what is waited between them
    assert ended == ("failed", 0.0, 60.0, "endless took longer than its timeout of 60 s")


def test_a_sync_function_is_waited_for_and_its_timeout_does_not_come_early() -> None:
    @function(timeout=HOUR, kind="inout")
    async def elsewhere() -> str:
        return await asyncio.to_thread(sleeps)

    @function(kind="inout")
    def sleeps() -> str:
        time.sleep(BRIEFLY)
        return "slept"

    @function
    async def waits() -> None:
        await asyncio.sleep(HOUR)

    async def main(plan: str) -> tuple[float | None, ...]:
        async with Orchestrator([elsewhere, sleeps, waits], model=ScriptedModel([])) as orchestrator:
            result = await orchestrator.execute(plan)
        return tuple(call.completed for call in result.calls)

    soon, late = run_virtually(main("s1 = elsewhere()\ns2 = waits()"))
    assert soon < 60
    assert late == HOUR
    (soon,) = run_virtually(main("s1 = sleeps()"))
    assert soon < 60


def test_a_loop_can_be_made_by_whoever_makes_loops_and_begins_at_zero() -> None:
    for _ in range(2):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            assert runner.get_loop().time() == 0
            runner.run(asyncio.sleep(HOUR))
            assert runner.get_loop().time() == HOUR
