"""What is kept of a run: whatever it is, it goes to JSON and comes back the same."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmorch import records, simulate
from llmorch.calls import FunctionCall, Plan
from llmorch.declare.functions import Function
from llmorch.records import MAX_PAIRS, VERSION, Call, Message, Planning, Recovery, Run, Status, Thing, Usage
from llmorch.result import json_value
from llmorch.story import simulated
from tests.schedule.test_order import FUNCTIONS, ordered_plans

TEXTS = st.text(st.characters(exclude_categories=()), max_size=8) | st.sampled_from(
    ["\ud800", "\u2028", "\x00", '"\\', "NaN"]
)
MAYBE = st.none() | TEXTS
TIMES = st.floats(0, 1e9).map(lambda seconds: round(seconds, 6))
COUNTS = st.integers(0, 10**6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
).map(json_value)
IDS = st.lists(st.integers(1, 8).map("s{}".format), max_size=3).map(tuple)
NUMBERS = st.lists(st.integers(0, 63), max_size=3).map(tuple)


def calls() -> st.SearchStrategy[Call]:
    return st.builds(
        Call,
        id=st.just(""),
        function=TEXTS,
        kind=st.sampled_from(["inout", "compute"]),
        rank=COUNTS,
        uses=st.just(()),
        after=st.none(),
        same_as=st.none(),
        status=st.sampled_from(get_args(Status)),
        attempt=COUNTS,
        processors=NUMBERS,
        device=st.none() | COUNTS,
        resources=st.dictionaries(TEXTS, COUNTS, max_size=2),
        limits=st.lists(TEXTS, max_size=2).map(tuple),
        known=st.none() | TIMES,
        batch=MAYBE,
        submitted=st.none() | TIMES,
        dispatched=st.none() | TIMES,
        completed=st.none() | TIMES,
        expected=st.none() | TIMES,
        result=VALUES,
        error=MAYBE,
        traceback=MAYBE,
        group=st.just(()),
    )


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Any run; its calls are in groups that exclude one another, if in any."""
    drawn = draw(st.lists(calls(), max_size=6))
    ids = st.sampled_from([f"s{at}" for at in range(len(drawn))]) if drawn else st.nothing()
    some = st.lists(ids, max_size=3).map(tuple)
    made = [
        replace(
            call, id=f"s{at}", uses=draw(some), after=draw(st.none() | some), same_as=draw(st.none() | ids)
        )
        for at, call in enumerate(drawn)
    ]
    groups: dict[int, list[str]] = {}
    for call in made:
        groups.setdefault(draw(st.integers(0, 3)), []).append(call.id)
    groups.pop(0, None)
    of = {call: tuple(group) for group in groups.values() for call in group if len(group) > 1}
    recoveries = st.builds(
        Recovery,
        st.sampled_from(["retry", "repair", "recover", "replan"]),
        TEXTS,
        IDS,
        st.dictionaries(TEXTS, TEXTS, max_size=2),
        IDS,
    )
    return Run(
        query=draw(MAYBE),
        technique=draw(MAYBE),
        status=draw(st.sampled_from(["answered", "unresolved"])),
        answer=draw(VALUES),
        error=draw(MAYBE),
        plan=draw(MAYBE),
        processors=64,
        makespan=draw(TIMES),
        lower_bound=draw(TIMES),
        usage=draw(st.builds(Usage, COUNTS, COUNTS, COUNTS, TIMES)),
        planning=tuple(draw(st.lists(st.builds(Planning, TIMES, st.none() | TIMES, NUMBERS), max_size=2))),
        recoveries=tuple(draw(st.lists(recoveries, max_size=2))),
        notes=tuple(draw(st.lists(TEXTS, max_size=2))),
        things=tuple(draw(st.lists(st.builds(Thing, TEXTS, IDS, IDS), max_size=2))),
        calls=tuple(replace(call, group=of.get(call.id, ())) for call in made),
    )


def through_text(data: Any) -> Any:
    return json.loads(json.dumps(data, allow_nan=False))


@settings(max_examples=200)
@given(run=runs())
def test_a_run_is_read_as_it_was_written(run) -> None:
    data = run.to_json()
    assert Run.from_json(through_text(data)) == Run.from_json(data) == run
    for call, told in zip(run.calls, data["calls"], strict=True):
        assert told["excludes"] == [other for other in call.group if other != call.id]
        assert told["processor"] == (call.processors[0] if call.processors else None)


