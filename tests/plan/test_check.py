"""A plan against its functions: refused before anything runs, with a hint."""

from __future__ import annotations

import time
from collections.abc import Generator  # noqa: TC003  the declaration reads it
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge
from pydantic import BaseModel

from llmorch import function
from llmorch.calls import Constant, Reference, Template
from llmorch.declare.offered import as_functions, self_function
from llmorch.errors import InvalidArgument, UnknownFunction
from llmorch.plan import check, mention_unused, parse, render, unused_results


class Point(BaseModel):
    x: int
    y: int = 0


@function(pure=True)
async def search(query: str, k: int = 500) -> str: ...


@function(kind="compute", pure=True)
def draw(
    points: list[Point], style: Literal["line", "dot"] = "line", width: Annotated[float, Ge(0)] = 1
) -> str: ...


@function
def save(text: Any) -> None: ...


FUNCTIONS = as_functions([search, draw, save]) | {"self": self_function("inout")}


@pytest.mark.parametrize(
    ("text", "kind", "column", "says"),
    [
        ('s1 = serch(query="a")', UnknownFunction, 1, "did you mean search?"),
        ('s1 = fly(query="a")', UnknownFunction, 1, "draw, save, search, self"),
        ('s1 = search(q="a")', InvalidArgument, 15, "no parameter q"),
        ("s1 = search(query=5)", InvalidArgument, 19, "valid string"),
        ('s1 = search(query="a", k="5")', InvalidArgument, 26, "valid integer"),
        ('s1 = search(query="a", k=5.5)', InvalidArgument, 26, "valid integer"),
        ('s1 = search(query="a", k=True)', InvalidArgument, 26, "valid integer"),
        ('s1 = search(query="a", k=None)', InvalidArgument, 26, "valid integer"),
        ("s1 = search(k=5)", InvalidArgument, 1, "needs its argument query"),
        ('s1 = search("a", 1, 2)', InvalidArgument, 21, "takes 2 arguments"),
        ('s1 = search("a", query="b")', InvalidArgument, 24, "keyword argument repeated"),
        ('s1 = draw(points=[{"y": 1}])', InvalidArgument, 18, "field required"),
        ('s1 = draw(points=[{"x": 1}], style="dash")', InvalidArgument, 36, "'line' or 'dot'"),
        ('s1 = draw(points=[{"x": 1}], width=-1)', InvalidArgument, 36, "greater than or equal"),
    ],
)
def test_a_call_that_its_function_can_not_take_is_refused(text, kind, column, says) -> None:
    with pytest.raises(kind) as caught:
        check(parse(text), FUNCTIONS)
    assert (caught.value.line, caught.value.column) == (1, column)
    assert says in str(caught.value)


@function(pure=True)
def mix(
    values: list[float],
    shares: dict[str, float] | None = None,
    places: list[Point] | None = None,
    parts: list[int | str] | None = None,
    text: str = "",
    free: Any = None,
) -> float: ...


MIXING = as_functions([mix, search])


@pytest.mark.parametrize(
    ("arguments", "column", "says"),
    [
        ('values=[s1, "many"]', 17, "[1]: input should be a valid number"),
        ('values=[], shares={"a": s1, "b": "half"}', 28, "['b']"),
        ('values=[], places=[{"x": s1, "y": 1.5}]', 28, "[0]['y']"),
        ('values=[], places=[{"y": s1}]', 28, "[0]['x']: field required"),
    ],
)
def test_a_literal_beside_a_result_is_checked_too(arguments, column, says) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check(parse(f's1 = search("a")\ns2 = mix({arguments})'), MIXING)
    assert (caught.value.line, caught.value.column) == (2, column)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        "values=[s1, 2]",
        'values=[s1, "{s1}", len(s1), -s1]',
        'values=s1, shares={"a": s1, "b": 1}',
        'values=[], places=[{"x": s1, "y": 2}, s1]',
        'values=[], places=[{s1: 1, "x": 2}]',
        'values=[], parts=[s1, 1, "a"]',
        "values=[], text=[s1, 2]",
        "values=[], free=[s1, None]",
    ],
)
def test_what_a_result_may_come_to_is_not_refused(arguments) -> None:
    check(parse(f's1 = search("a")\ns2 = mix({arguments})'), MIXING)


