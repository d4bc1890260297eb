"""What every question set has: data that may be missing, and examples that are plans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.questions import DataMissing
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