@given(name=TEXTS, run=TEXTS, at=TIMES, fields=st.dictionaries(TEXTS, VALUES, max_size=3).map(json_value))
def test_a_message_is_read_as_it_was_written(name, run, at, fields) -> None:
    message = Message(name, run, at, fields)
    assert Message.from_json(through_text(message.to_json())) == message


class Odd:
    def __repr__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ((1, "a"), [1, "a"]),
        ({1: None}, {"1": None}),
        ({1: "a", "1": "b"}, "dict: {1: 'a', '1': 'b'}"),
        ([{"x": {True: 1, "true": 2}}], "list: [{'x': {True: 1, 'true': 2}}]"),
        ({(1, 2): 3}, "dict: {(1, 2): 3}"),
        (float("inf"), "float: inf"),
        (float("-inf"), "float: -inf"),
        (float("nan"), "float: nan"),
        ({"x": [float("nan")]}, "dict: {'x': [nan]}"),
        (b"\xff", "bytes: b'\\xff'"),
        (Odd(), "Odd: it can't be shown"),
        ("\ud800\x00", "\ud800\x00"),
    ],
)
def test_a_value_that_json_can_not_hold_is_described(value: object, told: object) -> None:
    assert json_value(value) == told
    assert through_text(json_value(value)) == told


def test_a_description_is_bounded() -> None:
    assert len(json_value({"x": "a" * 100_000, "y": float("nan")})) <= 1_010
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert len(json_value(deep)) <= 1_010


def compute(count: int) -> Run:
    plan = Plan(tuple(FunctionCall(f"s{at}", "train", {}) for at in range(count)))
    functions = {"train": Function("train", call=print, kind="compute", effects="none")}
    return simulated(plan, functions, simulate(plan, functions, {"train": 1.0}, processors=4, optimize=False))


def test_calls_list_what_they_exclude_where_that_is_short_and_groups_tell_it_always() -> None:
    few = compute(3).to_json()
    assert few["groups"]["excludes"] == [["s0", "s1", "s2"]]
    assert [call["excludes"] for call in few["calls"]] == [["s1", "s2"], ["s0", "s2"], ["s0", "s1"]]
    many = compute(300)
    data = many.to_json()
    assert MAX_PAIRS < 300 * 299
    assert data["groups"]["excludes"] == [[f"s{at}" for at in range(300)]]
    assert {call["excludes"] for call in data["calls"]} == {None}
    assert Run.from_json(through_text(data)).calls[7].excludes == many.calls[7].excludes
    assert len(many.calls[7].excludes) == 299


def test_json_of_many_compute_calls_grows_with_them_and_not_with_their_pairs() -> None:
    sizes = [len(json.dumps(compute(count).to_json())) for count in (1_000, 4_000)]
    assert sizes[1] / sizes[0] == pytest.approx(4, rel=0.1)


@settings(max_examples=50)
@given(plan=ordered_plans(), data=st.data())
def test_a_simulation_is_kept_like_a_run(plan, data) -> None:
    failing = data.draw(st.sets(st.sampled_from([call.id for call in plan]), max_size=1))
    done = simulate(plan, FUNCTIONS, {"write": 2.0, "read": 1.0}, processors=2, failing=failing)
    run = simulated(plan, FUNCTIONS, done)
    assert Run.from_json(through_text(run.to_json())) == run
    assert (run.makespan, run.processors) == (done.makespan, 2)
    for call in run.calls:
        assert call.after == done.graph.follows(call.id)
        assert call.excludes == done.graph.excludes(call.id)
        assert (call.status, call.completed) == (done.states[call.id].status, done.states[call.id].completed)
    touching = {call.id for call in run.calls if call.function != "pure"}
    assert {one for thing in run.things for one in (*thing.readers, *thing.writers)} == touching


