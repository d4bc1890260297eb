"""ParallelQA's math: what it asks of the model, and what it makes of the replies."""

from __future__ import annotations

import re

import pytest

from examples.tools import calculator


def calculated(prompt: str, *replies: str) -> float | str:
    """What math comes to when the model replies this; every reply has to be asked for."""
    made = calculator.math(prompt)
    left = list(replies)
    try:
        next(made)
        while left:
            made.send(left.pop(0))
    except StopIteration as stop:
        assert not left
        return stop.value
    raise AssertionError("math asks on")


def test_math_computes_an_expression_without_asking() -> None:
    assert calculated("12 / 3") == 4
    assert calculated("max(12631.6, 6700.8) - 1,000.0 = ?") == 11631.6
    with pytest.raises(ValueError, match="division by zero"):
        calculated("1 / 0")


def test_math_asks_for_an_expression_with_the_numbers_of_the_text() -> None:
    prompt = "Depth of the trench in metres, increased by 15%? Trench: The trench is 10,984 metres deep."
    asked = next(calculator.math(prompt))
    assert "Text: Trench: The trench is 10984 metres deep.\n" in asked
    assert "Question: Depth of the trench in metres, increased by 15%\n" in asked
    for reply in ("10984 * 1.15", "10984 * (1 + 15/100)", "10,984 + 15%"):
        assert calculated(prompt, reply) == 12631.6


def test_math_asks_again_when_a_number_is_made_up_or_left_out() -> None:
    prompt = "Depth of the trench, increased by 15%? The trench is 10,984 metres deep."
    assert calculated(prompt, "12632", "10984 * 1.15") == 12631.6
    assert calculated(prompt, "10984", "10984 * 1.15") == 12631.6
    assert calculated(prompt, "trench * 1.15", "10984 * 1.15") == 12631.6
    assert calculated("Mean of 1 and 2? none", "(1 + 2) / 2") == 1.5
    asking = calculator.math(prompt)
    assert "Tiber" in next(asking)
    again = asking.send("406 * 1.15")
    assert again.startswith(next(calculator.math(prompt)))  # which needn't be read again
    assert "It is not 406 * 1.15: 406 is not in the text." in again


def test_math_takes_an_answer_that_needs_fewer_numbers_than_the_question_has() -> None:
    prompt = (
        "After 1. the trench grows by 15% and 2. the hill by 20%, how deep is it? Trench: It is 1000 m deep."
    )
    for replies in (["1000 * 1.15", "I see."], ["1000 * 1.15", "77 * 88"], ["1000 * 1.15", "1000 * 1.15"]):
        assert calculated(prompt, *replies) == 1150
    assert calculated(prompt.replace(" and 2. the hill by 20%", ""), "1000 * 1.15") == 1150


MOUNTAINS = "Corvin: Corvin is a mountain of 2,400 m. It is steep. Mount Elsbeth: It is 3000 m high."


def test_math_says_which_thing_has_the_largest_number_by_the_page_that_it_comes_from() -> None:
    prompt = f"If Corvin grew by 10% and Mount Elsbeth by 1.5 times, which is {{}}?\n{MOUNTAINS}"
    assert calculated(prompt.format("higher"), "max(2400 * 1.1, 3000 * 1.5)") == "Mount Elsbeth"
    assert calculated(prompt.format("lower"), "min(3000 * 1.5, 2400 * (1 + 10/100))") == "Corvin"
    assert (
        calculated(prompt.format("what").replace("which", "how high"), "max(2400 * 1.1, 3000 * 1.5)") == 4500
    )
    asking = calculator.math(prompt.format("higher"))
    assert "Corvin: Corvin is a mountain of 2400 m. Mount Elsbeth: It is 3000 m high." in next(asking)
    assert "two of its arguments have numbers of Corvin" in asking.send("max(2400 * 1.1, 2400 * 1.5)")
    asking = calculator.math(prompt.format("higher"))
    next(asking)
    assert "one of its arguments has numbers of no page" in asking.send("max(2500 * 1.1, 3000 * 1.5)")
    asking = calculator.math(prompt.format("high").replace("which", "how"))
    next(asking)  # a maximum over things, one of which was passed over
    assert "two of its arguments have numbers of Corvin" in asking.send("max(2400 * 1.1, 2400 * 1.5)")


def test_math_takes_which_of_several_differences_for_a_number() -> None:
    prompt = (
        f"Of the difference and the ratio of Corvin and Mount Elsbeth, which value is larger?\n{MOUNTAINS}"
    )
    assert calculated(prompt, "max(3000 - 2400, 3000 / 2400)") == 600


