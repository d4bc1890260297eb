"""From a query to an answer on real processors, with a model that says what it is told."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from pydantic import BaseModel

from llmorch import ModelError, Orchestrator, PlanError, UnresolvedQuery, function
from llmorch.errors import FunctionError, LLMOrchError, WrongArgument
from llmorch.places import threads
from llmorch.runtime.simulate import simulate
from llmorch.schedule import CallCompleted, Dispatch
from llmorch.testing import ScriptedModel
from tests.runtime.computing import exists, spin, square
from tests.runtime.seen import Seen

if TYPE_CHECKING:
    from pathlib import Path

VIRTUAL = True
pytestmark = pytest.mark.anyio


class Point(BaseModel):
    x: int
    y: int = 0


@function(pure=True)
async def fetch(name: str, seconds: float = 0.0) -> str:
    await asyncio.sleep(seconds)
    return f"<{name}>"


@function(pure=True)
def join(parts: list[str], between: str = "") -> str:
    return between.join(parts)


@function(pure=True)
def measure(point: Point) -> int:
    assert isinstance(point, Point)
    return point.x + point.y


@function(pure=True)
async def fail(why: str) -> str:
    raise ValueError(why)


@function(pure=True)
def count(n: int) -> int:
    return n


FUNCTIONS = [fetch, join, square, spin, measure, fail, count]


def scripted(*replies: Any, **options: Any) -> Orchestrator:
    """An orchestrator whose model says ``replies`` in turn, and which makes every call."""
    return Orchestrator(FUNCTIONS, model=ScriptedModel(replies, **options), processors=2, optimize=False)


async def execute(plan: str, **options: Any) -> Any:
    async with scripted(**options) as orchestrator:
        return await orchestrator.execute(plan)


async def test_a_query_is_planned_run_and_answered() -> None:
    plan = 's1 = fetch(name="a")\ns2 = square(n=4)\ns3 = self(prompt="{s1} {s2}?")'
    async with scripted(plan, "sixteen") as orchestrator:
        result = await orchestrator.run("what is a, and four squared?")
        assert (result.status, result.answer, result.error) == ("answered", "sixteen", None)
        assert [call.result for call in result.calls] == ["<a>", 16, "sixteen"]
        assert orchestrator.model.requests[-1].messages[-1].text == "<a> 16?"
        assert result.usage.requests == 2
        assert [call.processor for call in result.calls] == [None, 0, None]


async def test_json_has_exactly_the_fields_of_the_face() -> None:
    result = await execute('s1 = fetch(name="a")')
    data = result.as_json()
    assert list(data) == [
        "version", "query", "technique", "status", "answer", "error", "plan", "processors", "makespan",
        "lower_bound", "usage", "planning", "recoveries", "notes", "groups", "calls",
    ]  # fmt: skip
    assert (data["version"], list(data["groups"])) == (1, ["excludes", "things"])
    assert list(data["usage"]) == ["requests", "input_tokens", "output_tokens", "seconds"]
    assert list(data["calls"][0]) == [
        "id", "function", "kind", "rank", "uses", "excludes", "after", "same_as", "status", "attempt",
        "processor", "processors", "device", "resources", "limits", "known", "batch",
        "submitted", "dispatched", "completed", "expected", "result", "error", "traceback",
        "outside", "influenced",
    ]  # fmt: skip


async def test_calls_start_while_the_plan_is_still_being_written() -> None:
    pieces = ['s1 = fetch(name="a")\n', 's2 = fetch(name="b")\n', "s3 = join(parts=[s1, s2])"]
    started: dict[str, float] = {}
    written: list[float] = []
    now = asyncio.get_running_loop().time

    def observe(message: Any, at: float) -> None:
        if isinstance(message, Dispatch):
            started[message.call] = now()

    async with scripted(pieces, delay=0.2) as orchestrator:
        result = await orchestrator.run("both", observer=observe, wrote=lambda _: written.append(now()))
    assert result.answer == "<a><b>"
    assert started["s1"] == written[0]
    assert started["s2"] < written[2]


async def test_a_failed_call_stops_its_descendants_and_the_rest_is_kept() -> None:
    plan = (
        's1 = fail(why="no such page")\ns2 = fetch(name="b")\ns3 = join(parts=[s1])\n'
        "s4 = join(parts=[s2])\ns5 = join(parts=[s3, s4])"
    )
    result = await execute(plan)
    assert {call.id: call.status for call in result.calls} == {
        "s1": "failed",
        "s2": "completed",
        "s3": "skipped",
        "s4": "completed",
        "s5": "skipped",
    }
    assert (result.status, result.answer) == ("unresolved", None)
    assert result.error == "s1 (fail) failed: ValueError: no such page"
    assert result.calls["s4"].result == "<b>"
    assert result.calls["s3"].error == "s1 failed"


async def test_a_value_arrives_typed_and_is_checked_when_it_does() -> None:
    result = await execute(
        's1 = square(n=3)\ns2 = measure(point={"x": s1, "y": 1})\ns3 = square(n="{s2}")\n'
        's4 = fetch(name=s3)\ns5 = join(parts=[s4, "{s2}"], between=" and ")'
    )
    assert [call.result for call in result.calls] == [9, 10, 100, "<100>", "<100> and 10"]


async def test_a_value_of_the_wrong_type_is_an_error_that_says_where_it_came_from() -> None:
    result = await execute('s1 = fetch(name="a")\ns2 = square(n=s1)')
    assert result.calls["s2"].error == (
        "n of square: input should be a valid integer, unable to parse string as an integer (from s1, a str)"
    )


async def test_a_wrong_plan_is_refused_before_anything_runs() -> None:
    async with scripted() as orchestrator:
        with pytest.raises(PlanError, match="s9 is not defined"):
            await orchestrator.execute('s1 = fail(why="ran")\ns2 = join(parts=[s9])')


async def test_what_already_runs_goes_on_when_the_plan_is_repaired() -> None:
    starts: list[str] = []

    def observe(message: Any, at: float) -> None:
        if isinstance(message, Dispatch):
            starts.append(message.call)

    wrong = 's1 = fetch(name="a", seconds=0.2)\ns2 = fetch(name="b", seconds=9)\ns3 = join(parts=[s7])'
    right = 's1 = fetch(name="a", seconds=0.2)\ns2 = fetch(name="c")\ns3 = join(parts=[s1, s2])'
    async with scripted(wrong, right) as orchestrator:
        result = await orchestrator.run("a and c", observer=observe)
    assert result.answer == "<a><c>"
    assert starts == ["s1", "s2", "s2", "s3"]
    assert [call.attempt for call in result.calls] == [1, 2, 1]
    assert result.makespan < 2


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("", "the plan has no call"),
        ("I would first search for a.", "this is not a call"),
        ('s1 = fetch(name="a', "unterminated"),
        ("s1 = fetch(name=" + "(" * 60, "brackets"),
    ],
)
async def test_a_model_that_writes_no_plan_leaves_the_query_unresolved(reply, says) -> None:
    async with scripted(*[reply] * 9) as orchestrator:
        with pytest.raises(UnresolvedQuery, match=says):
            await orchestrator.run("a")


async def test_a_model_that_never_stops_is_stopped() -> None:
    class Endless(ScriptedModel):
        async def stream(self, request: Any) -> Any:
            from llmorch.models.model import Text

            while True:
                await asyncio.sleep(0)
                yield Text("# and so on, and so on, and so on, and so on\n" * 20)

    async with Orchestrator(FUNCTIONS, model=Endless([])) as orchestrator:
        with pytest.raises(UnresolvedQuery, match="cut off after 1024 tokens"):
            await asyncio.wait_for(orchestrator.run("a"), 20)


async def test_a_model_that_fails_in_the_middle_stops_the_run_with_its_reason() -> None:
    began = asyncio.get_running_loop().time()
    pieces = ['s1 = fetch(name="a", seconds=30)\n', ModelError("the model is gone")]
    async with scripted(pieces) as orchestrator:
        with pytest.raises(ModelError, match="the model is gone"):
            await orchestrator.run("a")
    assert asyncio.get_running_loop().time() - began < 15


async def test_a_model_that_fails_inside_a_plan_fails_that_call() -> None:
    async with scripted(ModelError("overloaded")) as orchestrator:
        result = await orchestrator.execute('s1 = self(prompt="?")\ns2 = fetch(name="b")')
    assert result.calls["s1"].error == "overloaded"
    assert result.answer == "<b>"


async def _spent_by_children(seconds: float) -> float:
    """The CPU seconds that the processes below this one take in a time."""

    def spent() -> float:
        return sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children(recursive=True))

    before = spent()
    await asyncio.sleep(seconds)
    return spent() - before


async def test_cancelling_stops_everything_and_says_what_had_finished() -> None:
    orchestrator, seen = scripted(), Seen()
    plan = (
        's1 = fetch(name="a")\ns2 = spin(seconds=60)\ns3 = spin(seconds=60)\ns4 = fetch(name="b", seconds=60)'
    )
    task = asyncio.create_task(orchestrator.execute(plan, observer=seen))
    await seen.heard("s1", CallCompleted)
    async with asyncio.timeout(20):
        while await _spent_by_children(0.2) < 0.1:  # until they compute
            pass
    async with asyncio.timeout(20):
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        while await _spent_by_children(0.2) >= 0.1:  # until no process does
            pass
    assert caught.value.__notes__ == ["completed: s1; cancelled: s2, s3, s4"]
    assert (await orchestrator.execute('s1 = fetch(name="a")')).answer == "<a>"
    await orchestrator.close()
    assert psutil.Process().children() == []


async def test_two_compute_calls_run_in_two_processes() -> None:
    result = await execute("s1 = spin(seconds=0.3)\ns2 = spin(seconds=0.3)")
    one, other = result.calls
    assert {one.processor, other.processor} == {0, 1}
    assert len({one.result, other.result, os.getpid()}) == 3
    assert max(one.dispatched, other.dispatched) < min(one.completed, other.completed)


async def test_two_runs_at_once_share_the_processors() -> None:
    async with scripted() as orchestrator:
        plans = [f"s1 = spin(seconds=0.1)\ns2 = square(n={n})\ns3 = square(n=s2)" for n in range(4)]
        results = await asyncio.gather(*(orchestrator.execute(plan) for plan in plans))
    assert [result.answer for result in results] == [n**4 for n in range(4)]


async def test_real_time_and_virtual_time_dispatch_alike(tmp_path: Path) -> None:
    """The calls end in the same order: s2, s3, s1; each of them waits until the one before has ended."""
    seen, real = Seen(), []
    go_on = tmp_path / "go on"

    @function(pure=True)
    async def after_s3(text: str = "") -> str:
        await seen.heard("s3", CallCompleted)
        return text

    def observe(message: Any, at: float) -> None:
        seen(message, at)
        if isinstance(message, Dispatch):
            real.append(message)
        elif message == CallCompleted("s2", 1):
            go_on.touch()

    seconds = {"s1": 0.3, "s2": 0.1, "s3": 0.2, "s4": 0.4, "s5": 0.1}
    plan = "\n".join(
        [
            "s1 = after_s3()",
            "s2 = square(n=1)",
            f's3 = exists(file="{go_on}")',
            "s4 = square(n=2)",
            's5 = after_s3(text="{s1} {s2}")',
        ]
    )
    functions = [after_s3, square, exists]
    async with Orchestrator(
        functions, model=ScriptedModel([]), processors=2, policy="exclusive"
    ) as orchestrator:
        await orchestrator.execute(plan, observer=observe)
        checked = orchestrator.check(plan)
        virtual = simulate(checked, orchestrator.functions, seconds, processors=2, policy="exclusive")
    assert real == [command for command in virtual.commands if isinstance(command, Dispatch)]


def test_a_sync_function_that_computes_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """By clocks that functions set: real ones say little of a function on a machine that others load."""
    seconds = {"perf_counter": 0.0, "process_time": 0.0, "thread_time": 0.0}
    for clock in seconds:
        monkeypatch.setattr(threads, clock, partial(seconds.__getitem__, clock))

    def takes(wall: float, cpu: float) -> int:
        seconds["perf_counter"] += wall
        seconds["process_time"] += cpu
        seconds["thread_time"] += cpu
        return 1

    @function(pure=True)
    def busy(after: int = 0) -> int:
        return takes(1.0, 0.6)

    @function(kind="inout", pure=True)
    def said_so(after: int = 0) -> int:
        return takes(1.0, 1.0)

    @function(pure=True)
    def waits(after: int = 0) -> int:
        return takes(1.0, 0.4)

    orchestrator = Orchestrator([busy, said_so, waits], model=ScriptedModel([]), optimize=False)
    result = orchestrator.execute_sync(
        "s1 = said_so()\ns2 = waits(after=s1)\ns3 = busy(after=s2)\ns4 = busy(after=s3)"
    )
    asyncio.run(orchestrator.close())
    (note,) = result.notes
    assert note.startswith("busy spent most of its time on the CPU (0.6 s)")
    assert 'kind="compute"' in note


async def test_forty_sleeping_sync_calls_do_not_wait_for_each_other() -> None:
    together = threading.Barrier(40)

    @function
    def nap() -> None:
        together.wait(20)

    async with Orchestrator([nap], model=ScriptedModel([]), optimize=False) as orchestrator:
        result = await orchestrator.execute("\n".join(f"s{n} = nap()" for n in range(1, 41)))
    assert result.status == "answered"


async def test_a_local_models_calls_take_a_processor_and_turns() -> None:
    plan = 's1 = self(prompt="a")\ns2 = self(prompt="b")\ns3 = spin(seconds=0.1)'
    async with scripted("one", "two", kind="compute", delay=0.1) as orchestrator:
        result = await orchestrator.execute(plan)
    one, two, three = result.calls
    assert (one.kind, one.processor, two.processor) == ("compute", 0, 0)
    assert two.dispatched >= one.completed
    assert three.processor == 1


async def test_a_local_model_belongs_to_the_plan_until_the_plan_is_right() -> None:
    """A call that was started in the moment before a revision once ran without its plan."""
    wrong = 's1 = self(prompt="a")\ns2 = square(n=2)\ns3 = self(prompt="b")\n'
    right = 's1 = self(prompt="a")\ns2 = square(n=2)\ns3 = self(prompt="b {s1} {s2}")\n'
    seen: list[Any] = []
    async with scripted(wrong, right, "one", "two", kind="compute") as orchestrator:
        result = await orchestrator.run("?", observer=lambda message, at: seen.append(message))
    assert result.answer == "two"
    assert [message.call for message in seen if isinstance(message, Dispatch)] == ["s2", "s1", "s3"]


async def test_a_call_started_just_before_a_revision_is_cancelled_cleanly() -> None:
    wrong = 's1 = fetch(name="a")\ns2 = fetch(name="b")\ns3 = join(parts=[s9])'
    right = 's1 = fetch(name="c")\ns2 = join(parts=[s1])'
    async with scripted(wrong, right, chunk=1000) as orchestrator:
        assert (await orchestrator.run("?")).answer == "<c>"


class Unspeakable:
    """A value whose text can't be had."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


