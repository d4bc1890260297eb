"""Movies by their titles: how popular each is, and what its viewers also liked.

The likeness of two movies is the cosine between the ratings that they got from the same viewers.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from examples.tools.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_SIMILAR = 50
"""Movies that a search may be asked to name besides its own."""
ALIKE = 0.8
"""From here on a title is taken for another one, misspelled."""
LONGEST = 200
"""Characters of a title that is searched for; longer ones are nobody's spelling."""
POPULAR = ((0.15, "very popular"), (0.06, "popular"), (0.01, "known to few"))
"""Shares of all viewers, from which on a movie is called so."""

_ARTICLES = "The|An?|Le|La|Les|El|Il|Lo|Los|Las|Der|Die|Das|Un|Une|Una"


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
            for title in {spelled(title) for title in (movie.title, *movie.others)}:
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
        name = spelled(title[: year.start()] if year else title)[:LONGEST]
        joined = name.replace(" ", "")
        found = self._by_title.get(name) or self._by_title.get(self._joined.get(joined, ""))
        if found is None and joined:
            near = difflib.get_close_matches(name, self._by_title, n=1, cutoff=ALIKE)
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
        same = len(self._by_title[spelled(movie.title)]) > 1  # then the year tells them apart
        called = f"{movie.title} ({movie.year})" if same and movie.year else movie.title
        text = f"{called}: {', '.join(movie.genres) or 'no genre'}; {popularity}."
        also = "; ".join(other.title for other in self.also_liked(number, similar))
        return f"{text} Its viewers also liked: {also}." if also else text


def natural(title: str) -> str:
    """A title as it is said: "The Matrix" for "Matrix, The"."""
    return re.sub(rf"^(.*), ({_ARTICLES})$", r"\2 \1", title)


def spelled(title: str) -> str:
    """What the spellings of a title have in common; some questions' UTF-8 was once read as Latin-1: "LÃ©on"."""
    try:
        repaired = title.encode("latin-1").decode("utf-8")
    except UnicodeError:
        repaired = title
    return " ".join(words(re.sub(r"\s*&\s*", " and ", repaired))) or title.casefold().strip()
