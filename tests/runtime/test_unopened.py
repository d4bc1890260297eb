"""A value that isn't plain data is opened here by who needs it, in time and off the event loop, or never."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from llmorch import CallError, LimitReached, Orchestrator, Result
from llmorch.testing import ScriptedModel
from tests.runtime import rebuilt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio
UNREADABLE = "returned what can't be read here"
NEEDED = ["is rebuilt", "hangs", *rebuilt.RAISES]
ALL = [*NEEDED, "exits"]
MADE = ["make", "make_soon", "make_apart", "make_shown", "make_many"]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def orchestrator(anyio_backend: str) -> AsyncIterator[Orchestrator]:
    model = ScriptedModel(lambda request: request.messages[-1].text)
    async with Orchestrator(rebuilt.FUNCTIONS, model=model, processors=2, optimize=False) as orchestrator:
        yield orchestrator


@pytest.fixture(autouse=True)
def opened() -> Iterator[list[str]]:
    """What was opened in this process; nothing hangs on after a test."""
    rebuilt.OPENED.clear()
    rebuilt.RELEASED.clear()
    yield rebuilt.OPENED
    rebuilt.RELEASED.set()


async def _held_up(stop: asyncio.Event) -> float:
    """The longest time for which the event loop was held up."""
    longest = 0.0
    while not stop.is_set():
        began = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - began)
    return longest


async def _ran(orchestrator: Orchestrator, plan: str, **said: Any) -> Result:
    """Run a plan, while the event loop goes on."""
    stop = asyncio.Event()
    watching = asyncio.create_task(_held_up(stop))
    try:
        return await orchestrator.execute(plan, **said)
    finally:
        stop.set()
        assert await watching < 0.4


def _made(how: str, maker: str = "make") -> str:
    return f"s1 = {maker}(how={json.dumps(how)})\n"


@pytest.mark.parametrize("maker", MADE)
@pytest.mark.parametrize("how", ALL)
async def test_what_nobody_here_needs_is_never_opened_here(
    orchestrator: Orchestrator, opened: list[str], how: str, maker: str
) -> None:
    """Neither as the answer, nor in between, nor by who asks for the repr of all."""
    plan = _made(how, maker)
    answered = await _ran(orchestrator, plan + _made(how, maker).replace("s1", "s2"))
    assert (answered.status, repr(answered.calls["s1"])[:20]) == ("answered", "CallRecord(id='s1', ")
    assert "answer=<Unopened>" in repr(answered)
    for user in ("use", "use_apart", "use_many"):
        result = await _ran(
            orchestrator, f"{plan}s2 = {user}(x=s1)\ns3 = {user}(x=[s1, 1])\nlast = whole(x=1)"
        )
        made, used, _, last = result.calls
        assert (made.status, last.status) == ("completed", "completed")
        if how in rebuilt.RAISES:
            why = f"{maker} {UNREADABLE}: {rebuilt.RAISES[how]}"
            assert used.error == f"{user} can't be called: {why}"
        elif how == "is rebuilt":
            assert (used.error, used.result) == (None, how)
        else:
            assert used.status == "failed"
    assert opened == []


@pytest.mark.parametrize("user", ["use_here", "use_waiting", "self"])
@pytest.mark.parametrize("how", NEEDED)
async def test_who_needs_it_here_opens_it_in_time_or_fails(
    orchestrator: Orchestrator, opened: list[str], how: str, user: str
) -> None:
    use = 'self(prompt="{s1}")' if user == "self" else f"{user}(x=s1)"
    result = await _ran(orchestrator, f"{_made(how, 'make_soon')}s2 = {use}\nlast = use_here(x=1)")
    made, used, last = result.calls
    assert (made.status, last.result) == ("completed", 1)
    assert opened == [how]
    if how == "is rebuilt":
        assert used.result == ("what is rebuilt" if user == "self" else how)
        return
    why = rebuilt.RAISES.get(how, "it took longer than the timeout of 0.5 s")
    what = "prompt of self" if user == "self" else f"x of {user}"
    assert used.error == f"{what}: make_soon {UNREADABLE}: {why}"
    with pytest.raises(CallError, match=UNREADABLE):
        made.result  # noqa: B018
    assert opened == [how]  # once


async def test_opening_counts_to_the_time_of_the_call_that_needs_it_and_to_the_deadline(
    orchestrator: Orchestrator,
) -> None:
    result = await _ran(orchestrator, f"{_made('hangs')}s2 = use_soon(x=s1)")
    assert result.calls["s2"].error == "use_soon took longer than its timeout of 0.3 s"
    began = time.monotonic()
    for user in ("use_here", "use_waiting"):
        with pytest.raises(LimitReached):
            await _ran(orchestrator, f"{_made('hangs')}s2 = {user}(x=s1)", deadline=0.5)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("how", [how for how in NEEDED if how != "hangs"])
async def test_who_reads_the_result_opens_it(orchestrator: Orchestrator, opened: list[str], how: str) -> None:
    result = await _ran(orchestrator, _made(how))
    assert opened == []
    if how == "is rebuilt":
        assert result.answer is result.answer
        assert result.answer == rebuilt.Value(how)
        assert result.as_json()["answer"] == f"Value: Value(how='{how}')"
        assert opened == [how]
        assert pickle.loads(pickle.dumps(result.calls["s1"].result)) == rebuilt.Value(how)
        return
    why = f"make {UNREADABLE}: {rebuilt.RAISES[how]}"
    with pytest.raises(CallError, match=f"^{why}$"):
        result.answer  # noqa: B018
    assert result.as_json()["calls"][0]["result"].endswith(f"{why}>")


async def test_a_session_opens_what_it_hands_back(orchestrator: Orchestrator) -> None:
    async with orchestrator.session() as session:
        assert await session.call("make", {"how": "is rebuilt"}) == rebuilt.Value("is rebuilt")
        for how, why in rebuilt.RAISES.items():
            with pytest.raises(CallError, match=f"^make {UNREADABLE}: {why}$"):
                await session.call("make", {"how": how})
        with pytest.raises(CallError, match="took longer than"):
            await session.call("make_soon", {"how": "hangs"})
        assert await session.call("whole", {"x": 3}) == 3


@pytest.mark.parametrize("how", [how for how in NEEDED if how != "hangs"])
async def test_a_model_is_told_of_it_or_why_it_cant_be(how: str, opened: list[str]) -> None:
    model = ScriptedModel([_made(how).replace("s1", "#E1"), "an answer"])
    async with Orchestrator(rebuilt.FUNCTIONS, model=model, processors=1, technique="rewoo") as orchestrator:
        assert (await orchestrator.run("What?")).answer == "an answer"
    told = model.requests[1].messages[-1].text
    assert opened == [how]
    why = f"Error: make {UNREADABLE}: {rebuilt.RAISES[how]}" if how in rebuilt.RAISES else "what is rebuilt"
    assert f"Evidence: {why}" in told


async def test_a_model_that_waits_for_a_text_holds_nothing_up() -> None:
    model = ScriptedModel([_made("hangs").replace("s1", "#E1"), "an answer"])
    async with Orchestrator(rebuilt.FUNCTIONS, model=model, processors=1, technique="rewoo") as orchestrator:
        stop = asyncio.Event()
        watching = asyncio.create_task(_held_up(stop))
        with pytest.raises(LimitReached):
            await orchestrator.run("What?", deadline=1)
        stop.set()
        assert await watching < 0.4


async def test_a_text_for_a_model_needs_no_opening(opened: list[str]) -> None:
    model = ScriptedModel([_made("exits", "make_shown").replace("s1", "#E1"), "an answer"])
    async with Orchestrator(rebuilt.FUNCTIONS, model=model, processors=1, technique="rewoo") as orchestrator:
        assert (await orchestrator.run("What?")).answer == "an answer"
    assert "Evidence: shown: exits" in model.requests[1].messages[-1].text
    assert opened == []


async def test_a_name_of_an_effect_is_opened_off_the_event_loop(
    orchestrator: Orchestrator, opened: list[str]
) -> None:
    order = "s2 = read(x=s1)\ns3 = write(path='a')"
    result = await _ran(orchestrator, f"{_made('is rebuilt')}{order}")
    assert result.calls["s3"].status == "completed"
    assert opened == ["is rebuilt"]
    result = await _ran(orchestrator, f"{_made('hangs', 'make_soon')}{order}")
    assert result.calls["s3"].status == "completed"  # once it is known that nobody can know the name


async def test_each_result_of_a_batch_is_its_own(orchestrator: Orchestrator, opened: list[str]) -> None:
    lines = [f"s{n} = make_many(how={json.dumps(how)})" for n, how in enumerate([*ALL, "fails"])]
    result = await _ran(orchestrator, "\n".join([*lines, "last = use_here(x=s0)"]))
    statuses = [call.status for call in result.calls]
    assert statuses == ["completed"] * len(ALL) + ["failed", "completed"]
    assert result.calls[f"s{len(ALL)}"].error == "ValueError: failed"
    assert (result.answer, opened) == ("is rebuilt", ["is rebuilt"])


SCRIPT = """
import os
from typing import Any
from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

