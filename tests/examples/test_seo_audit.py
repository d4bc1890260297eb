"""The audit finds what is wrong with the stored pages, and nothing where nothing is."""

from __future__ import annotations

import pytest

from tests.examples.loading import EXAMPLES, load

SEO = load(EXAMPLES / "seo_audit" / "seo.py")
CON = load(EXAMPLES / "seo_audit" / "con.py")
python = load(EXAMPLES / "seo_audit" / "functions.py").python


def stored(name: str) -> str:
    return (EXAMPLES / "seo_audit" / "pages" / f"{name}.html").read_text(encoding="utf-8")


def test_the_audit_finds_the_planted_faults() -> None:
    failed = {what: found for passed, what, found in SEO.findings(stored("openai.com")) if not passed}
    assert failed == {
        "title": '"Home", 4 characters (30-60)',
        "meta description": "missing",
        "canonical": "http://openai.com/home",
        "viewport": "width=device-width, initial-scale=1, user-scalable=no",
        "language": "no lang attribute",
        "h1": '2 of them: "Tools that think along"',
        "heading order": "22 headings; h1 to h4, h1 to h3, h3 to h5, h2 to h4 skip a level; 1 empty",
        "alt texts": "7 of 11 images without, 3 empty or meaningless",
        "image sizes": "10 of 11 without width and height",
        "link targets": "2 over plain http, 3 lead nowhere, 2 to a missing anchor",
        "link texts": "11 empty or vague, such as 'click here'",
        "social preview": "no og:description, og:image",
        "structured data": "0 JSON-LD blocks",
        "blocking scripts": "2 in the head",
        "ids": "repeated: story",
    }


def test_a_page_without_faults_passes_every_check() -> None:
    assert [what for passed, what, _ in SEO.findings(stored("example.org_library")) if not passed] == []


def test_a_page_that_hides_from_search_engines_is_told_so() -> None:
    failed = {what: found for passed, what, found in SEO.findings(stored("example.com_shop")) if not passed}
    assert failed["robots"] == "noindex, nofollow"
    assert failed["h1"] == "0 of them"
    assert failed["viewport"] == "missing"


@pytest.mark.parametrize(
    "html",
    [
        "<p>unclosed <b>tags <h1>one<h2>two",
        "</div></h1></a>",
        "<a><h2>in a link</h2></a>",
        "<img><a href>x</a>",
        "< >",
    ],
)
def test_broken_markup_is_audited_all_the_same(html: str) -> None:
    assert len(SEO.findings(html)) == 18


def test_the_content_analysis_counts_what_is_there() -> None:
    text = CON.Text(
        "<title>Red boats</title><h1>Boats</h1><p>A red boat is a boat. It swims well.</p><script>no</script>"
    )
    assert text.title == "Red boats"
    assert text.headings == ["Boats"]
    assert text.lines == ["Boats", "A red boat is a boat. It swims well."]
    assert CON.sentences_of(text.lines) == ["A red boat is a boat."]
    assert CON.keywords(CON.words_of(" ".join(text.lines)), 1) == [("boat", 2)]


def test_short_words_in_short_sentences_are_easier_to_read() -> None:
    easy = CON.reading_ease(["The cat sat on the mat."])
    hard = CON.reading_ease(
        ["Organizational considerations necessitate comprehensive institutional deliberation."]
    )
    assert easy > 100
    assert hard < 0


def test_a_passage_that_stands_twice_on_a_page_is_found() -> None:
    once = CON.words_of(
        "seven boats left the harbour early and nobody counted those which came home at night"
    )
    other = CON.words_of(
        "a bakery with six branches orders flour by some forecast that knows school holidays well"
    )
    assert CON.copied(once + other + once, dict.fromkeys(once + other, 1.0), 8) > 0.6
    assert CON.copied(once + other, dict.fromkeys(once + other, 1.0), 8) == 0.0


def test_both_reports_fit_into_a_prompt_and_name_what_matters() -> None:
    technical, content = (python(script, [stored("openai.com")]) for script in ("seo.py", "con.py"))
    for report in (technical, content):
        assert 9 <= len(report.splitlines()) <= 20
        assert len(report) < 1_400
    assert technical.startswith("Technical SEO audit: 3 of 18 checks passed")
    assert "Keywords in the title: none" in content
    assert "assistant remembers what you allow it to remember and forgets the rest when you say 3" in content
