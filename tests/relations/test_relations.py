"""The relation graph: data relations, ranks, and what excludes what."""

from __future__ import annotations

import pytest
from hypothesis import given

from llmorch.declare.functions import Function
from llmorch.declare.offered import self_function
from llmorch.errors import IllegalEvent
from llmorch.plan import parse
from llmorch.relations import RelationGraph, discover, lower_bound
from tests.relations.verify import verify
from tests.strategies import FUNCTIONS, plans

SEO = """\
s1 = search(query="https://openai.com/")
s2 = chatbot(prompt="an example")
s3 = python(file="seo.py", args=[s1])
s4 = python(file="con.py", args=[s1])
s5 = chatbot(prompt="{s2} {s3} {s4}")
"""
OFFERED = {
    "search": Function("search", call=print, kind="inout", effects="none"),
    "chatbot": Function("chatbot", call=print, kind="compute", effects="none"),
    "python": Function("python", call=print, kind="compute", effects="none"),
    "self": self_function("inout"),
}


def test_the_papers_example_has_the_graph_of_figure_1() -> None:
    graph = discover(parse(SEO), OFFERED)
    verify(graph)
    assert {call: graph.rank(call) for call in graph} == {"s1": 1, "s2": 1, "s3": 2, "s4": 2, "s5": 3}
    assert {call: graph.uses(call) for call in graph} == {
        "s1": (),
        "s2": (),
        "s3": ("s1",),
        "s4": ("s1",),
        "s5": ("s2", "s3", "s4"),
    }
    assert {call: graph.excludes(call) for call in graph} == {
        "s1": (),
        "s2": (),
        "s3": ("s4",),
        "s4": ("s3",),
        "s5": (),
    }


@given(plan=plans(arguments=False))
def test_every_graph_is_ranked_acyclic_and_agrees_with_its_plan(plan) -> None:
    graph = discover(plan, FUNCTIONS)
    verify(graph)
    assert list(graph) == [call.id for call in plan]
    for call in plan:
        assert set(graph.uses(call.id)) == {reference.id for reference in call.references}
        reached = {other for other in graph if call.id in _ancestors(graph, other)}
        assert set(graph.descendants(call.id)) == reached


def _ancestors(graph: RelationGraph, call: str) -> set[str]:
    found: set[str] = set()
    for used in graph.uses(call):
        found |= {used} | _ancestors(graph, used)
    return found


def test_a_call_before_what_it_uses_is_a_defect() -> None:
    plan = parse(SEO)
    with pytest.raises(IllegalEvent):
        RelationGraph().add(plan["s3"], "compute")


def test_the_lower_bound_is_the_longer_of_chain_and_work() -> None:
    graph = discover(parse(SEO), OFFERED)
    seconds = {"s1": 1.0, "s2": 5.0, "s3": 2.0, "s4": 4.0, "s5": 3.0}
    assert lower_bound(graph, seconds, 1000) == 8.0
    assert lower_bound(graph, seconds, 1) == 14.0
    assert lower_bound(graph, seconds, 2) == 8.0


def test_a_call_that_is_the_same_as_another_excludes_nothing() -> None:
    plan = 's1 = python(file="a")\ns2 = python(file="a")\ns3 = python(file="b")'
    graph = discover(parse(plan), OFFERED)
    verify(graph)
    assert {call: graph.excludes(call) for call in graph} == {"s1": ("s3",), "s2": (), "s3": ("s1",)}