def test_math_takes_the_largest_number_of_a_text_without_titles() -> None:
    assert calculated("Largest depth in metres? It is 512 m here and 730 m there", "max(512, 730)") == 730
    assert calculated("Which depth is twice as large? It is 512 m here", "512 * 2") == 1024
    two = "Largest depth in metres? The depth is 512 m here. The depth is 730 m there."
    assert calculated(two, "max(512, 730)") == 730
    with pytest.raises(ValueError, match="can't extract"):
        calculated("Which is higher, A or B?\nA: It is 100 m. B: It is 200 m.", "4321", "4321")


def test_math_says_which_though_another_argument_is_strange_where_no_page_has_more_to_say() -> None:
    prompt = f"If Corvin grew by 10% and Mount Elsbeth by 1.5 times, which is higher?\n{MOUNTAINS}"
    strange = "max(2500 * 1.1, 3000 * 1.5)"
    assert calculated(prompt, strange, strange) == "Mount Elsbeth"
    with pytest.raises(ValueError, match="the text doesn't say it"):
        calculated(prompt, "max(2400, 9000)", "max(2400, 9000)")
    cut = prompt.replace("It is steep.", "[... only the first 9 of 99 words are shown: k=9]")
    with pytest.raises(ValueError, match="of Corvin only the first 9 of 99 words are shown"):
        calculated(cut, strange, strange)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("A: It has 3 rooms. b c: It is 5 m. It is old.", "A: It has 3 rooms. b c: It is 5 m."),
        ("No number here. Nor here.", "No number here. Nor here."),
        ("A: It is old. It has 3 rooms. It is red.", "A: It has 3 rooms."),
        ("A: It is 5 m. It is old. B: It is new. It is 7 m.", "A: It is 5 m. B: It is 7 m."),
        ("A: It is 5.5 m (18 ft) high.", "A: It is 5.5 m (18 ft) high."),
        ("", ""),
    ],
)
def test_math_reads_the_sentences_that_have_numbers(text: str, kept: str) -> None:
    assert calculator.with_numbers(text, "") == kept


def test_math_reads_of_a_page_the_two_sentences_at_most_that_are_about_the_task() -> None:
    text = (
        "Una: Founded in 1900. It covers 7 km2. It has 12 bridges. It is a populous place of 5. Ea: 3 people."
    )
    assert calculator.with_numbers(text, "Population of Una, whose bridges fell") == (
        "Una: It has 12 bridges. It is a populous place of 5. Ea: 3 people."
    )
    assert (
        calculator.with_numbers(text, "How many bridges has Una?") == "Una: It has 12 bridges. Ea: 3 people."
    )
    assert calculator.with_numbers(text, "none of them").startswith(
        "Una: Founded in 1900. It covers 7 km2. Ea:"
    )


def test_math_reads_millions_as_the_text_and_the_task_have_them() -> None:
    text = "It has 23 million people on 170,312 km2."
    assert "23e6 people on 170312 km2" in next(calculator.math(f"Population? {text}"))
    assert calculated(f"Population? {text}", "23", "23e6") == 23e6
    assert calculated(f"Population? {text}", "23000000") == 23e6
    assert calculated(f"Population in millions? {text}", "23") == 23
    other = "It has 1.41 billion people, 123,456,789 birds and 5,600,000 cats."
    assert "It has 1.41e9 people, 123456789 birds and 5.6e6 cats." in next(calculator.math(f"Sum? {other}"))
    asked = next(calculator.math(f"Sum in millions? {other}"))
    assert "It has 1410 million people, 123.456789 million birds and 5.6 million cats." in asked
    assert calculated(f"Sum in millions? {other}", "1410 + 5.6") == 1415.6
    assert calculated(f"Area? {text}", "170.312", "170312") == 170312


def test_math_says_that_the_text_lacks_a_number_and_that_it_was_cut() -> None:
    cut = "Weser: A river. [... only the first 500 of 812 words are shown: k=500]"
    wanted = "can't extract Population of the Weser: the text doesn't say it"
    hint = (
        "can't extract a number: of Weser only the first 500 of 812 words are shown (k=500): "
        "search for it with a larger k"
    )
    for replies in (["missing"], ["4711000", "4711000"], ["I don't know.", "Sorry."]):
        with pytest.raises(ValueError, match=re.escape(wanted) + "$"):
            calculated("Population of the Weser? Weser: A river.", *replies)
        with pytest.raises(ValueError, match=re.escape(hint) + "$"):
            calculated(f"Population of the Weser? {cut}", *replies)
