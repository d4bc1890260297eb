"""Calls that are added one by one while others run."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import pytest

from llmorch import CallError, LLMOrchError, Orchestrator, PlanError, Processors, WrongArgument, function
from llmorch.errors import InvalidArgument, UnknownFunction
from llmorch.testing import ScriptedModel

VIRTUAL = True
pytestmark = pytest.mark.anyio

things: dict[str, str] = {}
told: list[str] = []


@function(writes=["thing:{name}"])
async def write(name: str, value: str, seconds: float = 0.05) -> None:
    await asyncio.sleep(seconds)
    things[name] = value


@function(reads=["thing:{name}"])
async def read(name: str) -> str | None:
    return things.get(name)


@function
async def nap(seconds: float) -> float:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        told.append("stopped")
        raise
    return seconds


@function(kind="compute")
def pid() -> int:
    return os.getpid()


@function(retries=2, backoff=0.001)
async def fails() -> None:
    told.append("tried")
    raise ConnectionError("reset")


@function
async def same(value: Any) -> Any:
    return value


@function(max_concurrency=1)
async def one(seconds: float = 0.0) -> None:
    told.append("began")
    await asyncio.sleep(seconds)
    told.append("ended")


FUNCTIONS = [write, read, nap, pid, fails, same, one]


def offering(**said: Any) -> Orchestrator:
    return Orchestrator(
        FUNCTIONS, **{"model": ScriptedModel(["Paris"]), "processors": 1, "learn": False, **said}
    )


@pytest.fixture(autouse=True)
def _nothing_was_told() -> None:
    things.clear()
    told.clear()


async def test_a_call_returns_what_its_function_does_wherever_it_runs() -> None:
    marker = object()
    async with offering() as orchestrator, orchestrator.session() as session:
        assert await session.call("same", {"value": marker}) is marker
        assert await session.call("pid") != os.getpid()
        assert await session.call("self", {"prompt": "The capital of France?"}) == "Paris"


async def test_calls_run_beside_each_other_and_conflicting_ones_in_the_order_of_their_arrival() -> None:
    async with offering() as orchestrator, orchestrator.session() as session:
        began = asyncio.get_running_loop().time()
        calls = [
            session.call("write", {"name": "a", "value": "new", "seconds": 0.2}),
            session.call("read", {"name": "a"}),
            session.call("read", {"name": "b"}),
            *(session.call("nap", {"seconds": 0.2}) for _ in range(20)),
        ]
        found = await asyncio.gather(*calls)
        assert found[:3] == [None, "new", None]
        assert asyncio.get_running_loop().time() - began < 0.3


async def test_a_call_that_fails_raises_and_stops_no_other() -> None:
    async with offering() as orchestrator, orchestrator.session() as session:
        with pytest.raises(CallError, match=r"ConnectionError: reset \(after 3 attempts\)") as raised:
            await session.call("fails")
        assert told == ["tried"] * 3
        assert "in fails" in raised.value.detail
        assert await session.call("same", {"value": 1}) == 1


@pytest.mark.parametrize(
    ("name", "args", "kind"),
    [
        ("fly", {}, UnknownFunction),
        ("nap", {}, InvalidArgument),
        ("nap", {"seconds": 1, "minutes": 2}, InvalidArgument),
        ("nap", {"seconds": "long"}, InvalidArgument),
    ],
)
async def test_a_call_that_cannot_be_is_refused_before_anything_is_made(
    name: str, args: dict[str, Any], kind: type[PlanError]
) -> None:
    async with offering() as orchestrator, orchestrator.session() as session:
        with pytest.raises(kind):
            await session.call(name, args)


async def test_to_cancel_what_waits_stops_the_call() -> None:
    async with offering() as orchestrator, orchestrator.session() as session:
        task = asyncio.create_task(session.call("nap", {"seconds": 60}))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert told == ["stopped"]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await session.call("nap", {"seconds": 60})
        assert told == ["stopped"] * 2


async def test_a_cancelled_call_that_waits_its_turn_is_never_made_and_lets_others_by() -> None:
    async with offering() as orchestrator, orchestrator.session() as session:
        first = asyncio.create_task(session.call("one", {"seconds": 0.1}))
        second = asyncio.create_task(session.call("one"))
        third = asyncio.create_task(session.call("one"))
        await asyncio.sleep(0.02)
        second.cancel()
        await asyncio.gather(first, third)
        assert told == ["began", "ended"] * 2
        assert second.cancelled()


async def test_via_makes_the_call_when_its_turn_has_come_and_its_own_exception_comes_back() -> None:
    class Interrupted(Exception):
        pass

    raised = Interrupted("approve?")

    async def handler() -> str:
        told.append("made")
        await asyncio.sleep(0.01)
        return "mine"

    def refuses() -> None:
        raise raised

    async with offering() as orchestrator, orchestrator.session() as session:
        first = asyncio.create_task(session.call("one", {"seconds": 0.05}))
        await asyncio.sleep(0)
        assert await session.call("one", via=handler) == "mine"
        await first
        assert told == ["began", "ended", "made"]
        with pytest.raises(Interrupted) as caught:
            await session.call("one", via=refuses)
        assert caught.value is raised
        assert await session.call("one", {"seconds": "what a framework says is its own"}, via=lambda: 5) == 5


async def test_via_is_made_once_whatever_retries_its_function_has() -> None:
    async def again() -> None:
        told.append("again")
        raise ConnectionError

    async with offering() as orchestrator, orchestrator.session() as session:
        with pytest.raises(ConnectionError):
            await session.call("fails", via=again)
    assert told == ["again"]


async def test_via_keeps_the_order_of_effects() -> None:
    async with offering() as orchestrator, orchestrator.session() as session:

        async def handler() -> None:
            await asyncio.sleep(0.05)
            things["a"] = "by hand"

        written = asyncio.create_task(session.call("write", {"name": "a", "value": "x"}, via=handler))
        await asyncio.sleep(0)
        assert await session.call("read", {"name": "a"}) == "by hand"
        await written


async def test_the_end_of_a_session_stops_what_runs_and_says_so() -> None:
    async with offering() as orchestrator:
        async with orchestrator.session() as session:
            task = asyncio.create_task(session.call("nap", {"seconds": 60}))
            await asyncio.sleep(0.02)
        with pytest.raises(CallError, match="the session has ended"):
            await task
        assert told == ["stopped"]
        with pytest.raises(LLMOrchError, match="not open"):
            await session.call("pid")
        with pytest.raises(LLMOrchError, match="entered once"):
            async with session:
                pass


async def test_a_session_belongs_to_its_event_loop() -> None:
    async with offering() as orchestrator, orchestrator.session() as session:
        with pytest.raises(LLMOrchError, match="one event loop"):
            await asyncio.to_thread(lambda: asyncio.run(session.call("same", {"value": 1})))


async def test_limits_hold_over_sessions_and_runs_of_shared_processors() -> None:
    inside = most = 0

    @function(resources={"desk": 1})
    async def work() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1

    async with Processors(1, resources={"desk": 2}) as shared:
        some, others = (Orchestrator([work], model=ScriptedModel([]), processors=shared) for _ in range(2))
        async with some.session() as one_session, others.session() as other_session:
            sessions = (one_session, other_session)
            calls = [session.call("work") for _ in range(5) for session in sessions]
            run = some.execute("s1 = work()\ns2 = work()\ns3 = work()")
            await asyncio.gather(run, *calls)
    assert most == 2


async def test_what_has_ended_is_forgotten() -> None:
    async with offering() as orchestrator, orchestrator.session() as session:
        for at in range(50):
            await session.call("write", {"name": "a", "value": str(at), "seconds": 0})
            with pytest.raises(CallError):
                await session.call("fails", via=None)
        task = asyncio.create_task(session.call("nap", {"seconds": 60}))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert session.waiting == 0


async def test_a_thread_that_cant_be_stopped_is_not_waited_for() -> None:
    inside, release = threading.Event(), threading.Event()

    @function
    def blocks() -> None:
        inside.set()
        release.wait(30)

    async with Orchestrator([blocks], model=ScriptedModel([])) as orchestrator:
        async with orchestrator.session() as session:
            task = asyncio.create_task(session.call("blocks"))
            await asyncio.to_thread(inside.wait, 30)
            task.cancel()
            began = time.monotonic()
            await asyncio.wait([task])
            assert task.cancelled()
            assert time.monotonic() - began < 5
        release.set()


@pytest.mark.parametrize("via", [None, lambda: None], ids=["made here", "via"])
async def test_a_call_that_waits_behind_another_is_cancelled_and_the_session_goes_on(via: Any) -> None:
    async with offering() as orchestrator, orchestrator.session() as session:
        first = asyncio.create_task(session.call("write", {"name": "a", "value": "x", "seconds": 0.1}))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await session.call("write", {"name": "a", "value": "y"}, via=via)
        async with asyncio.timeout(10):
            await first
            assert await session.call("read", {"name": "a"}) == "x"
            assert session.waiting == 0


async def test_whatever_a_handler_raises_comes_back() -> None:
    class Stop(BaseException):
        pass

    async def stops() -> None:
        raise Stop

    async def cancelled() -> None:
        raise asyncio.CancelledError("mine")

    async with offering() as orchestrator, orchestrator.session() as session, asyncio.timeout(10):
        with pytest.raises(Stop):
            await session.call("one", via=stops)
        with pytest.raises(asyncio.CancelledError, match="mine"):
            await session.call("one", via=cancelled)
        assert await session.call("one", via=lambda: 1) == 1


async def test_a_session_opened_outside_knows_of_the_call_that_uses_it() -> None:
    @function(max_concurrency=1)
    async def deep(n: int) -> int:
        return n if n == 0 else await session.call("deep", {"n": n - 1})

    async with (
        Orchestrator([deep], model=ScriptedModel([])) as orchestrator,
        orchestrator.session() as session,
    ):
        with pytest.raises(CallError, match="would wait for ever"):
            async with asyncio.timeout(10):
                await session.call("deep", {"n": 1})
        assert await session.call("deep", {"n": 0}) == 0


async def test_what_a_call_has_started_is_its_own_once_the_call_is_over() -> None:
    later: list[asyncio.Task[Any]] = []

    @function(max_concurrency=1)
    async def starts(n: int) -> int:
        if n:
            later.append(asyncio.create_task(after()))
        return n

    async def after() -> Any:
        await asyncio.sleep(0.05)
        return (await orchestrator.execute("s1 = starts(n=0)")).error

    async with Orchestrator([starts], model=ScriptedModel([])) as orchestrator:
        await orchestrator.execute("s1 = starts(n=1)")
        assert await later[0] is None


@pytest.mark.parametrize(
    ("name", "args"),
    [(5, {}), (None, {}), ("nap", [1]), ("nap", 5), ("nap", {1: 2}), ("nap", "n"), (["nap"], None)],
)
async def test_what_is_no_call_is_refused(name: Any, args: Any) -> None:
    async with offering() as orchestrator, orchestrator.session() as session:
        with pytest.raises(WrongArgument, match="by name"):
            await session.call(name, args)
