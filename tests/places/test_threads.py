"""Calls that wait, on the event loop and on threads."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import gc
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from llmorch.calls import Constant, FunctionCall
from llmorch.declare.functions import Function, declaration_of
from llmorch.errors import CallError
from llmorch.places import threads
from llmorch.places.local import Local
from llmorch.places.port import End, Here, Job
from tests.places import sample

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

pytestmark = pytest.mark.anyio


@pytest.fixture
async def processor() -> AsyncIterator[Local]:
    processor = Local(1)
    yield processor
    await processor.close()


def ours() -> int:
    """How many threads of ours there are."""
    return sum(thread.name == "llmorch-thread" for thread in threading.enumerate())


def settled(count: int) -> bool:
    """Whether there are so many threads of ours soon: also those of what other tests left to be collected."""
    gc.collect()
    end = time.monotonic() + 20
    while ours() != count and time.monotonic() < end:
        time.sleep(0.005)
    return ours() == count


ECHO = declaration_of(sample.echo)


async def test_sixty_waiting_calls_wait_side_by_side(processor: Local) -> None:
    all_of_them = threading.Barrier(60)

    def wait() -> bool:
        all_of_them.wait(20)
        return True

    waited = await asyncio.gather(*(processor.execute(declaration_of(wait), {}) for _ in range(60)))
    assert waited == [True] * 60


async def test_a_chain_of_calls_uses_one_thread_again_and_again(processor: Local) -> None:
    before = ours()
    for number in range(200):
        assert await processor.execute(ECHO, {"value": number}) == number
    assert ours() - before <= 10  # another where those before are not quite back yet


async def test_calls_past_the_limit_wait_for_a_thread(
    processor: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "LIMIT", 2)
    running = []
    seen = []
    two = threading.Barrier(2)

    def count() -> None:
        running.append(1)
        two.wait(20)
        seen.append(len(running))
        two.wait(20)
        running.pop()

    await asyncio.gather(*(processor.execute(declaration_of(count), {}) for _ in range(8)))
    assert (len(seen), max(seen)) == (8, 2)


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("loop_runs", [True, False])
async def test_a_coroutine_that_is_closed_ends_without_an_error(
    timeout: float | None, loop_runs: bool
) -> None:
    left = []

    async def wait() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            left.append("function")

    function = dataclasses.replace(declaration_of(wait), timeout=timeout)

    def close_one() -> None:
        loop = asyncio.new_event_loop()
        working = Local(1).execute(function, {})
        task = loop.create_task(working)
        loop.run_until_complete(asyncio.sleep(0))
        if loop_runs:
            loop.call_soon(working.close)
            loop.run_until_complete(asyncio.sleep(0))
        else:
            working.close()
        assert left == ["function"]
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()

    await asyncio.to_thread(close_one)


async def test_closing_lets_the_threads_end() -> None:
    assert settled(0)
    processor = Local(1)
    await asyncio.gather(*(processor.execute(ECHO, {"value": 1}) for _ in range(5)))
    assert ours() > 0
    await processor.close()
    assert settled(0)


async def test_a_processor_that_is_dropped_lets_its_threads_end() -> None:
    assert settled(0)
    processor = Local(1)
    await processor.execute(ECHO, {"value": 1})
    del processor
    gc.collect()
    assert settled(0)


async def test_the_late_result_of_a_cancelled_call_is_dropped(processor: Local) -> None:
    begun, release = threading.Event(), threading.Event()

    def wait() -> str:
        begun.set()
        release.wait(20)
        return "late"

    task = asyncio.create_task(processor.execute(declaration_of(wait), {}))
    assert await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    assert await processor.execute(ECHO, {"value": "own"}) == "own"


async def test_a_call_cancelled_before_it_got_a_thread_never_begins(
    processor: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "LIMIT", 1)
    begun, release = [], threading.Event()

    def first() -> None:
        release.wait(20)

    def second() -> None:
        begun.append(1)

    one = asyncio.create_task(processor.execute(declaration_of(first), {}))
    two = asyncio.create_task(processor.execute(declaration_of(second), {}))
    await asyncio.sleep(0.01)
    two.cancel()
    await asyncio.wait([two])
    release.set()
    await one
    await processor.execute(ECHO, {"value": 1})
    assert begun == []


async def test_cpu_and_wall_time_of_a_synchronous_call_are_measured_on_the_loop() -> None:
    measured: list[tuple[Function, float, float, str]] = []
    processor = Local(
        1,
        measured=lambda function, cpu, wall: measured.append(
            (function, cpu, wall, threading.current_thread().name)
        ),
    )

    def spin(seconds: float) -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    def sleep() -> None:
        time.sleep(0.05)

    await processor.execute(declaration_of(sleep), {})
    await processor.execute(declaration_of(spin), {"seconds": 0.05})
    await processor.execute(declaration_of(sample.async_echo), {"value": 1})
    await processor.close()
    assert [(function.name, cpu > 0.04, wall > 0.04) for function, cpu, wall, _ in measured] == [
        ("sleep", False, True),
        ("spin", True, True),
    ]
    assert {thread for *_, thread in measured} == {threading.current_thread().name}


async def test_a_coroutine_that_a_synchronous_function_returns_is_awaited(processor: Local) -> None:
    def indirect(value: int) -> Any:
        return sample.async_echo(value)

    assert await processor.execute(declaration_of(indirect), {"value": 3}) == 3


async def test_an_async_function_that_swallows_its_cancellation_still_comes_late(processor: Local) -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            return "late"
        return "early"

    with pytest.raises(CallError, match=r"^stubborn took longer than its timeout of 0.05 s$"):
        await processor.execute(declaration_of(stubborn, timeout=0.05), {})


async def test_a_timeout_of_the_functions_own_is_its_exception(processor: Local) -> None:
    async def impatient() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(5)

    with pytest.raises(CallError, match=r"^TimeoutError$"):
        await processor.execute(declaration_of(impatient, timeout=5), {})


async def test_a_cancelled_error_that_is_not_ours_is_the_functions_failure(processor: Local) -> None:
    async def confused() -> None:
        raise asyncio.CancelledError("by itself")

    def confused_too() -> None:
        raise asyncio.CancelledError("by itself")

    for function in (confused, confused_too):
        with pytest.raises(CallError, match=r"^CancelledError: by itself$"):
            await processor.execute(declaration_of(function), {})


async def test_a_synchronous_function_sees_the_context_of_its_caller(processor: Local) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")

    def read() -> str:
        return variable.get()

    assert await processor.execute(declaration_of(read), {}) == "set"


async def test_a_synchronous_function_may_raise_stop_iteration(processor: Local) -> None:
    def stop() -> None:
        raise StopIteration("end")

    with pytest.raises(CallError, match=r"^StopIteration: end$"):
        await processor.execute(declaration_of(stop), {})


@pytest.mark.parametrize("end", ["task.cancel()", "await processor.close()"])
def test_a_sleeping_thread_does_not_keep_the_program_alive(end: str) -> None:
    program = f"""
