"""The example of a place keeps what the port promises."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.register_assert_rewrite("llmorch.testing.places")

from llmorch import Orchestrator, Processors  # noqa: E402
from llmorch.declare.functions import declaration_of  # noqa: E402
from llmorch.places.files import load_file  # noqa: E402
from llmorch.testing import RecordedModel, ScriptedModel  # noqa: E402
from llmorch.testing.places import PlaceContract, value_of, with_place  # noqa: E402
from tests.examples.loading import EXAMPLES, load  # noqa: E402
from tests.examples.record import RECORDED, orchestrator_for, query_of  # noqa: E402

FILE = EXAMPLES / "fresh_interpreter" / "place.py"
place = load(FILE)


class TestFreshInterpreter(PlaceContract):
    def place(self):
        return place.FreshInterpreter()

    @with_place
    async def test_what_a_function_prints_is_no_answer(self, made) -> None:
        def loud(value: int) -> int:
            print("not the answer")
            return value

        assert await value_of(made, declaration_of(loud), value=1) == 1

    def test_it_takes_less_than_a_hundred_lines(self) -> None:
        assert len(Path(FILE).read_text(encoding="utf-8").splitlines()) < 100


@pytest.mark.anyio
async def test_the_seo_audit_runs_in_it() -> None:
    async with (
        Processors(2, place=place.FreshInterpreter()) as processors,
        orchestrator_for(
            "seo_audit", RecordedModel(RECORDED / "seo_audit.jsonl"), processors
        ) as orchestrator,
    ):
        result = await orchestrator.run(query_of("seo_audit"))
    assert (result.status, result.error) == ("answered", None)
    assert [call.status for call in result.calls] == ["completed"] * 5
    assert len(result.answer.split()) > 30


@pytest.mark.anyio
async def test_functions_of_files_that_were_loaded_by_path_are_found_there(tmp_path) -> None:
    found = []
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "same_name.py"
        file.write_text(
            f"from llmorch import function\n@function\ndef where_{folder}() -> str: return {folder!r}\n"
        )
        found.append(getattr(load_file(file), f"where_{folder}"))
    async with Processors(1, place=place.FreshInterpreter()) as processors:
        made = Orchestrator(found, model=ScriptedModel([]), processors=processors, learn=False)
        result = await made.execute("s1 = where_one()\ns2 = where_other()")
    assert [(call.result, call.error) for call in result.calls] == [("one", None), ("other", None)]
