"""A little data for each question set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

ASKED = "Find a movie similar to Red, Blue, Red, White & Blue, Green Sea\nOptions:\nThe Mill\nMill House\n1984\nBlack"


@pytest.fixture
def hotpot_data(tmp_path: Path) -> Path:
    folder = tmp_path / "hotpotqa"
    folder.mkdir()
    pages = [
        {"title": "Mill", "text": "A mill grinds. " * 200},
        {"title": "Heat (film)", "text": "Heat is a film."},
        {"title": "Heat (song)", "text": "Heat is a song."},
    ]
    (folder / "pages.jsonl").write_text("\n".join(map(json.dumps, pages)))
    asked = {"id": "a", "question": " Is it  hot? ", "answer": "yes", "gold_titles": ["Mill", "Heat (film)"]}
    (folder / "questions.json").write_text(json.dumps([asked, {"question": "Or?", "answer": "no"}]))
    return tmp_path


@pytest.fixture
def movie_data(tmp_path: Path) -> Path:
    movies = [
        "1,Red (1990),Drama",
        "2,Blue (1991),Drama|Comedy",
        '3,"Mill, The (Moulin, Le) (1992)",Drama',
        "4,Far (1993),(no genres listed)",
        "5,Unrated: The Film (1994),Comedy",
        "6,Red (1950),War",
        "7,L.A. Léon (1995),Crime",
    ]
    ratings = {
        "u": {1: 5, 2: 5, 3: 4},
        "v": {1: 4, 2: 5, 3: 4},
        "w": {1: 3, 4: 5, 6: 1},
        "x": {7: 5, 4: 2},
    }
    rows = [f"{user},{movie},{stars},0" for user, given in ratings.items() for movie, stars in given.items()]
    for folder, name, lines in (
        ("movielens", "movies.csv", ["movieId,title,genres", *movies]),
        ("movielens", "ratings.csv", ["userId,movieId,rating,timestamp", *rows]),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "movierec").mkdir()
    asked = [{"id": 7, "question": f"{ASKED}\n", "answer": "Mill House"}]
    (tmp_path / "movierec" / "questions.json").write_text(json.dumps(asked))
    return tmp_path


@pytest.fixture
def parallel_data(tmp_path: Path) -> Path:
    folder = tmp_path / "parallelqa"
    folder.mkdir()
    pages = [
        {"title": "Weser Trench", "text": f"{'Deep words. ' * 300}It is 1,200 metres deep."},
        {"title": "Elbe Trench", "text": "It is 800 metres deep."},
    ]
    asked = [
        {
            "id": 83,
            "question": "Which of Weser Trench's and the Elbe trench?",
            "answer": "Weser Trench",
            "branch": 2,
        },
        {"question": "How deep?", "answer": 12.5},
    ]
    (folder / "pages.json").write_text(json.dumps(pages))
    (folder / "questions.json").write_text(json.dumps(asked))
    return tmp_path
