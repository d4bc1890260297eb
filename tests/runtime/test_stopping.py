"""Runs and calls that are stopped from outside or by a limit: what goes on, what is told, what never happens."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from llmorch import LimitReached, LLMOrchError, Orchestrator, Processors, function
from llmorch.declare.offered import as_functions
from llmorch.places import coroutines
from llmorch.plan import parse
from llmorch.schedule import CallCancelled, CallCompleted, Dispatch
from llmorch.testing import ScriptedModel
from tests.runtime.counted import MADE, scripted
from tests.runtime.executing import execution_on
from tests.runtime.seen import Seen

VIRTUAL = True
pytestmark = pytest.mark.anyio


@function(pure=True)
async def wait(seconds: float, value: int = 1) -> int:
    """Wait, then return the value."""
    MADE[f"wait {value}"] += 1
    await asyncio.sleep(seconds)
    return value


@function(kind="compute")
def burn(seconds: float, value: int = 1) -> int:
    """Occupy a processor for a while."""
    time.sleep(seconds)
    return value


@function
def sleep(seconds: float, value: int = 1) -> int:
    """Sleep on a thread."""
    time.sleep(seconds)
    return value


@function(timeout=60)
def write(file: str) -> int:
    """Write a file."""
    Path(file).write_text("done")
    return os.getpid()


@function(timeout=0.2)
def write_late(file: str) -> int:
    """Note the process, sleep, and write a file after that."""
    Path(f"{file} begun").write_text(str(os.getpid()))
    time.sleep(60)
    return write(file)


@function(pure=True)
def add(values: list[int]) -> int:
    """The sum."""
    return sum(values)


@function
async def stubborn(seconds: float) -> str:
    """Ignore that it is cancelled, several times."""
    MADE["stubborn"] += 1
    now = asyncio.get_running_loop().time
    end = now() + seconds
    while (left := end - now()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            MADE["ignored"] += 1
    MADE["late"] += 1
    return "late"


FUNCTIONS = [wait, burn, sleep, write, write_late, add, stubborn]


def orchestrator(*replies: str, functions: Any = FUNCTIONS, **settings: Any) -> Orchestrator:
    made, _ = scripted(functions, *replies, **{"processors": 2, "optimize": False} | settings)
    return made


def statuses(result: Any) -> dict[str, str]:
    return {call.id: call.status for call in result.calls}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def begun(folder: Path) -> list[int]:
    """The processes that noted that they had begun; one may have been stopped before that."""
    notes = [note.read_text() for note in folder.glob("* begun")]
    return [int(note) for note in notes if note]


# One call


@pytest.mark.parametrize("kind", ["wait", "burn", "sleep"])
async def test_a_cancelled_call_stops_what_depends_on_it_and_nothing_else(kind: str) -> None:
    plan = (
        f"s1 = {kind}(seconds=30)\ns2 = wait(seconds=0.2, value=5)\ns3 = add(values=[s1, s2])\n"
        "s4 = burn(seconds=0.1, value=7)\ns5 = add(values=[s2, s4])"
    )
    async with orchestrator() as made, asyncio.timeout(20):
        seen = Seen()
        run = made.start_plan(plan, observer=seen)
        await seen.started("s1")
        run.cancel("s1")
        result = await run
    ended = {"s1": "cancelled", "s2": "completed", "s3": "skipped", "s4": "completed", "s5": "completed"}
    assert statuses(result) == ended
    assert (result.answer, result.status) == (12, "answered")
    assert (result.calls["s1"].error, result.calls["s3"].error) == (
        "cancelled by the caller",
        "s1 was cancelled",
    )


async def test_a_call_can_be_cancelled_before_it_begins() -> None:
    async with orchestrator() as made:
        seen = Seen()
        run = made.start_plan(
            "s1 = wait(seconds=0.2)\ns2 = wait(seconds=s1, value=2)\ns3 = add(values=[s2])", observer=seen
        )
        await seen.started("s1")
        run.cancel("s2")
        result = await run
    assert statuses(result) == {"s1": "completed", "s2": "cancelled", "s3": "skipped"}
    assert result.error == "s2 (wait) was cancelled by the caller"
    assert MADE["wait 2"] == 0


async def test_a_call_that_has_ended_stays_as_it_is_and_an_unknown_one_is_named() -> None:
    async with orchestrator() as made:
        seen = Seen()
        run = made.start_plan("s1 = wait(seconds=0)\ns2 = wait(seconds=0.3)", observer=seen)
        await seen.started("s2")
        await seen.heard("s1", CallCompleted)
        run.cancel("s1")
        with pytest.raises(LLMOrchError, match=r"^the run has no call s9; it has s1, s2$"):
            run.cancel("s9")
        result = await run
        assert statuses(result) == {"s1": "completed", "s2": "completed"}
        run.cancel("s2")
        run.cancel()
        assert (await run) is result


async def test_a_call_is_cancelled_from_another_thread() -> None:
    async with orchestrator() as made, asyncio.timeout(10):
        seen = Seen()
        run = made.start_plan("s1 = burn(seconds=30)\ns2 = wait(seconds=0.1)", observer=seen)
        await seen.started("s1")
        thread = threading.Thread(target=run.cancel, args=("s1",))
        thread.start()
        assert statuses(await run) == {"s1": "cancelled", "s2": "completed"}
        thread.join()


async def test_an_observer_can_cancel_a_call_as_soon_as_it_hears_of_it() -> None:
    async with orchestrator() as made, asyncio.timeout(10):

        def observe(message: Any, at: float) -> None:
            if isinstance(message, Dispatch) and message.call == "s1":
                run.cancel("s1")  # which begins only after this
                run.cancel("s3")

        plan = "s1 = burn(seconds=30)\ns2 = wait(seconds=0.1)\ns3 = wait(seconds=s2)\ns4 = wait(seconds=s2)"
        run = made.start_plan(plan, observer=observe)
        ended = {"s1": "cancelled", "s2": "completed", "s3": "cancelled", "s4": "completed"}
        assert statuses(await run) == ended


async def test_what_waits_for_its_turn_after_a_cancelled_call_starts_when_that_has_really_ended() -> None:
    order = []

    @function(reads=["log"])
    async def read() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.2)  # it tidies up
            order.append("read")

    @function(writes=["log"])
    async def write() -> None:
        order.append("written")

    async with orchestrator(functions=[read, write]) as made:
        seen = Seen()
        run = made.start_plan("s1 = read()\ns2 = write()", observer=seen)
        await seen.started("s1")
        run.cancel("s1")
        result = await run
    assert order == ["read", "written"]
    assert statuses(result) == {"s1": "cancelled", "s2": "completed"}


async def test_the_model_does_not_recover_what_was_cancelled() -> None:
    cancelled = asyncio.Event()

    @function(pure=True)
    async def fail_late(text: int) -> int:
        await cancelled.wait()
        raise ValueError("it is too little")

    plan = (
        "s1 = wait(seconds=0)\ns2 = wait(seconds=s1 * 30, value=2)\ns3 = fail_late(text=s1)\n"
        "s4 = add(values=[s2, s3])"
    )
    repaired = "s1 = wait(seconds=0, value=3)"
    functions = [*FUNCTIONS, fail_late]
    async with orchestrator(plan, *[repaired] * 9, functions=functions) as made, asyncio.timeout(10):
        seen = Seen()
        run = made.start("Do it.", observer=seen)
        await seen.started("s2")
        await asyncio.sleep(0)  # its first step
        run.cancel("s2")
        await seen.heard("s2", CallCancelled)
        cancelled.set()
        result = await run
    # s2 belongs to the cone of s1, which was made again.
    assert result.recoveries
    assert MADE["wait 3"] == 1
    assert MADE["wait 2"] == 1
    assert (statuses(result)["s2"], statuses(result)["s4"]) == ("cancelled", "skipped")


# All of a run


async def test_a_cancelled_run_tells_what_had_finished_and_the_next_one_is_as_good() -> None:
    async with orchestrator() as made, asyncio.timeout(20):
        seen = Seen()
        run = made.start_plan(
            "s1 = wait(seconds=0)\ns2 = burn(seconds=30)\ns3 = sleep(seconds=2)\ns4 = add(values=[s2, s3])",
            observer=seen,
        )
        await seen.started("s2")
        run.cancel()
        run.cancel()
        result = await run
        assert statuses(result) == {"s1": "completed"} | dict.fromkeys(("s2", "s3", "s4"), "cancelled")
        assert (result.status, result.error, run.cancelled) == ("unresolved", "the run was cancelled", True)
        assert result.calls["s1"].result == 1
        assert (await made.execute("s1 = burn(seconds=0, value=4)")).answer == 4


async def test_a_run_is_cancelled_while_it_waits_for_its_turn_or_for_the_model() -> None:
    class Slow(ScriptedModel):
        async def stream(self, request: Any) -> Any:
            await asyncio.sleep(30)
            yield None

    made = Orchestrator(FUNCTIONS, model=Slow(["s1 = wait(seconds=0)"]))
    async with made, asyncio.timeout(10):
        first, second = made.start("One."), made.start("Two.")
        await asyncio.sleep(0.05)
        second.cancel()
        with pytest.raises(LLMOrchError, match="it has none yet"):
            first.cancel("s1")
        assert len((await second).calls) == 0
        first.cancel()
        result = await first
        assert (result.status, result.error, len(result.calls)) == ("unresolved", "the run was cancelled", 0)


@pytest.mark.parametrize("start", ["start", "start_plan"])
async def test_a_run_that_is_cancelled_before_it_begins_has_a_result_and_makes_no_call(start: str) -> None:
    plan = "s1 = wait(seconds=0, value=77)"
    made = Orchestrator(FUNCTIONS, model=ScriptedModel([plan]))
    async with made, asyncio.timeout(10):
        run = getattr(made, start)(plan)
        run.cancel()
        result = await run
        assert (result.status, result.error) == ("unresolved", "the run was cancelled")
        assert [call.status for call in result.calls] == (["cancelled"] if start == "start_plan" else [])
        assert not MADE["wait 77"]


async def test_cancelling_the_task_that_waits_cancels_the_run() -> None:
    async with orchestrator() as made, asyncio.timeout(10):
        run = made.start_plan("s1 = wait(seconds=30)")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run, 0.1)
        with pytest.raises(asyncio.CancelledError):
            await run


async def test_a_plan_has_a_deadline_too() -> None:
    async with orchestrator() as made:
        with pytest.raises(LimitReached) as raised:
            await made.execute("s1 = wait(seconds=0)\ns2 = burn(seconds=30)", deadline=0.5)
        assert statuses(raised.value.result) == {"s1": "completed", "s2": "cancelled"}
        for wrong in (0, float("nan"), "5", True):
            with pytest.raises(ValueError, match="positive number"):
                await made.execute("s1 = wait(seconds=0)", deadline=wrong)  # type: ignore[arg-type]


# Timeouts


async def test_a_synchronous_function_is_stopped_by_its_timeout(tmp_path: Path) -> None:
    files = {name: str(tmp_path / name) for name in ("in time", "late", "too")}
    plan = (
        f's1 = write(file="{files["in time"]}")\ns2 = write_late(file="{files["late"]}")\n'
        f's3 = write_late(file="{files["too"]}")'
    )
    async with orchestrator() as made:
        result = await made.execute(plan)
        assert not any(psutil.pid_exists(process) for process in begun(tmp_path))
    assert not {"late", "too"} & set(names(tmp_path))
    assert [call.status for call in result.calls] == ["completed", "failed", "failed"]
    assert result.calls["s2"].error == "write_late took longer than its timeout of 0.2 s"
    assert result.calls["s1"].result != os.getpid()
    assert {call.kind for call in result.calls} == {"inout"}


async def test_a_function_that_asks_the_model_has_a_timeout_for_all_its_prompts() -> None:
    class Slow(ScriptedModel):
        async def stream(self, request: Any) -> Any:
            await asyncio.sleep(0.2 if "again" in request.messages[-1].text else 0)
            async for piece in super().stream(request):
                yield piece

    @function(asks_model=True, timeout=0.5)
    def ask(times: int) -> Any:
        for _ in range(times):
            yield "Say it." if times == 1 else "Say it again."
        return times

    made = Orchestrator([ask], model=Slow(lambda _: "it"), optimize=False)
    async with made:
        result = await made.execute("s1 = ask(times=1)\ns2 = ask(times=9)")
    assert (result.calls["s1"].result, result.calls["s2"].error) == (
        1,
        "ask took longer than its timeout of 0.5 s",
    )


# Functions that don't hear of it


@pytest.mark.parametrize("way", ["deadline", "cancel", "cancel the call", "timeout"])
async def test_an_async_function_that_ignores_its_cancellation_holds_nothing_up(
    way: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coroutines, "PATIENCE", 0.2)
    before = asyncio.all_tasks()

    @function(timeout=0.2)
    async def deaf(seconds: float) -> str:
        return await stubborn(seconds)

    name = "deaf" if way == "timeout" else "stubborn"
    async with orchestrator(functions=[*FUNCTIONS, deaf]) as made, asyncio.timeout(10):
        seen = Seen()
        run = made.start_plan(
            f"s1 = wait(seconds=0)\ns2 = {name}(seconds=3)",
            deadline=0.3 if way == "deadline" else None,
            observer=seen,
        )
        await seen.started("s2")
        if way == "cancel":
            run.cancel()
        elif way == "cancel the call":
            run.cancel("s2")
        try:
            result = await run
        except LimitReached as error:
            result = error.result
        assert statuses(result) == {"s1": "completed", "s2": "failed" if way == "timeout" else "cancelled"}
    await asyncio.sleep(0.05)
    assert MADE == {"wait 1": 1, "stubborn": 1, "ignored": 1}
    assert caplog.records == []
    assert asyncio.all_tasks() == before


async def test_a_function_has_time_to_tidy_up_when_it_is_cancelled() -> None:
    @function(timeout=0.1)
    async def tidy() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.1)
            MADE["tidied"] += 1

    async with orchestrator(functions=[tidy]) as made:
        result = await made.execute("s1 = tidy()")
    assert (result.error, MADE["tidied"]) == (
        "s1 (tidy) failed: tidy took longer than its timeout of 0.1 s",
        1,
    )


@pytest.mark.parametrize("face", ["sync", "async"])
@pytest.mark.parametrize("ignores", ["asyncio.CancelledError", "BaseException"])
def test_a_program_ends_soon_whatever_an_async_function_ignores(
    face: str, ignores: str, tmp_path: Path
) -> None:
    file = tmp_path / "late"
    program = f"""
