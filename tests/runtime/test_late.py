"""What is past its limit by the clock is late, also where it held up the event loop; what ended in time isn't."""

# ruff: noqa: ASYNC251 - to block the event loop is what is tried here

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from llmorch import CallError, LimitReached, ModelError, Orchestrator, function
from llmorch.declare.functions import Function
from llmorch.places import shown
from llmorch.places.local import Local
from llmorch.places.workers import Workers
from llmorch.run import Limit
from llmorch.testing import ScriptedModel

pytestmark = pytest.mark.anyio
LATE = "look took longer than its timeout of 0.1 s"


def orchestrator(*functions: Any, replies: Any = ("x",), **said: Any) -> Orchestrator:
    return Orchestrator(functions, model=ScriptedModel([*replies]), learn=False, processors=1, **said)


async def at_once(page: str) -> str:
    time.sleep(0.15)
    return page


async def after_waiting(page: str) -> str:
    await asyncio.sleep(0.01)
    time.sleep(0.15)
    return page


async def in_parts(page: str) -> str:
    for _ in range(3):
        time.sleep(0.05)
        await asyncio.sleep(0)
    return page


async def then_raises(page: str) -> str:
    time.sleep(0.15)
    raise ValueError(page)


async def whatever_happens(page: str) -> str:
    try:
        time.sleep(0.15)
        await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        return page
    return page


async def in_its_iterator(page: str) -> Any:
    time.sleep(0.15)
    yield page


BLOCKING = [at_once, after_waiting, in_parts, then_raises, whatever_happens, in_its_iterator]


@pytest.mark.parametrize("call", BLOCKING)
async def test_a_call_that_holds_up_the_event_loop_past_its_timeout_is_late(call: Any) -> None:
    look = Function("look", call, timeout=0.1)
    place = Local(1)
    with pytest.raises(CallError) as failed:
        await place.execute(look, {"page": "a"})
    assert str(failed.value) == LATE
    await place.close()


async def test_it_is_made_again_as_after_any_other_timeout() -> None:
    made = []

    @function(timeout=0.1, retries=1, backoff=0.001)
    async def look(page: str) -> str:
        made.append(page)
        time.sleep(0.15 if len(made) == 1 else 0)
        return page

    result = await orchestrator(look).execute('s1 = look(page="a")')
    assert (result.answer, len(made)) == ("a", 2)


async def test_a_batch_form_that_blocks_past_the_timeout_fails_all_of_its_calls() -> None:
    @function(timeout=0.1)
    async def look(page: str) -> str:
        return page

    @look.batch
    async def looks(calls: list[dict[str, Any]]) -> list[str]:
        time.sleep(0.15)
        return [call["page"] for call in calls]

    result = await orchestrator(look).execute('s1 = look(page="a")\ns2 = look(page="b")')
    assert [call.error for call in result.calls] == [LATE, LATE]


async def test_in_turns_a_call_that_blocks_is_late_too() -> None:
    @function(timeout=0.1)
    async def look(page: str) -> str:
        time.sleep(0.15)
        return page

    replies = ['Action: look(page="a")', "Answer: none"]
    result = await orchestrator(look, replies=replies, technique="react").run("Which?")
    assert result.calls["s1"].error == LATE


@pytest.mark.parametrize("blocks", ["prompt", "reply", "end"])
async def test_a_function_that_asks_the_model_is_late_whatever_part_of_it_takes_too_long(blocks: str) -> None:
    @function(asks_model=True, timeout=0.1)
    def look(page: str) -> Any:
        time.sleep(0.15 if blocks == "prompt" else 0)
        reply = yield page
        time.sleep(0.15 if blocks == "end" else 0)
        return reply

    class Blocking(ScriptedModel):
        async def stream(self, request: Any) -> Any:
            time.sleep(0.15 if blocks == "reply" else 0)
            async for piece in super().stream(request):
                yield piece

    made = Orchestrator([look], model=Blocking(["x"]), learn=False)
    result = await made.execute('s1 = look(page="a")')
    assert result.calls["s1"].error == LATE


def quick(page: str) -> str:
    time.sleep(0.02)
    return page


def too_slow(page: str) -> str:
    time.sleep(0.6)
    return page


def long(page: str) -> str:
    return page * 50_000


async def test_a_process_says_itself_whether_it_was_in_time_while_the_event_loop_is_held_up() -> None:
    place = Workers()

    async def made(call: Any) -> Any:
        function = Function("look", call, timeout=0.3)
        await place.execute(replace(function, timeout=None), {"page": "a"})  # it is up
        work = asyncio.create_task(place.execute(function, {"page": "a"}))
        for _ in range(3):
            await asyncio.sleep(0)
        time.sleep(0.9)
        return (await asyncio.gather(work, return_exceptions=True))[0]

    assert await made(quick) == "a"
    assert await made(long) == "a" * 50_000
    assert str(await made(too_slow)) == "look took longer than its timeout of 0.3 s"
    await place.close()


