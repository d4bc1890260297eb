"""Pages that the question sets search, and the files that records are read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.questions import DataMissing, records_of
from examples.tools.pages import Page, Pages

if TYPE_CHECKING:
    from pathlib import Path

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


def test_records_say_which_file_is_wrong_and_where_it_is_published(tmp_path: Path) -> None:
    def reason(path: Path) -> str:
        with pytest.raises(DataMissing) as raised:
            records_of(path, "see example.org", title=str)
        assert "\n" not in str(raised.value)
        assert str(path) in str(raised.value)
        assert "see example.org" in str(raised.value)
        return str(raised.value)

    broken, lines = tmp_path / "broken.json", tmp_path / "lines.jsonl"
    assert "No such file" in reason(tmp_path / "none.json")
    assert "directory" in reason(tmp_path)
    broken.write_bytes(b"\xff\xfe")
    assert "UTF-8" in reason(broken)
    broken.write_text("[1,")
    assert "JSON" in reason(broken)
    for text in ("{}", "[]", "null"):
        broken.write_text(text)
        assert "list of records" in reason(broken)
    broken.write_text('[{"title": "a"}, {"title": 1}]')
    assert "record 2 has no 'title'" in reason(broken)
    lines.write_text('{"title": "a\u2028b"}\n\n{"title": "c"}\n', encoding="utf-8")
    assert [item["title"] for item in records_of(lines, "", title=str)] == ["a\u2028b", "c"]
