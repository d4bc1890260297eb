"""Pages that are searched."""

from __future__ import annotations

import pytest

from examples.tools.pages import Page, Pages

PAGES = Pages(
    [
        Page("Altstadt", "Altstadt is a town on the Weser, with a mill."),
        Page("Altstadt (film)", "Altstadt is a film about a mill."),
        Page("The Mill", "A song by The Millers."),
        Page("&quot;Quoted&quot;", "A title with entities."),
        Page("Béla Müller", "A composer who wrote The Mill."),
        Page("Weser", "The Weser is a river."),
    ]
)


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("Altstadt", "Altstadt"),
        ("altstadt film", "Altstadt (film)"),
        ("Altstadt (film)", "Altstadt (film)"),
        ("Altstadt (town)", "Altstadt"),
        ("mill", "The Mill"),
        ("Bela Muller", "Béla Müller"),
        ("Béla Mueller", "Béla Müller"),
        ("Quoted", '"Quoted"'),
        ("the composer Béla Müller", "Béla Müller"),
        ("composer wrote", "Béla Müller"),
        ("a river in Lower Saxony", "Weser"),
    ],
)
def test_a_page_is_found_by_title_then_by_misspelled_title_then_by_words(query: str, title: str) -> None:
    assert PAGES.find(query)[0].title == title


@pytest.mark.parametrize(
    "query",
    [
        '"',
        '"" OR',
        "NEAR(",
        "title:x",
        "*",
        "AND",
        "a AND OR NOT b",
        "x'; DROP TABLE pages",
        "(((",
        "^a",
        "-",
        "_",
    ],
)
def test_no_query_is_a_syntax_error(query: str) -> None:
    PAGES.find(query)


def test_what_is_nowhere_finds_nothing() -> None:
    assert PAGES.find("Zzyzx") == []
    assert PAGES.find("") == []