async def test_a_call_that_ended_in_time_is_not_late_because_another_blocks_after_it() -> None:
    look = Function("look", in_time, timeout=0.1)
    place = Local(1)
    began = asyncio.Event()

    async def neighbour() -> None:
        await began.wait()
        time.sleep(0.2)

    blocking = asyncio.create_task(neighbour())
    assert await place.execute(look, {"began": began}) == "a"
    await blocking
    await place.close()


async def in_time(began: asyncio.Event) -> str:
    began.set()  # the neighbour's turn comes once this has returned
    return "a"


async def test_a_call_that_was_done_while_another_blocked_is_not_late_and_one_that_was_not_is() -> None:
    @function(timeout=0.1)
    async def quick() -> str:
        await asyncio.sleep(0.03)
        return "quick"

    @function(timeout=0.1)
    async def slow() -> str:
        await asyncio.sleep(30)
        return "slow"

    async def load() -> str:
        time.sleep(0.2)
        return "loaded"

    made = orchestrator(quick, slow, load)
    result = await made.execute("s1 = quick()\ns2 = slow()\ns3 = load()")
    told = [call.error or call.result for call in result.calls]
    assert told == ["quick", "slow took longer than its timeout of 0.1 s", "loaded"]


async def test_what_blocks_before_a_call_begins_is_no_time_of_its_own() -> None:
    look = Function("look", in_time, timeout=0.1)
    place = Local(1)
    asyncio.get_running_loop().call_soon(time.sleep, 0.2)
    assert await place.execute(look, {"began": asyncio.Event()}) == "a"
    await place.close()


async def test_a_generator_that_ended_in_time_on_its_thread_is_not_late_for_what_blocks_then() -> None:
    @function(asks_model=True, timeout=0.1)
    def look(page: str) -> Any:
        reply = yield page
        loop.call_soon_threadsafe(time.sleep, 0.3)
        return reply

    loop = asyncio.get_running_loop()
    result = await orchestrator(look).execute('s1 = look(page="a")')
    assert (result.answer, result.error) == ("x", None)


async def test_a_result_is_shown_in_time_also_while_the_event_loop_is_held_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shown, "SECONDS", 0.1)
    monkeypatch.setattr("llmorch.places.local.SECONDS", 0.1)
    loop = asyncio.get_running_loop()

    def show(value: str) -> str:
        loop.call_soon_threadsafe(time.sleep, 0.3)
        return "shown"

    made = await Local(1).execute(Function("look", quick, show=show), {"page": "a"})
    assert (made.result, made.text, made.why) == ("a", "shown", "")


@pytest.mark.parametrize("call", [at_once, after_waiting, in_parts, whatever_happens])
async def test_a_run_past_its_deadline_raises_though_the_event_loop_was_held_up(call: Any) -> None:
    made = orchestrator(function(name="look")(call))
    with pytest.raises(LimitReached, match=r"longer than its deadline of 0.1 s") as caught:
        await made.execute('s1 = look(page="a")', deadline=0.1)
    assert caught.value.result.calls["s1"].status in ("completed", "cancelled")
    assert (await made.execute('s1 = look(page="a")')).answer == "a"  # nobody holds its turn


async def test_a_run_that_waits_for_its_turn_while_another_blocks_gives_it_on() -> None:
    made = orchestrator(function(name="look")(after_waiting))
    first = asyncio.create_task(made.execute('s1 = look(page="a")'))
    await asyncio.sleep(0)
    with pytest.raises(LimitReached):
        await made.execute('s1 = look(page="b")', deadline=0.05)
    assert (await first).answer == "a"
    assert (await made.execute('s1 = look(page="c")')).answer == "c"


async def test_what_a_run_raises_past_its_deadline_is_that_it_is_late() -> None:
    async def fail(error: Exception) -> None:
        time.sleep(0.05)
        raise error

    with pytest.raises(LimitReached) as caught:
        await Limit(0.01).within(fail(ModelError("gone")))
    assert isinstance(caught.value.__cause__, ModelError)
    with pytest.raises(ZeroDivisionError):
        await Limit(0.01).within(fail(ZeroDivisionError()))


@pytest.mark.parametrize("deadline", [None, 5.0])
async def test_a_run_within_its_deadline_has_its_result(deadline: float | None) -> None:
    result = await orchestrator(function(name="look")(at_once)).execute(
        's1 = look(page="a")', deadline=deadline
    )
    assert result.answer == "a"
