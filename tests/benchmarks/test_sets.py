"""What every question set has: data that may be missing, and examples that are plans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.questions import DataMissing, records_of
from benchmarks.sets import hotpotqa, movierec, parallelqa
from llmorch.declare.offered import as_functions, self_function
from llmorch.plan import check, parse, with_answer
from llmorch.techniques.examples import parse_examples

SETS = (hotpotqa.SET, movierec.SET, parallelqa.SET)

WORK = Path("unused")


@pytest.mark.parametrize("questions", SETS, ids=lambda one: one.name)
def test_a_folder_without_the_data_is_one_clear_line(questions: Any, tmp_path: Path) -> None:
    for ask in (questions.questions, lambda data: questions.functions(data, data)):
        with pytest.raises(DataMissing, match=r"No such file.*published|No such file.*https") as raised:
            ask(tmp_path)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("questions", "data"),
    [(hotpotqa.SET, "hotpot_data"), (movierec.SET, "movie_data"), (parallelqa.SET, "parallel_data")],
    ids=["hotpotqa", "movierec", "parallelqa"],
)
def test_the_examples_are_plans_that_could_run_and_use_every_result(
    questions: Any, data: str, request: pytest.FixtureRequest
) -> None:
    functions = as_functions(
        [*questions.functions(request.getfixturevalue(data), WORK), self_function("inout")]
    )
    examples = parse_examples(questions.examples.read_text(encoding="utf-8"), name=questions.name)
    assert 3 <= len(examples) <= 6
    for example in examples:
        # A plan may leave its ends loose, and is then given the call that reads them.
        plan = with_answer(check(parse(example.plan), functions), functions, example.query)
        used = {name for call in plan.calls for name in call.uses}
        assert {call.id for call in plan.calls} - used == {plan.calls[-1].id}, example.query


def test_records_say_which_file_is_wrong_and_where_it_is_published(tmp_path: Path) -> None:
    def reason(path: Path) -> str:
        with pytest.raises(DataMissing) as raised:
            records_of(path, "see example.org", title=str)
        assert "\n" not in str(raised.value)
        assert str(path) in str(raised.value)
        assert "see example.org" in str(raised.value)
        return str(raised.value)

    broken, lines = tmp_path / "broken.json", tmp_path / "lines.jsonl"
    assert "No such file" in reason(tmp_path / "none.json")
    assert "directory" in reason(tmp_path)
    broken.write_bytes(b"\xff\xfe")
    assert "UTF-8" in reason(broken)
    broken.write_text("[1,")
    assert "JSON" in reason(broken)
    for text in ("{}", "[]", "null"):
        broken.write_text(text)
        assert "list of records" in reason(broken)
    broken.write_text('[{"title": "a"}, {"title": 1}]')
    assert "record 2 has no 'title'" in reason(broken)
    lines.write_text('{"title": "a\u2028b"}\n\n{"title": "c"}\n', encoding="utf-8")
    assert [item["title"] for item in records_of(lines, "", title=str)] == ["a\u2028b", "c"]
