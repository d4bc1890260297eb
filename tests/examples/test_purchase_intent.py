"""The analyses of the purchase intent example, and the history they read."""

from __future__ import annotations

import datetime

import pytest

from tests.examples.loading import EXAMPLES, load

FOLDER = EXAMPLES / "purchase_intent"
ANALYZE, CONTENT, USER = (load(FOLDER / name) for name in ("analyze.py", "content.py", "user.py"))
HISTORY = load(EXAMPLES.parent / "tests" / "examples" / "history.py")
python = load(FOLDER / "functions.py").python
PAGE = (FOLDER / "pages" / "apple.com.html").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _fewer_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ANALYZE, "RESAMPLES", 500)
    monkeypatch.setattr(CONTENT, "ATTEMPTS", 20)
    monkeypatch.setattr(USER, "VISITS", 2_000)


def bought(day: int, brand: str, product: str, paid: float) -> object:
    date = datetime.date(2025, 1, 1) + datetime.timedelta(days=day)
    return ANALYZE.Purchase(date, "online", brand, product, "phone", paid, 0)


def test_the_stored_history_is_the_one_that_is_made() -> None:
    assert (FOLDER / "history.txt").read_text(encoding="utf-8").splitlines() == HISTORY.lines()


def test_the_history_is_summed_up_by_brand_and_half_year() -> None:
    report = ANALYZE.report(ANALYZE.read("history.txt"))
    assert "182 purchases from 2023-01-05 to 2025-10-26" in report
    assert "Spent: 9780 in total, 14 a purchase (median)" in report
    assert "Apple: 32 purchases, 63% of the money" in report
    assert "iPhone: bought every 442 days, due in 374 days" in report


def test_a_product_is_due_when_its_usual_interval_is_over() -> None:
    history = [bought(0, "A", "lamp", 10), bought(100, "A", "lamp", 10), bought(10, "B", "desk", 30)]
    assert ANALYZE.due(history, datetime.date(2025, 1, 1) + datetime.timedelta(days=230)) == [
        ("lamp", 100, 130)
    ]
    assert ANALYZE.share(history, "A") == pytest.approx(0.4)
    assert ANALYZE.by_half_year(history) == {"2025/1": 50}


def test_the_interval_of_a_share_holds_the_share() -> None:
    history = ANALYZE.read("history.txt")
    low, high = ANALYZE.share_between(history, "Apple")
    assert 0.3 < low < ANALYZE.share(history, "Apple") < high < 0.9


@pytest.mark.parametrize("name", ["missing.txt", "../seo_audit/query.txt", "/etc/passwd"])
def test_a_history_that_is_not_there_is_answered_with_those_that_are(name: str) -> None:
    with pytest.raises(SystemExit, match=r"there is no such history; there are .*history\.txt"):
        ANALYZE.read(name)


def test_a_history_line_that_cannot_be_read_is_named() -> None:
    with pytest.raises(SystemExit, match=r"query\.txt, line 1: "):
        ANALYZE.read("query.txt")


def test_the_product_page_is_read_for_offers_prices_and_topics() -> None:
    report = CONTENT.report(PAGE)
    assert "Offers: Buy iPhone, Buy MacBook Air, Buy Watch, Buy AirPods" in report
    assert "Prices: 9, from $29 to $1,099" in report
    assert report.count("Topic of ") == 4
    assert "battery" in report


def test_sentences_about_one_thing_make_one_topic() -> None:
    boats = ["The boats leave the harbour.", "A harbour full of boats.", "Boats sleep in the harbour."]
    bread = ["The bakery sells bread.", "Fresh bread smells.", "Bread from a bakery."]
    found = sorted(size for size, _ in CONTENT.topics(boats + bread))
    assert sum(found) == 6
    assert max(found) <= 3


def test_the_user_experience_is_what_the_page_says_it_is() -> None:
    report = USER.report(PAGE)
    assert "10 menu entries, 7 links in the text, 5 in the footer" in report
    assert "Contrast: .small 2.6, .tag 2.0 below 4.5" in report
    assert "Form fields without a label: 1 of 2" in report
    assert "Pictures without a text: 1 of 3" in report


def test_contrast_is_that_of_the_standard() -> None:
    assert USER.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert USER.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_fewer_visitors_reach_an_offer_that_stands_lower() -> None:
    offer, text = USER.Item("buy", 1, "Buy"), USER.Item("words", 30, "...")
    near, far = USER.visits([text, offer, *[text] * 9]), USER.visits([*[text] * 9, offer, text])
    assert near["offer"] > far["offer"] > 0


def test_three_reports_fit_into_a_prompt() -> None:
    history = python("analyze.py", ["history.txt"])
    for report in (history, CONTENT.report(PAGE), USER.report(PAGE)):
        assert 9 <= len(report.splitlines()) <= 14
        assert len(report) < 1_000