async def test_a_value_without_a_text_fails_the_calls_that_need_it_and_hangs_nothing() -> None:
    """Such a value once ended the callback that had to report it, and the run never ended."""

    @function(pure=True)
    def odd() -> Any:
        return Unspeakable()

    @function(pure=True)
    def deep() -> Any:
        made: list[Any] = []
        for _ in range(100_000):
            made = [made]
        return made

    plan = 's1 = odd()\ns2 = deep()\ns3 = join(parts=["{s1}!"])\ns4 = join(parts=["{s2}!"])\ns5 = fetch(name="a")'
    async with Orchestrator(
        [odd, deep, join, fetch], model=ScriptedModel([]), optimize=False
    ) as orchestrator:
        result = await asyncio.wait_for(orchestrator.execute(plan), 20)
    assert [call.status for call in result.calls] == [
        "completed",
        "completed",
        "failed",
        "failed",
        "completed",
    ]
    assert "no words" in result.calls["s3"].error
    assert result.as_json()["calls"][0]["result"] == "Unspeakable: it can't be shown"


async def test_a_bomb_in_an_argument_is_refused_within_bounds() -> None:
    began = time.process_time()
    result = await execute(
        's1 = join(parts=["x{s2}"])'.replace("{s2}", "") + "\ns2 = count(n=round(5, -30000000))"
    )
    assert "round takes at most" in result.calls["s2"].error
    result = await execute('s1 = join(parts=["a"], between=str([[[0] * 3000] * 3000] * 3000))')
    assert "the arguments would be longer than" in result.error
    assert time.process_time() - began < 5


