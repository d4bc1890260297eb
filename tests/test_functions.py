"""From a Python function to what a plan may call: schemas, docstrings, kinds."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt, Le
from pydantic import BaseModel

from llmorch import Function, FunctionError, function, methods_of, stateful
from llmorch.declare.functions import declaration_of
from llmorch.declare.offered import as_functions, declared_in


class Place(BaseModel):
    name: str
    size: int = 0


class Frame:
    """Something that JSON knows nothing of."""


def google(query: str, k: Annotated[int, Gt(0), Le(1000)] = 500) -> str:
    """Search.

    At length.

    Args:
        query: What to look for.
        k: How many words.

    Returns:
        The text.
    """


def numpy(query: str, k: Annotated[int, Gt(0), Le(1000)] = 500) -> str:
    """Search.

    At length.

    Parameters
    ----------
    query : str
        What to look for.
    k : int
        How many words.

    Returns
    -------
    str
        The text.
    """


def rest(query: str, k: Annotated[int, Gt(0), Le(1000)] = 500) -> str:
    """Search.

    At length.

    :param query: What to look for.
    :param k: How many words.
    :returns: The text.
    """


@pytest.mark.parametrize("target", [google, numpy, rest])
def test_signature_and_docstring_become_the_schema_in_every_style(target) -> None:
    declared = declaration_of(target)
    assert declared.description == "Search.\n\nAt length."
    assert declared.returns_description == "The text."
    assert declared.schema == {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What to look for."},
            "k": {
                "type": "integer",
                "exclusiveMinimum": 0,
                "maximum": 1000,
                "default": 500,
                "description": "How many words.",
            },
        },
        "required": ["query"],
        "additionalProperties": False,
    }


def test_nested_models_and_choices_are_in_the_schema_and_the_signature() -> None:
    def move(place: Place, how: Literal["slow", "fast"] = "slow", by: list[Place] | None = None) -> dict: ...

    declared = declaration_of(move)
    assert declared.schema["properties"]["place"]["properties"]["size"]["type"] == "integer"
    assert declared.schema["properties"]["how"]["enum"] == ["slow", "fast"]
    assert declared.signature.startswith(
        "move(place: {\"name\": str, \"size\": int = 0}, how: Literal['slow', 'fast']"
    )


def test_bounds_hold_for_literals_and_for_values_that_arrive() -> None:
    k = declaration_of(google).by_name["k"]
    for check in (k.check, k.accept):
        with pytest.raises(ValueError, match="less than or equal to 1000"):
            check(1001)


def test_the_decorated_function_stays_itself() -> None:
    decorated = function(kind="compute", name="look")(google)
    assert decorated is google
    assert declared_in(google).name == "look"
    del google.__llmorch_function__


def test_a_decorator_above_ours_is_not_passed_over() -> None:
    def twice(call):
        @functools.wraps(call)
        def wrapped(n: int) -> int:
            return 2 * call(n)

        return wrapped

    @twice
    @function(kind="compute")
    def same(n: int) -> int:
        return n

    declared = declared_in(same)
    assert (declared.kind, declared.call(3)) == ("compute", 6)


def test_a_decorated_method_is_offered_with_its_object() -> None:
    class Scale:
        factor = 3

        @function(kind="compute")
        def times(self, n: int) -> int:
            return self.factor * n

    (declared,) = as_functions([Scale().times]).values()
    assert (declared.signature, declared.kind, declared.call(n=2)) == ("times(n: int) -> int", "compute", 6)


def test_a_method_keeps_all_that_was_declared_of_it() -> None:
    class Shelf:
        @function(writes=["shelf:{name}"], idempotent=True, retries=2, retry_on=OSError, backoff=1)
        def put(self, name: str) -> str:
            return name

    (bound,) = as_functions([Shelf().put]).values()
    unbound = declared_in(Shelf.put)
    assert [parameter.name for parameter in unbound.parameters] == ["self", "name"]
    assert bound == replace(unbound, parameters=bound.parameters)
    assert [parameter.name for parameter in bound.parameters] == ["name"]


@pytest.mark.parametrize(
    ("said", "repeatable"),
    [
        ({}, (False, True)),
        ({"pure": True}, (True, True)),
        ({"effects": "none"}, (True, True)),
        ({"reads": ["index"]}, (True, True)),
        ({"idempotent": True}, (True, True)),
        ({"writes": ["index"]}, (False, False)),
        ({"effects": "unknown"}, (False, False)),
        ({"writes": ["index"], "idempotent": True}, (True, True)),
        ({"effects": "unknown", "idempotent": True}, (True, True)),
    ],
)
def test_what_ended_is_repeated_only_if_somebody_said_so_and_what_failed_unless_it_changes_something(
    said, repeatable
) -> None:
    declared = declaration_of(google, **said)
    assert (declared.repeatable, declared.retryable) == repeatable


@pytest.mark.parametrize(
    ("said", "how"),
    [
        ({"pure": "yes"}, "pure is True or False"),
        ({"pure": True, "effects": "unknown"}, "either pure or its effects are unknown"),
        ({"pure": True, "writes": ["index"]}, "either pure or touches"),
        ({"pure": True, "reads": ["index"]}, "either pure or touches"),
    ],
)
def test_what_is_pure_has_no_effects_beside_it(said, how) -> None:
    with pytest.raises(FunctionError, match=how):
        declaration_of(google, **said)


def test_one_exception_class_or_several_may_be_retried_on() -> None:
    assert declaration_of(google, retries=1).retry_on == (Exception,)
    assert declaration_of(google, retries=1, retry_on=OSError).retry_on == (OSError,)
    assert declaration_of(google, retries=1, retry_on=[OSError, KeyError]).retry_on == (OSError, KeyError)


def test_kinds_are_what_was_said_or_inout() -> None:
    async def waits() -> None: ...

    def works() -> None: ...

    functions = as_functions([waits, declaration_of(works, kind="compute")])
    assert [(item.kind, item.declared, item.is_async) for item in functions.values()] == [
        ("inout", False, True),
        ("compute", True, False),
    ]


def test_a_type_without_a_schema_is_anything() -> None:
    def show(frame: Frame, more: Any = None) -> None: ...

    frame = declaration_of(show).by_name["frame"]
    assert frame.schema == {}
    made = Frame()
    assert frame.accept(made) is made
    with pytest.raises(ValueError, match="instance of"):
        frame.accept(3)


def no_name(x: int, /) -> None: ...


def many(*args: int) -> None: ...


def unknown(x: Missing) -> None: ...  # noqa: F821 - the point of it


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: function(kind="gpu")(google), "inout"),
        (lambda: function(name="two words")(google), "plain name"),
        (lambda: function(name="self")(google), "stands for the model"),
        (lambda: function(timeout=0)(google), "positive number"),
        (lambda: function(memory="2 GB!")(google), 'a size of at least 1 MiB, as in "2GiB" or "500MB"'),
        (lambda: function(memory=1000)(google), "at least 1 MiB"),
        (lambda: function(memory="1GiB", asks_model=True)(google), "no"),
        (lambda: function(asks_model=True, kind="inout")(google), "its kind is the model's"),
        (lambda: declaration_of(lambda x: x), "plain name"),
        (lambda: declaration_of(no_name), "takes no name"),
        (lambda: declaration_of(many), "takes arguments without names"),
        (lambda: declaration_of(unknown), "Missing"),
        (lambda: function(retries=-1)(google), "whole number from 0 to 100, not -1"),
        (lambda: function(retries=101)(google), "whole number from 0 to 100"),
        (lambda: function(retries=True)(google), "whole number from 0 to 100, not True"),
        (lambda: function(retries=1.5)(google), "whole number from 0 to 100"),
        (lambda: function(retries=1, backoff=-0.1)(google), "backoff is a number of seconds"),
        (lambda: function(retries=1, backoff=float("inf"))(google), "backoff is a number of seconds"),
        (lambda: function(retries=1, backoff=float("nan"))(google), "backoff is a number of seconds"),
        (lambda: function(retries=1, backoff="1")(google), "backoff is a number of seconds"),
        (lambda: function(retry_on=OSError)(google), "does nothing without retries"),
        (lambda: function(retries=1, retry_on=())(google), "classes of exceptions"),
        (lambda: function(retries=1, retry_on="OSError")(google), "classes of exceptions"),
        (lambda: function(retries=1, retry_on=[OSError, int])(google), "classes of exceptions"),
        (lambda: function(retries=1, retry_on=OSError("one"))(google), "classes of exceptions"),
        (
            lambda: function(retries=1, writes=["index"])(google),
            "may do what it writes twice; .*idempotent=True",
        ),
        (
            lambda: function(retries=1, effects="unknown")(google),
            "what nobody knows twice; .*idempotent=True",
        ),
        (lambda: function(idempotent="no")(google), "idempotent is True or False"),
    ],
)
def test_what_can_not_be_offered_says_what_to_do(declare, says) -> None:
    with pytest.raises(FunctionError, match=says):
        declare()


class Mute:
    """A value of which not even its text can be had."""

    def __iter__(self) -> Any:
        raise RuntimeError("there is nothing here")

    __eq__ = __float__ = __len__ = __contains__ = __repr__ = __iter__
    __hash__ = None


def one(result: Any) -> str:
    return str(result)


def two(result: Any, more: Any) -> str:
    return str(result)


ODD: dict[str, Any] = {
    "yes": True,
    "no": False,
    "zero": 0,
    "minus": -1,
    "two": 2,
    "half": 1.5,
    "nan": math.nan,
    "endless": math.inf,
    "huge": 10**5000,
    "complex": 1j,
    "empty text": "",
    "text": "some",
    "number in text": "1",
    "half a character": "\ud800",
    "bytes": b"some",
    "empty list": [],
    "list": [1],
    "list of empty text": [""],
    "list of text": ["some"],
    "tuple of classes": (OSError, 3),
    "empty dictionary": {},
    "dictionary": {"camera": -1},
    "dictionary of numbers": {1: 2},
    "generator": (item for item in ["some"]),
    "class": int,
    "exception class": OSError,
    "exception": OSError("one"),
    "function": one,
    "function of two": two,
    "object": object(),
    "mute": Mute(),
}
RIGHT: dict[str, set[str]] = {
    "kind": set(),
    "name": {"text"},
    "description": {"empty text", "text", "number in text"},
    "timeout": {"two", "half"},
    "memory": set(),
    "asks_model": {"yes", "no"},
    "pure": {"yes", "no"},
    "reads": {"empty list", "list of text"},
    "writes": {"empty list", "list of text"},
    "effects": set(),
    "retries": {"zero", "two"},
    "retry_on": {"exception class"},
    "backoff": {"zero", "two", "half"},
    "idempotent": {"yes", "no"},
    "resources": {"empty dictionary"},
    "max_concurrency": {"two"},
    "rate": set(),
    "show": {"class", "exception class", "function"},
}


def refused(declare: Any) -> set[str]:
    """The odd values that are refused, each in one short line; anything else that is raised is a failure."""
    names = set()
    for name, odd in ODD.items():
        try:
            declare(odd)
        except FunctionError as error:
            assert len(str(error)) < 500
            assert "\n" not in str(error)
            names.add(name)
    return names


@pytest.mark.parametrize("option", RIGHT)
def test_what_an_option_does_not_take_is_refused_at_once_and_by_its_name(option) -> None:
    beside = {"retries": 1} if option == "retry_on" else {}
    assert refused(lambda odd: function(**{option: odd}, **beside)(google)) == set(ODD) - RIGHT[option]
    with pytest.raises(FunctionError, match=f"{option if option != 'name' else 'plain name'}"):
        function(**{option: ODD["complex"]})(google)


@pytest.mark.parametrize("option", sorted(set(RIGHT) - {"pure", "name"}))
def test_a_function_made_by_hand_is_held_to_the_same(option) -> None:
    assert refused(lambda odd: Function("f", one, **{option: odd})) == set(ODD) - RIGHT[option]


def test_an_option_that_is_none_is_not_said() -> None:
    assert function(**dict.fromkeys(RIGHT))(google) is google
    assert declared_in(google) == declaration_of(google)


def test_an_option_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(FunctionError, match="google: there is no option tiemout; there are kind, name, "):
        function(tiemout=3)(google)


def test_patterns_are_kept_only_if_they_can_be_read_more_than_once() -> None:
    with pytest.raises(FunctionError, match="google: writes is a list of names"):
        function(writes=(f"file:{number}" for number in range(2)))(google)


def test_what_can_be_no_function_is_refused_wherever_it_is_said() -> None:
    functions = {"class", "exception class", "function", "function of two"}
    assert refused(lambda odd: Function("f", odd)) == set(ODD) - functions
    assert refused(lambda odd: Function(odd, one)) == set(ODD) - {"text"}
    assert refused(lambda odd: Function("f", one, parameters=odd)) == set(ODD)
    assert refused(lambda odd: as_functions([odd])) >= set(ODD) - functions
    assert refused(function) >= set(ODD) - functions
    assert refused(function()) >= set(ODD) - functions
    with pytest.raises(FunctionError, match=r"in a list, as in \[search\]"):
        as_functions(google)


def test_what_can_not_be_said_of_a_class_or_a_batch_form_is_refused() -> None:
    class Shelf:
        def put(self, name: str) -> None: ...

    assert refused(stateful) == set(ODD)
    for which in ("reads", "writes"):
        assert refused(lambda odd, which=which: stateful(**{which: odd})(Shelf)) == set(ODD) - RIGHT["reads"]
    assert refused(lambda odd: methods_of(stateful(Shelf)(), prefix=odd)) == set(ODD) - {"empty text", "text"}
    assert refused(lambda odd: function(look_up()).batch(odd)) == set(ODD) - {"function"}
    assert refused(lambda odd: function(look_up()).batch(size=odd)(one)) == set(ODD) - {"two", "huge"}


def look_up() -> Any:
    def look_up(name: str) -> str: ...

    return look_up
