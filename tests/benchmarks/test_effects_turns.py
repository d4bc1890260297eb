"""The benchmark of effects: what it reads, what it calls the same, and that it notices a wrong declaration."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks import effects
from benchmarks.asking import Settings
from benchmarks.effects import Measuring, Timing, figures, markdown, measure
from benchmarks.effects.systems import DECLARED, MODULES, Task, TracedCall, installed, seen, tasks
from benchmarks.questions import DataMissing
from llmorch import function, stateful
from llmorch.testing import run_virtually
from tests.benchmarks.toys import Pantry, Till

ROOT = Path(__file__).parents[2]
SAMPLE = Path(__file__).parent
TOYS = {"Pantry": Pantry, "Till": Till}


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def measured(task: Task, classes: dict[str, type[Any]], seeds: int = 5):
    return measure([task], classes, range(seeds))


def turns(*calls: str) -> list[list[TracedCall]]:
    return [[TracedCall.of(call) for call in calls]]


def test_the_sample_ends_as_in_sequence_and_ignoring_effects_does_not(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(effects, "installed", lambda names: nullcontext(TOYS))
    text = effects.run(Settings(SAMPLE, tmp_path, quick=True))
    assert "| effects declared | 1." in text
    assert "0 of 10 | 0 of 5 |" in text
    assert "share of the runs that end as in sequence): 1, wanted at least 1: met" in text
    assert "effects 3/3  toys_3" in capsys.readouterr().err


def test_every_run_of_the_same_seed_is_the_same() -> None:
    first, again = (measure(tasks(SAMPLE), TOYS, range(3)) for _ in range(2))
    assert first == again
    right, speed = figures(first)
    assert right.met
    assert right.floors["effects ignored"].median < 1
    assert len(speed.measured.values) == 3


def test_a_virtual_second_takes_no_time_and_ends_in_order() -> None:
    ended: list[float] = []

    async def slept() -> float:
        async def sleep(seconds: float) -> None:
            await asyncio.sleep(seconds)
            ended.append(asyncio.get_running_loop().time())

        await asyncio.gather(sleep(5_000), sleep(2_000), sleep(0))
        return asyncio.get_running_loop().time()

    assert run_virtually(slept()) == 5_000
    assert ended == [0, 2_000, 5_000]


def test_what_is_declared_is_as_fast_as_it_may_be() -> None:
    start = {"Pantry": {"jars": {"beans": 5, "rice": 2}}}
    task = Task("t", start, turns("take(jar='beans')", "take(jar='rice')", "take(jar='beans')"))
    (turn,) = measured(task, TOYS)
    for seed, (sequential, ours, ideal) in enumerate(
        zip(turn.sequential, turn.ours, turn.ideal, strict=True)
    ):
        beans, rice, more = Timing.drawn(f"{seed}/t/0", 3).latencies
        assert ours.seconds == pytest.approx(max(beans + more, rice)) == ideal.seconds
        assert sequential == pytest.approx(beans + rice + more)
        assert ours.right
        assert ideal.right
    assert (turn.needless, turn.missed) == ((), ())


def test_a_pair_that_commutes_here_and_is_kept_in_order_is_told() -> None:
    start = {"Pantry": {"jars": {"rice": 0}}}
    task = Task("t", start, turns("copy_count(source='salt', target='rice')", "take(jar='rice')"))
    made = measured(task, TOYS)
    assert made[0].needless == (("copy_count", "take"),)
    assert "they commute here: copy_count and take (1)" in markdown(made)


def test_a_wrong_declaration_is_noticed() -> None:
    @stateful
    class Box:
        def __init__(self) -> None:
            self.things: list[int] = []

        @function(reads=["{self}"])
        def put(self, thing: int) -> int:
            self.things.append(thing)
            return len(self.things)

    made = measured(Task("t", {"Box": {}}, turns("put(1)", "put(2)")), {"Box": Box}, seeds=20)
    assert made[0].missed == (("put", "put"),)
    assert not all(way.right for way in made[0].ours)
    assert not figures(made)[0].met
    assert "Not kept in order though they don't commute**: put and put (1)" in markdown(made)


def test_a_default_that_a_system_keeps_is_not_shared_by_runs() -> None:
    @stateful
    class Wall:
        def post(self, text: str, tags: list[str] = []) -> list[str]:  # noqa: B006
            tags.append(text)
            return tags

    (turn,) = measured(Task("t", {"Wall": {}}, turns("post('a')", "post('b')")), {"Wall": Wall})
    assert all(way.right for way in turn.ours)
    assert Wall().post("c") == ["c"]


def test_an_error_of_a_system_is_a_result_and_stops_nothing() -> None:
    start = {"Pantry": {"jars": {"rice": 1}}}
    task = Task(
        "t", start, turns("copy_count(source='x', target='rice')", "take(jar='rice')", "count()", "lock()")
    )
    (turn,) = measured(task, TOYS)
    assert all(way.right for way in turn.ours)


def test_a_state_is_the_same_only_if_no_later_call_could_tell() -> None:
    class File:
        def __init__(self, text: str, changed: int) -> None:
            self.text, self._last_modified = text, changed

    assert seen(File("a", 1)) == seen(File("a", 2)) != seen(File("b", 1))
    assert seen({"a": 1, "b": 2}) != seen({"b": 2, "a": 1})
    assert seen({1, 2}) == seen({2, 1}) != seen({1})
    assert seen([1, True, 1.0, "1", None]) != seen([1, 1, 1.0, "1", None])
    shared = ["x"]
    assert seen([shared, shared]) != seen([["x"], ["x"]])
    loop: list[Any] = []
    loop.append(loop)
    assert seen(loop) == seen(loop)
    drawn, untouched = random.Random(1), random.Random(1)
    assert seen(drawn) == seen(untouched)
    drawn.random()
    assert seen(drawn) != seen(untouched)


def test_a_measurement_leaves_the_state_before_the_turn_as_it_was() -> None:
    systems = {"Till": Till()}
    before = seen(systems)
    Measuring("t", turns("pay(1)", "pay(2)")[0], systems).turn(range(2))
    assert seen(systems) == before


def test_every_published_system_has_its_effects_declared() -> None:
    assert set(DECLARED) == set(MODULES)
    with pytest.raises(DataMissing, match="there is no system 'Zeppelin'; there are GorillaFileSystem"):
        installed({"Zeppelin"}).__enter__()


def written(data: Path, cases: object, traces: object) -> Path:
    folder = data / "bfcl_multi_turn"
    folder.mkdir(parents=True)
    (folder / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    (folder / "traces.json").write_text(json.dumps(traces), encoding="utf-8")
    return data


CASE = {"id": "a", "involved_classes": ["Till"], "initial_config": {}}


@pytest.mark.parametrize(
    ("cases", "traces", "told"),
    [
        ([CASE], [{"id": "b"}], "task 1: 'a' is missing"),
        ([{"id": "a"}], [{"id": "a", "ground_truth": []}], "task 1: 'involved_classes' is missing"),
        ([CASE], [{"id": "a", "ground_truth": [["pay(amount=x)"]]}], "task 1: malformed node"),
        ([CASE], [{"id": "a", "ground_truth": [["pay"]]}], "task 1: 'pay' is not a call"),
        ([CASE], [{"id": "a", "ground_truth": [["pay("]]}], "task 1: 'pay(' is not a call"),
        ([CASE], [{"id": "a"}], "task 1: "),
        ([CASE], [{"id": "a", "ground_truth": [["pay(1)"]]}], "no turn has two calls"),
        ([CASE | {"id": []}], [{"id": {}, "ground_truth": []}], "task 1: '[]' is missing"),
        ({}, [], "cases.json: it isn't a list of records"),
        ([CASE], [3], "task 1: 'int' object has no attribute"),
    ],
)
def test_a_folder_of_another_form_is_an_error_that_says_where(cases, traces, told, tmp_path) -> None:
    with pytest.raises(DataMissing) as raised:
        tasks(written(tmp_path, cases, traces))
    assert told in str(raised.value)
    assert "https://" in str(raised.value)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("fly(1)", "fly(1): no such method in Till"),
        ("_load_scenario({})", "_load_scenario({}): no such method in Till"),
        ("pay(1, 2)", "pay(1, 2): too many positional arguments"),
    ],
)
def test_a_call_that_no_system_takes_is_an_error_that_names_it(call, told) -> None:
    with pytest.raises(DataMissing) as raised:
        measured(Task("t", {"Till": {}}, turns(call, "pay(1)")), TOYS)
    assert str(raised.value) == told


def test_a_start_state_that_a_system_does_not_take_is_an_error_that_names_it() -> None:
    task = Task("t", {"Pantry": {"jars": 3}, "Till": {"money": {}}}, turns("count()", "count()"))
    with pytest.raises(DataMissing, match="'int' object is not iterable"):
        measured(task, TOYS)


def test_without_its_data_the_benchmark_says_what_is_missing(tmp_path: Path) -> None:
    done = command("effects", "--data", tmp_path, "--out", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "cases.json: No such file" in done.stderr
    assert "https://github.com/ShishirPatil/gorilla" in done.stderr
    without = command("effects", "--out", tmp_path)
    assert without.returncode == 2
    assert "say by --data" in without.stderr


@pytest.mark.skipif(find_spec("bfcl_eval") is not None, reason="the systems' code is installed here")
def test_without_the_systems_code_the_benchmark_says_how_to_install_it(tmp_path: Path) -> None:
    case = {"id": "a", "involved_classes": ["MathAPI"], "initial_config": {}}
    data = written(tmp_path, [case], [{"id": "a", "ground_truth": [["mean([1])", "mean([2])"]]}])
    unreachable = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    done = command("effects", "--data", data, "--out", tmp_path, **unreachable)
    assert done.returncode == 1
    assert "error: the systems' code can't be installed: ERROR: No matching distribution" in done.stderr
    assert "by hand: pip install --no-deps bfcl-eval==" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_latency_is_between_its_bounds_and_the_same_for_the_same_seed() -> None:
    timing = Timing.drawn("1/t/0", 50)
    assert timing == Timing.drawn("1/t/0", 50) != replace(Timing.drawn("2/t/0", 50))
    assert all(0.1 <= latency <= 1 for latency in timing.latencies)
    assert all(0 <= moment <= 1 for moment in timing.moments)
