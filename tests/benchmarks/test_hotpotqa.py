"""HotpotQA: what its searches find, and which answers it takes for right."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from benchmarks.questions import Question
from benchmarks.sets import hotpotqa

WORK = Path("unused")


def hotpot(text: str, answer: str, *titles: str) -> Question:
    return Question("1", text, answer, {"titles": titles})


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        (
            hotpot("Are Ute Hagen and Udo Field both painters?", "yes", "Ute Hagen", "Udo Field (painter)"),
            ["yes", "Yes, both are painters.", "Both paint. So the answer is yes."],
            ["no", "No, both are not painters.", "Ute Hagen", "Yes/No", "", None],
        ),
        (
            hotpot("Are Ute Hagen and Udo Field both painters?", "no", "Ute Hagen", "Udo Field (painter)"),
            ["no", "No, only Ute Hagen is."],
            ["yes", "Yes, no doubt.", "Not known.", "No information is given."],
        ),
        (
            hotpot(
                "Who was born first, Ute Hagen or Udo Field?", "Ute Maria Hagen", "Ute Hagen", "Udo Field"
            ),
            [
                "Ute Hagen",
                "Ute Maria Hagen",
                "Hagen",
                "Ute Hagen was born first.",
                "Hagen (1950), before Field.",
            ],
            ["Udo Field", "Ute Hagen and Udo Field", "Ute Hagen was born after Udo Field.", "1950"],
        ),
        (
            hotpot(
                "Which is by the sea, the Altstadt or the Neustadt?",
                "Neustadt is a port",
                "Altstadt",
                "Neustadt",
            ),
            ["Neustadt", "The Neustadt.", "Neustadt is by the sea, unlike Altstadt."],
            ["Altstadt", "Altstadt, not Neustadt", "Both"],
        ),
        (
            hotpot(
                "Which company is larger, Hagen Inc. or Field AG?", "Hagen, Inc.", "Hagen", "Field (company)"
            ),
            ["Hagen Inc.", "Hagen", "Hagen Inc. is larger than Field AG."],
            ["Field AG", "Field AG is larger than Hagen Inc.", "Hagen Inc. or Field AG"],
        ),
        (
            hotpot("Of Ute Hagen and Udo Field, who painted more?", "Field", "Ute Hagen", "Udo Field"),
            ["Udo Field", "Field", "Udo Field painted more than Ute Hagen."],
            ["Ute Hagen", "Ute Hagen painted more than Udo Field."],
        ),
        (
            hotpot("Which is black, Cat v. Dog or The State v. Ant, Inc.?", "Cat v. Dog"),
            ["Cat v. Dog", "Cat v. Dog is black."],
            ["The State v. Ant, Inc.", "The State v. Ant, Inc. is black, Cat v. Dog is not."],
        ),
        (
            hotpot(
                "How many more titles did Hagen win than Field?", "three titles", "Ute Hagen", "Udo Field"
            ),
            ["3", "Three.", "Hagen won 3 more titles"],
            ["4", "none", "Hagen"],
        ),
        (
            hotpot("When was the earlier one shot?", "1968", "Cat", "Dog"),
            ["1968", "It was shot in 1968.", "12 May 1968", "1968. Dog was shot in 1970."],
            ["1967", "2000", "in the past", "in the 1960s"],
        ),
        (
            hotpot("When was the older one born?", "12 May 1985", "Ute Hagen", "Udo Field"),
            ["May 12, 1985", "She was born on the 12th of May 1985.", "**May 12th, 1985**"],
            ["12 March 1920", "June 3, 1931", "12 June 1985", "13 May 1985", "May 1985", "1985", None],
        ),
        (
            hotpot("When was the band active?", "1985-1990", "Cat", "Dog"),
            ["1985\u20131990", "from 1985 to 1990"],
            ["1800", "1985", "1985-1991"],
        ),
        (
            hotpot("When was it made?", "c. 1985", "Cat", "Dog"),
            ["1985", "around 1985"],
            ["1820", "1984"],
        ),
        (
            hotpot("How many people came?", "1,985", "Cat", "Dog"),
            ["1985", "about 2000"],
            ["1700"],
        ),
        (
            hotpot("What are both Hagen and Field?", "film director", "Ute Hagen", "Udo Field"),
            ["film directors", "Both are directors of films", "Each is a film director."],
            ["actors", "film critics", "director", ""],
        ),
    ],
    ids=lambda value: value.text if isinstance(value, Question) else "",
)
def test_hotpotqa_takes_answers_in_sentences_but_none_that_leave_it_open(
    question: Question, right: list[Any], wrong: list[Any]
) -> None:
    assert hotpotqa.SET.right(question, question.answer, WORK)
    assert [answer for answer in right if not hotpotqa.SET.right(question, answer, WORK)] == []
    assert [answer for answer in wrong if hotpotqa.SET.right(question, answer, WORK)] == []


def test_hotpotqa_reads_its_questions(hotpot_data: Path) -> None:
    assert hotpotqa.SET.questions(hotpot_data) == [
        Question("a", "Is it hot?", "yes", {"titles": ["Mill", "Heat (film)"]}),
        Question("2", "Or?", "no", {"titles": []}),
    ]


def test_hotpotqa_searches_a_page_of_bounded_length_and_names_those_called_alike(hotpot_data: Path) -> None:
    (search,) = hotpotqa.SET.functions(hotpot_data, WORK)
    found = asyncio.run(search("mill"))
    assert found.startswith("Mill: A mill grinds.")
    assert len(found.split()) < hotpotqa.MOST_WORDS + 10
    assert asyncio.run(search("Heat")) == "Heat (film): Heat is a film. (See also: Heat (song).)"
    with pytest.raises(LookupError, match="nothing found for 'Zzyzx'"):
        asyncio.run(search("Zzyzx"))
