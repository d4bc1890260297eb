"""What runs learn from their calls, the file in which it is kept, and the order that is made of it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmorch import LimitReached, Orchestrator, function, simulate
from llmorch.learned import Learned, Sample
from llmorch.machine import cache_folder
from llmorch.runtime import samples
from llmorch.runtime.samples import EVERY, FILE, Learning
from llmorch.testing import ScriptedModel

VIRTUAL = True
pytestmark = pytest.mark.anyio


@function
async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@function
async def fail() -> str:
    raise ValueError("no")


@function(max_concurrency=1)
async def short(n: int) -> int:
    return n


@function(resources={"camera": 1})
async def brief(n: int) -> int:
    return n


@function(resources={"camera": 1})
async def lasting(n: int) -> int:
    await asyncio.sleep(0.4)
    return n


@function(asks_model=True)
def rate(text: str) -> str:
    return f"rate {text}"


FUNCTIONS = [wait, fail, short, brief, lasting, rate]


def orchestrator(*replies: Any, **options: Any) -> Orchestrator:
    return Orchestrator(
        FUNCTIONS, model=ScriptedModel(replies), resources={"camera": 1}, optimize=False, **options
    )


async def execute(plan: str, **options: Any) -> Any:
    async with orchestrator(**options) as it:
        return await it.execute(plan)


def kept() -> dict[str, list[Any]]:
    """What is in the file, by the function's own name."""
    functions = json.loads((cache_folder() / FILE).read_text())["functions"]
    return {name.partition(" (")[0].partition(", asking")[0]: samples for name, samples in functions.items()}


async def test_calls_that_completed_are_learned_and_no_others() -> None:
    await execute("s1 = wait(seconds=0.05)\ns2 = fail()\ns3 = short(n=s2)\ns4 = wait(seconds=0)")
    assert list(kept()) == ["wait"]
    first, second = kept()["wait"]
    assert first >= 0.05 > second


async def test_a_later_run_expects_what_an_earlier_one_took() -> None:
    plan = "s1 = wait(seconds=0.05)\ns2 = short(n=1)"
    before = await execute(plan)
    again = await execute(plan)
    assert [call.expected for call in before.calls] == [None, None]
    for call in again.calls:
        earlier = before.calls[call.id]
        assert call.expected == pytest.approx(earlier.completed - earlier.dispatched, rel=1e-3)
    assert again.as_json()["calls"][0]["expected"] == again.calls["s1"].expected
    unknowing = await execute(plan, learn=False)
    assert [call.expected for call in unknowing.calls] == [None, None]


async def test_the_longer_of_two_calls_goes_first_once_that_is_known() -> None:
    # All three need the camera; the last one unlocks nothing and is still the longest chain.
    plan = "s1 = brief(n=1)\ns2 = brief(n=2)\ns3 = lasting(n=3)"

    def order(result: Any) -> list[str]:
        return sorted((call.id for call in result.calls), key=lambda id_: result.calls[id_].dispatched)

    assert order(await execute(plan)) == ["s1", "s2", "s3"]
    assert order(await execute(plan)) == ["s3", "s1", "s2"]
    assert order(await execute(plan, learn=False)) == ["s1", "s2", "s3"]


async def test_what_a_call_and_a_technique_ask_of_the_model_is_learned() -> None:
    plan = 's1 = rate(text="a")\ns2 = self(prompt="and {s1}?")'
    async with orchestrator(plan, "good", "yes") as it:
        result = await it.run("Rate it.")
    found = kept()
    asked = {name: samples[0][1:] for name, samples in found.items() if isinstance(samples[0], list)}
    assert set(asked) == {"rate", "self", "llmorch, planning"}
    assert [requests for requests, _, _ in asked.values()] == [1, 1, 1]
    assert sum(read for _, read, _ in asked.values()) == result.usage.input_tokens
    assert sum(wrote for _, _, wrote in asked.values()) == result.usage.output_tokens
    assert all(samples[0][0] >= 0 for samples in found.values() if isinstance(samples[0], list))


