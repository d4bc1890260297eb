"""Where threads or descriptors run out: single calls fail, say what to do, and nothing is left."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Callable

    Limited = Callable[[int], None]

pytestmark = pytest.mark.anyio

ADVICE = "raise ulimit -u or the container's limit of processes, or limit calls at once with max_concurrency"
NO_THREAD = f"can't start new thread: {ADVICE}"


@function(pure=True)
async def on_the_loop(x: int) -> int:
    """Need no thread."""
    return x


@function(pure=True)
def on_a_thread(x: int) -> int:
    """Need a thread."""
    return x


@function(kind="compute", pure=True)
def in_a_process(x: int) -> int:
    """Need threads to start a process, and to hear what it prints."""
    return x


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Limited:
    """Lets so many threads be started from now on, and no more."""
    start: Any = threading._start_new_thread  # type: ignore[attr-defined]

    def limit(left: int) -> None:
        def start_one(*args: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise RuntimeError("can't start new thread")
            return start(*args)

        monkeypatch.setattr(threading, "_start_new_thread", start_one)

    return limit


@pytest.mark.parametrize(
    ("threads", "failed"),
    [
        (0, {"a": "thread", "p": "process", "q": "process"}),
        (
            1,
            {"a": "thread", "p": "process", "q": "process"},
        ),  # one that starts processes, and none to hear them
        (2, {"p": "process", "q": "process"}),
        (3, {"q": "process"}),
        (4, {}),
    ],
)
async def test_calls_fail_that_find_no_thread_and_the_others_complete(
    limited: Limited, threads: int, failed: dict[str, str]
) -> None:
    plan = "l = on_the_loop(x=1)\na = on_a_thread(x=l)\np = in_a_process(x=3)\nq = in_a_process(x=4)"
    limited(threads)
    functions = [on_the_loop, on_a_thread, in_a_process]
    async with Orchestrator(functions, model=ScriptedModel([]), learn=False, processors=2) as orchestrator:
        result = await orchestrator.execute(plan)
    lines = {
        "thread": f"no thread can be started to run it: {NO_THREAD}",
        "process": f"in_a_process can't be called: no process was started: {NO_THREAD}",
    }
    assert {call.id: call.error for call in result.calls} == {
        "l": None,
        "a": None,
        "p": None,
        "q": None,
    } | {call: lines[what] for call, what in failed.items()}


def test_a_run_ends_without_a_thread_to_free_its_values_on(limited: Limited) -> None:
    @function(kind="compute", pure=True)
    def large(x: int) -> bytes:
        return bytes(3_000_000 + x)

    @function(kind="compute", pure=True)
    def length(data: bytes) -> int:
        return len(data)

    orchestrator = Orchestrator([large, length], model=ScriptedModel([]), learn=False, processors=1)
    plan = "s1 = large(x=1)\ns2 = length(data=s1)"
    assert orchestrator.execute_sync(plan).answer == 3_000_001  # its processes are there now
    limited(0)
    assert orchestrator.execute_sync(plan).answer == 3_000_001
    asyncio.run(orchestrator.close())


def test_a_call_fails_whose_large_arguments_find_no_thread(limited: Limited) -> None:
    @function(pure=True)
    async def large(x: int) -> bytes:
        return bytes(x)

    @function(kind="compute", pure=True)
    def length(data: bytes) -> int:
        return len(data)

    orchestrator = Orchestrator([large, length], model=ScriptedModel([]), learn=False, processors=1)
    plan = "s1 = large(x={})\ns2 = length(data=s1)"
    assert orchestrator.execute_sync(plan.format(3)).answer == 3
    limited(0)
    error = f"length can't be called: its arguments can't be written: {NO_THREAD}"
    assert orchestrator.execute_sync(plan.format(50_000_000)).calls["s2"].error == error
    assert orchestrator.execute_sync(plan.format(3)).answer == 3
    asyncio.run(orchestrator.close())


NESTED = """
import gc, json, os, resource, sys
from llmorch import LLMOrchError, Orchestrator, function
from llmorch.testing import ScriptedModel

@function(pure=True)
async def inner(x: int) -> int:
    return x

nested = Orchestrator([inner], learn=False, model=ScriptedModel([]))

@function
def outer(x: int) -> int:
    held.append(open("/dev/null"))
    return nested.execute_sync(f"s1 = inner(x={x})").answer

@function
def opens(x: int) -> int:
    while True:
        held.append(open("/dev/null"))

held = []
orchestrator = Orchestrator([outer, opens], learn=False, model=ScriptedModel([]), optimize=False)
before = len(os.listdir("/proc/self/fd"))
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
told = {}
plan = "\\n".join(f"s{i} = outer(x={i})" for i in range(60))
told["nested"] = [call.error for call in orchestrator.execute_sync(plan).calls]
held.clear()
told["opens"] = orchestrator.execute_sync("s1 = opens(x=1)").calls["s1"].error
held.clear()
try:
    while True:
        held.append(open("/dev/null"))
except OSError:
    pass
try:
    orchestrator.execute_sync("s1 = outer(x=1)")
except LLMOrchError as error:
    told["run"] = str(error)
held.clear()
gc.collect()
told["again"] = orchestrator.execute_sync("s1 = outer(x=1)").answer
held.clear()
told["left"] = len(os.listdir("/proc/self/fd")) - before
print(json.dumps(told))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows what is open")
def test_a_run_without_descriptors_says_so_and_leaves_none() -> None:
    found = subprocess.run(
        [sys.executable, "-c", NESTED], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.stderr == ""  # of CPython neither, whose event loop was half made
    told = json.loads(found.stdout)
    advice = "raise ulimit -n, or limit calls at once with max_concurrency"
    no_loop = f"there is no event loop to run it: too many open files: {advice}"
    assert set(told["nested"]) <= {
        None,
        f"LLMOrchError: {no_loop}",
        f"OSError: [Errno 24] Too many open files: '/dev/null'; {advice}",
    }
    assert None in told["nested"]
    assert told["opens"] == f"OSError: [Errno 24] Too many open files: '/dev/null'; {advice}"
    assert (told["run"], told["again"], told["left"]) == (no_loop, 1, 0)
