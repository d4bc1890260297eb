"""Code of somebody's class doesn't run where others wait, wherever the class hides: it raises ``Uncounted`` there."""

from __future__ import annotations

import abc
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import PurePath
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from llmorch.declare.checks import Check
from llmorch.errors import EvaluationError
from llmorch.plan import evaluate, parse
from llmorch.plan.budget import KEYS, Budget, Uncounted

_ran: list[str] = []


def _noted(name: str, value: Any) -> Callable[..., Any]:
    def method(*_: object) -> Any:
        _ran.append(name)
        return value

    return method


class Index:
    __index__ = _noted("__index__", 0)


class Key:
    """A key that is found where ``"k"`` is looked up."""

    __hash__ = _noted("__hash__", hash("k"))
    __eq__ = _noted("__eq__", False)


class Zone(tzinfo):
    utcoffset = _noted("utcoffset", timedelta(0))  # type: ignore[assignment]
    dst = tzname = _noted("dst", None)  # type: ignore[assignment]


class Mapped(dict[str, int]):
    __getitem__ = __contains__ = __iter__ = __len__ = _noted("a method of a mapping", 0)


class Lies:
    __class__ = property(_noted("__class__", int))  # type: ignore[assignment]


class Holder:
    def __init__(self, held: Any) -> None:
        self.held = held


class OwnDict:
    """A class that says itself what its objects hold."""

    __slots__ = ()
    __dict__ = property(_noted("__dict__", {"held": 1}))  # type: ignore[assignment]


KEY = Key()
RESULTS = {
    "index": Index(),
    "by_class": {KEY: 1, "other": 2},
    "in_tuple": {(1, (KEY,)): 1},
    "ordered": OrderedDict({KEY: 1}),
    "among": {KEY},
    "frozen": frozenset({KEY}),
    "proxy": MappingProxyType(Mapped(k=1)),
    "moment": datetime(2020, 1, 1, tzinfo=Zone()),
    "hour": time(3, tzinfo=Zone()),
    "sliced": slice(Index()),
    "lies": Holder(Lies()),
    "own": OwnDict(),
    "items": [1, 2, 3],
    "plain": {"k": {"n": 1}, 2: None, PurePath("a"): 3},
    "utc": datetime(2020, 1, 1, tzinfo=UTC),
    "there": datetime(2020, 1, 1, tzinfo=ZoneInfo("UTC")),
    "held": Holder([7]),
    "many": dict.fromkeys(map(str, range(KEYS + 1)), 1),
    "some": dict.fromkeys(map(str, range(KEYS)), 1),
}


def _value(text: str, budget: Budget) -> Any:
    names = "\n".join(f"{name} = give()" for name in RESULTS)
    return evaluate(parse(f"{names}\ns1 = take(x={text})")["s1"].args["x"], RESULTS, budget)


@pytest.mark.parametrize(
    "text",
    [
        "items[index:]",
        "items[:index]",
        "items[index]",
        "items[sliced]",
        "sliced == sliced",
        "by_class['k']",
        "by_class.k",
        "'k' in by_class",
        "'k' not in by_class",
        "in_tuple[1]",
        "ordered['k']",
        "'k' in among",
        "'k' in frozen",
        "'k' in proxy",
        "proxy['k']",
        "proxy.k",
        "len(proxy)",
        "'{proxy}!'",
        "moment < moment",
        "moment == utc",
        "moment - utc",
        "[moment] == [utc]",
        "moment in [utc]",
        "sorted([moment, utc])",
        "{moment: 1}",
        "str(moment)",
        "'at {moment}'",
        "'at {hour}'",
        "str([hour])",
        "own.held",
    ],
)
def test_it_runs_apart_only(text: str) -> None:
    _ran.clear()
    with pytest.raises(Uncounted):
        _value(text, Budget())
    assert _ran == []
    try:
        _value(text, Budget(apart=True))
    except EvaluationError as error:
        assert not isinstance(error, Uncounted)


def test_a_field_is_read_without_asking_its_value_for_its_class() -> None:
    _ran.clear()
    assert type(_value("lies.held", Budget())) is Lies
    assert _ran == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("items[1:]", [2, 3]),
        ("plain['k'].n", 1),
        ("2 in plain", True),
        ("utc < there", False),
        ("utc - there", timedelta(0)),
        ("str(utc)", "2020-01-01 00:00:00+00:00"),
        ("held.held[0]", 7),
        ("some['9']", 1),
        ("{utc: 1}", {RESULTS["utc"]: 1}),
    ],
)
def test_what_is_pythons_own_is_computed_at_once(text: str, value: Any) -> None:
    assert _value(text, Budget()) == value


def test_a_key_among_very_many_is_looked_up_apart() -> None:
    with pytest.raises(Uncounted):
        _value("many['9']", Budget())
    assert _value("many['9']", Budget(apart=True)) == 1
    with pytest.raises(Uncounted):
        _value("[" + "some['9'], " * 1_000 + "]", Budget())


class Meta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return True


class Any1(metaclass=Meta):
    pass


class Hooked(abc.ABC):  # noqa: B024
    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        return True


class Plain(abc.ABC):  # noqa: B024
    pass


@dataclass
class Filled:
    rows: list[int] = field(default_factory=lambda: [1])


@dataclass
class Empty:
    rows: list[int] = field(default_factory=list)
    others: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


@pytest.mark.parametrize("kind", [Any1, Hooked, Filled, list[Any1], Any1 | None, Empty])
def test_a_type_whose_check_calls_somebodys_code_says_so(kind: Any) -> None:
    assert Check(kind).runs_code


@pytest.mark.parametrize("kind", [Plain, Holder, list[Holder], datetime, Callable, int | None])
def test_a_type_that_is_checked_without_it_says_so_too(kind: Any) -> None:
    assert not Check(kind).runs_code