async def test_what_had_finished_is_learned_from_a_run_that_was_stopped() -> None:
    plan = "s1 = short(n=1)\ns2 = wait(seconds=s1 + 30)"
    async with orchestrator(plan) as it:
        with pytest.raises(LimitReached):
            await it.run("Go.", deadline=0.3)
    assert list(kept()) == ["short"]


def test_a_simulation_reads_nothing() -> None:
    it = orchestrator()
    plan = it.check("s1 = short(n=1)")
    (cache_folder() / FILE).write_text("{}")
    os.utime(cache_folder() / FILE, ns=(1, 1))
    before = (cache_folder() / FILE).stat().st_atime_ns
    simulate(plan, it.functions, {"short": 1.0}, processors=1, resources={"camera": 1})
    assert (cache_folder() / FILE).stat().st_atime_ns == before


async def test_without_learning_there_is_no_file() -> None:
    await execute("s1 = short(n=1)", learn=False)
    assert not (cache_folder() / FILE).exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 99}', "null", "[" * 100_000, "\0", "x" * 3_000_000]
)
async def test_a_broken_file_is_ignored_and_replaced(text: str) -> None:
    (cache_folder() / FILE).write_text(text)
    result = await execute("s1 = short(n=1)")
    assert (result.answer, list(kept())) == (1, ["short"])


async def test_a_folder_that_can_not_be_written_to_is_no_error(monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "llmorch").write_text("a file where a folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert (await execute("s1 = short(n=1)")).answer == 1
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(Path, "home", _nobody)
    assert (await execute("s1 = short(n=1)")).answer == 1


def _nobody() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_runs_that_follow_one_another_are_written_together_and_the_rest_at_the_end(tmp_path: Path) -> None:
    now = 0.0
    path = tmp_path / "new" / FILE
    store = Learning(path, clock=lambda: now)
    store.learn({"f": [Sample(1.0)]})
    assert not path.exists()
    assert store.known().seconds("f") == 1.0
    now = EVERY
    store.learn({"f": [Sample(3.0)]})
    assert Learning(path).known().seconds("f") == 2.0
    store.learn({"g": [Sample(5.0)]})
    assert Learning(path).known().seconds("g") is None
    store.write()
    assert Learning(path).known().seconds("g") == 5.0
    assert [found.name for found in path.parent.iterdir()] == [FILE]


def test_what_another_process_wrote_is_seen_and_kept(tmp_path: Path) -> None:
    one, other = Learning(tmp_path / FILE), Learning(tmp_path / FILE)
    one.learn({"f": [Sample(1.0)]})
    other.learn({"g": [Sample(2.0)]})
    one.write()
    other.write()
    assert (one.known().seconds("g"), other.known().seconds("f")) == (2.0, 1.0)
    one.learn({"f": [Sample(3.0)]})
    other.learn({"g": [Sample(4.0)]})
    other.write()
    assert (one.known().seconds("f"), one.known().seconds("g")) == (2.0, 3.0)


_WRITER = """
import sys
from pathlib import Path
from llmorch.learned import Sample
from llmorch.runtime.samples import Learning
store = Learning(Path(sys.argv[1]))
for number in range(200):
    store.learn({f"{sys.argv[2]} {number % 50}": [Sample(number)]})
    store.write()
"""


def test_processes_that_write_at_once_leave_a_whole_file_at_every_moment(tmp_path: Path) -> None:
    path = tmp_path / FILE
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path), name]) for name in ("a", "b", "c")]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            assert len(Learned.from_json(json.loads(path.read_text()))) > 0
            seen += 1
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert seen
    assert [found.name for found in tmp_path.iterdir()] == [FILE]


def test_a_program_that_closes_nothing_leaves_what_it_learned(tmp_path: Path) -> None:
    program = (
        "from llmorch import Orchestrator, function\n"
        "@function\n"
        "async def f() -> int: return 1\n"
        "print(Orchestrator([f]).execute_sync('s1 = f()').answer)\n"
    )
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert "f (f in <string>" in (tmp_path / "llmorch" / samples.FILE).read_text()
