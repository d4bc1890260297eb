"""Where a run resumes after failures: points, cones and groups, as properties of any graph."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from llmorch.plan import parse
from llmorch.relations import RelationGraph, discover
from llmorch.schedule.recovery import Broken, broken, cone, named_in, recovery_points
from tests.strategies import FUNCTIONS, plans

if TYPE_CHECKING:
    from llmorch.calls import Plan


def graph_of(text: str) -> RelationGraph:
    return discover(parse(text), FUNCTIONS)


#   s1   s2
#    \   /  \
#     s3    s5     s6 alone, s7 below it
#      \    /
#        s4
GRAPH = graph_of(
    "s1 = load(x=1)\ns2 = load(x=2)\ns3 = train(x=[s1, s2])\ns5 = train(x=s2)\n"
    "s4 = train(x=[s3, s5, s2])\ns6 = load(x=6)\ns7 = train(x=s6)\n"
)
EVERYTHING = frozenset(f"s{number}" for number in range(1, 8))


def test_the_points_are_the_closest_parents_of_smallest_rank_then_one_step_further_up() -> None:
    assert recovery_points(GRAPH, "s3", 1) == {"s1", "s2"}
    assert recovery_points(GRAPH, "s4", 1) == {"s2"}
    # The parents that were left aside come next, and the point's own parents: it has none.
    assert recovery_points(GRAPH, "s4", 2) == {"s2", "s3", "s5"}
    assert recovery_points(GRAPH, "s4", 3) == {"s1", "s2"}
    assert recovery_points(GRAPH, "s1", 1) == recovery_points(GRAPH, "s1", 9) == {"s1"}


def test_an_error_that_names_some_of_the_points_means_those_and_the_others_come_next() -> None:
    assert recovery_points(GRAPH, "s3", 1, {"s2", "s6"}) == {"s2"}
    assert recovery_points(GRAPH, "s3", 1, {"s6"}) == {"s1", "s2"}  # no point of this failure
    assert recovery_points(GRAPH, "s3", 2, {"s2"}) == {"s1", "s2"}
    assert broken(GRAPH, {"s3": 1}, EVERYTHING, {"s3": {"s1"}}) == [
        Broken(("s3",), ("s1",), ("s1", "s3", "s4"))
    ]


def test_an_error_names_a_call_by_a_text_of_its_own() -> None:
    plan = parse(
        's1 = load(x="Florida")\ns2 = load(x=["New York"])\ns3 = load(x="a")\n'
        's4 = load(x="York")\ns5 = load(x="{s1} Florida")\ns6 = load(x="")\n'
    )
    assert named_in("can't extract the area of florida: k=500", plan) == {"s1"}
    assert named_in("a page on New York is missing", plan) == {"s2", "s4"}
    assert named_in("Floridas (a) New-Yorker", plan) == set()


def test_failures_whose_cones_meet_are_one_recovery_and_others_are_apart() -> None:
    assert broken(GRAPH, {"s3": 1, "s7": 1}, EVERYTHING) == [
        Broken(("s3",), ("s1", "s2"), ("s1", "s2", "s3", "s5", "s4")),
        Broken(("s7",), ("s6",), ("s6", "s7")),
    ]
    assert broken(GRAPH, {"s5": 1, "s3": 1}, EVERYTHING) == [
        Broken(("s3", "s5"), ("s1", "s2"), ("s1", "s2", "s3", "s5", "s4"))
    ]


def test_two_groups_that_a_third_failure_joins_become_one() -> None:
    graph = graph_of(
        "s1 = load(x=1)\ns2 = load(x=2)\ns3 = train(x=s1)\ns4 = train(x=s2)\ns5 = train(x=[s3, s4])\n"
    )
    steps = {"s3": 1, "s4": 1}
    assert len(broken(graph, steps, EVERYTHING)) == 1  # both cones reach s5
    apart = graph_of("s1 = load(x=1)\ns2 = load(x=2)\ns3 = train(x=s1)\ns4 = train(x=s2)\n")
    assert [group.failed for group in broken(apart, steps, EVERYTHING)] == [("s3",), ("s4",)]


def test_a_call_whose_points_belong_to_another_plan_stands_for_itself() -> None:
    assert broken(GRAPH, {"s3": 1}, {"s3", "s4"}) == [Broken(("s3",), ("s3",), ("s3", "s4"))]
    assert broken(GRAPH, {"s3": 1}, {"s2", "s3", "s4"})[0].points == ("s2",)


@given(plans(), st.data())
def test_groups_hold_every_failure_once_and_their_cones_never_meet(plan: Plan, data: st.DataObject) -> None:
    graph = discover(plan, FUNCTIONS)
    ids = [call.id for call in plan]
    failed = data.draw(st.lists(st.sampled_from(ids), unique=True, min_size=1, max_size=4))
    steps = {id_: data.draw(st.integers(1, 4)) for id_ in failed}
    groups = broken(graph, steps, set(ids))
    assert sorted(id_ for group in groups for id_ in group.failed) == sorted(failed)
    made_again = [id_ for group in groups for id_ in group.cone]
    assert len(made_again) == len(set(made_again))
    for group in groups:
        assert set(group.cone) == cone(graph, group.points)
        assert {*group.failed, *group.points} <= set(group.cone)
        assert [*group.cone] == sorted(group.cone, key=graph.order)
        # Whatever uses a call of the cone is in it, and what is left outside uses none.
        for call in plan:
            if call.id not in group.cone:
                assert not set(graph.uses(call.id)) & set(group.cone)


@given(plans(), st.data())
def test_points_lie_above_what_failed_and_each_attempt_reaches_as_far_up_or_further(
    plan: Plan, data: st.DataObject
) -> None:
    graph = discover(plan, FUNCTIONS)
    failed = data.draw(st.sampled_from([call.id for call in plan]))
    above = {id_ for id_ in (call.id for call in plan) if failed in graph.descendants(id_)} | {failed}
    reach = [recovery_points(graph, failed, step) for step in range(1, len(plan) + 2)]
    assert all(points and points <= above for points in reach)
    if graph.uses(failed):
        assert failed not in reach[0]
        assert reach[0] <= set(graph.uses(failed))
    # The first attempt leaves parents aside; from the second on, what is made again only grows.
    cones = [cone(graph, points) for points in reach[1:]]
    assert all(earlier <= later for earlier, later in itertools.pairwise(cones))
    assert all(not graph.uses(point) for point in reach[-1])
