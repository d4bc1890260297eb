"""The question sets: what their searches find, and which answers they take for right."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.questions import DataMissing, Question
from benchmarks.sets import hotpotqa, movierec, parallelqa
from benchmarks.sets.answers import chosen, contains, near, number_in, says
from benchmarks.sets.arithmetic import NotArithmetic, computed, evaluated
from benchmarks.sets.game24 import solves
from benchmarks.sets.pages import Page, Pages, records
from llmorch.offering import as_functions, self_function
from llmorch.plan import check, parse, with_answer
from llmorch.techniques.examples import parse_examples

SETS = (hotpotqa.SET, movierec.SET, parallelqa.SET)
WORK = Path("unused")


# What an answer says


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


# Pages

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
            records(path, "see example.org", title=str)
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
    assert [item["title"] for item in records(lines, "", title=str)] == ["a\u2028b", "c"]


@pytest.mark.parametrize("questions", SETS, ids=lambda one: one.name)
def test_a_folder_without_the_data_is_one_clear_line(questions: Any, tmp_path: Path) -> None:
    for ask in (questions.questions, lambda data: questions.functions(data, data)):
        with pytest.raises(DataMissing, match=r"No such file.*published|No such file.*https") as raised:
            ask(tmp_path)
        assert "\n" not in str(raised.value)


# HotpotQA


def hotpot(text: str, answer: str, *titles: str) -> Question:
    return Question("1", text, answer, {"titles": titles})


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        (
            hotpot("Are Ute Hagen and Udo Field both painters?", "yes", "Ute Hagen", "Udo Field (painter)"),
            ["yes", "Yes, both are painters.", "Both paint. So the answer is yes."],
            ["no", "No, both are not painters.", "Ute Hagen", "Yes/No", "", None],
        ),
        (
            hotpot("Are Ute Hagen and Udo Field both painters?", "no", "Ute Hagen", "Udo Field (painter)"),
            ["no", "No, only Ute Hagen is."],
            ["yes", "Yes, no doubt.", "Not known.", "No information is given."],
        ),
        (
            hotpot(
                "Who was born first, Ute Hagen or Udo Field?", "Ute Maria Hagen", "Ute Hagen", "Udo Field"
            ),
            [
                "Ute Hagen",
                "Ute Maria Hagen",
                "Hagen",
                "Ute Hagen was born first.",
                "Hagen (1950), before Field.",
            ],
            ["Udo Field", "Ute Hagen and Udo Field", "Ute Hagen was born after Udo Field.", "1950"],
        ),
        (
            hotpot(
                "Which is by the sea, the Altstadt or the Neustadt?",
                "Neustadt is a port",
                "Altstadt",
                "Neustadt",
            ),
            ["Neustadt", "The Neustadt.", "Neustadt is by the sea, unlike Altstadt."],
            ["Altstadt", "Altstadt, not Neustadt", "Both"],
        ),
        (
            hotpot(
                "Which company is larger, Hagen Inc. or Field AG?", "Hagen, Inc.", "Hagen", "Field (company)"
            ),
            ["Hagen Inc.", "Hagen", "Hagen Inc. is larger than Field AG."],
            ["Field AG", "Field AG is larger than Hagen Inc.", "Hagen Inc. or Field AG"],
        ),
        (
            hotpot("Of Ute Hagen and Udo Field, who painted more?", "Field", "Ute Hagen", "Udo Field"),
            ["Udo Field", "Field", "Udo Field painted more than Ute Hagen."],
            ["Ute Hagen", "Ute Hagen painted more than Udo Field."],
        ),
        (
            hotpot("Which is black, Cat v. Dog or The State v. Ant, Inc.?", "Cat v. Dog"),
            ["Cat v. Dog", "Cat v. Dog is black."],
            ["The State v. Ant, Inc.", "The State v. Ant, Inc. is black, Cat v. Dog is not."],
        ),
        (
            hotpot(
                "How many more titles did Hagen win than Field?", "three titles", "Ute Hagen", "Udo Field"
            ),
            ["3", "Three.", "Hagen won 3 more titles"],
            ["4", "none", "Hagen"],
        ),
        (
            hotpot("When was the earlier one shot?", "1968", "Cat", "Dog"),
            ["1968", "It was shot in 1968.", "12 May 1968", "1968. Dog was shot in 1970."],
            ["1967", "2000", "in the past", "in the 1960s"],
        ),
        (
            hotpot("When was the older one born?", "12 May 1985", "Ute Hagen", "Udo Field"),
            ["May 12, 1985", "She was born on the 12th of May 1985.", "**May 12th, 1985**"],
            ["12 March 1920", "June 3, 1931", "12 June 1985", "13 May 1985", "May 1985", "1985", None],
        ),
        (
            hotpot("When was the band active?", "1985-1990", "Cat", "Dog"),
            ["1985\u20131990", "from 1985 to 1990"],
            ["1800", "1985", "1985-1991"],
        ),
        (
            hotpot("When was it made?", "c. 1985", "Cat", "Dog"),
            ["1985", "around 1985"],
            ["1820", "1984"],
        ),
        (
            hotpot("How many people came?", "1,985", "Cat", "Dog"),
            ["1985", "about 2000"],
            ["1700"],
        ),
        (
            hotpot("What are both Hagen and Field?", "film director", "Ute Hagen", "Udo Field"),
            ["film directors", "Both are directors of films", "Each is a film director."],
            ["actors", "film critics", "director", ""],
        ),
    ],
    ids=lambda value: value.text if isinstance(value, Question) else "",
)
def test_hotpotqa_takes_answers_in_sentences_but_none_that_leave_it_open(
    question: Question, right: list[Any], wrong: list[Any]
) -> None:
    assert hotpotqa.SET.right(question, question.answer, WORK)
    assert [answer for answer in right if not hotpotqa.SET.right(question, answer, WORK)] == []
    assert [answer for answer in wrong if hotpotqa.SET.right(question, answer, WORK)] == []


@pytest.fixture
def hotpot_data(tmp_path: Path) -> Path:
    folder = tmp_path / "hotpotqa"
    folder.mkdir()
    pages = [
        {"title": "Mill", "text": "A mill grinds. " * 200},
        {"title": "Heat (film)", "text": "Heat is a film."},
        {"title": "Heat (song)", "text": "Heat is a song."},
    ]
    (folder / "pages.jsonl").write_text("\n".join(map(json.dumps, pages)))
    asked = {"id": "a", "question": " Is it  hot? ", "answer": "yes", "gold_titles": ["Mill", "Heat (film)"]}
    (folder / "questions.json").write_text(json.dumps([asked, {"question": "Or?", "answer": "no"}]))
    return tmp_path


def test_hotpotqa_reads_its_questions(hotpot_data: Path) -> None:
    assert hotpotqa.SET.questions(hotpot_data) == [
        Question("a", "Is it hot?", "yes", {"titles": ["Mill", "Heat (film)"]}),
        Question("2", "Or?", "no", {"titles": []}),
    ]


def test_hotpotqa_searches_a_page_of_bounded_length_and_names_those_called_alike(hotpot_data: Path) -> None:
    (search,) = hotpotqa.SET.functions(hotpot_data, WORK)
    found = asyncio.run(search("mill"))
    assert found.startswith("Mill: A mill grinds.")
    assert len(found.split()) < hotpotqa.MOST_WORDS + 10
    assert asyncio.run(search("Heat")) == "Heat (film): Heat is a film. (See also: Heat (song).)"
    with pytest.raises(LookupError, match="nothing found for 'Zzyzx'"):
        asyncio.run(search("Zzyzx"))


# MovieRec

ASKED = "Find a movie similar to Red, Blue, Red, White & Blue, Green Sea\nOptions:\nThe Mill\nMill House\n1984\nBlack"


@pytest.fixture
def movie_data(tmp_path: Path) -> Path:
    movies = [
        "1,Red (1990),Drama",
        "2,Blue (1991),Drama|Comedy",
        '3,"Mill, The (Moulin, Le) (1992)",Drama',
        "4,Far (1993),(no genres listed)",
        "5,Unrated: The Film (1994),Comedy",
        "6,Red (1950),War",
        "7,L.A. Léon (1995),Crime",
    ]
    ratings = {
        "u": {1: 5, 2: 5, 3: 4},
        "v": {1: 4, 2: 5, 3: 4},
        "w": {1: 3, 4: 5, 6: 1},
        "x": {7: 5, 4: 2},
    }
    rows = [f"{user},{movie},{stars},0" for user, given in ratings.items() for movie, stars in given.items()]
    for folder, name, lines in (
        ("movielens", "movies.csv", ["movieId,title,genres", *movies]),
        ("movielens", "ratings.csv", ["userId,movieId,rating,timestamp", *rows]),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "movierec").mkdir()
    asked = [{"id": 7, "question": f"{ASKED}\n", "answer": "Mill House"}]
    (tmp_path / "movierec" / "questions.json").write_text(json.dumps(asked))
    return tmp_path


def test_movierec_reads_its_questions_and_their_options(movie_data: Path) -> None:
    options = ["The Mill", "Mill House", "1984", "Black"]
    (question,) = movierec.SET.questions(movie_data)
    assert (question.id, question.answer, question.details["options"]) == ("7", "Mill House", options)
    assert question.text.endswith("Green Sea. Options: The Mill; Mill House; 1984; Black")
    assert movierec.SET.right(question, "Mill House", WORK)
    assert movierec.options_of("Similar?\nOptions:\n(A) Red\n(B) Blue") == ["Red", "Blue"]
    assert movierec.options_of("Similar?\nOptions:\nA. I. Love\nBlue") == ["A. I. Love", "Blue"]
    (movie_data / "movierec" / "questions.json").write_text('[{"question": "Which?", "answer": "a"}]')
    with pytest.raises(DataMissing, match="record 1 has no options"):
        movierec.SET.questions(movie_data)


def test_movierec_searches_a_line_about_a_movie_and_what_the_same_viewers_liked(movie_data: Path) -> None:
    (search,) = movierec.SET.functions(movie_data, WORK)
    assert asyncio.run(search("Blue")) == "Blue: Drama, Comedy; very popular."
    assert asyncio.run(search("unrated the film")) == "Unrated: The Film: Comedy; almost unknown."
    assert asyncio.run(search("unrated the film", 2)) == "Unrated: The Film: Comedy; almost unknown."
    line = "Red (1990): Drama; very popular."
    assert asyncio.run(search("Red", 3)) == f"{line} Its viewers also liked: Blue; The Mill; Red."
    assert asyncio.run(search("Red", 50)) == f"{line} Its viewers also liked: Blue; The Mill; Red; Far."
    for similar in (-1, 51):
        with pytest.raises(ValueError, match="from 0 to 50"):
            asyncio.run(search("Red", similar))


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("Red (1950)", "Red (1950)"),
        ("Mill, The (1992)", "The Mill"),
        ("le moulin", "The Mill"),
        ("LA Leon", "L.A. Léon"),
        ("LA LÃ©on", "L.A. Léon"),
        ("Unrated - The Flim", "Unrated: The Film"),
        ("UnratedTheFilm", "Unrated: The Film"),
        ("far", "Far"),
    ],
)
def test_movierec_finds_a_movie_however_its_title_is_spelled(
    movie_data: Path, title: str, found: str
) -> None:
    (search,) = movierec.SET.functions(movie_data, WORK)
    assert asyncio.run(search(title)).startswith(f"{found}: ")


@pytest.mark.parametrize("title", ["Zzyzx", "", "(1990)", "?" * 5000])
def test_movierec_says_so_when_no_movie_is_called_like_that(movie_data: Path, title: str) -> None:
    (search,) = movierec.SET.functions(movie_data, WORK)
    said = asyncio.run(search(title))
    assert re.fullmatch("No movie called .* is known.", said)
    assert len(said) < 250


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("movies.csv", "id,name\n", "columns"),
        ("ratings.csv", "userId,movieId,rating\nu,1,good\n", "'good' is no rating"),
        ("ratings.csv", "userId,movieId,rating\nu,1\n", "line 2"),
        ("movies.csv", "", "columns"),
    ],
)
def test_movierec_says_what_is_wrong_with_a_file(movie_data: Path, name: str, text: str, wrong: str) -> None:
    (movie_data / "movielens" / name).write_text(text)
    with pytest.raises(DataMissing, match=re.escape(name)) as raised:
        movierec.SET.functions(movie_data, WORK)
    assert wrong in str(raised.value)


@pytest.mark.parametrize(
    "answer",
    [
        "Mill House",
        "mill house (1999)",
        "The most similar movie is **Mill House**.",
        "Mill House, because The Mill is too old.",
        "Like Red, Blue, Red, White & Blue, Green Sea, viewers liked Mill House.",
        "B",
        "(B)",
        "Answer: B.",
        "B. Mill House",
        "2",
        "Option 2",
        "2) Mill House",
        "House",
        "The Mill is slow and Black is dark, so Mill House.",
        "Mill House, not The Mill",
    ],
)
def test_movierec_takes_the_right_option_by_title_letter_or_number(answer: str) -> None:
    assert movierec.SET.right(Question("7", ASKED, "Mill House"), answer, WORK)


@pytest.mark.parametrize(
    "answer",
    [
        "The Mill",
        "Mill",
        "1984",
        "A",
        "3",
        "E",
        "Red",
        "The Mill or Mill House",
        "Millhouse X",
        "Be kind",
        "",
        None,
    ],
)
def test_movierec_takes_no_other_option_and_no_two_of_them(answer: Any) -> None:
    assert not movierec.SET.right(Question("7", ASKED, "Mill House"), answer, WORK)


# ParallelQA


@pytest.fixture
def parallel_data(tmp_path: Path) -> Path:
    folder = tmp_path / "parallelqa"
    folder.mkdir()
    pages = [
        {"title": "Weser Trench", "text": f"{'Deep words. ' * 300}It is 1,200 metres deep."},
        {"title": "Elbe Trench", "text": "It is 800 metres deep."},
    ]
    asked = [
        {
            "id": 83,
            "question": "Which of Weser Trench's and the Elbe trench?",
            "answer": "Weser Trench",
            "branch": 2,
        },
        {"question": "How deep?", "answer": 12.5},
    ]
    (folder / "pages.json").write_text(json.dumps(pages))
    (folder / "questions.json").write_text(json.dumps(asked))
    return tmp_path


def test_parallelqa_reads_its_questions_and_what_they_name(parallel_data: Path) -> None:
    first, second = parallelqa.SET.questions(parallel_data)
    assert first.details == {"branch": 2, "names": ["Weser Trench", "Elbe Trench"]}
    assert (second.id, second.answer) == ("2", 12.5)


def test_parallelqa_searches_the_first_words_and_says_when_there_are_more(parallel_data: Path) -> None:
    search, _ = parallelqa.SET.functions(parallel_data, WORK)
    assert asyncio.run(search("elbe trench")) == "Elbe Trench: It is 800 metres deep."
    assert asyncio.run(search("Elbe Trensh", 2)) == (
        "Elbe Trench: It is [... only the first 2 of 5 words are shown: k=2]"
    )
    cut = asyncio.run(search("Weser Trench"))
    assert cut.endswith("[... only the first 500 of 605 words are shown: k=500]")
    assert "1,200" not in cut
    assert asyncio.run(search("Weser Trench", 1000)).endswith("It is 1,200 metres deep.")
    with pytest.raises(ValueError, match="at least 1"):
        asyncio.run(search("Weser Trench", 0))


def test_parallelqa_takes_numbers_within_a_tenth_and_names() -> None:
    number = Question("1", "How deep?", "5,931.80")
    name = Question("2", "Which is deeper?", "Weser Trench", {"names": ["Elbe Trench", "Weser Trench"]})
    for answer in ("5931.8", 5931.8, "It is 6000 metres.", "12000 - 6000 = 6000"):
        assert parallelqa.SET.right(number, answer, WORK)
    for answer in ("5000", "", None, "deep", "5931.8 - 100 = 5000", True):
        assert not parallelqa.SET.right(number, answer, WORK)
    for answer in ("weser trench", "The Weser Trench is deeper than the Elbe Trench.", "Weser"):
        assert parallelqa.SET.right(name, answer, WORK)
    for answer in ("Elbe Trench", "Weser Trench: 1200. Elbe Trench: 800.", "1200", None):
        assert not parallelqa.SET.right(name, answer, WORK)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("-(2 ** 3) // 3 % 5", 2),
        ("max(1, 2.5, min(3, 4)) + abs(-1) + round(2.567, 1)", 6.6),
        ("sum([1, 2, 3]) / 3", 2),
        ("sum(1, 2, 3) / sum(3)", 2),
        ("sqrt(16) + math.sqrt(9)", 7),
        ("0.1 + 0.2", 0.3),
        ("(30030000 + 22240000) / (695662 + 170312)", 60.3597798548),
        ("1e6", 1e6),
    ],
)
def test_arithmetic_is_computed(text: str, value: float) -> None:
    assert evaluated(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "open('x')",
        "(lambda: 1)()",
        "[x for x in (1,)]",
        "a",
        "'a' * 100",
        "True + 1",
        "1 if 1 else 2",
        "(1).real",
        "max",
        "max(*[1, 2])",
        "round(number=1.5)",
        "1; 2",
        "a = 1",
        "[1, 2]",
        "[1] * 2",
        "1j",
        "-" * 500 + "1",
        "(" * 500 + "1" + ")" * 500,
        "1" + " + 1" * 2000,
        "",
        "\0",
        "1 +",
    ],
)
def test_nothing_but_arithmetic_is_ever_computed(text: str) -> None:
    with pytest.raises(NotArithmetic):
        evaluated(text)


@pytest.mark.parametrize(
    "text",
    [
        "1 / 0",
        "2 ** 1000",
        "9 ** 9 ** 9",
        "10 ** 60",
        "1e999",
        "9" * 100,
        "(-8) ** 0.5",
        "sqrt(-1)",
        "1 % 0",
        "max()",
    ],
)
def test_arithmetic_without_a_result_or_out_of_bounds_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"computed|large|no number|domain"):
        evaluated(text)


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("10984 * 1.15", 12631.6),
        ("```python\n10984 * 1.15\n```", 12631.6),
        ("`10984 * 1.15`", 12631.6),
        ("depth = 10984\nresult = depth * 1.15\nprint(result)", 12631.6),
        ("Expression: 10984 * 1.15", 12631.6),
        ("10,984 * 1.15 = 12,631.6", 12631.6),
        ("10984 m * 1.15 = 12631.6 m", 12631.6),
        ("It grows by 15%:\n\n10984 * 1.15\n\nThe result is 12631.6.", 12631.6),
        ("We multiply, which gives 10984 * 1.15 in all.", 12631.6),
        ("10984 \u00d7 1.15", 12631.6),
        (r"$10984 \times 1.15$", 12631.6),
        ("10984 + 15%", 12631.6),
        ("10984 * 15%", 1647.6),
        ("20 million / 10,000", 2000),
        ("max(8,376, 10,984)", 10984),
        ("max(1,200)", 200),
        ("2^10", 1024),
        ("500 people / 10 km^2", 50),
        ("The depth is 10984 metres.", 10984),
        ("10984 * 1.15\nQuestion: 5 + 5\nExpression: 10", 12631.6),
    ],
)
def test_an_expression_is_found_in_a_reply(reply: str, value: float) -> None:
    assert computed(reply).value == value


@pytest.mark.parametrize(
    "reply", ["missing", "", "depth * 3", "I don't know", "__import__('os')", "[1, 2]", "(" * 9999]
)
def test_a_reply_without_an_expression_has_none(reply: str) -> None:
    with pytest.raises(NotArithmetic):
        computed(reply)


def calculated(prompt: str, *replies: str) -> float | str:
    """What math comes to when the model replies this; every reply has to be asked for."""
    made = parallelqa.math(prompt)
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
    asked = next(parallelqa.math(prompt))
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
    asking = parallelqa.math(prompt)
    assert "Tiber" in next(asking)
    again = asking.send("406 * 1.15")
    assert "Tiber" not in again
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
    asking = parallelqa.math(prompt.format("higher"))
    assert "Corvin: Corvin is a mountain of 2400 m. Mount Elsbeth: It is 3000 m high." in next(asking)
    assert "two of its arguments have numbers of Corvin" in asking.send("max(2400 * 1.1, 2400 * 1.5)")
    asking = parallelqa.math(prompt.format("higher"))
    next(asking)
    assert "one of its arguments has numbers of no page" in asking.send("max(2500 * 1.1, 3000 * 1.5)")
    asking = parallelqa.math(prompt.format("high").replace("which", "how"))
    next(asking)  # a maximum over things, one of which was passed over
    assert "two of its arguments have numbers of Corvin" in asking.send("max(2400 * 1.1, 2400 * 1.5)")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("No number here. Nor here.", "No number here. Nor here."),
        ("A: It is old. It has 3 rooms. It is red.", "A: It has 3 rooms."),
        ("A: It is 5 m. It is old. B: It is new. It is 7 m.", "A: It is 5 m. B: It is 7 m."),
        ("A: It is 5.5 m (18 ft) high.", "A: It is 5.5 m (18 ft) high."),
        ("", ""),
    ],
)
def test_math_reads_the_sentences_that_have_numbers(text: str, kept: str) -> None:
    assert parallelqa.with_numbers(text, "") == kept


def test_math_reads_of_a_page_the_two_sentences_that_are_most_about_the_task() -> None:
    text = (
        "Una: Founded in 1900. It covers 7 km2. It has 12 bridges. It is a populous place of 5. Ea: 3 people."
    )
    assert parallelqa.with_numbers(text, "Population of Una, whose bridges fell") == (
        "Una: It has 12 bridges. It is a populous place of 5. Ea: 3 people."
    )
    assert parallelqa.with_numbers(text, "none of them").startswith(
        "Una: Founded in 1900. It covers 7 km2. Ea:"
    )


def test_math_reads_millions_as_the_text_and_the_task_have_them() -> None:
    text = "It has 23 million people on 170,312 km2."
    assert "23000000 people on 170312 km2" in next(parallelqa.math(f"Population? {text}"))
    assert calculated(f"Population? {text}", "23", "23000000") == 23e6
    assert calculated(f"Population in millions? {text}", "23") == 23
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


# Game24


def test_game24_takes_a_typeset_minus() -> None:
    assert solves("4 4 6 8", "(4 + 8) \u00d7 (6 \u2212 4)")


# Examples


@pytest.mark.parametrize(
    ("questions", "data"),
    [(hotpotqa.SET, "hotpot_data"), (movierec.SET, "movie_data"), (parallelqa.SET, "parallel_data")],
    ids=["hotpotqa", "movierec", "parallelqa"],
)
def test_the_examples_are_plans_that_could_run_and_use_every_result(
    questions: Any, data: str, request: pytest.FixtureRequest
) -> None:
    functions = as_functions(
        [*questions.functions(request.getfixturevalue(data), WORK), self_function("inout")]
    )
    examples = parse_examples(questions.examples.read_text(encoding="utf-8"), name=questions.name)
    assert 3 <= len(examples) <= 6
    for example in examples:
        # A plan may leave its ends loose, and is then given the call that reads them.
        plan = with_answer(check(parse(example.plan), functions), functions, example.query)
        used = {name for call in plan.calls for name in call.uses}
        assert {call.id for call in plan.calls} - used == {plan.calls[-1].id}, example.query
