"""The runs of a question set: their order, their records, and going on after an interruption."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import tables
from benchmarks.asking import Settings, ask, executing, plan_of_work
from benchmarks.questions import DataMissing, Question, records_of
from benchmarks.records import Runs
from benchmarks.report import wanted
from llmorch import ModelError, Orchestrator, function
from llmorch.testing import ScriptedModel
from tests.benchmarks.made_runs import run

VIRTUAL = True
pytestmark = pytest.mark.anyio


class Capitals:
    """Three questions; the second has no right answer, the third no answer at all."""

    name = "capitals"
    examples = Path(__file__).parent / "capitals.plans"
    processors = 2

    def questions(self, data: Path) -> list[Question]:
        return [Question(f"q{at}", f"Capital of {name}?", name) for at, name in enumerate(("A", "B", "no"))]

    def functions(self, data: Path, work: Path, delay: float = 0.0) -> list[Any]:
        @function
        async def search(query: str) -> str:
            """Search the atlas."""
            await asyncio.sleep(delay)
            (work / "seen.txt").write_text(query, encoding="utf-8")
            return query

        return [search]

    def right(self, question: Question, answer: Any, work: Path) -> bool:
        return answer == "A" and [path.name for path in work.iterdir()] == ["seen.txt"]


def said(request: Any) -> str:
    asked = request.messages[-1].text
    name = next(part for part in ("A", "B", "no") if f"of {part}" in str(request.messages))
    if asked.startswith("Observation"):
        return "nothing" if name == "no" else f"Answer: {name}"
    if "step by step" in request.messages[0].text:
        return f'Action: search(query="{name}")'
    return "nothing" if name == "no" else f's1 = search(query="{name}")'


def settings_in(folder: Path) -> Settings:
    return Settings(
        folder, folder / "out", model="recorded", techniques=("llmorch", "react"), repeats=2, delay=0.01
    )


async def test_every_run_is_recorded_and_judged(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs.jsonl")
    told: list[tuple[int, int]] = []
    made = await ask(
        Capitals(),
        ScriptedModel(said),
        settings_in(tmp_path),
        runs,
        told=lambda done, total, run: told.append((done, total)),
    )
    assert told == [(at, 12) for at in range(13)]
    by_place = {(run.job.technique, run.job.question, run.job.repeat): run for run in made}
    assert len(by_place) == 12
    assert by_place["llmorch", "q0", 0].right
    assert by_place["react", "q0", 1].right
    assert not by_place["react", "q1", 0].right
    assert by_place["react", "q1", 0].status == "answered"
    failed = by_place["llmorch", "q2", 0]
    assert (failed.status, failed.right, failed.requests) == ("unresolved", False, 9)
    assert "no plan that can be run" in str(failed.error)
    assert by_place["react", "q2", 0].status == "unresolved"
    first = by_place["llmorch", "q0", 0]
    assert first.plan == 's1 = search(query="A")'
    assert 0.01 <= first.executing <= first.seconds
    assert first.calls[0]["function"] == "search"
    assert first.input_tokens > 0


async def test_runs_that_are_recorded_are_not_made_again(tmp_path: Path) -> None:
    path, settings = tmp_path / "runs.jsonl", settings_in(tmp_path)
    await ask(Capitals(), ScriptedModel(said), settings, Runs(path))
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    # Killed in the middle of a line, after five runs.
    path.write_text("".join(lines[:5]) + lines[5][:40], encoding="utf-8")
    model = ScriptedModel(said)
    made = await ask(Capitals(), model, settings, Runs(path))
    assert len(made) == 12
    again = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    assert len(again) == 12
    assert len({json.dumps(line["job"]) for line in again}) == 12


def test_the_same_seed_gives_the_same_work_and_interleaves_the_techniques(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    one, same = plan_of_work(Capitals(), settings)[0], plan_of_work(Capitals(), settings)[0]
    assert one == same
    assert {job.question for job in one} == {"q0", "q1", "q2"}
    orders = {
        tuple(job.question for job in plan_of_work(Capitals(), replace(settings, seed=seed))[0])
        for seed in range(8)
    }
    assert len(orders) > 1
    assert len(plan_of_work(Capitals(), replace(settings, limit=1))[0]) == 4
    assert [job.technique for job in one[:4]] == ["llmorch", "react", "react", "llmorch"]
    assert {job.policy for job in one} == {"critical", "sequential"}


async def test_questions_whose_ids_collide_are_each_asked_with_their_own_text(tmp_path: Path) -> None:
    class Colliding(Capitals):
        def questions(self, data: Path) -> list[Question]:
            ids = ("2", "2", "2-2", "2", "3")
            return [
                Question(id_, f"Capital of {name}?", name) for id_, name in zip(ids, "ABCDE", strict=True)
            ]

    asked: list[str] = []

    def heard(request: Any) -> str:
        asked.append(request.messages[-1].text)
        return "Answer: A"

    settings = replace(settings_in(tmp_path), techniques=("react",), repeats=1)
    runs = await ask(Colliding(), ScriptedModel(heard), settings, Runs(tmp_path / "runs.jsonl"))
    assert {run.job.question for run in runs} == {"2", "2-3", "2-2", "2-4", "3"}
    assert sorted(text.split("Capital of ")[-1][0] for text in asked) == list("ABCDE")


@pytest.mark.parametrize("id_", [{}, {"id": None}])
def test_a_record_whose_id_is_null_is_numbered(id_: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([{"question": "a?"} | id_]), encoding="utf-8")
    assert records_of(path, "published there", question=str) == [{"question": "a?"}]


def test_an_empty_question_is_refused_when_the_set_is_read(tmp_path: Path) -> None:
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([{"question": "a?"}, {"question": " \n"}]), encoding="utf-8")
    with pytest.raises(
        DataMissing, match=r"questions.json: record 2 has an empty 'question'; published there"
    ):
        records_of(path, "published there", question=str)


def test_a_failure_is_a_column_of_its_own_and_never_a_latency() -> None:
    runs = [
        run("llmorch", "a"),
        run("llmorch", "b", status="unresolved", right=False, seconds=600.0),
        run("react", "a", seconds=6.0, executing=3.0, input_tokens=380),
        run("react", "b", seconds=8.0),
    ]
    ours, react = tables.rows(runs)
    assert (ours.failures, ours.right.median, ours.seconds.median) == (1, 0.5, 2.0)
    assert (react.failures, react.seconds.median, react.faster) == (0, 7.0, None)
    # Only the question that both answered is compared.
    assert ours.faster is not None
    assert ours.executes_faster is not None
    assert ours.cheaper is not None
    assert (ours.faster.median, ours.executes_faster.median, ours.cheaper.median) == (3.0, 3.0, 4.0)
    assert "| llmorch | p | 2 | 50 % | 1 | 2 | 3.00x |" in tables.markdown([ours])


def test_repeats_show_their_median_and_range() -> None:
    runs = [run("llmorch", "a", repeat, seconds=float(repeat + 1)) for repeat in range(3)]
    (row,) = tables.rows(runs)
    assert "| 2 (1-3) |" in tables.markdown([row])
    assert tables.described(runs) == "1 question, 3 runs each; model local, 2026-01-01"
    runs += [run("rewoo", name) for name in "ab"]
    assert tables.described(runs) == (
        "1 question, 3 runs each; rewoo: 2 questions, 1 run each; model local, 2026-01-01"
    )


def test_what_was_wanted_is_judged_against_react() -> None:
    runs = [
        *(run("llmorch", "a", repeat, seconds=1.0, right=repeat > 0) for repeat in range(3)),
        *(run("react", "a", repeat, seconds=3.0, input_tokens=380) for repeat in range(3)),
    ]
    figures = {figure.name: figure for figure in wanted("hotpotqa", runs)}
    assert figures["speed-up"].met
    assert figures["fewer tokens"].met
    assert figures["right"].met  # the median of three repeats


async def test_executing_counts_what_overlaps_once() -> None:
    @function
    async def wait(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    async with Orchestrator([wait], model=ScriptedModel([])) as orchestrator:
        result = await orchestrator.execute(
            "s1 = wait(seconds=0.1)\ns2 = wait(seconds=0.05)\ns3 = wait(seconds=s2)"
        )
    assert executing(result) == pytest.approx(0.1, abs=0.05)


async def test_other_data_is_another_job(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    jobs = {job.key for job in plan_of_work(Capitals(), settings)[0]}
    assert jobs.isdisjoint(job.key for job in plan_of_work(Capitals(), replace(settings, delay=3.0))[0])

    class Others(Capitals):
        def questions(self, data: Path) -> list[Question]:
            return [replace(question, answer="other") for question in super().questions(data)]

    assert jobs.isdisjoint(job.key for job in plan_of_work(Others(), settings)[0])


async def test_a_model_that_never_answered_is_no_result(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs.jsonl")
    refusing = ScriptedModel(lambda _: ModelError("the endpoint refuses the key"))
    with pytest.raises(ModelError, match="refuses the key"):
        await ask(Capitals(), refusing, settings_in(tmp_path), runs)
    assert runs.all == []


class Outage:
    """Answers so many requests, then refuses so many, then answers all."""

    def __init__(self, answered: int, refused: int) -> None:
        self._left = [answered, refused]

    def __call__(self, request: Any) -> Any:
        if self._left[0] > 0:
            self._left[0] -= 1
        elif self._left[1] > 0:
            self._left[1] -= 1
            return ModelError("the key expired")
        return "Answer: A"


async def test_runs_that_an_outage_ended_are_failures_now_and_made_again_later(tmp_path: Path) -> None:
    path, settings = tmp_path / "runs.jsonl", replace(settings_in(tmp_path), techniques=("react",))
    made = await ask(Capitals(), ScriptedModel(Outage(1, 2)), settings, Runs(path))
    assert [one.status for one in made] == ["answered", *["unresolved"] * 2, *["answered"] * 3]
    asked = ScriptedModel(lambda _: "Answer: A")
    again = await ask(Capitals(), asked, settings, Runs(path))
    assert len(asked.requests) == 2
    assert [one.status for one in again] == ["answered"] * 6
    assert [one.job for one in again] == [one.job for one in made]


async def test_an_outage_that_lasts_stops_the_benchmark(tmp_path: Path) -> None:
    path, settings = tmp_path / "runs.jsonl", replace(settings_in(tmp_path), techniques=("react",))
    model = ScriptedModel(Outage(1, 99))
    with pytest.raises(ModelError, match=r"the key expired \(3 runs in a row .* the same command goes on"):
        await ask(Capitals(), model, settings, Runs(path))
    assert len(model.requests) == 4
    made = await ask(Capitals(), ScriptedModel(Outage(99, 0)), settings, Runs(path))
    assert [one.status for one in made] == ["answered"] * 6


async def test_runs_that_fail_again_as_they_did_are_no_outage(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    settings = replace(settings_in(tmp_path), techniques=("react",), repeats=4)

    def too_long(request: Any) -> Any:
        return ModelError("too long") if "of no" in str(request.messages) else "Answer: A"

    first = await ask(Capitals(), ScriptedModel(too_long), settings, Runs(path))
    # Now they are the only ones left, four in a row.
    model = ScriptedModel(too_long)
    again = await ask(Capitals(), model, settings, Runs(path))
    assert len(model.requests) == 4
    assert [one.status for one in again] == [one.status for one in first]


def test_records_hold_any_text_and_drop_half_a_character(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs.jsonl")
    runs.add(run("llmorch", "a", answer="\ud83d caf\u00e9"))
    with runs.path.open("ab") as file:
        file.write(b'{"job": "caf\xc3')
    assert [one.answer for one in Runs(runs.path).all] == ["\ud83d caf\u00e9"]


@pytest.mark.parametrize("line", ["null", "5", "[1, 2]", '"x"', "{}", '{"job": []}', "[" * 100_000])
def test_a_line_that_is_no_record_is_dropped(tmp_path: Path, line: str) -> None:
    runs = Runs(tmp_path / "runs.jsonl")
    runs.path.write_text(f"{line}\n", encoding="utf-8")
    runs.add(run("llmorch", "a"))
    assert [one.job.question for one in Runs(runs.path).all] == ["a"]
