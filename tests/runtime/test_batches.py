"""Calls made as one in real runs: on the event loop, on threads and in processes."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmorch import Orchestrator, function, stateful
from llmorch.cli.progress import Progress
from llmorch.cli.timeline import chrome_trace, text
from llmorch.requests import ToolCall
from llmorch.schedule import BatchEnded, Cancel, Dispatch
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from llmorch import Result

VIRTUAL = True
pytestmark = pytest.mark.anyio


def offering(*functions: object, replies: tuple[Any, ...] = (), **said: Any) -> Orchestrator:
    said = {"processors": 2, **said}
    calls_tools = said.pop("calls_tools", False)
    return Orchestrator(
        functions, model=ScriptedModel(list(replies), calls_tools=calls_tools), optimize=False, **said
    )


def lines(count: int, call: str = "look(x={})", first: int = 1) -> str:
    return "\n".join(f"s{at} = {call.format(at)}" for at in range(first, first + count))


async def executed(plan: str, *functions: object, **said: Any) -> Result:
    async with offering(*functions, **said) as orchestrator:
        return await orchestrator.execute(plan)


def batched(kind: str, **said: Any) -> tuple[Any, list[list[dict[str, Any]]]]:
    """A function of a kind with a batch form, and what that was called with."""
    seen: list[list[dict[str, Any]]] = []
    offered = {"kind": "compute"} if kind == "compute" else {}

    def tenfold(calls: list[dict[str, Any]]) -> list[int | Exception]:
        seen.append(calls)
        return [ValueError(f"not {call['x']}") if call["x"] < 0 else call["x"] * call["by"] for call in calls]

    if kind == "async":

        @function(**offered, **said)
        async def look(x: int, by: int = 10) -> int:
            return x * by

        @look.batch
        async def looks(calls: list[dict[str, Any]]) -> list[int | Exception]:
            await asyncio.sleep(0.01)
            return tenfold(calls)
    else:

        @function(**offered, **said)
        def look(x: int, by: int = 10) -> int:
            return x * by

        look.batch(tenfold)
    return look, seen


KINDS = ["async", "thread", "compute"]


@pytest.mark.parametrize("kind", KINDS)
async def test_calls_that_are_ready_together_are_one_call_of_the_batch_form(kind) -> None:
    look, seen = batched(kind)
    result = await executed(lines(4) + '\ns5 = look(x="{s1}", by=2)', look)
    assert [call.result for call in result.calls] == [10, 20, 30, 40, 20]
    assert [call.batch for call in result.calls] == ["s1"] * 4 + [None]
    assert len({(call.dispatched, call.completed) for call in result.calls}) == 2
    assert len({call.processor for call in list(result.calls)[:4]}) == 1
    if kind != "compute":  # there it is a copy in another process that sees it
        assert seen == [[{"x": x, "by": 10} for x in (1, 2, 3, 4)]]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_exception_in_the_place_of_a_result_fails_that_call_alone(kind) -> None:
    look, _ = batched(kind)
    plan = "s1 = look(x=1)\ns2 = look(x=-2)\ns3 = look(x=3)\ns4 = look(x=s2)\ns5 = look(x=s3)"
    result = await executed(plan, look)
    assert [call.status for call in result.calls] == [
        "completed",
        "failed",
        "completed",
        "skipped",
        "completed",
    ]
    assert result.calls["s2"].error == "ValueError: not -2"


async def test_a_call_whose_arguments_dont_fit_fails_alone() -> None:
    look, seen = batched("thread")

    @function
    def word() -> str:
        return "many"

    plan = "s1 = word()\ns2 = look(x=s1)\ns3 = look(x=len(s1))\ns4 = look(x=len(s1) + 1)"
    result = await executed(plan, look, word)
    assert [call.status for call in result.calls] == ["completed", "failed", "completed", "completed"]
    assert "x of look" in result.calls["s2"].error
    assert [[call["x"] for call in calls] for calls in seen] == [[4, 5]]


WRONG = [
    (lambda calls: [1], "returned 1 result for 3 calls"),
    (lambda calls: None, "returned nothing"),
    (lambda calls: "abc", "returned a str"),
    (lambda calls: {1: 1, 2: 2, 3: 3}, "returned a dict"),
    (lambda calls: (item for item in calls[:2]), "returned 2 results for 3 calls"),
]


@pytest.mark.parametrize(("form", "says"), WRONG)
async def test_what_is_no_list_of_as_many_results_fails_all_and_says_what_is_expected(form, says) -> None:
    @function
    def look(x: int) -> int:
        return x

    @look.batch
    def looks(calls: list[dict[str, Any]]) -> Any:
        return form(calls)

    result = await executed(lines(3), look)
    assert {call.status for call in result.calls} == {"failed"}
    error = result.calls["s2"].error
    assert error.startswith(f"the batch form of look, looks, {says}; ")
    assert error.endswith("return a list of 3: one result for each call, in their order")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_batch_form_that_raises_fails_all_of_its_calls(kind) -> None:
    look, _ = batched(kind)
    look.batch.declared = None  # another form in its place

    if kind == "async":

        @look.batch
        async def raises(calls: list[dict[str, Any]]) -> list[int]:
            raise RuntimeError("down")
    else:

        @look.batch
        def raises(calls: list[dict[str, Any]]) -> list[int]:
            raise RuntimeError("down")

    result = await executed(lines(3), look)
    assert [call.error for call in result.calls] == ["RuntimeError: down"] * 3


async def test_a_batch_that_ends_its_process_fails_its_calls_and_no_others() -> None:
    @function(kind="compute")
    def look(x: int) -> int:
        return x

    @look.batch(size=2)
    def looks(calls: list[dict[str, Any]]) -> list[int]:
        if calls[0]["x"] == 1:
            os._exit(3)
        return [call["x"] for call in calls]

    result = await executed(lines(4), look)
    assert [call.status for call in result.calls] == ["failed", "failed", "completed", "completed"]
    assert "exit status 3" in result.calls["s1"].error


@pytest.mark.parametrize("kind", ["async", "compute"])
async def test_the_timeout_holds_for_the_whole_batch(kind) -> None:
    if kind == "async":

        @function(timeout=0.05)
        async def look(x: int) -> int:
            return x

        @look.batch
        async def looks(calls: list[dict[str, Any]]) -> list[int]:
            await asyncio.sleep(60)
            return []
    else:

        @function(kind="compute", timeout=0.05)
        def look(x: int) -> int:
            return x

        @look.batch
        def late(calls: list[dict[str, Any]]) -> list[int]:
            threading.Event().wait(60)
            return []

    result = await executed(lines(2), look)
    assert [call.error for call in result.calls] == ["look took longer than its timeout of 0.05 s"] * 2


async def test_what_failed_of_a_batch_is_made_again_as_a_batch_and_alone_by_the_function_itself() -> None:
    seen: list[list[int]] = []

    @function(retries=2, backoff=0.001)
    async def look(x: int) -> int:
        seen.append([x])
        return x

    @look.batch
    async def looks(calls: list[dict[str, Any]]) -> list[int | Exception]:
        seen.append([call["x"] for call in calls])
        return [OSError("busy") if call["x"] >= 2 * len(seen) else call["x"] for call in calls]

    result = await executed(lines(4), look)
    assert seen == [[1, 2, 3, 4], [2, 3, 4], [4]]
    assert [call.result for call in result.calls] == [1, 2, 3, 4]
    assert [(item.kind, item.failed) for item in result.recoveries] == [
        ("retry", ("s2",)),
        ("retry", ("s3",)),
        ("retry", ("s4",)),
        ("retry", ("s4",)),
    ]


async def test_a_batch_that_fails_for_good_says_after_how_many_attempts() -> None:
    look, seen = batched("async", retries=1, backoff=0.001)
    result = await executed("s1 = look(x=-1)\ns2 = look(x=-2)\ns3 = look(x=3)", look)
    assert result.calls["s1"].error == "ValueError: not -1 (after 2 attempts)"
    assert result.calls["s2"].error == "ValueError: not -2 (after 2 attempts)"
    assert result.calls["s3"].result == 30
    assert [len(calls) for calls in seen] == [3, 2]


async def test_a_batch_takes_the_room_of_one_call() -> None:
    inside = most = 0

    @function(max_concurrency=1)
    async def look(x: int) -> int:
        return x

    @look.batch(size=3)
    async def looks(calls: list[dict[str, Any]]) -> list[int]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1
        return [call["x"] for call in calls]

    result = await executed(lines(7), look)
    assert [call.result for call in result.calls] == [1, 2, 3, 4, 5, 6, 7]
    assert [call.batch for call in result.calls] == ["s1", "s1", "s1", "s4", "s4", "s4", None]
    assert most == 1


@stateful
class Shelf:
    """Things that are looked up by number."""

    def __init__(self, by: int) -> None:
        self.by = by
        self.batches = 0

    @function(reads=["{self}"])
    def look(self, x: int) -> int:
        return x * self.by

    @look.batch
    def looks(self, calls: list[dict[str, Any]]) -> list[int]:
        self.batches += 1
        return [call["x"] * self.by for call in calls]


async def test_a_method_has_a_batch_form_of_its_object() -> None:
    shelf = Shelf(by=7)
    async with offering(shelf) as orchestrator:
        assert [name for name in orchestrator.functions if name != "self"] == ["look"]
        result = await orchestrator.execute(lines(3))
    assert [call.result for call in result.calls] == [7, 14, 21]
    assert shelf.batches == 1
    assert (shelf.look(2), shelf.looks([{"x": 3}])) == (14, [21])


async def test_a_turn_of_native_tool_calls_is_one_batch() -> None:
    look, seen = batched("async")
    tools = [ToolCall(f"t{at}", "look", json.dumps({"x": at})) for at in range(1, 6)]
    async with offering(
        look, replies=(tools, "done"), technique="parallel", calls_tools=True
    ) as orchestrator:
        result = await orchestrator.run("All five?")
    assert result.answer == "done"
    assert [[call["x"] for call in calls] for calls in seen] == [[1, 2, 3, 4, 5]]


@pytest.mark.parametrize("technique", ["llmorch", "rewoo", "llmcompiler"])
async def test_a_plan_of_any_technique_has_its_calls_made_together(technique) -> None:
    look, seen = batched("async")
    plan = "\n".join([lines(3), 's4 = self(prompt="{s1} {s2} {s3}")'])
    replies = ([plan], "Answer: done", "Answer: done")  # in one piece
    async with offering(look, replies=replies, technique=technique, processors=1) as orchestrator:
        result = await orchestrator.run("All?")
    assert result.status == "answered"
    assert sorted(call["x"] for calls in seen for call in calls) == [1, 2, 3]
    assert len(seen) == 1


async def test_while_a_plan_streams_each_call_goes_at_once() -> None:
    look, seen = batched("async", pure=True)
    async with offering(look, replies=(lines(3) + '\ns4 = self(prompt="{s1} {s2} {s3}")', "done")) as made:
        result = await made.run("All?")
    assert (result.answer, seen) == ("done", [])


async def test_a_repaired_plan_that_leaves_a_call_of_a_running_batch_out_drops_it_alone() -> None:
    let_go = asyncio.Event()
    seen: list[list[int]] = []

    @function(pure=True)
    async def look(x: int) -> int:
        seen.append([x])
        return x

    @look.batch
    async def looks(calls: list[dict[str, Any]]) -> list[int]:
        seen.append([call["x"] for call in calls])
        await let_go.wait()
        return [call["x"] for call in calls]

    messages: list[Any] = []

    def observe(message: Any, at: float) -> None:
        messages.append(message)
        if isinstance(message, Cancel):
            let_go.set()

    broken = "s1 = look(x=1)\ns2 = look(x=2)\ns3 = look(x=nothing)"
    repaired = 's1 = look(x=2)\ns2 = self(prompt="{s1}")'
    async with offering(
        look, replies=([f"{broken.rsplit(chr(10), 1)[0]}\n", "s3 = look(x=nothing)"], repaired, "two")
    ) as made:
        result = await made.run("Which?", observer=observe)
    assert (result.answer, seen) == ("two", [[1, 2]])
    assert result.calls["s1"].result == 2
    assert [message.call for message in messages if isinstance(message, Cancel)] == ["s1"]


def waiting(kind: str, *, thread: float = 60, **said: Any) -> Any:
    """A function with a batch form that takes until it is stopped, which a thread can't be: it takes its seconds."""
    look, _ = batched(kind, **said)
    look.batch.declared = None
    if kind == "async":

        @look.batch
        async def waits(calls: list[dict[str, Any]]) -> list[int]:
            await asyncio.sleep(60)
            return []
    else:

        @look.batch
        def blocks(calls: list[dict[str, Any]]) -> list[int]:
            threading.Event().wait(thread if kind == "thread" else 60)
            return []

    return look


