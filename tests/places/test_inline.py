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

from llmorch import Orchestrator
from llmorch.declare.functions import Function, declaration_of
from llmorch.errors import CallError
from llmorch.places import inline
from llmorch.places.inline import Inline
from llmorch.testing import ScriptedModel
from tests.places import sample

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def processor() -> AsyncIterator[Inline]:
    processor = Inline()
    yield processor
    await processor.close()


def ours() -> int:
    """How many threads of ours there are."""
    return sum(thread.name == "llmorch-inline" for thread in threading.enumerate())


def settled(count: int) -> bool:
    """Whether there are so many threads of ours soon."""
    end = time.monotonic() + 2
    while ours() != count and time.monotonic() < end:
        time.sleep(0.005)
    return ours() == count


ECHO = declaration_of(sample.echo)


async def test_sixty_waiting_calls_wait_side_by_side(processor: Inline) -> None:
    def wait() -> None:
        time.sleep(0.1)

    began = time.perf_counter()
    await asyncio.gather(*(processor.execute(declaration_of(wait), {}) for _ in range(60)))
    assert time.perf_counter() - began < 1.5


async def test_a_chain_of_calls_uses_one_thread_again_and_again(processor: Inline) -> None:
    before = ours()
    for number in range(200):
        assert await processor.execute(ECHO, {"value": number}) == number
    assert ours() - before <= 2  # a second where the first was not quite back yet


async def test_calls_past_the_limit_wait_for_a_thread(
    processor: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "LIMIT", 2)
    running = []
    seen = []

    def count() -> None:
        running.append(1)
        seen.append(len(running))
        time.sleep(0.02)
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
        working = Inline().execute(function, {})
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
    processor = Inline()
    await asyncio.gather(*(processor.execute(ECHO, {"value": 1}) for _ in range(5)))
    assert ours() > 0
    await processor.close()
    assert settled(0)


async def test_a_processor_that_is_dropped_lets_its_threads_end() -> None:
    assert settled(0)
    processor = Inline()
    await processor.execute(ECHO, {"value": 1})
    del processor
    gc.collect()
    assert settled(0)


async def test_the_late_result_of_a_cancelled_call_is_dropped(processor: Inline) -> None:
    release = threading.Event()

    def wait() -> str:
        release.wait(2)
        return "late"

    task = asyncio.create_task(processor.execute(declaration_of(wait), {}))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    assert await processor.execute(ECHO, {"value": "own"}) == "own"


async def test_a_call_cancelled_before_it_got_a_thread_never_begins(
    processor: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "LIMIT", 1)
    begun = []

    def first() -> None:
        time.sleep(0.05)

    def second() -> None:
        begun.append(1)

    one = asyncio.create_task(processor.execute(declaration_of(first), {}))
    two = asyncio.create_task(processor.execute(declaration_of(second), {}))
    await asyncio.sleep(0.01)
    two.cancel()
    await one
    await processor.execute(ECHO, {"value": 1})
    assert begun == []


async def test_cpu_and_wall_time_of_a_synchronous_call_are_measured_on_the_loop() -> None:
    measured: list[tuple[Function, float, float, str]] = []
    processor = Inline(
        measured=lambda function, cpu, wall: measured.append(
            (function, cpu, wall, threading.current_thread().name)
        )
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


async def test_a_coroutine_that_a_synchronous_function_returns_is_awaited(processor: Inline) -> None:
    def indirect(value: int) -> Any:
        return sample.async_echo(value)

    assert await processor.execute(declaration_of(indirect), {"value": 3}) == 3


async def test_an_async_function_that_swallows_its_cancellation_still_comes_late(processor: Inline) -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            return "late"
        return "early"

    with pytest.raises(CallError, match=r"^stubborn took longer than its timeout of 0.05 s$"):
        await processor.execute(declaration_of(stubborn, timeout=0.05), {})


async def test_a_timeout_of_the_functions_own_is_its_exception(processor: Inline) -> None:
    async def impatient() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(5)

    with pytest.raises(CallError, match=r"^TimeoutError$"):
        await processor.execute(declaration_of(impatient, timeout=5), {})


async def test_a_cancelled_error_that_is_not_ours_is_the_functions_failure(processor: Inline) -> None:
    async def confused() -> None:
        raise asyncio.CancelledError("by itself")

    def confused_too() -> None:
        raise asyncio.CancelledError("by itself")

    for function in (confused, confused_too):
        with pytest.raises(CallError, match=r"^CancelledError: by itself$"):
            await processor.execute(declaration_of(function), {})


async def test_a_synchronous_function_sees_the_context_of_its_caller(processor: Inline) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")

    def read() -> str:
        return variable.get()

    assert await processor.execute(declaration_of(read), {}) == "set"


async def test_a_synchronous_function_may_raise_stop_iteration(processor: Inline) -> None:
    def stop() -> None:
        raise StopIteration("end")

    with pytest.raises(CallError, match=r"^StopIteration: end$"):
        await processor.execute(declaration_of(stop), {})


@pytest.mark.parametrize("end", ["task.cancel()", "await processor.close()"])
def test_a_sleeping_thread_does_not_keep_the_program_alive(end: str) -> None:
    program = f"""
import asyncio, time
from llmorch.declare.functions import declaration_of
from llmorch.places.inline import Inline
def sleep() -> None: time.sleep(60)
async def main():
    processor = Inline()
    task = asyncio.create_task(processor.execute(declaration_of(sleep), {{}}))
    await asyncio.sleep(0.05)
    {end}
asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        timeout=10,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_one_processor_serves_several_event_loops_in_turn() -> None:
    processor = Inline()
    for number in range(3):
        assert asyncio.run(processor.execute(ECHO, {"value": number})) == number
    asyncio.run(processor.close())


class NoThread(threading.Thread):
    """A thread that the system doesn't allow any more."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


async def test_a_call_waits_for_a_thread_where_no_other_can_be_started(
    processor: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await processor.execute(ECHO, {"value": 1}) == 1
    monkeypatch.setattr(inline, "Thread", NoThread)
    results = await asyncio.gather(*(processor.execute(ECHO, {"value": value}) for value in range(5)))
    assert results == [0, 1, 2, 3, 4]


async def test_a_call_fails_where_no_thread_can_be_started_at_all(
    processor: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "Thread", NoThread)
    with pytest.raises(CallError, match="no thread can be started to run it: can't start new thread"):
        await processor.execute(ECHO, {"value": 1})


async def test_a_run_ends_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline, "Thread", NoThread)
    async with Orchestrator([sample.echo], model=ScriptedModel([])) as orchestrator:
        result = await asyncio.wait_for(orchestrator.execute("s1 = echo(value=1)\ns2 = echo(value=s1)"), 10)
    assert [call.status for call in result.calls] == ["failed", "skipped"]
    assert "no thread can be started" in (result.calls["s1"].error or "")
