"""Calls with effects on the real runtime: the same results and the same state as one by one."""

from __future__ import annotations

import asyncio
import random

import pytest

from llmorch import Orchestrator, function
from llmorch.requests import ToolCall
from llmorch.testing import ScriptedModel

pytestmark = pytest.mark.anyio


class Store:
    """Things that are written and read with random delays."""

    def __init__(self, seed: int) -> None:
        self.things: dict[str, str] = {}
        self.seen: list[str] = []
        self._chance = random.Random(seed)

    def functions(self):
        async def pause() -> None:
            await asyncio.sleep(self._chance.random() * 0.01)

        @function(writes=["thing:{name}"])
        async def write(name: str, value: str) -> str:
            await pause()
            if value == "bad":
                raise ValueError("it can't be written")
            self.things[name] = value
            await pause()
            return f"wrote {value}"

        @function(reads=["thing:{name}"])
        async def read(name: str) -> str:
            await pause()
            found = self.things.get(name, "nothing")
            await pause()
            return found

        @function(reads=["thing:*"])
        async def names() -> str:
            await pause()
            return " ".join(f"{name}={value}" for name, value in sorted(self.things.items()))

        @function
        async def letter(text: str) -> str:
            await pause()
            return text[-1:]

        @function(effects="unknown")
        async def wipe() -> str:
            await pause()
            gone = len(self.things)
            self.things.clear()
            return f"{gone} gone"

        return [write, read, names, letter, wipe]


def some_plan(chance: random.Random) -> str:
    lines: list[str] = []
    for at in range(1, 13):
        earlier = [f"s{other}" for other in range(1, at)]
        name = chance.choice(["'a'", "'b'", "'c'"])
        if earlier and chance.random() < 0.25:
            lines.append(f's{at} = letter(text="{{{chance.choice(earlier)}}}")')
            continue
        if earlier and chance.random() < 0.3:
            name = chance.choice(earlier)
        lines.append(
            f"s{at} = "
            + chance.choice(
                [f"write(name={name}, value='v{at}a')", f"read(name={name})", f"read(name={name})", "names()"]
                + (["wipe()"] if chance.random() < 0.1 else [])
            )
        )
    return "\n".join(lines)


@pytest.mark.parametrize("seed", range(25))
async def test_any_plan_leaves_what_it_leaves_one_call_after_the_other(seed: int) -> None:
    plan = some_plan(random.Random(seed))
    outcomes = []
    for policy in ("sequential", "critical", "exclusive", "barrier"):
        store = Store(seed)
        async with Orchestrator(store.functions(), model=ScriptedModel([]), policy=policy) as orchestrator:
            result = await orchestrator.execute(plan)
        assert {call.status for call in result.calls} == {"completed"}, plan
        outcomes.append(([call.result for call in result.calls], store.things))
    assert all(outcome == outcomes[0] for outcome in outcomes), plan


async def test_calls_that_do_not_conflict_run_together() -> None:
    store = Store(1)
    async with Orchestrator(store.functions(), model=ScriptedModel([])) as orchestrator:
        plan = 's1 = write(name="a", value="1")\ns2 = write(name="b", value="2")\ns3 = read(name="a")'
        result = await orchestrator.execute(plan)
    calls = result.calls
    assert calls["s2"].dispatched < calls["s1"].completed <= calls["s3"].dispatched
    assert [call.after for call in calls] == [(), (), ("s1",)]
    assert result.as_json()["calls"][2]["after"] == ["s1"]


async def test_a_call_is_let_go_as_soon_as_a_name_is_known() -> None:
    @function
    async def slow_name() -> str:
        await asyncio.sleep(0.05)
        return "b"

    @function(writes=["thing:{name}"])
    async def slow_write(name: str) -> None:
        await asyncio.sleep(0.2)

    @function(reads=["thing:{name}"])
    async def read(name: str) -> str:
        return name

    async with Orchestrator([slow_name, slow_write, read], model=ScriptedModel([])) as orchestrator:
        result = await orchestrator.execute(
            's1 = slow_name()\ns2 = slow_write(name=s1)\ns3 = read(name="a")\ns4 = read(name="b")'
        )
    assert result.calls["s1"].completed <= result.calls["s3"].dispatched < result.calls["s2"].completed
    assert result.calls["s4"].dispatched >= result.calls["s2"].completed


async def test_what_a_failed_writer_would_have_left_is_not_read() -> None:
    store = Store(2)
    async with Orchestrator(store.functions(), model=ScriptedModel([])) as orchestrator:
        result = await orchestrator.execute(
            's1 = write(name="a", value="bad")\ns2 = read(name="a")\ns3 = read(name="b")\ns4 = letter(text=s2)'
        )
    assert [call.status for call in result.calls] == ["failed", "skipped", "completed", "skipped"]


async def test_a_call_that_changes_something_waits_for_the_whole_plan() -> None:
    store = Store(3)
    text = 's1 = write(name="a", value="1")\ns2 = read(name="a")\ns3 = letter(text="{s1}{s2}")\n'
    model = ScriptedModel([[text, "s4 = fly()"], text.replace('"1"', '"2"').rstrip()], delay=0.05)
    async with Orchestrator(store.functions(), model=model) as orchestrator:
        result = await orchestrator.run("Which?")
    assert result.calls["s2"].result == "2"
    assert result.calls["s1"].attempt <= 1
    assert store.things == {"a": "2"}


async def test_a_batch_of_tool_calls_in_one_turn_is_safe_as_well() -> None:
    store = Store(4)
    calls = [
        ToolCall("c1", "write", '{"name": "x", "value": "new"}'),
        ToolCall("c2", "read", '{"name": "x"}'),
        ToolCall("c3", "write", '{"name": "x", "value": "newer"}'),
    ]
    model = ScriptedModel([calls, "done"], calls_tools=True)
    async with Orchestrator(store.functions(), model=model, technique="parallel") as orchestrator:
        result = await orchestrator.run("Which?")
    assert [call.result for call in result.calls] == ["wrote new", "new", "wrote newer"]