def test_a_list_is_no_number() -> None:
    with pytest.raises(InvalidArgument, match="a list is no number"):
        check(parse('s1 = search("a")\ns2 = search("b", k=[s1])'), FUNCTIONS)


def test_text_around_a_result_is_no_number() -> None:
    with pytest.raises(InvalidArgument, match="is a number"):
        check(parse('s1 = search("a")\ns2 = search("b", k="about {s1}")'), FUNCTIONS)


def test_positional_arguments_get_their_names() -> None:
    plan = check(parse('s1 = search("Texas", 5)'), FUNCTIONS)
    assert plan["s1"].args == {"query": Constant("Texas"), "k": Constant(5)}
    assert plan["s1"].positional == ()
    assert render(plan) == 's1 = search(query="Texas", k=5)'


def test_what_comes_from_another_call_is_checked_when_it_arrives() -> None:
    plan = check(parse('s1 = search("a")\ns2 = search(query=s1, k=s1)\ns3 = draw(points=[s1])'), FUNCTIONS)
    k = FUNCTIONS["search"].by_name["k"]
    assert plan["s2"].uses == ("s1",)
    assert k.accept("12") == 12
    with pytest.raises(ValueError, match="valid integer"):
        k.accept("twelve")
    assert FUNCTIONS["draw"].by_name["points"].accept([{"x": "1"}]) == [Point(x=1)]


def test_a_result_that_nothing_uses_is_found_unless_its_function_returns_nothing() -> None:
    plan = check(
        parse('s1 = search("a")\ns2 = search("b")\ns3 = save(text=s1)\ns4 = self("which?")'), FUNCTIONS
    )
    assert [call.id for call in unused_results(plan, FUNCTIONS)] == ["s2"]


def test_a_call_that_changes_something_needs_no_user() -> None:
    @function(writes=["entry:{name}"])
    def keep(name: str) -> str: ...

    @function(effects="unknown")
    def poke(name: str) -> str: ...

    functions = FUNCTIONS | as_functions([keep, poke])
    plan = check(parse('s1 = keep("a")\ns2 = poke("b")\ns3 = search("c")\ns4 = self("which?")'), functions)
    assert [call.id for call in unused_results(plan, functions)] == ["s3"]


def test_an_unused_result_is_put_into_the_last_prompt_in_plain_sight() -> None:
    plan = check(parse('s1 = search("a")\ns2 = self("which?")'), FUNCTIONS)
    amended = mention_unused(plan, FUNCTIONS)
    assert amended["s2"].args["prompt"] == Template(("which?\n\nResult of s1:\n", Reference("s1")))
    assert parse(render(amended)) == amended


def test_a_prompt_that_a_function_takes_apart_gets_nothing_added() -> None:
    @function(asks_model=True, pure=True)
    def compute(prompt: str) -> Generator[str, str, float]:
        yield prompt
        return 1.0

    functions = FUNCTIONS | as_functions([compute])
    plan = check(parse('s1 = search("a")\ns2 = compute("1 + 2")'), functions)
    assert mention_unused(plan, functions) is plan


def test_a_prompt_that_has_to_be_trusted_gets_nothing_added() -> None:
    @function(asks_model=True, pure=True, trusted=["prompt"])
    def decide(prompt: str) -> str:
        return prompt

    functions = FUNCTIONS | as_functions([decide])
    plan = check(parse('s1 = search("a")\ns2 = decide("which?")'), functions)
    assert mention_unused(plan, functions) is plan


def test_a_plan_whose_last_call_has_no_prompt_stays_as_it_is() -> None:
    plan = check(parse('s1 = search("a")\ns2 = search("b")'), FUNCTIONS)
    assert mention_unused(plan, FUNCTIONS) is plan


def test_a_dictionary_of_results_is_checked_in_linear_time() -> None:
    @function
    def totals(of: dict[str, int]) -> int:
        return 0

    def seconds(count: int) -> float:
        pairs = ", ".join(f"'a{at}': s1" for at in range(count))
        plan = parse(f"s1 = totals(of={{}})\ns2 = totals(of={{{pairs}}})")
        begun = time.process_time()
        check(plan, as_functions([totals]))
        return time.process_time() - begun

    # Others use the machine too; where each result was looked for from the first key on, it took 16 times as long.
    assert min(seconds(6_000) / seconds(1_500) for _ in range(4)) < 9
