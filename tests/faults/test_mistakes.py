"""Mistakes in right plans: that each is one, that it is found, and that no right plan is refused."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache

import pytest

from llmorch import PlanError, check, parse
from tests.faults import mistakes
from tests.faults.mutations import KINDS, mutated
from tests.faults.right_plans import right_plans

PLANS = right_plans(100)


@cache
def seen() -> list[mistakes.Seen]:
    """Some plans with every mistake, through the runtime, once for all tests."""
    return mistakes.measured(PLANS[::2], seed=2)


def test_right_plans_are_varied_and_the_same_for_the_same_seed() -> None:
    assert [plan.text for plan in right_plans(100)] == [plan.text for plan in PLANS]
    assert [plan.text for plan in right_plans(100, seed=1)] != [plan.text for plan in PLANS]
    sources = Counter(plan.source for plan in PLANS)
    assert len(sources) == 5
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
    assert made > 65


@pytest.mark.parametrize("kind", ["function", "argument", "type", "order"])
def test_what_can_be_known_from_one_call_is_always_found(kind: str) -> None:
    chance = random.Random(5)
    for plan in PLANS:
        if mutant := mutated(plan.text, plan.functions, kind, chance):
            with pytest.raises(PlanError):
                check(parse(mutant.text), plan.functions)


def test_mistakes_are_found_before_a_plan_is_settled_and_no_right_plan_is_refused() -> None:
    rows = {row["mistake"]: row for row in mistakes.rows(seen())}
    for kind in ("function", "argument", "type", "order", mistakes.REPORTED):
        assert rows[kind]["share"] == 1
    assert rows[mistakes.RIGHT]["caught"] == 0
    assert rows[mistakes.ALL]["share"] > 0.93
    assert rows[mistakes.ALL]["share_told"] > 0.97
    assert rows[mistakes.ALL]["effects"] == 0
    assert sum(rows[kind]["plans"] for kind in KINDS) == rows[mistakes.ALL]["plans"]


def test_after_a_repair_the_run_comes_to_its_answer() -> None:
    assert all(one.answered for one in seen() if one.caught or one.kind == mistakes.RIGHT)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('s1 = search(query="a")\ns2 = self(prompt="{s1}?")', "cut"),
        ('s1 = search(query="a")\ns2 = self(prompt="{s1} or {s1}?")', "dropped-reference"),
    ],
)
def test_a_mutant_that_could_have_been_meant_is_told_apart(text: str, kind: str) -> None:
    functions = PLANS[-1].functions
    mutants = [mutated(text, functions, kind, random.Random(seed)) for seed in range(60)]
    assert {mutant.alone for mutant in mutants if mutant} == {True, False}
    for mutant in mutants:
        assert mutant is not None
        if mutant.alone:
            check(parse(mutant.text), functions)
