"""Pictures of the relation graph: what is drawn of a relation grows with the calls, not with their pairs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from llmorch import Plan, function
from llmorch.cli.graphs import FORMATS, MOST_PAIRED, as_json
from llmorch.declare.functions import Function
from llmorch.declare.offered import as_functions
from llmorch.plan import check, parse
from llmorch.relations import RelationGraph, discover

TRAIN = {"train": Function("train", call=print, kind="compute", effects="none")}


def training(count: int) -> RelationGraph:
    plan = parse("\n".join(f"s{at} = train()" for at in range(count)))
    return discover(plan, TRAIN, optimize=False)


def test_few_calls_that_exclude_one_another_have_a_line_between_every_two() -> None:
    drawn = FORMATS["mermaid"](training(3), TRAIN)
    assert [line.strip() for line in drawn.splitlines() if "-.-" in line] == [
        "s0 -.- s1",
        "s0 -.- s2",
        "s1 -.- s2",
    ]


@pytest.mark.parametrize(
    ("form", "line", "node"),
    [
        ("mermaid", "s7 -.- x1", "x1{{one at a time}}"),
        ("dot", "s7 -> x1 [dir=none, style=dashed];", 'x1 [label="one at a time", shape=diamond];'),
    ],
)
def test_many_have_a_node_between_them(form: str, line: str, node: str) -> None:
    lines = [text.strip() for text in FORMATS[form](training(MOST_PAIRED + 1), TRAIN).splitlines()]
    assert {line, node} <= set(lines)
    dotted = [text for text in lines if "-.-" in text or "dashed" in text]
    assert len(dotted) == MOST_PAIRED + 1


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_drawn_grows_with_the_calls(form: str) -> None:
    sizes = [len(FORMATS[form](training(count), TRAIN)) for count in (500, 2_000)]
    assert sizes[1] / sizes[0] == pytest.approx(4, rel=0.15)


@function(reads=["file:{path}"])
async def read(path: str) -> str: ...


@function(writes=["file:{path}"])
async def write(path: str) -> str: ...


def test_json_says_who_touches_what_and_leaves_out_an_order_that_others_imply() -> None:
    functions = as_functions([read, write])
    text = 's1 = write(path="a")\ns2 = read(path="a")\ns3 = write(path="a")\ns4 = read(path=s2)'
    graph = discover(check(parse(text), functions), functions)
    data = json.loads(json.dumps(as_json(graph, functions)))
    assert data["groups"] == {
        "excludes": [],
        "things": [
            {"name": "file:a", "readers": ["s2"], "writers": ["s1", "s3"]},
            {"name": "file:*", "readers": ["s4"], "writers": []},
        ],
    }
    assert [call["after"] for call in data["calls"]] == [[], ["s1"], ["s1", "s2"], ["s3"]]


@function(untrusted=True)
async def fetch(url: str) -> str: ...


def test_what_comes_from_outside_is_drawn_and_a_graph_without_it_is_as_it_was() -> None:
    functions = as_functions([read, fetch])
    text = 's1 = fetch(url="a")\ns2 = read(path="a")\ns3 = read(path=s1)'
    plan = check(parse(text), functions)
    marked = Plan((*plan.calls[:2], replace(plan.calls[2], influenced=True)))
    graph, plain = discover(marked, functions), discover(Plan(plan.calls[1:2]), functions)
    assert [(call["outside"], call["influenced"]) for call in as_json(graph, functions)["calls"]] == [
        (True, False), (False, False), (True, True),
    ]  # fmt: skip
    drawn = {form: FORMATS[form](graph, functions).splitlines() for form in ("mermaid", "dot")}
    assert {"    class s1,s3 outside", "    class s3 influenced"} <= {*drawn["mermaid"]}
    assert {"    s1 [style=dashed];", "    s3 [style=dashed];", "    s3 [penwidth=4];"} <= {*drawn["dot"]}
    assert FORMATS["mermaid"](plain, functions) == 'flowchart TD\n    s2("s2 = read(path=&quot;a&quot;)")'
