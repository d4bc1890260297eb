"""Pages of text, found by their titles and then by their words.

Decides which page a query means. It must not know of any question set.
"""

from __future__ import annotations

import difflib
import html
import re
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from examples.tools.words import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ALIKE = 0.84
"""From here on a title is taken for the query's, misspelled."""
MAX_MISSPELLED = 60
"""Characters: nobody misspells a whole paragraph into a title."""
TITLE_WEIGHT = 5.0
"""What a word in the title counts for, when one in the text counts for 1."""


class Page(NamedTuple):
    """A title and a text."""

    title: str
    text: str


class Pages:
    """Pages in memory, with SQLite's full-text index over titles and texts."""

    def __init__(self, pages: Iterable[Page]) -> None:
        self._pages = [Page(html.unescape(page.title), page.text) for page in pages]
        self._by_title: dict[str, list[int]] = {}
        self._by_name: dict[str, list[int]] = {}
        for number, page in enumerate(self._pages):
            self._by_title.setdefault(_key(page.title), []).append(number)
            self._by_name.setdefault(_key(name_of(page.title)), []).append(number)
        self._longest = max((len(name.split()) for name in self._by_name), default=0)
        # Whoever searches does so from one thread, but that need not be the one that loads.
        self._index = sqlite3.connect(":memory:", check_same_thread=False)
        self._index.execute("CREATE VIRTUAL TABLE pages USING fts5(title, text)")
        rows = ((number, *page) for number, page in enumerate(self._pages))
        self._index.executemany("INSERT INTO pages (rowid, title, text) VALUES (?, ?, ?)", rows)

    def find(self, query: str, *, limit: int = 3) -> list[Page]:
        """The pages that a query means, the best first, all found in the same way; ``[]`` if none.

        In this order: a page of that title, of that title without what stands in
        parentheses, whose title is in the query, with every word of the query in the title,
        with a title that is nearly the query, with every word in title or text, with any.
        """
        key = _key(query)
        if not key:
            return []
        tokens = re.findall(r"[^\W_]+", query)
        found: Sequence[int] = (
            self._by_title.get(key)
            or self._by_name.get(key)
            or self._by_name.get(_key(name_of(query)))
            or self._named_in(key)
            or self._matching(tokens, "AND", limit, "title")
            or self._misspelled(key)
            or self._matching(tokens, "AND", limit)
            or self._matching(tokens, "OR", limit)
        )
        return [self._pages[number] for number in found[:limit]]

    def _named_in(self, key: str) -> list[int]:
        """Pages whose titles are in the query, the longest title first."""
        asked = key.split()
        named = {
            " ".join(asked[start : start + size])
            for size in range(1, min(self._longest, len(asked)) + 1)
            for start in range(len(asked) - size + 1)
        }
        # A title of one word in a long query is mostly just a word.
        titles = [name for name in named & self._by_name.keys() if " " in name or len(asked) <= 2]
        return [number for name in sorted(titles, key=len, reverse=True) for number in self._by_name[name]]

    def _misspelled(self, key: str) -> list[int]:
        if not 3 < len(key) <= MAX_MISSPELLED:
            return []
        names = difflib.get_close_matches(key, self._by_name, cutoff=ALIKE)
        return [number for name in names for number in self._by_name[name]]

    def _matching(self, tokens: Sequence[str], operator: str, limit: int, column: str = "") -> list[int]:
        """Best matches in the full-text index; every token is quoted, so no query is a syntax error."""
        if not tokens:  # an underscore alone
            return []
        asked = f" {operator} ".join(f'"{token}"' for token in tokens)
        rows = self._index.execute(
            "SELECT rowid FROM pages WHERE pages MATCH ? ORDER BY bm25(pages, ?, 1.0), rowid LIMIT ?",
            (f"{column} : ({asked})" if column else asked, TITLE_WEIGHT, limit),
        )
        return [number for (number,) in rows]


def name_of(title: str) -> str:
    """A title without what tells it from others: "Heat" for "Heat (magazine)"."""
    return re.sub(r"\s*\([^()]*\)\s*$", "", title) or title


def _key(title: str) -> str:
    """What two spellings of a title have in common; a title of articles alone keeps them."""
    return " ".join(words(title) or re.findall(r"\w+", title.casefold()))
