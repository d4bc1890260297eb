"""MovieRec: what its searches find, and which answers it takes for right."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.questions import DataMissing, Question
from benchmarks.sets import movierec
from tests.benchmarks.conftest import ASKED

WORK = Path("unused")


def test_movierec_reads_its_questions_and_their_options(movie_data: Path) -> None:
    options = ["The Mill", "Mill House", "1984", "Black"]
    (question,) = movierec.SET.questions(movie_data)
    assert (question.id, question.answer, question.details["options"]) == ("7", "Mill House", options)
    assert question.text.endswith("Green Sea. Options: The Mill; Mill House; 1984; Black")
    assert movierec.SET.right(question, "Mill House", WORK)
    assert movierec.options_of("Similar?\nOptions:\n(A) Red\n(B) Blue") == ["Red", "Blue"]
    assert movierec.options_of("Similar?\nOptions:\nA. I. Love\nBlue") == ["A. I. Love", "Blue"]
    (movie_data / "movierec" / "questions.json").write_text('[{"question": "Which?", "answer": "a"}]')
    with pytest.raises(DataMissing, match="record 1 has no options"):
        movierec.SET.questions(movie_data)


def test_movierec_searches_a_line_about_a_movie_and_what_the_same_viewers_liked(movie_data: Path) -> None:
    (search,) = movierec.SET.functions(movie_data, WORK)
    assert asyncio.run(search("Blue")) == "Blue: Drama, Comedy; very popular."
    assert asyncio.run(search("unrated the film")) == "Unrated: The Film: Comedy; almost unknown."
    assert asyncio.run(search("unrated the film", 2)) == "Unrated: The Film: Comedy; almost unknown."
    line = "Red (1990): Drama; very popular."
    assert asyncio.run(search("Red", 3)) == f"{line} Its viewers also liked: Blue; The Mill; Red."
    assert asyncio.run(search("Red", 50)) == f"{line} Its viewers also liked: Blue; The Mill; Red; Far."
    for similar in (-1, 51):
        with pytest.raises(ValueError, match="from 0 to 50"):
            asyncio.run(search("Red", similar))


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("Red (1950)", "Red (1950)"),
        ("Mill, The (1992)", "The Mill"),
        ("le moulin", "The Mill"),
        ("LA Leon", "L.A. Léon"),
        ("LA LÃ©on", "L.A. Léon"),
        ("Unrated - The Flim", "Unrated: The Film"),
        ("UnratedTheFilm", "Unrated: The Film"),
        ("far", "Far"),
    ],
)
def test_movierec_finds_a_movie_however_its_title_is_spelled(
    movie_data: Path, title: str, found: str
) -> None:
    (search,) = movierec.SET.functions(movie_data, WORK)
    assert asyncio.run(search(title)).startswith(f"{found}: ")


@pytest.mark.parametrize("title", ["Zzyzx", "", "(1990)", "?" * 5000])
def test_movierec_says_so_when_no_movie_is_called_like_that(movie_data: Path, title: str) -> None:
    (search,) = movierec.SET.functions(movie_data, WORK)
    said = asyncio.run(search(title))
    assert re.fullmatch("No movie called .* is known.", said)
    assert len(said) < 250


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("movies.csv", "id,name\n", "columns"),
        ("ratings.csv", "userId,movieId,rating\nu,1,good\n", "'good' is no rating"),
        ("ratings.csv", "userId,movieId,rating\nu,1\n", "line 2"),
        ("movies.csv", "", "columns"),
    ],
)
def test_movierec_says_what_is_wrong_with_a_file(movie_data: Path, name: str, text: str, wrong: str) -> None:
    (movie_data / "movielens" / name).write_text(text)
    with pytest.raises(DataMissing, match=re.escape(name)) as raised:
        movierec.SET.functions(movie_data, WORK)
    assert wrong in str(raised.value)


@pytest.mark.parametrize(
    "answer",
    [
        "Mill House",
        "mill house (1999)",
        "The most similar movie is **Mill House**.",
        "Mill House, because The Mill is too old.",
        "Like Red, Blue, Red, White & Blue, Green Sea, viewers liked Mill House.",
        "B",
        "(B)",
        "Answer: B.",
        "B. Mill House",
        "2",
        "Option 2",
        "2) Mill House",
        "House",
        "The Mill is slow and Black is dark, so Mill House.",
        "Mill House, not The Mill",
    ],
)
def test_movierec_takes_the_right_option_by_title_letter_or_number(answer: str) -> None:
    assert movierec.SET.right(Question("7", ASKED, "Mill House"), answer, WORK)


@pytest.mark.parametrize(
    "answer",
    [
        "The Mill",
        "Mill",
        "1984",
        "A",
        "3",
        "E",
        "Red",
        "The Mill or Mill House",
        "Millhouse X",
        "Be kind",
        "",
        None,
    ],
)
def test_movierec_takes_no_other_option_and_no_two_of_them(answer: Any) -> None:
    assert not movierec.SET.right(Question("7", ASKED, "Mill House"), answer, WORK)