async def test_runs_of_one_orchestrator_take_turns_and_cancelling_one_leaves_the_other() -> None:
    async with scripted() as orchestrator:
        seen = Seen()
        first = asyncio.create_task(orchestrator.execute("s1 = spin(seconds=9)", observer=seen))
        second = asyncio.create_task(orchestrator.execute("s1 = square(n=3)"))
        await seen.heard("s1", Dispatch)
        first.cancel()
        assert (await second).answer == 9
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_a_reply_that_is_empty_fails_its_call() -> None:
    async with scripted("  ") as orchestrator:
        result = await orchestrator.execute('s1 = self(prompt="say")')
    assert result.error == "s1 (self) failed: scripted replied with nothing to 'say'"


async def test_a_model_that_breaks_its_promise_is_a_model_error() -> None:
    async with scripted(ValueError("boom")) as orchestrator:
        with pytest.raises(ModelError, match="scripted: ValueError: boom"):
            await orchestrator.run("?")


async def test_a_plan_without_calls_is_refused() -> None:
    from llmorch import Plan

    async with scripted() as orchestrator:
        with pytest.raises(PlanError, match="no call"):
            await orchestrator.execute(Plan(()))


def test_without_a_loop_there_are_plain_methods() -> None:
    orchestrator = scripted('s1 = fetch(name="a")')
    assert orchestrator.run_sync("a").answer == "<a>"
    assert orchestrator.execute_sync("s1 = square(n=2)").answer == 4
    assert orchestrator.execute_sync("s1 = square(n=3)").answer == 9
    asyncio.run(orchestrator.close())
    asyncio.run(orchestrator.close())


