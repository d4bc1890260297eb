"""What is mended: the page that was too short, and the wrong plans that a model is asked to repair."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks import recovery
from benchmarks.asking import RECORDED
from llmorch.testing import RecordedModel, ScriptedModel

if TYPE_CHECKING:
    from pathlib import Path

WRONG = recovery.wrong_plans()
RIGHT = {plan.query: plan.right for plan in WRONG}


def query_of(request: Any) -> str:
    told = [message.text for message in request.messages]
    query = next(text for text in told[::-1] if text.startswith("Query: ")).removeprefix("Query: ")
    assert RIGHT[query] not in "\n".join(told[:-2])
    return query


def repaired(
    model: Any, path: Path, count: int, name: str = "scripted", **options: Any
) -> list[dict[str, Any]]:
    return asyncio.run(recovery.repaired(model, name, path, count, **options))


def test_a_page_that_was_too_short_is_searched_again_for_more_words() -> None:
    result, right = asyncio.run(recovery.recovered(RecordedModel(RECORDED / "parallelqa.jsonl")))
    assert right
    table = recovery.recovered_markdown("recorded", result, right=right)
    assert "k=1000" in table
    assert "1 recoveries; the answer is right" in table


def test_the_wrong_plans_are_of_every_kind_and_no_example_shows_the_right_one() -> None:
    assert len(WRONG) == 50
    assert len({plan.kind for plan in WRONG}) == 7
    assert len({plan.source for plan in WRONG}) == 10
    for plan in WRONG[::5]:
        assert asyncio.run(plan.accepted(plan.right)) is not None
        assert asyncio.run(plan.accepted(plan.wrong)) is None


def test_attempts_of_a_repair_are_counted(tmp_path: Path) -> None:
    asked: Counter[str] = Counter()

    def reply(request: Any) -> str:
        query = query_of(request)
        asked[query] += 1
        return RIGHT[query] if asked[query] > 1 or query < "H" else "s1 = nothing()"

    repairs = repaired(ScriptedModel(reply, chunk=1000), tmp_path / "repairs.jsonl", 10)
    assert len(repairs) == 10
    assert {one["attempts"] for one in repairs} == {1, 2}
    assert all(one["same"] for one in repairs if one["repaired"])
    assert "| scripted | 10 |" in recovery.repairs_markdown("scripted", repairs)


def test_repairs_go_on_where_they_were_interrupted(tmp_path: Path) -> None:
    file = tmp_path / "out" / "repairs.jsonl"

    def model() -> ScriptedModel:
        return ScriptedModel(lambda request: RIGHT[query_of(request)], chunk=1000)

    made = repaired(model(), file, 4)
    with file.open("a", encoding="utf-8") as half:
        half.write('{"wrong": "abc", "rep')
    said: list[str] = []
    told = lambda done, total, what: said.append(f"{done}/{total} {what}")  # noqa: E731
    assert repaired(ScriptedModel([]), file, 4, told=told) == made
    assert len(said) == 4
    assert said[0].startswith("1/4 agnews, ")
    assert said[0].endswith(": repaired in 1")
    other = model()
    repaired(other, file, 4, "another model")
    assert len(other.requests) == 4


def test_a_model_that_repairs_nothing_is_told_so(tmp_path: Path) -> None:
    repairs = repaired(ScriptedModel(lambda _: "no plan", chunk=1000), tmp_path / "repairs.jsonl", 3)
    assert not any(one["repaired"] or one["same"] for one in repairs)
    assert "| 0 (0%) | 0 (0%) | 0 (0%) |" in recovery.repairs_markdown("scripted", repairs)
