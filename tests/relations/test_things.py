"""The order relation is looked up by name; it is what comparing every two calls would give."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmorch.calls import FunctionCall
from llmorch.errors import IllegalEvent
from llmorch.relations import RelationGraph, Touch, remaining_path, unlocking
from llmorch.relations.effects import Name
from llmorch.relations.things import Things
from tests.relations.verify import verify
from tests.strategies import plans

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmorch.calls import CallId

NAMES = st.builds(Name, st.sampled_from(["", "a", "a/", "a/b", "a/bc", "b", "c"]), st.booleans())
SOME = st.lists(NAMES, max_size=2).map(tuple)
TOUCHES = st.one_of(
    st.just(Touch()), st.builds(Touch, SOME, SOME), st.builds(Touch, SOME, SOME), st.just(Touch(barrier=True))
)


@st.composite
def graphs(draw: st.DrawFn) -> RelationGraph:
    """Graphs of calls that touch a few things, some of which have been narrowed since."""
    graph = RelationGraph()
    for call in draw(plans(arguments=False, max_calls=12)):
        graph.add(call, draw(st.sampled_from(["inout", "compute"])), draw(TOUCHES))
        if draw(st.integers(0, 3)) == 0:
            narrowed = draw(st.sampled_from(list(graph)))
            graph.narrow(narrowed, draw(TOUCHES))
    return graph


def conflicting(graph: RelationGraph, call: CallId) -> tuple[CallId, ...]:
    """The earlier calls that conflict with a call, by comparing it with each."""
    earlier = list(graph)[: graph.order(call)]
    return tuple(other for other in earlier if graph.touch(call).conflicts(graph.touch(other)))


def before(graph: RelationGraph, call: CallId) -> list[CallId]:
    """The later calls that conflict with a call."""
    return [later for later in graph if call in graph.after(later)]


def reached(graph: RelationGraph, step: dict[CallId, Iterable[CallId]], call: CallId) -> set[CallId]:
    found: set[CallId] = set()
    stack = [call]
    while stack:
        new = set(step[stack.pop()]) - found
        found |= new
        stack += new
    return found


@given(graph=graphs())
def test_what_conflicts_is_ordered_and_nothing_else(graph) -> None:
    verify(graph)
    for call in graph:
        assert graph.after(call) == conflicting(graph, call)
        last = graph.things.last(graph.order(call), graph.touch(call))
        assert ([] if last is None else [graph.at(last)]) == list(graph.after(call)[-1:])
        spoilers = [one for one in graph.after(call) if graph.touch(one).spoils(graph.touch(call))]
        assert list(graph.spoilers(call)) == spoilers


@given(graph=graphs())
def test_the_calls_that_one_follows_imply_all_that_it_comes_after(graph) -> None:
    after = {call: graph.after(call) for call in graph}
    follows = {call: graph.follows(call) for call in graph}
    for call in graph:
        assert set(follows[call]) <= set(after[call])
        assert reached(graph, follows, call) == reached(graph, after, call)


@given(graph=graphs(), among=st.sets(st.sampled_from([f"s{number}" for number in range(1, 13)])))
def test_what_comes_of_a_failure_is_what_comparing_gives(graph, among) -> None:
    def next_to(call: CallId) -> set[CallId]:
        spoilt = {later for later in before(graph, call) if graph.touch(call).spoils(graph.touch(later))}
        return {*graph.users(call), *spoilt}

    for wanted in (set(graph), among):
        steps = {call: next_to(call) & wanted for call in graph}
        for call in graph:
            expected = sorted(reached(graph, steps, call), key=graph.order)
            assert graph.descendants(call, among=wanted) == expected


@given(graph=graphs(), data=st.data())
def test_bounds_follow_every_chain_of_calls_that_are_made(graph, data) -> None:
    made = data.draw(st.sets(st.sampled_from(list(graph))))
    durations = {call: float(data.draw(st.integers(0, 9))) for call in made}
    paths: dict[CallId, float] = {}
    unlocks, before_compute = set(), set()
    for call in reversed(list(graph)):
        following = (*graph.users(call), *before(graph, call))
        rest = max((paths[later] for later in following), default=0.0)
        paths[call] = durations[call] + rest if call in made else 0.0
        if any(graph.kind(later) == "compute" or later in before_compute for later in following):
            before_compute.add(call)
            if graph.kind(call) == "inout":
                unlocks.add(call)
    assert remaining_path(graph, durations) == paths
    assert unlocking(graph) == unlocks


@given(touches=st.lists(TOUCHES, max_size=12), data=st.data())
def test_what_is_removed_was_never_there(touches, data) -> None:
    gone = data.draw(st.sets(st.integers(0, 11)))
    things, without = Things(), Things()
    for at, touch in enumerate(touches):
        things.add(at, touch)
        if at not in gone:
            without.add(at, touch)
    for at in data.draw(st.permutations(sorted(gone & set(range(len(touches)))))):
        things.remove(at)
        assert at not in things
    assert {name: vars_of(group) for name, group in things.groups()} == {
        name: vars_of(group) for name, group in without.groups()
    }
    for at, touch in enumerate(touches):
        assert things.earlier(at, touch) == without.earlier(at, touch)
        assert things.direct(at, touch) == without.direct(at, touch)
        assert things.last(at, touch) == without.last(at, touch)


def vars_of(group) -> tuple[list[int], list[int]]:
    return group.readers, group.writers


def test_a_name_with_a_star_is_told_with_it_and_what_nothing_is_known_of_as_a_star() -> None:
    things = Things()
    things.add(0, Touch(reads=(Name("a"),), writes=(Name("b/", below=True),)))
    things.add(1, Touch(barrier=True))
    assert {name: vars_of(group) for name, group in things.groups()} == {
        "a": ([0], []),
        "b/*": ([], [0]),
        "*": ([], [1]),
    }


def writers(count: int, name: str = "x") -> RelationGraph:
    graph = RelationGraph()
    for at in range(count):
        touch = Touch(writes=(Name(name.format(at=at)),))
        graph.add(FunctionCall(f"s{at}", "write", {}), "inout", touch)
    return graph


def test_six_thousand_writers_of_one_thing_are_added_as_fast_as_of_many() -> None:
    began = time.process_time()
    graph = writers(6_000)
    follows = [graph.follows(call) for call in graph]
    assert time.process_time() - began < 2  # it was half a minute
    assert follows == [(), *((earlier,) for earlier, _ in pairwise(graph))]
    began = time.process_time()
    other = writers(6_000, "x/{at}")
    assert not any(other.follows(call) for call in other)
    assert time.process_time() - began < 2
    assert len(graph.descendants("s0")) == 5_999
    durations = dict.fromkeys(graph, 1.0)
    assert remaining_path(graph, durations)["s0"] == 6_000.0


def test_readers_of_one_thing_and_the_writers_between_them_cost_what_they_are() -> None:
    graph = RelationGraph()
    for at in range(9_000):
        touch = Touch(writes=(Name("x"),)) if at == 4_500 else Touch(reads=(Name("x"),))
        graph.add(FunctionCall(f"s{at}", "f", {}), "inout", touch)
    assert sum(len(graph.follows(call)) for call in graph) == 8_999


def test_a_writer_of_one_thing_follows_those_that_read_all_of_its_kind_once() -> None:
    graph = RelationGraph()
    for at in range(2_000):
        touch = Touch(writes=(Name("x/a"),)) if at >= 1_000 else Touch(reads=(Name("x/", below=True),))
        graph.add(FunctionCall(f"s{at}", "f", {}), "inout", touch)
    assert sum(len(graph.follows(call)) for call in graph) == 1_000 + 999


@given(graph=graphs())
def test_a_graph_without_a_call_is_as_if_it_had_never_been_there(graph) -> None:
    unused = [call for call in graph if not graph.users(call)]
    for gone in unused:
        after = {call: graph.after(call) for call in graph if call != gone}
        excludes = {call: graph.excludes(call) for call in graph if call != gone}
        graph.remove(gone)
        verify(graph)
        assert gone not in graph
        for call in graph:
            assert graph.after(call) == tuple(one for one in after[call] if one != gone)
            assert graph.excludes(call) == tuple(one for one in excludes[call] if one != gone)
            assert gone not in graph.users(call)


def test_a_call_whose_result_is_used_can_not_be_removed() -> None:
    graph = RelationGraph()
    graph.add(FunctionCall("s1", "f", {}), "compute")
    graph.add(FunctionCall("s2", "f", {}), "compute", same_as="s1")
    with pytest.raises(IllegalEvent, match="s1 can't be removed"):
        graph.remove("s1")
    graph.remove("s2")
    graph.remove("s1")
    assert len(graph) == 0
