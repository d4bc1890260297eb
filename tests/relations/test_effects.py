"""What calls touch, which of them conflict, and that conflicting calls keep the plan's order."""

from __future__ import annotations

import time
from typing import Annotated

import pytest
from pydantic import AfterValidator

from llmorch import function
from llmorch.declare.offered import as_functions
from llmorch.errors import FunctionError
from llmorch.places.arguments import Inputs
from llmorch.plan import check, parse
from llmorch.relations import RelationGraph, discover, touches
from llmorch.relations.effects import Name, Touch
from tests.relations.verify import verify


@function(reads=["file:{path}"])
async def read(path: str) -> str: ...


@function(writes=["file:{path}"])
async def write(path: str, text: str = "") -> str: ...


@function(reads=["file:{folder}/*"])
async def listed(folder: str) -> list[str]: ...


@function(reads=["account:{source}"], writes=["account:{source}", "account:{target}"])
async def transfer(source: int, target: int = 7) -> int: ...


@function(effects="unknown")
async def shell(command: str) -> str: ...


@function
async def pure(text: str) -> str: ...


FUNCTIONS = as_functions([read, write, listed, transfer, shell, pure])


def graph_of(text: str) -> RelationGraph:
    graph = discover(check(parse(text), FUNCTIONS), FUNCTIONS)
    verify(graph)
    return graph


def after(text: str) -> dict[str, tuple[str, ...]]:
    graph = graph_of(text)
    return {call: graph.after(call) for call in graph if graph.after(call)}


def test_a_reader_comes_after_the_writer_of_the_same_thing() -> None:
    assert after('s1 = write(path="a")\ns2 = read(path="a")\ns3 = read(path="b")') == {"s2": ("s1",)}


def test_readers_share_and_a_writer_waits_for_them() -> None:
    text = 's1 = read(path="a")\ns2 = read(path="a")\ns3 = write(path="a")\ns4 = write(path="b")'
    assert after(text) == {"s3": ("s1", "s2")}


def test_a_star_stands_for_everything_below() -> None:
    text = 's1 = write(path="x/a")\ns2 = write(path="y/a")\ns3 = listed(folder="x")\ns4 = write(path="x/b/c")'
    assert after(text) == {"s3": ("s1",), "s4": ("s3",)}


def test_what_is_not_known_yet_could_be_anything_of_that_pattern() -> None:
    text = 's1 = pure(text="a")\ns2 = write(path=s1)\ns3 = read(path="b")\ns4 = transfer(source=1)'
    assert after(text) == {"s3": ("s2",)}


def test_defaults_and_numbers_are_names_too() -> None:
    assert after(
        "s1 = transfer(source=1)\ns2 = transfer(source=2, target=3)\ns3 = transfer(source=7, target=9)"
    ) == {"s3": ("s1",)}


def test_unknown_effects_keep_the_order_against_every_call() -> None:
    text = 's1 = pure(text="a")\ns2 = shell(command="ls")\ns3 = pure(text="b")\ns4 = read(path="a")'
    assert after(text) == {"s2": ("s1",), "s3": ("s2",), "s4": ("s2",)}


def test_a_star_in_an_argument_is_a_star() -> None:
    assert after('s1 = write(path="*")\ns2 = read(path="a")\ns3 = read(path="*")') == {"s3": ("s1",)}


def test_results_narrow_what_a_call_touches() -> None:
    plan = check(parse('s1 = pure(text="a")\ns2 = write(path="{s1}.txt")'), FUNCTIONS)
    assert touches(FUNCTIONS["write"], plan["s2"]) == Touch(writes=(Name("file:", below=True),))
    assert touches(FUNCTIONS["write"], plan["s2"], {"s1": "b"}) == Touch(writes=(Name("file:b.txt"),))