async def test_a_call_of_a_batch_that_the_caller_cancels_is_dropped_and_the_others_go_on() -> None:
    began, let_go = asyncio.Event(), asyncio.Event()
    look, _ = batched("async", resources={"desk": 1})
    look.batch.declared = None

    @look.batch
    async def waits(calls: list[dict[str, Any]]) -> list[int]:
        began.set()
        await let_go.wait()
        return [call["x"] for call in calls]

    async with offering(look, resources={"desk": 1}) as orchestrator:
        run = orchestrator.start_plan(lines(3) + "\ns4 = look(x=s2)\ns5 = look(x=s3)")
        await began.wait()
        run.cancel("s2")
        await asyncio.sleep(0)
        let_go.set()
        result = await run
    assert [call.status for call in result.calls] == [
        "completed",
        "cancelled",
        "completed",
        "skipped",
        "completed",
    ]
    assert result.calls["s5"].result == 30


@pytest.mark.parametrize("kind", ["async", "compute"])
async def test_a_batch_is_stopped_once_the_caller_has_cancelled_all_of_it(kind) -> None:
    began = asyncio.Event()
    look, after = waiting(kind, resources={"desk": 1}), batched(kind, name="after", resources={"desk": 1})[0]
    plan = lines(2) + "\ns3 = after(x=1)"
    async with offering(look, after, resources={"desk": 1}) as orchestrator:
        run = orchestrator.start_plan(
            plan, observer=lambda message, _: began.set() if isinstance(message, Dispatch) else None
        )
        await began.wait()
        await asyncio.sleep(0.05)
        run.cancel("s1")
        run.cancel("s2")
        result = await run
    assert [call.status for call in result.calls] == ["cancelled", "cancelled", "completed"]


