"""The plan language: what is read, what is refused, and what the error says."""

from __future__ import annotations

import contextlib
import gc
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmorch.calls import Constant, Field, ListOf, Reference, Subscript, Template
from llmorch.errors import (
    DuplicateId,
    EmptyPlan,
    InvalidArgument,
    InvalidSyntax,
    PlanError,
    PlanTooLarge,
    UndefinedId,
)
from llmorch.plan import Parser, parse, render
from tests.strategies import plans

PAPER = """\
s1: search(query="https://openai.com/")
s2: chatbot("Give an example of SEO optimization.")
s3: python(file="seo.py", args=[s1])
s4: python(file="con.py", args=[s1])
s5: chatbot(prompt='''Summarize.
{s2} {s3}
{s4}''')
"""


@given(plan=plans())
def test_a_rendered_plan_parses_to_itself_in_either_form(plan) -> None:
    assert parse(render(plan)) == plan
    assert parse(render(plan, form="paper")) == plan


@given(plan=plans(max_calls=4), data=st.data())
def test_the_pieces_in_which_a_text_arrives_change_nothing(plan, data) -> None:
    text = "# a comment\n```python\n" + render(plan).replace("(", "(\n  ", 1) + "\n```\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    parser, calls = Parser(), []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        calls += parser.feed(text[start:end])
    calls += parser.finish()
    assert tuple(calls) == plan.calls
    assert [call.position for call in calls] == [call.position for call in parse(text)]


def test_the_papers_syntax_is_read() -> None:
    plan = parse(PAPER)
    assert [call.function for call in plan] == ["search", "chatbot", "python", "python", "chatbot"]
    assert plan["s3"].args == {"file": Constant("seo.py"), "args": ListOf((Reference("s1"),))}
    assert plan["s5"].uses == ("s2", "s3", "s4")
    assert plan["s2"].positional == (Constant("Give an example of SEO optimization."),)


def test_llmcompilers_syntax_is_read() -> None:
    plan = parse("1. search('Texas')\n2: math('people in $1 at $9 and $100', ['$1'], $1)\n3. join()\n")
    assert [call.id for call in plan] == ["s1", "s2"]
    assert plan["s2"].positional == (
        Template(("people in ", Reference("s1"), " at $9 and $100")),
        ListOf((Template((Reference("s1"),)),)),
        Reference("s1"),
    )


def test_a_dollar_is_text_in_every_other_form() -> None:
    plan = parse('s1 = search(query="Texas")\ns2 = search(query="it costs $1 or $s1")')
    assert plan["s2"].args["query"] == Constant("it costs $1 or $s1")


def test_braces_stand_for_a_result_only_if_it_is_above() -> None:
    plan = parse('s1 = f(x="{a} {1} {} {s1x}")\ns2 = f(x=f"{s1} {s1[\'k\'][0].area} {{}}")')
    assert plan["s1"].args["x"] == Constant("{a} {1} {} {s1x}")
    path = Field(Subscript(Subscript(Reference("s1"), Constant("k")), Constant(0)), "area")
    assert plan["s2"].args["x"] == Template((Reference("s1"), " ", path, " {}"))


@pytest.mark.parametrize("text", ["{s1", "{s1 and {s2}", "s1}", "{s1[0", "s1[0]}", "{s1:.2f}", "{s1!r}"])
@pytest.mark.parametrize("before", ["", "Area of Texas: "])
def test_what_is_left_of_a_reference_is_refused_and_not_read_as_text(before, text) -> None:
    with pytest.raises(InvalidSyntax, match="braces hold only an id") as caught:
        parse(f's1 = f()\ns2 = f()\ns3 = f(x="{before}{text}")')
    assert (caught.value.line, caught.value.column) == (3, 10)


@pytest.mark.parametrize(
    "text",
    [
        "{ s1 = 1; }",
        "int f(char *s1) {s1++; return s1;}",
        "if (a) {s1 = {1}}",
        "{{page}, s1}",
        "{page: 1}",
        "{pages}",
        "{s1x}",
        "one {name} each",
        "a{1}",
        "s1",
        "x^{2}_{s}",
        "{s7",
        "{",
        "}",
    ],
)
def test_other_braces_stay_text(text) -> None:
    plan = parse(f's1 = f()\npage = f()\ns3 = f(x="{text}")'.replace("{page}", "{pg}"))
    assert plan["s3"].args["x"] == Constant(text.replace("{page}", "{pg}"))


def test_spaces_in_braces_change_nothing() -> None:
    assert parse('s1 = f()\ns2 = f(x="{ s1 } {s1[0] }")') == parse('s1 = f()\ns2 = f(x="{s1} {s1[0]}")')


