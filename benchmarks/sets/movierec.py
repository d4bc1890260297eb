"""MovieRec: which of four movies is most like four others; eight searches at a time, then the model.

``search`` stands in for a movie site: it knows how popular a movie is and, if asked, what its
viewers also liked, by the cosine between the ratings that two movies got from the same viewers.
"""

from __future__ import annotations

import asyncio
import difflib
import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.questions import DataMissing, Question, QuestionSet, records_of, rows_of
from benchmarks.sets.answers import chosen, plain, words
from llmorch import function

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

PUBLISHED = "MovieRec is movie_recommendation of BIG-bench, https://github.com/google/BIG-bench (Apache-2.0)"
RATED = "ml-latest-small is published at https://grouplens.org/datasets/movielens (not for commercial use)"
MOST_SIMILAR = 50
"""Movies that a search may be asked to name besides its own."""
ALIKE = 0.8
"""From here on a title is taken for another one, misspelled."""
LONGEST = 200
"""Characters of a title that is searched for; longer ones are nobody's spelling."""
POPULAR = ((0.15, "very popular"), (0.06, "popular"), (0.01, "known to few"))
"""Shares of all viewers, from which on a movie is called so."""

_ARTICLES = "The|An?|Le|La|Les|El|Il|Lo|Los|Las|Der|Die|Das|Un|Une|Una"
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
    files = (folder / "movies.csv", folder / "ratings.csv")
    movies = _movies(folder, tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in files))

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
    return index is not None and _spelled(options[index]) == _spelled(question.answer)


SET = QuestionSet("movierec", 8, questions, functions, right)


def options_of(text: str) -> list[str]:
    """The options that a question lists under "Options:", without (A), 1. or a dash before them."""
    listed = [line.strip() for line in text.partition("Options:")[2].splitlines()]
    options = [line for line in listed if line]
    return [_MARK.sub("", line, count=1) for line in options] if all(map(_MARK.match, options)) else options


def option_chosen(text: str, options: list[str], answer: Any) -> int | None:
    """Which option an answer chooses, by its index."""
    liked = text.partition("Options:")[0].partition("similar to")[2].strip()
    others = [part for part in (liked, *liked.split(", ")) if _spelled(part) not in map(_spelled, options)]
    said = re.sub(r"\s*\((?:19|20)\d\d\)", "", plain(answer))
    forms = [(option, _spelled(option)) for option in options]
    index = chosen(said, forms, asked="Which movie is the most similar?", others=others)
    if index is None and (mark := _LETTER.match(said)):
        at = int(mark[1]) - 1 if mark[1].isdigit() else ord(mark[1].lower()) - ord("a")
        index = at if 0 <= at < len(options) else None
    return index


@dataclass(frozen=True)
class Movie:
    """A movie, the other titles that it goes by, and its viewers' ratings."""

    title: str
    year: str = ""
    genres: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    ratings: Mapping[str, float] = field(default_factory=dict, repr=False)


class Movies:
    """Movies by their titles, and by what they have in common with others."""

    def __init__(self, movies: Sequence[Movie]) -> None:
        self._movies = movies
        self._by_title: dict[str, list[int]] = defaultdict(list)
        for number, movie in enumerate(movies):
            for title in {_spelled(title) for title in (movie.title, *movie.others)}:
                self._by_title[title].append(number)
        for found in self._by_title.values():  # of several with one title people mean the known one
            found.sort(key=lambda number: -len(movies[number].ratings))
        self._joined = {title.replace(" ", ""): title for title in self._by_title}
        # A movie's ratings are as long as 1, so that a product of two movies' is their cosine.
        seen: dict[str, list[int]] = defaultdict(list)
        given: dict[str, list[float]] = defaultdict(list)
        for number, movie in enumerate(movies):
            length = math.hypot(*movie.ratings.values()) or 1.0
            for viewer, rating in movie.ratings.items():
                seen[viewer].append(number)
                given[viewer].append(rating / length)
        self._seen = {viewer: np.array(numbers) for viewer, numbers in seen.items()}
        self._given = {viewer: np.array(ratings) for viewer, ratings in given.items()}

    def find(self, title: str) -> int | None:
        """The movie of a title: of the year in it, if there is one, or nearly of that title."""
        year = re.search(r"\((\d{4})\)\s*$", title)
        spelled = _spelled(title[: year.start()] if year else title)[:LONGEST]
        joined = spelled.replace(" ", "")
        found = self._by_title.get(spelled) or self._by_title.get(self._joined.get(joined, ""))
        if found is None and joined:
            near = difflib.get_close_matches(spelled, self._by_title, n=1, cutoff=ALIKE)
            found = self._by_title[near[0]] if near else None
        if not found:
            return None
        return next((number for number in found if year and self._movies[number].year == year[1]), found[0])

    def also_liked(self, number: int, most: int) -> list[Movie]:
        """The movies most rated alike by the same viewers, the nearest first."""
        rated = self._movies[number].ratings
        if not rated:
            return []
        cosines = np.bincount(
            np.concatenate([self._seen[viewer] for viewer in rated]),
            np.concatenate([self._given[viewer] * rating for viewer, rating in rated.items()]),
            len(self._movies),
        )
        cosines[number] = 0.0
        nearest = np.argsort(-cosines, kind="stable")[:most]
        return [self._movies[other] for other in nearest if cosines[other] > 0]

    def described(self, title: str, similar: int = 0) -> str:
        """What a search answers: a line about one movie.

        It is short by default and says in words how popular a movie is: a model of 1.5 billion
        parameters that reads lists of similar movies answers with one of those, and makes little
        of numbers of viewers. A title that is nowhere is an answer as well, for a question may
        be clear without it.
        """
        if not 0 <= similar <= MOST_SIMILAR:
            raise ValueError(f"similar is a number of movies, from 0 to {MOST_SIMILAR}, not {similar}")
        number = self.find(title)
        if number is None:
            return f"No movie called {title[:LONGEST]!r} is known."
        movie = self._movies[number]
        share = len(movie.ratings) / max(len(self._seen), 1)
        popularity = next((called for least, called in POPULAR if share >= least), "almost unknown")
        same = len(self._by_title[_spelled(movie.title)]) > 1  # then the year tells them apart
        called = f"{movie.title} ({movie.year})" if same and movie.year else movie.title
        text = f"{called}: {', '.join(movie.genres) or 'no genre'}; {popularity}."
        also = "; ".join(other.title for other in self.also_liked(number, similar))
        return f"{text} Its viewers also liked: {also}." if also else text


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
        called = _natural(re.sub(r"\s*\([^()]*\)", "", called) or called)
        kinds = tuple(kind for kind in genres.split("|") if not kind.startswith("("))
        others = tuple(map(_natural, aliases))
        movies.append(Movie(called, year[1] if year else "", kinds, others, ratings.get(key, {})))
    return Movies(movies)


def _natural(title: str) -> str:
    """A title as it is said: "The Matrix" for "Matrix, The"."""
    return re.sub(rf"^(.*), ({_ARTICLES})$", r"\2 \1", title)


def _spelled(title: str) -> str:
    """What the spellings of a title have in common; some questions' UTF-8 was once read as Latin-1: "LÃ©on"."""
    try:
        repaired = title.encode("latin-1").decode("utf-8")
    except UnicodeError:
        repaired = title
    return " ".join(words(re.sub(r"\s*&\s*", " and ", repaired))) or title.casefold().strip()
