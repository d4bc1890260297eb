"""Every event and every command goes to JSON and comes back the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NewType, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmorch import calls, simulate
from llmorch.calls import CallId, Constant, FunctionCall, Reference
from llmorch.message_forms import from_record, to_record
from llmorch.plan import parse
from llmorch.records import Message
from llmorch.relations import Touch, effects
from llmorch.relations.effects import Name
from llmorch.schedule import CallCompleted, Dispatch, EffectsKnown, PlanExtended, messages
from tests.schedule.test_order import FUNCTIONS as ORDERED
from tests.schedule.test_order import ordered_plans
from tests.strategies import plans

KINDS = (*get_args(messages.Event), *get_args(messages.Command))
KNOWN: dict[str, Any] = {**vars(effects), **vars(calls), **vars(messages)}
Finite = NewType("Finite", float)
"""What is no number isn't equal to itself."""
TEXTS = st.text(st.characters(exclude_categories=()), max_size=6)

st.register_type_strategy(FunctionCall, plans(max_calls=3).map(lambda plan: plan.calls[-1]))
st.register_type_strategy(
    Touch, st.builds(Touch, *[st.lists(st.builds(Name, TEXTS, st.booleans())).map(tuple)] * 2, st.booleans())
)


def some(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any message of a kind, by what its fields are declared to be."""
    hints = get_type_hints(kind, localns=KNOWN | {"Mapping": Mapping, "CallId": CallId, "float": Finite})
    return st.builds(kind, **{item.name: st.from_type(hints[item.name]) for item in fields(kind)})


for each in KINDS:
    st.register_type_strategy(each, some)
st.register_type_strategy(Finite, st.floats(allow_nan=False))


def through_text(message: Any) -> Any:
    record = to_record(message, run="r1", at=1.25)
    read = Message.from_json(json.loads(json.dumps(record.to_json(), allow_nan=False)))
    assert (read, read.run, read.at, read.name) == (record, "r1", 1.25, type(message).__name__)
    return from_record(read)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_message_is_read_as_it_was_written(kind: type[Any], data: st.DataObject) -> None:
    message = data.draw(some(kind))
    assert through_text(message) == message


@given(plan=ordered_plans())
def test_the_commands_of_a_run_are_too(plan) -> None:
    for command in simulate(plan, ORDERED, {}, processors=2).commands:
        assert through_text(command) == command


def extended(**args: Any) -> PlanExtended:
    uses = {"before": Reference("s1")}
    return PlanExtended((FunctionCall("s2", "f", {**uses, **args}),))


def repr_of(value: object) -> str:
    return repr(value)[:20].encode("ascii", "replace").decode()


@pytest.mark.parametrize(
    "value",
    [
        "{s1} and {s9}, $1",
        "\ud800\x00\n```",
        "a" * 200_000,
        float("inf"),
        float("nan"),
        -0.0,
        True,
        1.0,
        1,
    ],
    ids=repr_of,
)
def test_an_argument_of_any_kind_is_kept_whatever_its_text_could_be_read_as(value: Any) -> None:
    message = extended(x=Constant(value))
    read = through_text(message)
    assert read == message
    assert read.calls[0].uses == ("s1",)


def test_a_call_is_kept_with_its_text() -> None:
    second = parse('s1 = f()\ns2 = g(x=s1["k"] + 1)').calls[1]
    message = PlanExtended(
        (FunctionCall("s1", "f", {"is": Constant("a")}), second), unused=frozenset(["s2", "s1"])
    )
    assert through_text(message) == message
    fields_ = to_record(message, run="r", at=0.0).fields
    assert [call["text"] for call in fields_["calls"]] == ['s1 = f(is="a")', 's2 = g(x=s1["k"] + 1)']
    assert fields_["unused"] == {"is": "set", "items": ["s1", "s2"]}


def test_the_form_of_a_message_is_its_fields() -> None:
    assert to_record(Dispatch("s1", 2, 0, (1,), None, (("s2", 1),)), run="r", at=0.1234567).to_json() == {
        "version": 1,
        "name": "Dispatch",
        "run": "r",
        "at": 0.123457,
        "fields": {
            "call": "s1",
            "attempt": 2,
            "processor": 0,
            "beside": [1],
            "device": None,
            "together": [["s2", 1]],
        },
    }


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(TypeError, match="an? object in a message has no form"):
        to_record(EffectsKnown("s1", object()), run="r", at=0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "given_", "says"),
    [
        ("Explode", {}, "there is no message 'Explode': it was written by another version"),
        ("Touch", {}, "there is no message 'Touch'"),
        ("CallCompleted", {"call": "s1"}, "CallCompleted can't be read: "),
        ("CallCompleted", {"call": "s1", "attempt": 1, "when": 2}, "CallCompleted has no when"),
        ("EffectsKnown", {"call": "s1", "touch": {"is": "Bomb"}}, "there is no 'Bomb' in messages"),
        ("EffectsKnown", {"call": "s1", "touch": {}}, "there is no None in messages"),
        ("EffectsKnown", {"call": "s1", "touch": {"is": ["Touch"]}}, "there is no ['Touch'] in messages"),
    ],
)
def test_what_is_no_message_is_told_in_one_line(name: str, given_: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match="^") as caught:
        from_record(Message(name, "r", 0.0, given_))
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_a_field_that_is_left_out_has_its_default() -> None:
    assert from_record(Message("PlanExtended", "r", 0.0, {"calls": []})) == PlanExtended(())
    assert from_record(Message("CallCompleted", "r", 0.0, {"call": "s1", "attempt": 1})) == CallCompleted(
        "s1", 1
    )