@pytest.mark.parametrize(
    "text", ['e2 = f()\ne4 = f(x="{e3}")', 'e2 = f(x="{e1}")', 'a = f(x="{e1}")\ne2 = f()']
)
def test_a_name_like_the_plans_ids_is_no_text(text) -> None:
    with pytest.raises(UndefinedId, match=r"e[13] is not defined"):
        parse(text)


def test_a_number_below_the_lines_own_stands_for_a_line_that_is_missing() -> None:
    with pytest.raises(UndefinedId, match="s2 is not defined"):
        parse("1. f('a')\n3. f('of $1 and $2')")
    assert parse("1. f('a')\n3. f('$1 at $5')")["s3"].positional == (Template((Reference("s1"), " at $5")),)


def test_a_function_called_join_is_no_end_mark() -> None:
    assert [call.function for call in parse("1. f('a')\n2. join([$1, 'b'])\n3. join()<END_OF_PLAN>")] == [
        "f",
        "join",
    ]


def test_a_call_without_an_id_has_that_of_its_place_where_that_is_allowed() -> None:
    text = 'search("a")\nx = search("b")\n\nsearch("c", k=s1)\n'
    parser = Parser(numbers=True)
    assert [call.id for call in parser.feed(text)] == ["s1", "x", "s3"]
    assert [call.id for call in Parser(["s1", "x"], numbers=True).feed('search("d")\n')] == ["s3"]
    assert [call.id for call in Parser(["s1", "s3"], numbers=True).feed('search("d")\n')] == ["s4"]
    with pytest.raises(InvalidSyntax, match="this is not a call with an id"):
        Parser().feed(text)
    with pytest.raises(InvalidSyntax, match="this is not a call with an id"):
        Parser(numbers=True).feed("moment\n")
    with pytest.raises(DuplicateId, match="s1 is defined twice, first on line 1"):
        Parser(numbers=True).feed('search("a")\ns1 = search("b")\n')
    with pytest.raises(DuplicateId, match="such as s3"):
        Parser().feed('s2 = search("a")\ns2 = search("b")\n')


def test_what_python_would_warn_of_warns_nobody() -> None:
    for argument in (r"'\d'", "1or 2", "2in [2]", "0xfor 2"):
        parse(f"s1 = f(x={argument})")  # a warning is an error here


def test_a_call_is_handed_on_when_its_line_is_complete() -> None:
    parser = Parser()
    assert parser.feed('s1 = search(query="a")') == []
    assert [call.id for call in parser.feed("\ns2 = sea")] == ["s1"]
    assert parser.feed("rch(\n  query='''b\n") == []
    assert [call.id for call in parser.feed("''')\n")] == ["s2"]


