"""Calls with effects on the real runtime: the same results and the same state as one by one."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from llmorch import TECHNIQUES, Orchestrator, function, stateful
from llmorch.requests import ToolCall
from llmorch.testing import ScriptedModel

VIRTUAL = True
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
        async with Orchestrator(
            store.functions(), model=ScriptedModel([]), policy=policy, optimize=False
        ) as orchestrator:
            result = await orchestrator.execute(plan)
        assert {call.status for call in result.calls} == {"completed"}, plan
        outcomes.append(([call.result for call in result.calls], store.things))
    assert all(outcome == outcomes[0] for outcome in outcomes), plan


async def test_calls_that_do_not_conflict_run_together() -> None:
    store = Store(1)
    async with Orchestrator(store.functions(), model=ScriptedModel([]), optimize=False) as orchestrator:
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

    async with Orchestrator(
        [slow_name, slow_write, read], model=ScriptedModel([]), optimize=False
    ) as orchestrator:
        result = await orchestrator.execute(
            's1 = slow_name()\ns2 = slow_write(name=s1)\ns3 = read(name="a")\ns4 = read(name="b")'
        )
    assert result.calls["s1"].completed <= result.calls["s3"].dispatched < result.calls["s2"].completed
    assert result.calls["s4"].dispatched >= result.calls["s2"].completed


async def test_what_a_failed_writer_would_have_left_is_not_read() -> None:
    store = Store(2)
    async with Orchestrator(store.functions(), model=ScriptedModel([]), optimize=False) as orchestrator:
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


async def test_a_model_in_turns_is_told_by_name_which_call_stopped_another() -> None:
    calls = [
        ToolCall("c1", "write", '{"name": "x", "value": "bad"}'),
        ToolCall("c2", "read", '{"name": "x"}'),
        ToolCall("c3", "read", '{"name": "y"}'),
    ]
    model = ScriptedModel([calls, "done"], calls_tools=True)
    async with Orchestrator(Store(5).functions(), model=model, technique="parallel") as orchestrator:
        await orchestrator.run("Which?")
    assert [message.text for message in model.requests[1].messages[-3:]] == [
        "Error: ValueError: it can't be written",
        'Error: not made, because write(name="x", value="bad") failed',
        "nothing",
    ]


WRITES_AND_READS = """s1 = write(name="x", value="new")
s2 = read(name="x")
s3 = write(name="x", value="newer")
s4 = read(name="y")"""
LINES = [line.split(" = ", 1)[1] for line in WRITES_AND_READS.split("\n")]
NATIVE = [
    ToolCall("c1", "write", '{"name": "x", "value": "new"}'),
    ToolCall("c2", "read", '{"name": "x"}'),
    ToolCall("c3", "write", '{"name": "x", "value": "newer"}'),
    ToolCall("c4", "read", '{"name": "y"}'),
]
BATCH = "\n".join(LINES)
TURNS = {
    "llmorch": [WRITES_AND_READS, "done"],
    "rewoo": [WRITES_AND_READS, "done"],
    "llmcompiler": [WRITES_AND_READS, "Thought: seen\nAnswer: done"],
    "react": [*(f"Action: {line}" for line in LINES), "Answer: done"],
    "parallel": [BATCH, "Answer: done"],
    "toolcompiler": [BATCH, "Answer: done"],
}


def test_there_is_a_turn_for_every_technique() -> None:
    assert set(TURNS) == set(TECHNIQUES)


@pytest.mark.parametrize(
    ("technique", "replies", "native"),
    [(technique, replies, False) for technique, replies in TURNS.items()]
    + [(technique, [NATIVE, "done"], True) for technique in ("parallel", "toolcompiler")],
)
async def test_in_every_technique_calls_that_conflict_keep_their_order(technique, replies, native) -> None:
    store = Store(5)
    model = ScriptedModel(replies, calls_tools=native)
    async with Orchestrator(store.functions(), model=model, technique=technique) as orchestrator:
        result = await orchestrator.run("Which?")
    calls = list(result.calls)[:4]
    assert [call.result for call in calls] == ["wrote new", "new", "wrote newer", "nothing"]
    assert store.things == {"x": "newer"}
    assert [call.after for call in calls] == [(), ("s1",), ("s1", "s2"), ()]
    if TECHNIQUES[technique].policy != "sequential":
        assert calls[3].dispatched < calls[1].completed


async def test_a_batch_of_operations_of_a_fused_function_keeps_its_order_too() -> None:
    names: list[str] = []

    @function(writes=["name:{user}"])
    async def set_user_name(user: str, name: str) -> str:
        """Set the name of a user."""
        await asyncio.sleep(0.01 / (1 + len(name)))
        names.append(name)
        return name

    @function(writes=["name:{user}"])
    async def set_user_nickname(user: str, name: str) -> str:
        """Set the nickname of a user."""
        names.append(name)
        return name

    operations = [
        {"function": "set_user_name", "arguments": {"user": "a", "name": "x"}},
        {"function": "set_user_nickname", "arguments": {"user": "a", "name": "y"}},
        {"function": "set_user_nickname", "arguments": {"user": "b", "name": "z"}},
    ]
    call = ToolCall("c1", "set_user", json.dumps({"operations": operations}))
    model = ScriptedModel([[call], "done"], calls_tools=True)
    functions = [set_user_name, set_user_nickname]
    async with Orchestrator(functions, model=model, technique="toolcompiler") as orchestrator:
        result = await orchestrator.run("Which?")
    assert model.requests[0].tools[0].name == "set_user"
    assert names == ["z", "x", "y"]
    assert [call.after for call in result.calls] == [(), ("s1",), ()]


async def test_a_turn_on_a_stateful_object_is_safe_without_a_plan() -> None:
    @stateful
    class Counter:
        value = 0

        async def add(self, amount: int) -> int:
            before = self.value
            await asyncio.sleep(0.002)
            self.value = before + amount
            return self.value

    counter = Counter()
    batch = [ToolCall(f"c{n}", "add", f'{{"amount": {n}}}') for n in (1, 2, 3)]
    model = ScriptedModel([batch, "done"], calls_tools=True)
    async with Orchestrator([counter], model=model, technique="parallel") as orchestrator:
        result = await orchestrator.run("How many?")
    assert [call.result for call in result.calls] == [1, 3, 6]


async def test_a_reader_waits_until_the_writer_before_it_is_recovered() -> None:
    store = Store(6)

    @function(writes=["thing:{name}"], idempotent=True)
    async def put(name: str, value: str) -> str:
        if value == "bad":
            raise ValueError("it can't be written; write something good")
        store.things[name] = value
        return "put"

    plan = 's1 = put(name="a", value="bad")\ns2 = read(name="a")\ns3 = letter(text="{s1}{s2}")'
    model = ScriptedModel([plan, 's1 = put(name="a", value="good")'])
    async with Orchestrator([*store.functions(), put], model=model) as orchestrator:
        result = await orchestrator.run("Which?")
    assert [call.status for call in result.calls] == ["completed"] * 3
    assert result.calls["s2"].result == "good"
    assert result.calls["s2"].after == ("s1",)
    assert result.calls["s2"].dispatched >= result.calls["s1"].completed