def test_narrowing_lets_go_of_what_is_not_in_the_way() -> None:
    graph = graph_of('s1 = pure(text="a")\ns2 = write(path=s1)\ns3 = read(path="b")\ns4 = read(path="c")')
    graph.narrow("s2", Touch(writes=(Name("file:c"),)))
    verify(graph)
    assert (graph.after("s3"), graph.after("s4")) == ((), ("s2",))


def test_what_a_failed_writer_would_have_left_is_not_read() -> None:
    graph = graph_of('s1 = write(path="a")\ns2 = read(path="a")\ns3 = pure(text=s2)\ns4 = read(path="b")')
    assert graph.descendants("s1") == ["s2", "s3"]


def test_a_failed_reader_stops_no_writer() -> None:
    assert graph_of('s1 = read(path="a")\ns2 = write(path="a")').descendants("s1") == []


@function(writes=["page:{number}"])
async def print_page(number: int = 1) -> int: ...


@function(reads=["scale:{factor}"], writes=["tags:{tags}"])
async def mark(factor: float = 1.0, tags: list[str] = ["a"]) -> int: ...  # noqa: B006


PRINTING = as_functions([print_page, mark, pure])


@pytest.mark.parametrize("found", [3, "3", " 3 ", 3.0])
def test_a_name_is_made_of_the_value_that_the_function_is_called_with(found: object) -> None:
    plan = check(parse('s1 = pure(text="a")\ns2 = print_page(number=s1)'), PRINTING)
    assert touches(PRINTING["print_page"], plan["s2"], {"s1": found}) == Touch(writes=(Name("page:3"),))


def test_a_default_and_the_same_value_written_out_are_one_name() -> None:
    plan = check(parse('s1 = mark()\ns2 = mark(factor=1, tags=["a"])'), PRINTING)
    first, second = (touches(PRINTING["mark"], call) for call in plan)
    assert first == second == Touch(reads=(Name("scale:1"),), writes=(Name('tags:["a"]'),))


def test_an_argument_that_does_not_fit_could_still_be_anything() -> None:
    plan = check(parse('s1 = pure(text="a")\ns2 = print_page(number=s1)'), PRINTING)
    assert touches(PRINTING["print_page"], plan["s2"], {"s1": "three"}).writes == (Name("page:", below=True),)


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"reads": "file:{path}"}, "reads is a list of names"),
        ({"writes": ["file:{file}"]}, "braces in 'file:{file}' hold a parameter's name: path"),
        ({"writes": ["a*b"]}, "* can stand only at the end"),
        ({"writes": [""]}, "writes is a list of names"),
        ({"effects": "many"}, 'effects is "unknown", "none" or left out'),
        ({"effects": "unknown", "reads": ["a"]}, "effects are either unknown or said by reads and writes"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(declared, told) -> None:
    with pytest.raises(FunctionError) as raised:

        @function(**declared)
        def touch(path: str) -> None: ...

    assert told in str(raised.value)


def test_a_name_takes_no_time_and_opens_nothing_on_the_way() -> None:
    @function(writes=["row:{key}"])
    def write(key: str) -> None: ...

    long, given = parse("s1 = write(key='x' * 9000000)\ns2 = write(key=s1)").calls
    began = time.thread_time()
    assert touches(as_functions([write])["write"], long).writes == (Name("row:", below=True),)
    assert time.thread_time() - began < 0.1
    opened: list[str] = []

    class Closed:
        here = False

        def open(self) -> str:
            opened.append("it")
            return "a"

    inputs = Inputs({"s1": Closed()}, apart=False)  # type: ignore[dict-item]
    assert touches(as_functions([write])["write"], given, inputs).writes == (Name("row:", below=True),)
    assert opened == []


def test_a_name_is_not_made_by_a_validator_of_somebodys() -> None:
    ran: list[str] = []

    @function(writes=["row:{key}"])
    def write(key: Annotated[str, AfterValidator(lambda text: ran.append(text) or text)]) -> None: ...

    (call,) = parse("s1 = write(key='Ada')").calls
    assert touches(as_functions([write])["write"], call).writes == (Name("row:", below=True),)
    assert ran == []