REFUSED = [
    ("s1 = f(x=s1)", UndefinedId, 1, 10, "uses its own result"),
    ("s1 = f(x=s2)\ns2 = f()", UndefinedId, 1, 10, "s2 is not defined"),
    ("s1 = f()\ns1 = f()", DuplicateId, 2, 1, "first on line 1"),
    ('s1 = f(x="{s9}")', UndefinedId, 1, 10, "s9 is not defined"),
    ('s1 = f(x="{total}")\ntotal = f()', UndefinedId, 1, 10, "before it is defined"),
    ("s1 = f(x=true)", UndefinedId, 1, 10, "write True"),
    ("Sure! Here is the plan:", InvalidSyntax, 1, 5, "one call a line"),
    ("Here is the plan", InvalidSyntax, 1, 6, "one call a line"),
    ("I can't do that.", InvalidSyntax, 1, 6, "one call a line"),
    ("import os", InvalidSyntax, 1, 1, "one call a line"),
    ("f()", InvalidSyntax, 1, 1, "one call a line"),
    ("s1 = 3", InvalidSyntax, 1, 6, "not a function call"),
    ("s1 = f(x=1) + 2", InvalidSyntax, 1, 6, "not a function call"),
    ("s1 = f.g(x=1)", InvalidSyntax, 1, 6, "plain name"),
    ("s1 = s2 = f()", InvalidSyntax, 1, 1, "not a call"),
    ("len = f()", InvalidSyntax, 1, 1, "has a meaning"),
    ("_s = f()", InvalidSyntax, 1, 1, "plain name"),
    ("s1 = f(**{})", InvalidSyntax, 1, 10, "name every argument"),
    ("s1 = f(x=1, x=2)", InvalidArgument, 1, 13, "keyword argument repeated: x"),
    ("s1 = f(x=1,\n  y=2,\n  x=1)", InvalidArgument, 3, 3, "keyword argument repeated: x"),
    ("1. f(x=1, x=1)", InvalidArgument, 1, 11, "keyword argument repeated: x"),
    ('s1 = f(x={"a": 1, "b": 2, "a": 1})', InvalidSyntax, 1, 27, "key repeated: 'a'"),
    ('s1 = f(x=[{"a": {1: 1, 1.0: 2}}])', InvalidSyntax, 1, 24, "key repeated: 1.0"),
    ("s1 = f(*[1])", InvalidSyntax, 1, 8, "can't stand"),
    ("s1 = f(x=lambda: 1)", InvalidSyntax, 1, 10, "lambda"),
    ("s1 = f(x=[i for i in []])", InvalidSyntax, 1, 10, "can't stand"),
    ("s1 = f(x=(y := 1))", InvalidSyntax, 1, 11, "can't stand"),
    ("s1 = f(x=await s1)", InvalidSyntax, 1, 10, "can't stand"),
    ("s1 = f(x=1 if 1 else 2)", InvalidSyntax, 1, 10, "can't stand"),
    ("s1 = f(x=b'a')", InvalidSyntax, 1, 10, "can't stand"),
    ("s1 = f(x=...)", InvalidSyntax, 1, 10, "can't stand"),
    ("s1 = f(x=1j)", InvalidSyntax, 1, 10, "can't stand"),
    ("s1 = f(x={**{}})", InvalidSyntax, 1, 10, "can't stand"),
    ("s1 = f(x={1, 2})", InvalidSyntax, 1, 10, "can't stand"),
    ("s1 = f()\ns2 = f(x=s1.__class__)", InvalidSyntax, 2, 10, "private"),
    ("s1 = f()\ns2 = f(x=s1._x)", InvalidSyntax, 2, 10, "private"),
    ('s1 = f()\ns2 = f(x="{s1.__class__}")', InvalidSyntax, 2, 10, "private"),
    ('s1 = f()\ns2 = f(x=f"{s1.__class__}")', InvalidSyntax, 2, 10, "private"),
    ('s1 = f()\ns2 = f(x="{s1.a()}")', InvalidSyntax, 2, 10, "braces hold only"),
    ('s1 = f()\ns2 = f(x=f"{s1:>9}")', InvalidSyntax, 2, 10, "braces in a string"),
    ('s1 = f(x=__import__("os"))', InvalidSyntax, 1, 10, "can't be called"),
    ('s1 = f(x=eval("1"))', InvalidSyntax, 1, 10, "can't be called"),
    ('s1 = f(x=open("/etc/passwd"))', InvalidSyntax, 1, 10, "can't be called"),
    ('s1 = f(x=search(query="a"))', InvalidSyntax, 1, 10, "a line and an id of its own"),
    ("s1 = f(x=len(s=1))", InvalidSyntax, 1, 10, "plain arguments"),
    ('s1 = f(x="abc', InvalidSyntax, 1, 10, "unterminated"),
    ("s1 = f(x=(1", InvalidSyntax, 1, 10, "never closed"),
    ("s1 = f(x=1))", InvalidSyntax, 1, 12, "unmatched"),
    ("s1 = f(x=\x001)", InvalidSyntax, 1, 10, "control character"),
    ("  s1 = f(é=1, x=zz)", UndefinedId, 1, 17, "zz"),
    ("s1 = f(\n  x=1,\n  y=zz)", UndefinedId, 3, 5, "zz"),
    (f"s1 = f(x={'[' * 50}{']' * 50})", PlanTooLarge, 1, 49, "brackets"),
    (f"s1 = f(x={'-' * 90_000}1)", PlanTooLarge, 1, 1, "deeply"),
    (f"s1 = f(x={'+'.join('1' * 200)})", PlanTooLarge, 1, 10, "nested"),
    (f"s1 = f(x={'9' * 5000})", InvalidSyntax, 1, 1, "digits"),
    (f's1 = f(x="{"a" * 100_001}")', PlanTooLarge, 1, 1, "100,000"),
    ("s1 = f(x='''" + "a\n" * 60_000, PlanTooLarge, 1, 1, "100,000"),
    ("", EmptyPlan, 1, 1, "one call a line"),
    ("\n\n```\n# nothing\n```", EmptyPlan, 1, 1, "one call a line"),
]


def test_keys_that_only_results_can_make_the_same_are_no_mistake() -> None:
    plan = parse('s1 = f()\ns2 = f(x={"{s1}": 1, s1: 2, "a{s1}": 3, "a": 4})')
    assert len(plan["s2"].args["x"].items) == 4


