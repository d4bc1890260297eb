"""Mistakes in right plans: that each is one, that it is found, and that no right plan is refused."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from benchmarks import caught, repairing
from benchmarks.mutations import KINDS, mutated
from benchmarks.right_plans import RightPlan, right_plans
from llmorch import PlanError, check, parse
from llmorch.testing import ScriptedModel

ROOT = Path(__file__).parents[2]
PLANS = right_plans(120)


@cache
def seen() -> list[caught.Seen]:
    """Some plans with every mistake, through the runtime, once for all tests."""
    return caught.measured(PLANS[::2], seed=2)


def test_right_plans_are_varied_and_the_same_for_the_same_seed() -> None:
    assert [plan.text for plan in right_plans(120)] == [plan.text for plan in PLANS]
    assert [plan.text for plan in right_plans(120, seed=1)] != [plan.text for plan in PLANS]
    sources = Counter(plan.source for plan in PLANS)
    assert len(sources) == 11
    assert sources["random"] > 60
    assert all(plan.query for plan in PLANS if plan.source != "random")
    random_ones = [plan.text for plan in PLANS if plan.source == "random"]
    assert len(set(random_ones)) > 55
    starts = {text.split(maxsplit=1)[0][:1] + text.split(maxsplit=1)[0][-1] for text in random_ones}
    assert {"s1", "s:", "1."} <= starts


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutant_never_says_what_the_plan_said(kind: str) -> None:
    chance = random.Random(3)
    made = 0
    for plan in PLANS:
        mutant = mutated(plan.text, plan.functions, kind, chance)
        if mutant is None:
            continue
        made += 1
        try:
            assert check(parse(mutant.text), plan.functions) != check(parse(plan.text), plan.functions)
        except PlanError:
            assert not mutant.alone or kind in ("dropped-reference", "cut")
    assert made > 80


@pytest.mark.parametrize("kind", ["function", "argument", "type", "order"])
def test_what_can_be_known_from_one_call_is_always_found(kind: str) -> None:
    chance = random.Random(5)
    for plan in PLANS:
        if mutant := mutated(plan.text, plan.functions, kind, chance):
            with pytest.raises(PlanError):
                check(parse(mutant.text), plan.functions)


def test_mistakes_are_found_before_a_plan_is_settled_and_no_right_plan_is_refused() -> None:
    rows = {row["mistake"]: row for row in caught.rows(seen())}
    for kind in ("function", "argument", "type", "order", caught.REPORTED):
        assert rows[kind]["share"] == 1
    assert rows[caught.RIGHT]["caught"] == 0
    assert rows[caught.ALL]["share"] > 0.93
    assert rows[caught.ALL]["share_told"] > 0.97
    assert rows[caught.ALL]["effects"] == 0
    assert sum(rows[kind]["plans"] for kind in KINDS) == rows[caught.ALL]["plans"]
    figures = caught.figures(list(rows.values()))
    assert [figure.met for figure in figures[2:]] == [True, True]
    assert caught.markdown(list(rows.values())).count("\n| ") == len(rows)


def test_after_a_repair_the_run_comes_to_its_answer() -> None:
    assert all(one.answered for one in seen() if one.caught or one.kind == caught.RIGHT)


PLAN = RightPlan('s1 = search(query="a")\ns2 = self(prompt="{s1}?")', PLANS[-1].functions, "one")


@pytest.mark.parametrize(
    ("text", "kind", "alone"),
    [
        ('s1 = search(query="a")\ns2 = self(prompt="{s1}?")', "cut", True),
        ('s1 = search(query="a")\ns2 = self(prompt="{s1} or {s1}?")', "dropped-reference", True),
    ],
)
def test_a_mutant_that_could_have_been_meant_is_told_apart(text: str, kind: str, alone: bool) -> None:
    mutants = [mutated(text, PLAN.functions, kind, random.Random(seed)) for seed in range(60)]
    assert {mutant.alone for mutant in mutants if mutant} == {True, False}
    for mutant in mutants:
        assert mutant is not None
        if mutant.alone is alone:
            check(parse(mutant.text), PLAN.functions)


def test_attempts_of_a_repair_are_counted() -> None:
    right = {plan.query: plan.text for plan in PLANS if plan.query}

    def reply(request: object) -> str:
        told = [message.text for message in request.messages]  # type: ignore[attr-defined]
        query = next(text for text in told[::-1] if text.startswith("Query: ")).removeprefix("Query: ")
        assert right[query] not in "\n".join(told[:-2])
        asked[query] += 1
        return right[query] if asked[query] > 1 or query < "H" else "s1 = nothing()"

    asked: Counter[str] = Counter()
    model = ScriptedModel(reply, chunk=1000)
    repairs = repairing.compile_time_repair(model, plans=14)
    assert {one.kind for one in repairs} == set(KINDS)
    assert len(repairs) == 14
    assert {one.attempts for one in repairs} == {1, 2}
    assert all(one.same for one in repairs if one.repaired)
    assert any(one.repaired and one.attempts == 2 for one in repairs)
    table = repairing.markdown("scripted", repairs)
    assert "| scripted | 14 |" in table


def test_repairs_go_on_where_they_were_interrupted(tmp_path: Path) -> None:
    right = {plan.query: plan.text for plan in PLANS if plan.query}

    def reply(request: object) -> str:
        told = [message.text for message in request.messages]  # type: ignore[attr-defined]
        return right[next(text for text in told[::-1] if text.startswith("Query: ")).removeprefix("Query: ")]

    file = tmp_path / "out" / "repairs.jsonl"
    made = repairing.compile_time_repair(
        ScriptedModel(reply, chunk=1000), 4, kept=repairing.Repairs(file, "scripted")
    )
    with file.open("a", encoding="utf-8") as half:
        half.write('\n{"key": "abc", "rep')
    said: list[str] = []
    again = repairing.compile_time_repair(
        ScriptedModel([]),
        4,
        kept=repairing.Repairs(file, "scripted"),
        told=lambda done, total, what: said.append(f"{done}/{total} {what}"),
    )
    assert again == made
    assert len(said) == 4
    assert said[0].startswith("1/4 agnews, ")
    assert said[0].endswith(": repaired in 1")
    other = ScriptedModel(reply, chunk=1000)
    repairing.compile_time_repair(other, 4, kept=repairing.Repairs(file, "another model"))
    assert len(other.requests) == 4


def test_a_model_that_repairs_nothing_is_told_so() -> None:
    repairs = repairing.compile_time_repair(ScriptedModel(lambda _: "no plan", chunk=1000), plans=7)
    assert not any(one.repaired or one.same for one in repairs)
    assert "| 0 (0%) | 0 (0%) | 0 (0%) |" in repairing.markdown("scripted", repairs)


def test_the_command_prints_the_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "recovery", "--limit", "12", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "| all mistakes |" in done.stdout
    assert "Compile-time repair" not in done.stdout  # no model was named
    assert (tmp_path / "recovery.md").read_text(encoding="utf-8") in done.stdout
