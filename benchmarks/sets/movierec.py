"""MovieRec: which of four movies is most like four others; eight searches at a time, then the model.

``search`` stands in for a movie site: it knows how popular a movie is and, if asked, what its
viewers also liked, by the cosine between the ratings that two movies got from the same viewers.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from benchmarks.questions import DataMissing, Question, QuestionSet, records_of, rows_of
from benchmarks.sets.answers import chosen, plain
from examples.tools.movies import Movie, Movies, natural, spelled
from llmorch import function

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PUBLISHED = "MovieRec is movie_recommendation of BIG-bench, https://github.com/google/BIG-bench (Apache-2.0)"
RATED = "ml-latest-small is published at https://grouplens.org/datasets/movielens (not for commercial use)"

_MARK = re.compile(r"(?:\(?[A-Da-d1-9][).:]|[-*\u2022])\s+(?=\S)")
_LETTER = re.compile(
    r"\W*(?:(?:the )?answer(?: is)?\W*)?(?:option\W*)?\(?([A-Za-z]|\d)(?:[).:]|\s*$)", re.IGNORECASE
)


def questions(data: Path) -> list[Question]:
    """Every question, its options in one line; its details have them and what was asked, as it was."""
    path = data / "movierec" / "questions.json"
    found = []
    for number, item in enumerate(records_of(path, PUBLISHED, question=str, answer=str), 1):
        options = options_of(item["question"])
        if not options:
            raise DataMissing(f"{path}: record {number} has no options; {PUBLISHED}")
        asked = item["question"].partition("Options:")[0].strip()
        details = {"options": options, "asked": item["question"]}
        text = f"{asked}. Options: {'; '.join(options)}"
        found.append(Question(str(item.get("id", number)), text, item["answer"], details))
    return found


def functions(data: Path, work: Path, delay: float = 0.0) -> list[Callable[..., Any]]:
    """``search``, over all movies with ratings."""
    folder = data / "movielens"
    movies = _movies(folder, tuple(path.stat().st_mtime_ns for path in sorted(folder.glob("*.csv"))))

    @function(kind="inout", pure=True)
    async def search(title: str, similar: int = 0) -> str:
        """Search a movie and obtain its genres and how popular it is.

        Args:
            title: The title of one movie.
            similar: How many movies to name that the same viewers liked.
        """
        await asyncio.sleep(delay)
        return movies.described(title, similar)

    return [search]


def right(question: Question, answer: Any, work: Path) -> bool:
    """Whether an answer chooses the right option, by title or by its letter or number.

    Case, articles, punctuation and the year don't matter; where several options are
    named, ``answers.chosen`` says which is chosen, if any.
    """
    asked = question.details.get("asked", question.text)
    options = options_of(asked)
    index = option_chosen(asked, options, answer)
    return index is not None and spelled(options[index]) == spelled(question.answer)


SET = QuestionSet("movierec", 8, questions, functions, right)


def options_of(text: str) -> list[str]:
    """The options that a question lists under "Options:", without (A), 1. or a dash before them."""
    listed = [line.strip() for line in text.partition("Options:")[2].splitlines()]
    options = [line for line in listed if line]
    return [_MARK.sub("", line, count=1) for line in options] if all(map(_MARK.match, options)) else options


def option_chosen(text: str, options: list[str], answer: Any) -> int | None:
    """Which option an answer chooses, by its index."""
    liked = text.partition("Options:")[0].partition("similar to")[2].strip()
    others = [part for part in (liked, *liked.split(", ")) if spelled(part) not in map(spelled, options)]
    said = re.sub(r"\s*\((?:19|20)\d\d\)", "", plain(answer))
    forms = [(option, spelled(option)) for option in options]
    index = chosen(said, forms, asked="Which movie is the most similar?", others=others)
    if index is None and (mark := _LETTER.match(said)):
        at = int(mark[1]) - 1 if mark[1].isdigit() else ord(mark[1].lower()) - ord("a")
        index = at if 0 <= at < len(options) else None
    return index


@lru_cache(maxsize=1)
def _movies(folder: Path, changed: tuple[int, ...]) -> Movies:
    """The movies and ratings of a folder, read once as long as they stay as they are."""
    ratings: dict[str, dict[str, float]] = defaultdict(dict)
    for viewer, key, rating in rows_of(folder / "ratings.csv", RATED, "userId", "movieId", "rating"):
        try:
            ratings[key][viewer] = float(rating)
        except ValueError:
            raise DataMissing(f"{folder / 'ratings.csv'}: {rating!r} is no rating; {RATED}") from None
    movies = []
    for key, title, genres in rows_of(folder / "movies.csv", RATED, "movieId", "title", "genres"):
        year = re.search(r"\s*\((\d{4})\)\s*$", title)
        called = title[: year.start()] if year else title.strip()
        aliases = [re.sub(r"^a\.?k\.?a\.? ", "", other) for other in re.findall(r"\(([^()]+)\)", called)]
        called = natural(re.sub(r"\s*\([^()]*\)", "", called) or called)
        kinds = tuple(kind for kind in genres.split("|") if not kind.startswith("("))
        others = tuple(map(natural, aliases))
        movies.append(Movie(called, year[1] if year else "", kinds, others, ratings.get(key, {})))
    return Movies(movies)