@pytest.mark.parametrize(
    ("text", "kind", "line", "column", "says"), REFUSED, ids=lambda value: str(value)[:30]
)
def test_what_is_not_a_plan_is_refused_with_its_position_and_a_hint(text, kind, line, column, says) -> None:
    with pytest.raises(PlanError) as caught:
        parse(text)
    error = caught.value
    assert (type(error), error.line) == (kind, line)
    assert says in str(error)
    assert len(str(error)) < 800
    if kind is not InvalidSyntax or "this is not a call" not in error.message:
        assert error.column == column


def test_an_error_shows_the_line_and_points_at_the_place() -> None:
    with pytest.raises(UndefinedId) as caught:
        parse('s1 = search(query="a")\ns2 = python(file=s9)')
    assert str(caught.value) == (
        "line 2, column 18: s9 is not defined\n"
        "    s2 = python(file=s9)\n"
        "                     ^\n"
        "ids defined above this line: s1"
    )


@given(st.text(max_size=200) | st.text("s1=f(x[]{}\"'\\\n:$. ,#", max_size=60))
def test_any_text_is_a_plan_or_a_plan_error(text) -> None:
    try:
        plan = parse(text)
    except PlanError as error:
        assert error.message
        assert error.line >= 1
    else:
        assert parse(render(plan)) == plan


@pytest.mark.parametrize("text", ["{x s1}", "{page: 1}", "{page =", "s1[", "{a.  ", "s1 ", "{ ", "{s1{", "1"])
def test_a_string_full_of_fragments_is_read_quickly(text) -> None:
    began = time.process_time()
    with contextlib.suppress(PlanError):
        parse(f's1 = f()\npage = f()\ns3 = f(x="{text * (90_000 // len(text))}")')
    assert time.process_time() - began < 1


def test_reading_takes_linear_time() -> None:
    def seconds(calls: int) -> float:
        text = "\n".join(f's{n} = search(query="Texas {{s{max(1, n - 3)}}}")' for n in range(5, calls))
        text = "\n".join(f's{n} = search(query="Texas")' for n in range(1, 5)) + "\n" + text
        began = time.process_time()
        parse(text)
        return time.process_time() - began

    def least(calls: int) -> float:  # a busy machine, or a garbage collection, makes any one run longer
        return min(seconds(calls) for _ in range(3))

    seconds(100)
    assert least(8000) < 16 * least(1000)


@pytest.mark.parametrize(
    "argument",
    [
        "0x" + "f" * 3600,
        "0b" + "1" * 5000,
        "-0o" + "7" * 2000,
        "9" * 1300,
        "[1, {'a': 0x" + "f" * 1100 + "}]",
    ],
)
def test_a_number_is_no_longer_than_one_may_become(argument: str) -> None:
    with pytest.raises(PlanTooLarge, match="more than 4096 bits"):
        parse(f"s1 = f(x={argument})")


@pytest.mark.parametrize("steps", [".a", "[0]", '[\\"a\\"]', ".a[0]"])
@pytest.mark.parametrize("prefix", ["", "f"])
@pytest.mark.parametrize("count", [61, 1500, 8000])
def test_a_long_path_in_braces_is_an_error_of_the_plan(steps: str, prefix: str, count: int) -> None:
    with pytest.raises(PlanError):
        parse(f's1 = f()\ns2 = f(x={prefix}"{{s1{steps * count}}}")')


@pytest.mark.parametrize(
    "argument", ["-(-0)", "--0", "-(-0.0)", "---1", "-(+1)", "+-1", "-(not 1)", "- -2.5"]
)
def test_signs_are_read_again_as_they_are_written(argument: str) -> None:
    plan = parse(f"s1 = f(x={argument})")
    assert parse(render(plan)) == plan


def test_plans_are_read_in_many_threads_at_once() -> None:
    """Where a thread goes on in the middle of another's tree, CPython loses count of its depth."""
    text = "\n".join(f"s{n} = f(x=[[[[{n}, -1]]]], y={{'a': (1, 2)}}, z='text')" for n in range(1, 60))
    whole = parse(text)

    def give_way(phase: str, _: dict[str, int]) -> None:
        time.sleep(0)

    before = gc.get_threshold()
    gc.callbacks.append(give_way)
    gc.set_threshold(5)
    try:
        with ThreadPoolExecutor(8) as threads:
            assert all(plan == whole for plan in threads.map(parse, [text] * 32))
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(give_way)


def test_an_f_string_of_too_many_braces_is_refused_since_python_would_take_long() -> None:
    many = "{s1} " * 9_000
    with pytest.raises(PlanTooLarge, match="more than 8,000 braces"):
        parse(f"s1 = f(x=1)\ns2 = f(x=f'{many}')")
    assert len(parse(f"s1 = f(x=1)\ns2 = f(x='{many}')")) == 2
