"""Policies on plans of known durations, the exact optimum, and the tables of overhead and scaling."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import scaling, schedule
from benchmarks.questions import SAMPLE, DataMissing
from benchmarks.schedule import POLICIES
from benchmarks.timed import OPTIMA, published, timed_plan
from llmorch import render
from tests.benchmarks.optimum import shortest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SHORT_FIRST = replace(timed_plan({"a": 2, "b": 2, "c": 4}, [], 4), optima={"2": 4})
"""Fifo starts the long step last: 6 seconds on two processors, where 4 are enough."""
LOOSE = replace(timed_plan({"end": 1, "left": 3, "start": 2, "right": 1}, [], 3), optima={"2": 4})


def written(data: Path, content: object) -> Path:
    path = data / "asynchow" / "plans.json"
    path.parent.mkdir()
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_steps_keep_their_order_as_far_as_their_edges_allow() -> None:
    plan = timed_plan(
        {"end": 1, "left": 3, "start": 2, "right": 1},
        [("start", "left"), ("start", "right"), ("left", "end"), ("right", "end")],
        6,
    )
    assert render(plan.plan) == (
        "s1 = step(after=[])\ns2 = step(after=[s1])\ns3 = step(after=[s1])\ns4 = step(after=[s2, s3])"
    )
    assert plan.durations == {"s1": 2, "s2": 3, "s3": 1, "s4": 1}
    assert plan.simulated("critical", 2) == (6, 6)


def test_a_row_says_how_far_a_policy_is_from_what_is_possible() -> None:
    made = schedule.rows([SHORT_FIRST, LOOSE], processors=[2])
    rows = {(row["policy"], row["processors"]): row for row in made}
    assert set(rows) == {(policy, count) for policy in POLICIES for count in ("unlimited", 2)}
    to = {f"{what}_to_{of}": 1.0 for of in ("optimum", "best", "fifo", "ranks") for what in ("mean", "worst")}
    counts = {f"known_{of}": 2 for of in ("bound", "optimum", "best", "fifo", "ranks")}
    same = {"as_optimum": 2, "as_best": 2, "as_bound": 1, "as_fifo": 1, "as_ranks": 1}
    worse = {f"worse_than_{of}": 0 for of in ("optimum", "best", "fifo", "ranks")} | {"worse_than_bound": 1}
    assert rows["critical", 2] == {
        "policy": "critical",
        "processors": 2,
        "plans": 2,
        **(to | counts | same | worse),
        "mean_to_bound": (1 + 4 / 3.5) / 2,
        "worst_to_bound": 4 / 3.5,
        "mean_to_fifo": (1 + 4 / 6) / 2,
        "mean_to_ranks": (1 + 4 / 6) / 2,
    }
    of_fifo = rows["greedy", 2]
    assert (of_fifo["as_optimum"], of_fifo["mean_to_optimum"], of_fifo["worst_to_optimum"]) == (1, 1.25, 1.5)
    assert (of_fifo["worse_than_fifo"], of_fifo["worst_to_ranks"], of_fifo["as_best"]) == (0, 1.0, 1)
    assert rows["sequential", "unlimited"]["worst_to_fifo"] == 7 / 3
    assert rows["critical", "unlimited"]["as_optimum"] == 2


def test_the_figures_ask_for_the_optimum_and_for_no_worse_than_the_others() -> None:
    figures = schedule.figures(schedule.rows([SHORT_FIRST], processors=[2, 16]))
    assert [(figure.name, figure.wanted, figure.met) for figure in figures] == [
        ("schedule, unlimited: share of plans at the published optimum", "at least 1", True),
        ("schedule, 2: mean of the lower bound", "at most 1.05", True),
        ("schedule, 2: worst against fifo", "at most 1", True),
        ("schedule, 2: worst against the paper's ranks", "at most 1", True),
    ]
    assert figures[1].floors["greedy"].median == 1.5


def test_the_table_has_a_line_for_each_policy_and_number_of_processors() -> None:
    lines = schedule.markdown(schedule.rows([SHORT_FIRST], processors=[2])).splitlines()
    assert "**unlimited processors**, 1 plans (optimum: published)" in lines
    assert "| critical | 100.0% | 1.000 / 1.00 | 1.000 / 1.00 | 0 | 0 | 1 |" in lines
    assert "| barrier | 0.0% | 1.500 / 1.50 | 1.500 / 1.50 | 0 | 0 | 0 |" in lines
    assert "| sequential | 0.0% | 2.000 / 2.00 | 2.000 / 2.00 | 1 (1.33) | 1 (1.33) | 0 |" in lines


def test_plans_of_a_file_are_read_whatever_their_steps_are_called(tmp_path) -> None:
    written(
        tmp_path, [{"durations": {"boil": 60, "brew": 180.5}, "edges": [["boil", "brew"]], "optimum": 240.5}]
    )
    (plan,) = published(tmp_path)
    assert (plan.durations, plan.optimum, plan.optima) == ({"s1": 60.0, "s2": 180.5}, 240.5, {})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        ("[{", "it isn't JSON"),
        ({}, "it isn't a list of records"),
        ([{"edges": [], "optimum": 1}], "plan 1: 'durations' is missing"),
        ([{"durations": {"a": 1}, "edges": [["a", "b"]], "optimum": 1}], "plan 1: an edge from 'a' to 'b'"),
        (
            [{"durations": {"a": 1, "b": 1}, "edges": [["a", "b"], ["b", "a"]], "optimum": 1}],
            "plan 1: the steps a, b wait for each other",
        ),
        ([{"durations": {"a": -1}, "edges": [], "optimum": 1}], "plan 1: durations are numbers of seconds"),
        ([{"durations": {"a": "long"}, "edges": [], "optimum": 1}], "plan 1: must be real number"),
        ([7], "plan 1: "),
        ("[" * 100_000, "it isn't JSON"),
        ('[{"durations": {"a": 1%s}, "edges": [], "optimum": 1}]' % ("0" * 400), "plan 1: int too large"),
        ('[{"durations": {"a": 3}, "edges": [], "optimum": NaN}]', "plan 1: the optimum is nan s, but"),
        ([{"durations": {"a": 3}, "edges": [], "optimum": 0}], "plan 1: the optimum is 0 s, but"),
        (
            [{"durations": {"a": 1, "b": 2, "c": 1}, "edges": [["a", "b"]], "optimum": 10}],
            "plan 1: the optimum is 10 s, but with unlimited processors the longest chain of steps takes 3 s",
        ),
        ([{"durations": {"a": 1e308, "b": 1e308}, "edges": [["a", "b"]], "optimum": 1}], "takes inf s"),
    ],
)
def test_a_file_that_can_not_be_used_is_named_in_one_line(tmp_path, content, says) -> None:
    path = tmp_path / "asynchow" / "plans.json" if content is None else written(tmp_path, content)
    with pytest.raises(DataMissing) as caught:
        published(tmp_path)
    message = str(caught.value)
    assert str(path) in message
    assert says in message
    assert "https://github.com/fangru-lin/graph-llm-asynchow-plan" in message
    assert "\n" not in message


def test_the_optimum_may_leave_a_processor_idle_on_purpose() -> None:
    # No order of starting whatever is ready takes less than 7: s1 would be in the way of s3 or s4.
    seconds, uses = [2, 1, 1, 1, 4], [[], [], [1], [1], [2, 3]]
    assert shortest(seconds, uses, 2, bound=6, found=7) == 6


def test_the_optimum_is_what_trying_every_order_on_every_processor_finds() -> None:
    chance = random.Random(11)
    for _ in range(60):
        calls = chance.randint(2, 5)
        seconds = [chance.choice([0.5, 1, 2, 3, 5]) for _ in range(calls)]
        uses = [[used for used in range(call) if chance.random() < 0.3] for call in range(calls)]
        assert shortest(seconds, uses, 2, bound=0, found=sum(seconds)) == tried(seconds, uses, 2)


def tried(seconds: Sequence[float], uses: Sequence[Sequence[int]], processors: int) -> float:
    calls = range(len(seconds))
    spans = []
    for order in permutations(calls):
        if any(order.index(used) > order.index(call) for call in calls for used in uses[call]):
            continue
        for places in product(range(processors), repeat=len(seconds)):
            free, ends = [0.0] * processors, dict.fromkeys(calls, 0.0)
            for call in order:
                start = max(free[places[call]], *(ends[used] for used in uses[call]), 0.0)
                free[places[call]] = ends[call] = start + seconds[call]
            spans.append(max(free))
    return min(spans)


def test_the_recorded_optimum_of_a_plan_is_what_the_search_finds() -> None:
    for plan in published(SAMPLE)[:6]:
        places = {call.id: place for place, call in enumerate(plan.plan)}
        uses = [[places[used] for used in sorted(call.uses)] for call in plan.plan]
        for processors in (2, 3):
            makespan, bound = plan.simulated("greedy", processors)
            found = shortest(list(plan.durations.values()), uses, processors, bound=bound, found=makespan)
            assert plan.optima[str(processors)] == found
    assert len(json.loads(OPTIMA.read_text(encoding="utf-8"))) == 408


def test_a_search_that_takes_too_long_says_nothing() -> None:
    seconds = [3.0, 5.0, 7.0, 2.0, 4.0, 6.0]
    assert shortest(seconds, [[]] * 6, 2, bound=0, found=100, states=3) is None
    assert shortest([1.0] * 500, [[]] * 500, 2, bound=250, found=251) is None
    assert shortest([1.0] * 500, [[]] * 500, 2, bound=250, found=250) == 250


def test_the_simulated_graph_scales_until_its_calls_can_not_be_divided() -> None:
    rows = scaling.simulated({"turn_angle": 3.0, "average": 0.5, "difference": 1.0})
    lines: dict[str, dict[int, float]] = {}
    for row in rows:
        lines.setdefault(row["technique"], {})[row["processors"]] = row["speedup"]
    whole = 8 * 3 + 2 * 0.5 + 1
    assert lines["react"] == dict.fromkeys(range(1, 9), 1.0)
    assert lines["llmcompiler on one thread"] == dict.fromkeys(range(1, 9), whole / 25.5)
    assert lines["llmorch"] == {
        count: whole / (3 * waves + 1.5)
        for count, waves in zip(range(1, 9), (8, 4, 3, 2, 2, 2, 2, 1), strict=True)
    }
    assert lines["lower bound"] == {count: whole / max(4.5, 24 / count) for count in range(1, 9)}


def test_the_longest_call_first_shortens_the_graph_where_calls_differ() -> None:
    seconds: dict[str, float] = {f"s{number}": 1.0 for number in range(1, 8)} | {"s8": 4.0}
    rows = {
        (row["technique"], row["processors"]): row["makespan"]
        for row in scaling.simulated(seconds, (2, 4), scaling.TECHNIQUES)
    }
    assert (rows["llmorch", 2], rows["llmorch", 4]) == (6, 4)
    assert (rows["llmorch by ranks", 2], rows["llmcompiler", 4]) == (7, 5)
    assert rows["lower bound", 2] == 5.5


def test_the_table_of_scaling_has_a_column_for_each_number_of_processors() -> None:
    rows = scaling.simulated({"turn_angle": 1.0}, (1, 2), {"llmorch": "critical"})
    assert scaling.markdown(rows).splitlines() == [
        "| processors | 1 | 2 |",
        "|---|---:|---:|",
        "| llmorch | 8 s, 1.00x | 4 s, 2.00x |",
        "| lower bound | 8 s, 1.00x | 4 s, 2.00x |",
    ]


def test_a_real_run_is_checked_against_the_simulation_with_its_own_durations() -> None:
    def run(policy: str, makespan: float, **durations: float) -> scaling.Run:
        return scaling.Run(policy, 2, makespan, {f"s{n}": 1.0 for n in range(1, 9)} | durations)

    runs = [run("greedy", 4.0), run("greedy", 5.0), run("sequential", 8.0), run("critical", 10.0, s8=4.0)]
    expected: list[dict[str, Any]] = [
        {"policy": "greedy", "processors": 2, "runs": 2, "real": 4.5, "simulated": 4.0, "error": -0.2},
        {"policy": "sequential", "processors": 2, "runs": 1, "real": 8.0, "simulated": 8.0, "error": 0.0},
        # A run does not know beforehand that s8 is the longest, so it starts last.
        {"policy": "critical", "processors": 2, "runs": 1, "real": 10.0, "simulated": 7.0, "error": -0.3},
    ]
    rows = scaling.checked(runs, scaling.KITTI)
    assert [row | {"error": pytest.approx(row["error"])} for row in expected] == rows
    assert [(row["technique"], row["speedup"]) for row in scaling.rows(runs)] == [
        ("react", 1.0),
        ("llmcompiler", 8 / 4.5),
        ("llmorch", 0.8),
    ]


def test_a_folder_without_images_is_missing_data(tmp_path) -> None:
    for side in ("image_l", "image_r"):
        (tmp_path / "kitti" / side).mkdir(parents=True)
    for name in ("calib.txt", "poses.txt"):
        matrices = "1 0 0 0 0 1 0 0 0 0 1 0\n" * 2
        (tmp_path / "kitti" / name).write_text(matrices, encoding="utf-8")
    pytest.importorskip("cv2")
    with pytest.raises(DataMissing, match="no image has a pose and a neighbour"):
        scaling.measured(tmp_path, tmp_path, repeats=1)