class Small:
    def __init__(self, how: str) -> None:
        self.how = how

    def __setstate__(self, state: Any) -> None:
        if os.getpid() == PARENT:
            print("opened here", flush=True)
            if state["how"] == "exits":
                os._exit(77)
        self.__dict__.update(state)

PARENT = os.getpid()

@function(kind="compute")
def make(how: str) -> Any:
    return Small(how)

@function(kind="compute")
def again(x: Small) -> Any:
    return Small(x.how)

@function(kind="compute")
def how_of(x: Any) -> str:
    return f"{type(x).__name__} that {x.how}"

def run(plan: str) -> Any:
    return Orchestrator([make, again, how_of], model=ScriptedModel([]), processors=2, learn=False).execute_sync(plan)

if __name__ == "__main__":
    result = run('''
s1 = make(how="exits")
s2 = again(x=s1)
s3 = make(how="is")
s4 = how_of(x=s2)
s5 = how_of(x=s3)
s6 = how_of(x=s1)
''')
    print([call.result for call in result.calls[3:]], [call.error for call in result.calls])
    print(run('s1 = make(how="is")').answer.how)
    print(run('s1 = make(how="exits")').status, flush=True)
    run('s1 = make(how="exits")').answer
"""


def test_a_class_of_a_script_passes_through_its_program_unopened(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60)
    texts = "['Small that exits', 'Small that is', 'Small that exits']"
    lines = [f"{texts} {[None] * 6}", "opened here", "is", "answered", "opened here", ""]
    assert (ended.stdout.split("\n"), ended.stderr, ended.returncode) == (lines, "", 77)