def test_an_order_that_is_too_long_to_list_is_told_by_who_touches_what(monkeypatch) -> None:
    lines = [*(f"s{at} = survey()" for at in range(3)), *(f't{at} = write(name="{at}")' for at in range(3))]
    from llmorch.plan import check, parse

    plan = check(parse("\n".join(lines)), FUNCTIONS)

    def kept() -> Run:
        return simulated(plan, FUNCTIONS, simulate(plan, FUNCTIONS, {}, processors=1, optimize=False))

    assert {call.after for call in kept().calls} == {(), ("s0", "s1", "s2")}
    monkeypatch.setattr(records, "MAX_PAIRS", 8)
    told = kept()
    assert {call.after for call in told.calls} == {None}
    assert told.things[0] == Thing("thing:*", ("s0", "s1", "s2"), ())
    assert Run.from_json(through_text(told.to_json())) == told


def test_a_run_without_a_version_is_read_as_it_was_written_then() -> None:
    old = compute(3).to_json()
    for name in ("version", "notes", "groups"):
        del old[name]
    assert Run.from_json(old) == compute(3)


@pytest.mark.parametrize("kind", [Run, Message])
@pytest.mark.parametrize(
    ("version", "says"),
    [
        (VERSION + 1, f"version: it is of version {VERSION + 1}, and this llmorch reads up to {VERSION}"),
        ("1", "version: '1' is no version"),
        (-1, "version: -1 is no version"),
        (0, "version: 0 is no version"),
        (True, "version: True is no version"),
    ],
)
def test_a_later_version_is_refused(kind, version, says) -> None:
    known = compute(1).to_json() if kind is Run else Message("Finish", "r1", 0.0, {}).to_json()
    for data in (known | {"version": version}, {"version": version}):  # whatever else it has
        with pytest.raises(ValueError, match=r"^version") as caught:
            kind.from_json(data)
        assert str(caught.value).startswith(says)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"status": "foo"}, "calls.2.status: Input should be 'planned', 'submitted', "),
        ({"id": "s0"}, "calls.2.id: another call is 's0' too"),
        ({"uses": ["s1", "zz"]}, "calls.2.uses: there is no call 'zz'"),
        ({"after": ["zz\n"]}, "calls.2.after: there is no call 'zz\\n'"),
        ({"same_as": "zz"}, "calls.2.same_as: there is no call 'zz'"),
        ({"processors": [1, 4]}, "calls.2.processors: there is no processor 4: the run has 4, from 0 on"),
    ],
)
def test_a_call_that_can_not_be_is_refused_in_one_line(wrong, says) -> None:
    data = compute(3).to_json()
    data["calls"][2] |= wrong
    with pytest.raises(ValueError, match="^calls") as caught:
        Run.from_json(data)
    assert str(caught.value).startswith(says)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "it is no message"),
        ({"version": 1, "name": "Finish"}, "it is no message"),
        ({"name": 1, "run": "r", "at": 0, "fields": {}, "version": 1}, "name: Input should be an instance"),
        (
            {"name": "A", "run": "r", "at": float("inf"), "fields": {}, "version": 1},
            "at: Input should be a f",
        ),
        ({"name": "A", "run": "r", "at": 0, "fields": {}}, "it is no message"),
    ],
)
def test_what_is_no_message_is_told_in_one_line(data, says) -> None:
    with pytest.raises(ValueError, match="^") as caught:
        Message.from_json(data)
    assert str(caught.value).startswith(says)


HOSTILE: dict[str, dict[str, Any]] = {
    "a million uses that are none": {"uses": [1] * 1_000_000},
    "an endless key": {"resources": {"k" * 20_000_000: -1}},
    "a million amounts that are none": {"resources": {str(at): -1 for at in range(1_000_000)}},
    "an endless id": {"id": "x" * 20_000_000, "uses": ["y" * 20_000_000]},
    "an endless status": {"status": "x" * 20_000_000},
}


@pytest.mark.parametrize("how", HOSTILE)
def test_what_is_wrong_with_a_run_is_told_within_bounds(how: str) -> None:
    """However much is wrong: the first is told, and no more is looked for."""
    data = compute(3).to_json()
    data["calls"][2] |= HOSTILE[how]
    began = time.process_time()
    with pytest.raises(ValueError, match="^calls.2") as caught:
        Run.from_json(data)
    assert time.process_time() - began < 2
    assert len(str(caught.value)) < 700


def test_of_a_hundred_thousand_wrong_calls_the_first_is_told() -> None:
    data = compute(3).to_json() | {"calls": [{}] * 100_000}
    began = time.process_time()
    with pytest.raises(ValueError, match="^calls.0.id is missing"):
        Run.from_json(data)
    assert time.process_time() - began < 2