async def test_inside_a_loop_the_plain_methods_say_what_to_write() -> None:
    with pytest.raises(LLMOrchError, match="await orchestrator.run"):
        scripted().run_sync("a")


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"processors": 0}, ValueError, "from 1 to"),
        ({"technique": "magic"}, ValueError, "llmorch"),
        ({"policy": "magic"}, ValueError, "critical"),
        ({"model": "magic"}, ModelError, "openai:NAME"),
        ({"model": "openai:"}, ModelError, "openai:NAME"),
        ({"examples": "/no/such/file"}, WrongArgument, "can't be read"),
        ({"functions": [fetch, fetch]}, FunctionError, "two functions are called fetch"),
    ],
)
def test_an_argument_that_can_not_be_says_what_can(options, kind, says) -> None:
    with pytest.raises(kind, match=says):
        Orchestrator(**{"functions": FUNCTIONS, "model": ScriptedModel([])} | options)


async def test_an_empty_query_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="empty"):
        await scripted().run("  ")


async def test_the_observer_sees_every_event_and_command() -> None:
    seen: list[Any] = []
    async with scripted() as orchestrator:
        await orchestrator.execute("s1 = count(n=1)", observer=lambda message, at: seen.append(message))
    assert [type(message).__name__ for message in seen] == [
        "PlanExtended",
        "Dispatch",
        "CallCompleted",
        "Finish",
    ]
    assert seen[2] == CallCompleted("s1", 1)
