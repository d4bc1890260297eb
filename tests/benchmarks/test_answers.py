"""What an answer says: yes or no, a number, a phrase, one of two names."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.sets.answers import chosen, contains, near, number_in, says


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("yes", True),
        ("Yes.", True),
        ("Yes, both are painters.", True),
        ("**Yes**, both are painters", True),
        ("Answer: yes", True),
        ("The answer is yes, since both are Dutch.", True),
        ("The answer to the question is no.", False),
        ("No", False),
        ("no, only one is", False),
        ("No they are not.", False),
        ("True", True),
        (True, True),
        (False, False),
        ("One is Dutch and one is German. So, no.", False),
        ("Both were born in Delft.\n\nYes", True),
        ("Both are Dutch, so yes.", True),
        ("Therefore, the answer is no: one is German.", False),
        ("No information is given about the second.", None),
        ("No one knows.", None),
        ("Both are painters.", None),
        ("Yes and no.", None),
        ("Yes/No", None),
        ("Yes, both are Dutch. But one moved, so the answer is no.", None),
        ("Yesterday they were.", None),
        ("Norway", None),
        ("The first says yes to everything.", None),
        ("", None),
        (None, None),
    ],
)
def test_an_answer_says_yes_or_no_at_its_beginning_or_as_its_conclusion(
    answer: Any, said: bool | None
) -> None:
    assert says(answer) is said


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("5931.80", 5931.8),
        (5931.8, 5931.8),
        ("The difference is 5,931.8 metres.", 5931.8),
        ("12631.6 - 6700.8 = 5930.8", 5930.8),
        ("5930.8 metres (12631.6 minus 6700.8)", 5930.8),
        ("It is 134.9 after growing by 15%.", 134.9),
        ("15%", 15),
        ("A ratio of 40.9 to 1", 40.9),
        ("40.9:1", 40.9),
        ("7.84 (rounded to 2 decimal places)", 7.84),
        ("45.2 people/km2", 45.2),
        ("45.2 people per km^2", 45.2),
        ("K2 is 8611 m high", 8611),
        ("\u22123.5", -3.5),
        ("-3.5", -3.5),
        ("4.2e7", 4.2e7),
        ("three more", 3),
        ("The ratio is 3:1.", 3),
        ("The ratio is 3.5 to 1.", 3.5),
        ("It grew from 3 to 1.5", 1.5),
        ("42 310 000 people", 42_310_000),
        ("some 42\u00a0310\u00a0000", 42_310_000),
        ("42\u202f310\u202f000.", 42_310_000),
        ("in 2010 300 people", 300),
        ("4.231 \u00d7 10^7", 42_310_000),
        (r"$4.231 \times 10^{7}$", 42_310_000),
    ],
)
def test_the_number_of_an_answer_is_its_last_or_the_one_it_begins_with(answer: Any, number: float) -> None:
    stated = number_in(answer)
    assert stated is not None
    assert stated[0] == pytest.approx(number)


@pytest.mark.parametrize("answer", ["no number", "K2", "", None])
def test_an_answer_without_a_number_is_near_nothing(answer: Any) -> None:
    assert number_in(answer) is None
    assert not near(answer, 0)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("109", True),
        ("91", True),
        ("111", False),
        ("89", False),
        ("-100", False),
        ("0.0001 million", True),
        ("0.0001M", True),
        ("0.0001 m", False),
    ],
)
def test_a_number_may_be_off_by_a_tenth_and_have_a_scale(answer: str, right: bool) -> None:
    assert near(answer, 100) is right


@pytest.mark.parametrize(
    ("answer", "label", "asked", "right"),
    [
        ("Harz mountain range", "Harz mountain range", "", True),
        ("They are in the Harz.", "Harz mountain range", "Part of which mountain range?", True),
        ("a mountain range", "Harz mountain range", "Part of which mountain range?", False),
        ("They aren't in the Harz.", "Harz mountain range", "Part of which mountain range?", False),
        ("They are not British but American.", "American", "", True),
        ("They are British but not American.", "American", "", False),
        ("dog", "dogs", "", True),
        ("Both are genera.", "genus", "", True),
        ("sled", "to sled", "", True),
        ("carthorse", "cart", "", False),
        ("golf player", "professional tennis player", "", False),
        ("", "cart", "", False),
        (None, "cart", "", False),
    ],
)
def test_a_phrase_is_contained_with_every_word_that_the_question_has_not(
    answer: Any, label: str, asked: str, right: bool
) -> None:
    assert contains(answer, label, asked=asked) is right


OLD, NEW = 0, 1
TOWNS = [["Altstadt"], ["Neustadt"]]
FIRST = "Which town was founded first, Altstadt or Neustadt?"


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        ("Altstadt", OLD),
        ("the altstadt.", OLD),
        ("The answer is Neustadt.", NEW),
        ("Altstadt was founded first.", OLD),
        ("Altstadt was founded in 1200.", OLD),
        ("Altstadt was founded before Neustadt.", OLD),
        ("Altstadt is older than Neustadt.", OLD),
        ("Altstadt, founded in 1200, is older than Neustadt, founded in 1300.", OLD),
        ("Altstadt. Neustadt was founded a century later.", OLD),
        ("Altstadt (1200); Neustadt followed in 1300.", OLD),
        ("Altstadt was founded in 1200, while Neustadt was founded in 1300. So Altstadt was first.", OLD),
        ("Altstadt was founded in 1200 and Neustadt in 1300, so Altstadt.", OLD),
        ("Neustadt dates from 1300, Altstadt from 1200. The town founded first is Altstadt.", OLD),
        ("Neustadt was founded in 1300. Altstadt was founded first, in 1200.", OLD),
        ("Altstadt was founded in 1200, but therefore Neustadt was founded first.", NEW),
        ("Unlike Neustadt, Altstadt was founded early on.", None),
        ("Altstadt was founded in 1200 and Neustadt in 1300.", None),
        ("Altstadt was founded in 1200. Neustadt was founded in 1300.", None),
        ("Altstadt or Neustadt", None),
        ("Altstadt and Neustadt", None),
        ("Both Altstadt and Neustadt were founded first.", None),
        ("Altstadt was founded later.", None),
        ("Altstadt is younger than Neustadt.", None),
        ("not Altstadt", None),
        ("Altstadt, not Neustadt", OLD),
        ("Altstadt (1200), not Neustadt (1300)", OLD),
        ("Not Neustadt but Altstadt", OLD),
        ("It was not Neustadt, but the Altstadt.", OLD),
        ("Altstadt is not the answer", None),
        ("Altstadt was not founded first.", None),
        ("Altstadt (1200) wasn't founded first.", None),
        ("Altstadt and Neustadt were not founded first.", None),
        ("Altstadt was clearly not first. Neustadt was first.", NEW),
        ("Neustadt was not founded first; Altstadt was founded first.", OLD),
        ("Altstadt is not only older but larger.", OLD),
        ("It was founded earlier than Altstadt.", None),
        ("Altstadt. Therefore the answer is Neustadt.", None),
        ("It cannot be determined whether Altstadt was first.", None),
        ("Altstadthausen", None),
        ("Neither.", None),
        ("", None),
        (None, None),
    ],
)
def test_of_two_names_an_answer_chooses_the_one_it_clearly_says(answer: Any, index: int | None) -> None:
    assert chosen(answer, TOWNS, asked=FIRST) == index


def test_a_question_without_a_comparison_is_answered_by_whoever_it_is_said_of() -> None:
    towns: list[list[str]] = [["Altstadt"], ["Neustadt"]]
    asked = "Which town lies by the sea, Altstadt or Neustadt?"
    assert chosen("Altstadt lies by the sea. Neustadt lies in the hills.", towns, asked=asked) == OLD
    assert chosen("Altstadt lies in the hills, whereas Neustadt lies by the sea.", towns, asked=asked) == NEW
    assert chosen("Altstadt lies here. Neustadt lies there.", towns, asked=asked) is None


def test_names_may_hold_full_stops_other_names_and_each_other() -> None:
    shows = [["Cats vs. Dogs"], ["A. B. Carlo"], ["Dogs"]]
    assert chosen("It is Cats vs. Dogs.", shows, asked="") == 0
    assert chosen("A. B. Carlo, of course", shows, asked="") == 1
    assert chosen("Dogs", shows, asked="") == 2
    assert chosen("Like Dogs at Sea, it is A. B. Carlo.", shows, asked="", others=["Dogs at Sea"]) == 1


def test_a_part_of_a_name_stands_for_it_alone_or_with_a_capital() -> None:
    people = [["Ute Hagen"], ["Udo Field"]]
    asked = "Who was born first, Ute Hagen or Udo Field?"
    assert chosen("Field", people, asked=asked) == 1
    assert chosen("hagen", people, asked=asked) == 0
    told = "Hagen was born in 1950 and Field in 1960, so Hagen was born first, in a field."
    assert chosen(told, people, asked=asked, shortened=True) == 0
    assert chosen("She ran in the field.", people, asked=asked, shortened=True) is None
