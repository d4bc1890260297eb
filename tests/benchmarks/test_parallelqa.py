"""ParallelQA: what its searches find, and which answers it takes for right."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.questions import Question
from benchmarks.sets import parallelqa

WORK = Path("unused")


def test_parallelqa_reads_its_questions_and_what_they_name(parallel_data: Path) -> None:
    first, second = parallelqa.SET.questions(parallel_data)
    assert first.details == {"branch": 2, "names": ["Weser Trench", "Elbe Trench"]}
    assert (second.id, second.answer) == ("2", 12.5)


def test_parallelqa_searches_the_first_words_and_says_when_there_are_more(parallel_data: Path) -> None:
    search, _ = parallelqa.SET.functions(parallel_data, WORK)
    assert asyncio.run(search("elbe trench")) == "Elbe Trench: It is 800 metres deep."
    assert asyncio.run(search("Elbe Trensh", 2)) == (
        "Elbe Trench: It is [... only the first 2 of 5 words are shown: k=2]"
    )
    cut = asyncio.run(search("Weser Trench"))
    assert cut.endswith("[... only the first 500 of 605 words are shown: k=500]")
    assert "1,200" not in cut
    assert asyncio.run(search("Weser Trench", 1000)).endswith("It is 1,200 metres deep.")
    with pytest.raises(ValueError, match="at least 1"):
        asyncio.run(search("Weser Trench", 0))


def test_parallelqa_takes_numbers_within_a_tenth_and_names() -> None:
    number = Question("1", "How deep?", "5,931.80")
    name = Question("2", "Which is deeper?", "Weser Trench", {"names": ["Elbe Trench", "Weser Trench"]})
    for answer in ("5931.8", 5931.8, "It is 6000 metres.", "12000 - 6000 = 6000"):
        assert parallelqa.SET.right(number, answer, WORK)
    for answer in ("5000", "", None, "deep", "5931.8 - 100 = 5000", True):
        assert not parallelqa.SET.right(number, answer, WORK)
    for answer in ("weser trench", "The Weser Trench is deeper than the Elbe Trench.", "Weser"):
        assert parallelqa.SET.right(name, answer, WORK)
    for answer in ("Elbe Trench", "Weser Trench: 1200. Elbe Trench: 800.", "1200", None):
        assert not parallelqa.SET.right(name, answer, WORK)
