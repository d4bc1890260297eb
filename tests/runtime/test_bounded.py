"""What would never end, or wait for ever: each is bounded, and says so."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import time
from typing import Any

import pytest

from llmorch import CallError, LimitReached, Orchestrator, Processors, function
from llmorch.places.turns import Turns
from llmorch.runtime import call as made
from llmorch.testing import ScriptedModel, run_virtually

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@function
async def one() -> int:
    return 1


@function
async def wait() -> None:
    await asyncio.Event().wait()


@function
async def give(x: Any) -> Any:
    return x


@function(kind="compute")
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def offering(*functions: Any, **said: Any) -> Orchestrator:
    return Orchestrator(functions, **{"model": ScriptedModel([]), "processors": 1, "learn": False, **said})


# Event loops that are closed in the middle


@pytest.mark.filterwarnings("ignore")  # asyncio complains of the task that was left
@pytest.mark.parametrize("after", [0.01, 0.5])
@pytest.mark.parametrize("dropped", [False, True])
def test_a_compute_call_whose_event_loop_was_closed_gives_its_process_back(
    after: float, dropped: bool
) -> None:
    orchestrator = offering(nap)
    left = []

    def closed_in_the_middle() -> None:
        loop = asyncio.new_event_loop()
        left.append(loop.create_task(orchestrator.execute("s1 = nap(seconds=30)")))
        loop.call_later(after, loop.stop)
        loop.run_forever()
        loop.close()

    thread = threading.Thread(target=closed_in_the_middle)
    thread.start()
    thread.join()
    if dropped:
        left.clear()
        gc.collect()
    assert orchestrator.execute_sync("s1 = nap(seconds=0.01)", deadline=20).answer == 0.01
    asyncio.run(orchestrator.close())
    left.clear()
    gc.collect()


def test_who_waits_for_a_turn_has_it_soon_after_the_event_loop_that_held_it_is_closed() -> None:
    turns = Turns(1)
    taken, given = threading.Event(), threading.Event()

    def takes_and_is_closed() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(takes())
        taken.set()
        given.wait(0.2)
        loop.close()

    async def takes() -> None:
        await turns.take().__aenter__()

    async def waits() -> None:
        async with asyncio.timeout(20), turns.take():
            given.set()

    thread = threading.Thread(target=takes_and_is_closed)
    thread.start()
    assert taken.wait(20)
    began = time.monotonic()
    asyncio.run(waits())
    assert time.monotonic() - began >= 0.2
    thread.join()


# Observers and handlers


async def _never(message: Any, at: float) -> None:
    await asyncio.Event().wait()


async def _ignores(message: Any, at: float) -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


@pytest.mark.parametrize("observer", [_never, _ignores])
def test_an_observer_that_never_ends_is_cancelled_some_time_after_its_run(
    observer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> tuple[Any, float]:
        async with offering(one) as orchestrator:
            began = asyncio.get_running_loop().time()
            result = await orchestrator.execute("s1 = one()", observer=observer)
            return result.answer, asyncio.get_running_loop().time() - began

    with caplog.at_level(logging.ERROR, logger="llmorch"):
        answer, took = run_virtually(main())
    assert answer == 1
    assert 10 <= took < 12
    assert [record.getMessage() for record in caplog.records] == [
        "an observer has not ended 10 s after its run, and is cancelled"
    ]


def test_a_cancelled_run_waits_no_longer_for_an_observer_that_ignores_its_cancellation() -> None:
    async def main() -> float:
        async with offering(wait) as orchestrator:
            run = orchestrator.start_plan("s1 = wait()", observer=_ignores)
            await asyncio.sleep(1)
            began = asyncio.get_running_loop().time()
            run.cancel()
            assert (await run).error == "the run was cancelled"
            return asyncio.get_running_loop().time() - began

    assert run_virtually(main()) < 2


def test_a_handler_that_ignores_its_cancellation_holds_nobody() -> None:
    async def ignores() -> None:
        await _ignores(None, 0.0)

    async def main() -> float:
        async with offering(one) as orchestrator, orchestrator.session() as session:
            call = asyncio.create_task(session.call("one", via=ignores))
            await asyncio.sleep(1)
            began = asyncio.get_running_loop().time()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await session.call("one") == 1
            return asyncio.get_running_loop().time() - began

    assert run_virtually(main()) < 2


# Places


class _Silent:
    """A place that says that it stops what it is to stop, and never tells how that ended."""

    def begin(self, job: Any, ended: Any) -> Any:
        return self

    def cancel(self) -> bool:
        return True

    async def close(self) -> None:
        pass


class _Raising(_Silent):
    def cancel(self) -> bool:
        raise RuntimeError("no")


@pytest.mark.parametrize(("place", "most"), [(_Silent(), made.REPORTED_BY), (_Raising(), 0.0)])
def test_a_place_that_never_tells_an_end_holds_no_run_for_ever(place: Any, most: float) -> None:
    async def main() -> tuple[float, Any]:
        orchestrator = offering(one, processors=Processors(1, place=place))
        began = asyncio.get_running_loop().time()
        with pytest.raises(LimitReached) as late:
            await orchestrator.execute("s1 = one()", deadline=1)
        run = orchestrator.start_plan("s1 = one()")
        await asyncio.sleep(1)
        run.cancel()
        await run
        return asyncio.get_running_loop().time() - began, late.value.result

    took, result = run_virtually(main())
    assert took < 2 * (1 + most) + 1
    assert result.calls["s1"].status == "cancelled"
    assert result.notes == ("one was stopped, and its place never told how it ended: it may still run there",)


# Calls of a session that wait for themselves


def test_a_call_that_comes_after_the_call_that_waits_for_it_fails_and_says_so() -> None:
    @function(writes=["file"])
    async def outer() -> int:
        return int(await session.call("inner"))

    @function(reads=["file"])
    async def inner() -> int:
        return 1

    async def main() -> None:
        nonlocal session
        async with offering(outer, inner) as orchestrator, orchestrator.session() as session:
            async with asyncio.timeout(10):
                with pytest.raises(
                    CallError, match="inner would wait for ever: outer waits for it, and touches"
                ):
                    await session.call("outer")
                assert await session.call("inner") == 1

    session: Any = None
    run_virtually(main())


@pytest.mark.parametrize("apart", [False, True])
def test_two_calls_that_wait_for_calls_behind_each_other_do_not_wait_for_ever(apart: bool) -> None:
    @function(writes=["{name}"])
    async def store(name: str, then: str = "") -> int:
        await asyncio.sleep(1)
        return 1 + (int(await sessions[then].call("store", {"name": then})) if then else 0)

    async def main() -> list[Any]:
        async with offering(store) as orchestrator, orchestrator.session() as a, orchestrator.session() as b:
            sessions.update({"a": a, "b": b if apart else a})
            async with asyncio.timeout(10):
                return await asyncio.gather(
                    sessions["a"].call("store", {"name": "a", "then": "b"}),
                    sessions["b"].call("store", {"name": "b", "then": "a"}),
                    return_exceptions=True,
                )

    sessions: dict[str, Any] = {}
    found = run_virtually(main())
    assert sorted(type(one).__name__ for one in found) == ["CallError", "int"]
    assert "store would wait for ever: store waits for it" in str(found)


def test_a_call_inside_another_that_touches_something_else_is_made() -> None:
    @function(writes=["{name}"])
    async def store(name: str, then: str = "") -> int:
        return 1 + (int(await session.call("store", {"name": then})) if then else 0)

    async def main() -> None:
        nonlocal session
        async with offering(store) as orchestrator, orchestrator.session() as session:
            assert await session.call("store", {"name": "a", "then": "b"}) == 2

    session: Any = None
    run_virtually(main())


# Processors that are closed, threads of functions, sessions that are dropped


@pytest.mark.parametrize("name", ["wait", "nap"])
async def test_calls_that_end_with_their_processors_say_so(name: str) -> None:
    async with Processors(1) as shared:
        run = offering(wait, nap, processors=shared).start_plan(
            "s1 = nap(seconds=30)" if name == "nap" else "s1 = wait()"
        )
        await asyncio.sleep(0.3)
        await shared.close()
        result = await run
    assert result.calls["s1"].error == f"{name} was stopped: its processors were closed"


async def test_a_thread_that_takes_its_context_along_is_known_as_part_of_its_call() -> None:
    @function(max_concurrency=1)
    def deep(n: int) -> Any:
        found: list[Any] = []

        def on_thread() -> None:
            found.append(orchestrator.execute_sync("s1 = deep(n=0)").error)

        if n:
            thread = threading.Thread(target=contextvars.copy_context().run, args=(on_thread,))
            thread.start()
            thread.join(20)
        return found

    async with offering(deep) as orchestrator:
        result = await orchestrator.execute("s1 = deep(n=1)", deadline=15)
    assert "would wait for ever" in str(result.answer)


async def test_a_session_that_is_dropped_is_left() -> None:
    async with offering(one) as orchestrator:
        session = await orchestrator.session().__aenter__()
        assert await session.call("one") == 1
        calls = session._calls
        assert calls is not None
        door = calls._door
        assert door.runs == 1
        del session
        gc.collect()
        await asyncio.sleep(0.1)
        assert (calls.closed, door.runs) == (True, 0)