async def test_a_synchronous_form_of_a_function_with_a_timeout_is_stopped_too() -> None:
    @function(timeout=0.2)
    def look(x: int) -> int:
        return x

    @look.batch
    def looks(calls: list[dict[str, Any]]) -> list[int]:
        if calls[0]["x"] == 1:
            threading.Event().wait(60)
        return [call["x"] for call in calls]

    result = await executed(lines(2) + "\ns3 = look(x=3)", look)
    assert {call.error for call in result.calls} == {"look took longer than its timeout of 0.2 s"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_that_is_cancelled_stops_its_batches(kind) -> None:
    began = asyncio.Event()
    look = waiting(kind, thread=0.2)
    async with offering(look) as orchestrator:
        run = asyncio.create_task(
            orchestrator.execute(
                lines(3), observer=lambda message, _: began.set() if isinstance(message, Dispatch) else None
            )
        )
        await began.wait()
        await asyncio.sleep(0.01)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run


async def test_the_timeline_the_trace_and_the_progress_show_a_batch_as_one(capsys) -> None:
    look, _ = batched("async")
    with Progress() as progress:
        async with offering(look) as orchestrator:
            result = await orchestrator.execute(lines(30), observer=progress.observe)
    bars = [line for line in text(result).splitlines() if line.startswith("inout")]
    assert len(bars) == 1
    assert "[s1+29" in bars[0]
    (bar,) = [event for event in chrome_trace(result)["traceEvents"] if event["ph"] == "X"]
    assert (bar["name"], len(bar["args"]["calls"])) == ("s1+29 look", 30)
    told = capsys.readouterr().err
    assert "with s2, s3, " in told
    assert told.count("completed: ") == 30
    assert result.calls["s9"].as_json()["batch"] == "s1"


async def test_what_a_batch_made_ready_goes_together_too() -> None:
    look, seen = batched("async")
    result = await executed(
        lines(3) + "\n" + "\n".join(f"s{at + 3} = look(x=s{at})" for at in (1, 2, 3)), look
    )
    assert [len(calls) for calls in seen] == [3, 3]
    assert [call.result for call in result.calls][3:] == [100, 200, 300]


async def test_the_end_of_a_batch_is_one_event() -> None:
    look, _ = batched("async")
    ends: list[Any] = []
    async with offering(look) as orchestrator:
        await orchestrator.execute(
            lines(3),
            observer=lambda message, _: ends.append(message) if isinstance(message, BatchEnded) else None,
        )
    assert [[event.call for event in end.calls] for end in ends] == [["s1", "s2", "s3"]]


@st.composite
def plans(draw: st.DrawFn) -> str:
    made = []
    for at in range(1, draw(st.integers(1, 10)) + 1):
        args = [str(draw(st.integers(-2, 9)))] + [f"s{before}" for before in range(1, at)]
        made.append(f"s{at} = look(x={draw(st.sampled_from(args))}, by={draw(st.integers(1, 3))})")
    return "\n".join(made)


@settings(max_examples=40)
@given(plan=plans())
def test_results_are_those_without_a_batch_form(plan) -> None:
    @function
    def look(x: int, by: int) -> int:
        if x < 0:
            raise ValueError(f"not {x}")
        return x * by

    one_by_one = asyncio.run(executed(plan, look))

    @look.batch(size=3)
    async def looks(calls: list[dict[str, Any]]) -> list[int | Exception]:
        return [ValueError(f"not {call['x']}") if call["x"] < 0 else call["x"] * call["by"] for call in calls]

    together = asyncio.run(executed(plan, look))
    assert [(call.status, call.result, call.error) for call in one_by_one.calls] == [
        (call.status, call.result, call.error) for call in together.calls
    ]


@pytest.mark.parametrize("kind", ["inout", "compute"])
async def test_a_call_that_was_cancelled_within_a_batch_has_failed_and_has_no_result(kind: Any) -> None:
    @function(kind=kind)
    def look(x: int) -> int:
        return x

    @look.batch
    async def gathered(calls: list[dict[str, Any]]) -> list[int | BaseException]:
        async def one(x: int) -> int:
            if x == 2:
                raise asyncio.CancelledError
            return x

        return await asyncio.gather(*(one(**call) for call in calls), return_exceptions=True)

    result = await executed(lines(3), look)
    assert [call.result for call in result.calls] == [1, None, 3]
    assert result.calls["s2"].error == "CancelledError"
