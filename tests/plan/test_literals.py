"""Arguments written as JSON: what is read, and what is refused."""

from __future__ import annotations

import pytest

from llmorch.calls import Constant, DictOf, ListOf
from llmorch.errors import InvalidArgument
from llmorch.plan import call_from_json, from_json


def test_json_is_read_as_literals_and_never_as_references() -> None:
    call = call_from_json("s2", "f", '{"a": [1, null, {"b": "{s1}"}], "c": {}}')
    assert call.args == {
        "a": ListOf((Constant(1), Constant(None), DictOf(((Constant("b"), Constant("{s1}")),)))),
        "c": DictOf(()),
    }
    assert call_from_json("s1", "f", "").args == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"to": "Ann", "to": "Bob"}', "keyword argument repeated: to"),
        ('{"to": "Ann", "x": 1, "to": "Ann"}', "keyword argument repeated: to"),
        ('{"a": {"b": 1, "b": 2}}', "key repeated: 'b'"),
        ('{"a": [[{"b": {"c": 1, "\\u0063": 2}}]]}', "key repeated: 'c'"),
        ("[]", "not an object"),
        ("{", "not JSON"),
        ('{"a": NaN}', "not JSON"),
        ('{"a": ' + "[" * 60 + "]" * 60 + "}", "nested too deeply"),
        ('{"a": ' + "[" * 50_000, "nested too deeply"),
    ],
)
def test_arguments_that_are_no_object_or_say_a_thing_twice_are_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says) as caught:
        call_from_json("s1", "f", text)
    assert len(str(caught.value)) < 300


def test_json_of_any_kind_is_read_by_itself() -> None:
    assert from_json('[{"a": 1}]') == ListOf((DictOf(((Constant("a"), Constant(1)),)),))
    with pytest.raises(InvalidArgument, match="key repeated: 'a'"):
        from_json('[{"a": 1, "a": 1}]')
    with pytest.raises(ValueError, match="Expecting"):
        from_json("f(x)")


def test_a_number_that_no_plan_can_say_is_refused() -> None:
    assert call_from_json("s1", "f", f'{{"x": {2**4095}}}').args == {"x": Constant(2**4095)}
    for number in (2**4096, -(2**4096)):
        with pytest.raises(InvalidArgument, match="a number has more than 4096 bits"):
            call_from_json("s1", "f", f'{{"x": [{number}]}}')