import asyncio, time
from llmorch.declare.functions import declaration_of
from llmorch.places.local import Local
def sleep() -> None: time.sleep(60)
async def main():
    processor = Local(1)
    task = asyncio.create_task(processor.execute(declaration_of(sleep), {{}}))
    await asyncio.sleep(0.05)
    {end}
asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        timeout=50,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_one_processor_serves_several_event_loops_in_turn() -> None:
    processor = Local(1)
    for number in range(3):
        assert asyncio.run(processor.execute(ECHO, {"value": number})) == number
    asyncio.run(processor.close())


class NoThread(threading.Thread):
    """A thread that the system doesn't allow any more."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


async def test_a_call_waits_for_a_thread_where_no_other_can_be_started(
    processor: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await processor.execute(ECHO, {"value": 1}) == 1
    monkeypatch.setattr(threads, "Thread", NoThread)
    results = await asyncio.gather(*(processor.execute(ECHO, {"value": value}) for value in range(5)))
    assert results == [0, 1, 2, 3, 4]


async def test_a_call_fails_where_no_thread_can_be_started_at_all(
    processor: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "Thread", NoThread)
    with pytest.raises(CallError, match="no thread can be started to run it: can't start new thread"):
        await processor.execute(ECHO, {"value": 1})


async def test_a_job_ends_where_no_thread_can_be_started(
    processor: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "Thread", NoThread)
    told: asyncio.Future[Sequence[End]] = asyncio.get_running_loop().create_future()
    processor.begin(job(ECHO, value=1), told.set_result)
    (end,) = await asyncio.wait_for(told, 10)
    assert "no thread can be started" in str(end.error)


def job(function: Function, **args: Any) -> Job:
    return Job(function, (FunctionCall("s1", function.name, {key: Constant(args[key]) for key in args}),), {})


async def test_what_a_call_begins_itself_is_not_held_to_the_limit(
    processor: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "LIMIT", 2)

    def outer(value: int) -> int:
        return asyncio.run(processor.execute(declaration_of(middle), {"value": value})) + 1

    def middle(value: int) -> int:
        return asyncio.run(processor.execute(ECHO, {"value": value})) + 1

    calls = (processor.execute(declaration_of(outer), {"value": value}) for value in range(12))
    assert await asyncio.wait_for(asyncio.gather(*calls), 20) == list(range(2, 14))


async def test_a_call_that_was_cancelled_before_a_thread_was_free_is_told_at_once(
    processor: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "LIMIT", 1)
    release, begun, told = threading.Event(), [], []

    def wait(number: int) -> int:
        begun.append(number)
        release.wait(10)
        return number

    function = declaration_of(wait)
    first = processor.begin(job(function, number=1), told.append)
    second = processor.begin(job(function, number=2), told.append)
    while not begun:  # noqa: ASYNC110 - a thread tells
        await asyncio.sleep(0.001)
    assert (second.cancel(), second.cancel()) == (True, True)
    await asyncio.sleep(0)
    assert [str(end.error) for (end,) in told] == ["wait was cancelled"]
    assert (first.cancel(), first.cancel()) == (False, False)
    await asyncio.sleep(0.02)
    assert len(told) == 1
    release.set()
    while len(told) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert begun == [1]


async def test_the_end_of_a_stopped_call_comes_from_its_thread_and_any_other_on_the_loop(
    processor: Local,
) -> None:
    release, begun, heard = threading.Event(), threading.Semaphore(0), {}

    def wait() -> int:
        begun.release()
        release.wait(10)
        return threading.get_ident()

    def hear(name: str) -> Callable[[Sequence[End]], None]:
        return lambda ends: heard.update({name: (threading.get_ident(), ends[0])})

    works = {name: processor.begin(job(declaration_of(wait)), hear(name)) for name in ("wanted", "stopped")}
    for _ in works:
        # One that no thread took yet would end on the loop.
        while not begun.acquire(blocking=False):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert not works["stopped"].cancel()
    release.set()
    while len(heard) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    thread, end = heard["wanted"]
    assert thread == threading.get_ident()
    assert isinstance(end.value, Here)
    thread, end = heard["stopped"]
    assert thread != threading.get_ident()
    assert str(end.error) == "wait was cancelled"


async def test_a_coroutine_that_a_stopped_call_leaves_is_closed(processor: Local) -> None:
    begun, release, told = threading.Event(), threading.Event(), []

    def indirect() -> Any:
        begun.set()
        release.wait(10)
        return sample.async_echo(1)

    work = processor.begin(job(declaration_of(indirect)), told.append)
    assert await asyncio.to_thread(begun.wait, 20)
    assert not work.cancel()
    release.set()
    while not told:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    gc.collect()  # which would warn of a coroutine that nobody awaited