import asyncio, time
from llmorch import LimitReached, Orchestrator, function
from llmorch.testing import ScriptedModel

@function
async def deaf() -> str:
    end = time.monotonic() + 60
    while (left := end - time.monotonic()) > 0:
        try:
            await asyncio.sleep(left)
        except {ignores}:
            pass
    open({str(file)!r}, "w").close()

orchestrator = Orchestrator([deaf], model=ScriptedModel([]))
try:
    if {face!r} == "sync":
        orchestrator.execute_sync("s1 = deaf()", deadline=0.2)
    else:
        asyncio.run(orchestrator.execute("s1 = deaf()", deadline=0.2))
except LimitReached as error:
    print(error.result.calls)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], timeout=50, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "Calls(s1: cancelled)\n"
    assert ended.stderr == "" or ignores == "BaseException"
    assert not file.exists()


def test_a_program_without_a_loop_ends_soon_whatever_tasks_a_function_started() -> None:
    program = """
import asyncio, time
from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

tasks = []

@function
async def spawn() -> int:
    async def deaf():
        end = time.monotonic() + 60
        while (left := end - time.monotonic()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                pass
    tasks.append(asyncio.create_task(deaf()))
    return 1

print(Orchestrator([spawn], model=ScriptedModel([])).execute_sync("s1 = spawn()").answer)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], timeout=50, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "1\n"


# What a stopped call held


@function(resources={"cpu": 2})
def burn_wide(seconds: float) -> float:
    """Occupy two processors for a while."""
    time.sleep(seconds)
    return seconds


async def test_the_processors_of_a_call_that_a_new_plan_leaves_out_are_free_again() -> None:
    functions = as_functions([burn_wide, burn])
    async with (
        asyncio.timeout(20),
        Processors(2) as processors,
        execution_on(processors, functions) as execution,
    ):
        execution.extend(parse("s1 = burn_wide(seconds=30)").calls)
        await asyncio.sleep(0.3)
        execution.revise()
        execution.extend(parse("s1 = burn_wide(seconds=0)\ns2 = burn(seconds=0)").calls, complete=True)
        await execution.finished()
    assert execution.store.results == {"s1": 0.0, "s2": 1}
