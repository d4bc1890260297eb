"""Parameter types of every form: a literal, a result, a native tool call, a prompt and a process agree on each.

One function a type, offered twice: on a thread, and in a process.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import json
import numbers
import pathlib
import re
import typing
import uuid
import zoneinfo
from collections import ChainMap, Counter, OrderedDict, abc, defaultdict, deque
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, Protocol, TypeVar, Union

import numpy as np
import numpy.typing as npt
import pydantic
import pytest
import typing_extensions as te
from annotated_doc import Doc
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, RootModel

from llmorch import FunctionError, Orchestrator, PlanError, function
from llmorch.places.arguments import Inputs, arguments
from llmorch.plan.budget import Budget
from llmorch.plan.literals import call_from_json
from llmorch.testing import ScriptedModel


class Unit(enum.Enum):
    CELSIUS = "celsius"
    KELVIN = "kelvin"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.StrEnum):
    FAST = "fast"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Corner(enum.Enum):
    TOP = (0, 0)
    END = (1, 1)


class Plain:
    """A class of the user's."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain)

    __hash__ = object.__hash__


class Spot(NamedTuple):
    x: int
    label: str = "here"


class Options(te.TypedDict, total=False):
    deep: te.Required[bool]
    limit: int


class Whole(te.TypedDict):
    a: int
    inner: Options


class Bad(typing.TypedDict):
    a: int


@dataclass
class Place:
    city: str
    zip: int = 0


@dataclass(slots=True, frozen=True, kw_only=True)
class Frozen:
    at: dt.date
    place: Place = field(default_factory=lambda: Place("Bonn"))


@dataclass
class Holder:
    plain: Plain | None = None
    items: abc.Iterable[int] = ()


@dataclass
class Node:
    value: int
    children: list[Node] = field(default_factory=list)


class Trip(BaseModel):
    start: str = Field(alias="from")
    days: int = Field(default=2, ge=1, le=9, description="how long")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int
    unit: Unit = Unit.CELSIUS
    many: abc.Iterable[float] = ()

    @pydantic.computed_field
    def double(self) -> int:
        return 2 * self.a


class Either(BaseModel):
    key: str = Field(validation_alias=pydantic.AliasChoices("key", "name"))


class Tree(BaseModel):
    name: str
    branches: list[Tree] = []


class Numbers(RootModel[list[int]]):
    pass


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


T = TypeVar("T")


class Box(BaseModel, typing.Generic[T]):
    content: T


class Crate(typing.Generic[T]):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Crate)

    __hash__ = object.__hash__


class Runs(Protocol):
    def run(self) -> int: ...


@typing.runtime_checkable
class Sized(Protocol):
    def __len__(self) -> int: ...


Bounded = TypeVar("Bounded", bound=int)
Chosen = TypeVar("Chosen", int, str)
UserId = NewType("UserId", int)
Alias = te.TypeAliasType("Alias", list[int])
Json = te.TypeAliasType("Json", "dict[str, Json] | list[Json] | int | str | None")
Recursive = dict[str, "Recursive"]

NEVER = object()  # no literal is of this type
BIG = 10**20


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("it is odd")
    return value


# A type, a literal as a plan has it (or a result, where none fits), what the function gets, and a
# literal that is refused.
TYPES: list[tuple[Any, Any, Any, Any]] = [
    # Python's own
    (str, "a", "a", 3),
    (int, 3, 3, "3"),
    (int, 3.0, 3, 3.5),
    (int, BIG, BIG, True),
    (float, 5, 5.0, "5"),
    (float, 2.5, 2.5, True),
    (bool, True, True, 1),
    (None, None, None, 1),
    (Any, [1, "a"], [1, "a"], NEVER),
    (object, {"a": 1}, {"a": 1}, NEVER),
    (complex, "1+2j", 1 + 2j, "one"),
    (complex, 3, 3 + 0j, True),
    (bytes, "abc", b"abc", 3),
    (bytearray, "abc", bytearray(b"abc"), 3),
    (decimal.Decimal, "1.50", decimal.Decimal("1.50"), "one"),
    (decimal.Decimal, 2, decimal.Decimal(2), True),
    (fractions.Fraction, "1/3", fractions.Fraction(1, 3), "one"),
    (dt.date, "2024-05-31", dt.date(2024, 5, 31), "today"),
    (dt.time, "12:30", dt.time(12, 30), "noon"),
    (dt.datetime, "2024-05-31T12:30:00", dt.datetime(2024, 5, 31, 12, 30), "now"),
    (dt.timedelta, "PT1H", dt.timedelta(hours=1), "an hour"),
    (uuid.UUID, "12345678-1234-5678-1234-567812345678", uuid.UUID("12345678123456781234567812345678"), "x"),
    (pathlib.Path, "a/b", pathlib.Path("a/b"), 3),
    (pathlib.PurePosixPath, "a/b", pathlib.PurePosixPath("a/b"), 3),
    (re.Pattern, "a+", re.compile("a+"), "("),
    (re.Pattern[str], "a+", re.compile("a+"), 3),
    (ipaddress.IPv4Address, "10.0.0.1", ipaddress.IPv4Address("10.0.0.1"), "ten"),
    (zoneinfo.ZoneInfo, "UTC", zoneinfo.ZoneInfo("UTC"), "Nowhere/Else"),
    (numbers.Number, 3, 3, "3"),
    (numbers.Real, 2.5, 2.5, True),
    (typing.SupportsFloat, 3, 3, "a"),
    (typing.SupportsIndex, 3.0, 3, "a"),
    (typing.Hashable, "a", "a", [1]),
    (Sized, [1], [1], 3),
    (typing.LiteralString, "a", "a", 3),
    # containers
    (list, [1, "a"], [1, "a"], 3),
    (list[int], [1, 2.0], [1, 2], ["1"]),
    (list[float], [1, 2], [1.0, 2.0], [True]),
    (typing.List[str], ["a"], ["a"], "a"),  # noqa: UP006
    (list[list[float]], [[1], []], [[1.0], []], [[None]]),
    (list[bool], [True], [True], [1]),
    (list[Any], [1, None], [1, None], "a"),
    (dict, {"a": 1}, {"a": 1}, [1]),
    (dict[str, float], {"a": 1}, {"a": 1.0}, {"a": "b"}),
    (dict[str, list[int]], {"a": [1]}, {"a": [1]}, {"a": 1}),
    (dict[int, str], {1: "a"}, {1: "a"}, {"x": "a"}),
    (dict[Unit, int], {"kelvin": 1}, {Unit.KELVIN: 1}, {"ice": 1}),
    (tuple, [1, "a"], (1, "a"), 3),
    (tuple[int, str], [1, "a"], (1, "a"), [1]),
    (tuple[int, ...], [1, 2], (1, 2), ["a"]),
    (tuple[()], [], (), [1]),
    (tuple[Place, int], [{"city": "Bonn"}, 1], (Place("Bonn"), 1), [{}, 1]),
    (set, [1], {1}, 3),
    (set[str], ["a", "a"], {"a"}, [1]),
    (frozenset[int], [1], frozenset({1}), ["a"]),
    (deque[int], [1], deque([1]), ["a"]),
    (defaultdict[str, list[int]], {"a": [1]}, {"a": [1]}, [1]),
    (OrderedDict[str, int], {"a": 1}, OrderedDict(a=1), [1]),
    (Counter[str], {"a": 2}, Counter(a=2), ["a"]),
    # what is iterated
    (abc.Iterable, [1], [1], "abc"),
    (abc.Iterable[float], [1, 2], [1.0, 2.0], ["a"]),
    (abc.Iterable[str], ["a"], ["a"], "abc"),
    (typing.Iterable[int], [1], [1], {"a": 1}),
    (abc.Iterator[int], [1, 2], [1, 2], "ab"),
    (abc.Generator[int, None, None], [1], [1], 3),
    (abc.Collection[int], [1], [1], ["a"]),
    (abc.Container[int], [1], [1], 3),
    (abc.Reversible[int], [1], [1], 3),
    (abc.Sequence[int], [1], [1], ["a"]),
    (abc.Sequence[str], ["a"], ["a"], "abc"),
    (abc.MutableSequence[int], [1], [1], 3),
    (abc.Set[int], [1], {1}, ["a"]),
    (abc.MutableSet[int], [1], {1}, ["a"]),
    (abc.Mapping[str, int], {"a": 1}, {"a": 1}, {"a": "b"}),
    (abc.MutableMapping[str, int], {"a": 1}, {"a": 1}, [1]),
    (list[abc.Iterable[int]], [[1]], [[1]], [1]),
    (Optional[abc.Iterable[float]], [1], [1.0], "ab"),  # noqa: UP045
    (Annotated[abc.Iterable[int], Field(min_length=2)], [1, 2], [1, 2], [1]),
    # choices
    (Literal["a", 1, True, None], "a", "a", "b"),
    (Literal[3], 3.0, 3, 4),
    (Literal[Unit.KELVIN], "kelvin", Unit.KELVIN, "celsius"),
    (Unit, "kelvin", Unit.KELVIN, "ice"),
    (Unit, "CELSIUS", Unit.CELSIUS, 3),
    (Level, 2, Level.HIGH, 3),
    (Level, "LOW", Level.LOW, True),
    (Mode, "fast", Mode.FAST, "slow"),
    (Right, 3, Right.READ | Right.WRITE, "all"),
    (Corner, "END", Corner.END, [1, 1]),
    (int | str, "1", "1", [1]),
    (int | float, 3, 3, "3"),
    (Union[int, list[int]], [1], [1], "a"),  # noqa: UP007
    (str | None, None, None, 3),
    (Optional[int], 3, 3, "3"),  # noqa: UP045
    (Place | Trip, {"from": "Rome"}, Trip(**{"from": "Rome"}), {"start": "Rome"}),
    (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "dog", "name": "Rex"},
     Dog(kind="dog", name="Rex"), {"kind": "cow"}),
    # names of types
    (UserId, 3, 3, "a"),
    (T, "a", "a", NEVER),
    (Bounded, 3, 3, "a"),
    (Chosen, "a", "a", True),
    (typing.AnyStr, "a", "a", 3),
    (Alias, [1], [1], ["a"]),
    (Json, {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}, 2.5),
    (typing.Final[int], 3, 3, "a"),
    # bounds, words and validators
    (Annotated[int, Field(ge=1, le=9)], 9, 9, 10),
    (Annotated[int, Field(gt=0), Field(multiple_of=5)], 10, 10, 7),
    (Annotated[str, Field(min_length=2, pattern="^a")], "ab", "ab", "b"),
    (Annotated[float, Field(allow_inf_nan=False)], 1, 1.0, "x"),
    (Annotated[list[int], Field(max_length=1)], [1], [1], [1, 2]),
    (Annotated[int, AfterValidator(_even)], 2, 2, 3),
    (Annotated[int, BeforeValidator(lambda value: value)], 2, 2, "a"),
    (Annotated[str, "the traveller"], "a", "a", 3),
    (Annotated[str, Doc("the traveller")], "a", "a", 3),
    (pydantic.PositiveInt, 1, 1, 0),
    (pydantic.conint(gt=3), 4, 4, 3),
    (pydantic.constr(max_length=2), "ab", "ab", "abc"),
    (pydantic.confloat(lt=1), 0, 0.0, 1),
    (pydantic.StrictInt, 3, 3, "3"),
    (pydantic.SecretStr, "hush", pydantic.SecretStr("hush"), 3),
    (pydantic.Json, "[1]", [1], "["),
    (pydantic.Json[list[int]], "[1]", [1], '["a"]'),
    (pydantic.AnyUrl, "http://a.de/", pydantic.AnyUrl("http://a.de/"), "a"),
    (pydantic.HttpUrl, "https://a.de/", pydantic.HttpUrl("https://a.de/"), "ftp://a"),
    (pydantic.ByteSize, "1KiB", pydantic.ByteSize(1024), "much"),
    (pydantic.PastDate, "2001-01-01", dt.date(2001, 1, 1), "2901-01-01"),
    (pydantic.Base64Bytes, "YQ==", b"a", 3),
    # what has fields
    (Spot, [1, "a"], Spot(1, "a"), ["a"]),
    (Spot, {"x": 1}, Spot(1), {"y": 1}),
    (Options, {"deep": True}, {"deep": True}, {"limit": 3}),
    (Whole, {"a": 1, "inner": {"deep": True}}, {"a": 1, "inner": {"deep": True}}, {"a": 1}),
    (Place, {"city": "Bonn", "zip": 3.0}, Place("Bonn", 3), {"zip": 3}),
    (list[Place], [{"city": "Bonn"}], [Place("Bonn")], [{"town": "Bonn"}]),
    (Frozen, {"at": "2024-05-31"}, Frozen(at=dt.date(2024, 5, 31)), {"at": "x"}),
    (Holder, {"items": [1]}, Holder(items=[1]), {"items": "ab"}),
    (Node, {"value": 1, "children": [{"value": 2}]}, Node(1, [Node(2)]), {"value": "a"}),
    (Trip, {"from": "Rome", "days": 3}, Trip(**{"from": "Rome", "days": 3}), {"from": "Rome", "days": 10}),
    (list[Trip], [{"from": "Rome"}], [Trip(**{"from": "Rome"})], [{"start": "Rome"}]),
    (Strict, {"a": 1, "unit": "KELVIN"}, Strict(a=1, unit=Unit.KELVIN), {"a": 1, "b": 2}),
    (Strict, {"a": 1, "many": [1]}, Strict.model_construct(a=1, unit=Unit.CELSIUS, many=[1.0]), {"a": True}),
    (Either, {"name": "a"}, Either(name="a"), {"other": "a"}),
    (Tree, {"name": "a", "branches": [{"name": "b"}]},
     Tree(name="a", branches=[Tree(name="b")]), {"branches": []}),
    (Numbers, [1, 2], Numbers([1, 2]), ["a"]),
    (Box[int], {"content": 1}, Box[int](content=1), {"content": "a"}),
    # only results are of these
    (Plain, NEVER, Plain(), 3),
    (Crate[int], NEVER, Crate(), 3),
    (Plain | None, None, None, 3),
    (np.ndarray, NEVER, np.arange(3), [1]),
    (npt.NDArray[np.float64], NEVER, np.zeros(2), [1.0]),
    (np.float64, NEVER, np.float64(1.5), "a"),
    (range, NEVER, range(3), [1]),
    (slice, NEVER, slice(1, 2), [1]),
    (ChainMap[str, int], NEVER, ChainMap({"a": 1}), {"a": 1}),
    (type[int], NEVER, bool, "int"),
    (type, NEVER, str, "str"),
    (abc.Callable, NEVER, len, "len"),
    (abc.Callable[[int], int], NEVER, abs, "abs"),
]  # fmt: skip

UNCHECKED: list[tuple[Any, str]] = [
    (Runs, "a Protocol is checked only with @runtime_checkable"),
    (list[Runs], "a Protocol is checked only with @runtime_checkable"),
    (Bad, "typing_extensions.TypedDict"),
    ([int], r"write list\[...\]"),
    ({"a": int}, r"write dict\[...\]"),
    ((int, str), r"write tuple\[...\]"),
    (3, "3 is no type"),
    ("the number", "is no type but text"),
    ("np.floot", "has no attribute 'floot'"),
    ("enum.Enumm", "has no attribute 'Enumm'"),
    ("Missing", "Missing isn't known where the function is offered"),
    ("list[Missing]", "Missing isn't known"),
    ("[int]", r"write list\[...\]"),
    ("1 / 0", "ZeroDivisionError"),
    (abc.AsyncIterator[int], "async for"),
    (te.Never, "is no type"),
    (te.Self, "invalid in this context"),
    (typing.ClassVar[int], "is no type"),
    (typing.Optional, "is no type"),
    (Recursive, "names what isn't known, perhaps itself"),
]


def _taking(annotation: Any, name: str) -> Any:
    def take(x):  # type: ignore[no-untyped-def]
        return x

    take.__annotations__ = {"x": annotation}
    take.__name__ = take.__qualname__ = name
    return take


@pytest.fixture(scope="module")
def offered() -> abc.Iterator[Orchestrator]:
    def give(at: int) -> Any:
        """What a type's row has: as a literal if there is one, else a value of the type."""
        _, literal, value, _ = TYPES[at]
        return value if literal is NEVER else literal

    functions: list[Any] = [give]
    for at, (annotation, *_) in enumerate(TYPES):
        functions.append(_taking(annotation, f"take{at}"))
        functions.append(function(kind="compute")(_taking(annotation, f"compute{at}")))
    orchestrator = Orchestrator(functions, model=ScriptedModel(["x"]), learn=False, processors=1)
    yield orchestrator
    asyncio.run(orchestrator.close())


ROWS = [pytest.param(at, id=f"{at}-{row[0]!s:.40}") for at, row in enumerate(TYPES)]


def _same(one: Any, other: Any) -> bool:
    if isinstance(other, np.ndarray):
        return isinstance(one, np.ndarray) and bool((one == other).all())
    return type(one) is type(other) and one == other if isinstance(other, int | float) else one == other


@pytest.mark.parametrize("at", ROWS)
def test_a_literal_a_result_a_tool_call_and_a_process_agree_on_a_type(at: int, offered: Orchestrator) -> None:
    _, literal, value, wrong = TYPES[at]
    taking = offered.functions[f"take{at}"]
    plans = [f"s1 = give(at={at})\ns2 = take{at}(x=s1)"]
    if literal is not NEVER:
        plans.append(f"s1 = take{at}(x={literal!r})")
        call = call_from_json("s1", taking.name, json.dumps({"x": literal}))
        if not isinstance(literal, dict) or all(isinstance(key, str) for key in literal):
            (checked,) = offered.check(_plan_of(call))
            given = arguments(checked, taking, Inputs({}), Budget(apart=True))["x"]
            assert _same(list(given) if isinstance(given, abc.Iterator) else given, value)
    computed = f"s1 = give(at={at})\ns2 = compute{at}(x=s1)"
    for plan in (*plans, computed):
        result = offered.execute_sync(plan)
        assert result.error is None, plan
        assert _same(result.calls[-1].result, value), plan
    if wrong is not NEVER:
        for name in (f"take{at}", f"compute{at}"):
            with pytest.raises(PlanError, match=f"x of {name}: "):
                offered.execute_sync(f"s1 = {name}(x={wrong!r})")


def _plan_of(call: Any) -> Any:
    from llmorch import Plan

    return Plan((call,))


@pytest.mark.parametrize("at", ROWS)
def test_a_prompt_and_a_native_tool_say_of_every_type_what_it_is(at: int, offered: Orchestrator) -> None:
    declared = offered.functions[f"take{at}"]
    assert declared.signature.startswith(f"take{at}(x: ")
    assert len(declared.prompt_text.line) <= 500
    for told in (declared.prompt_text.line, json.dumps(declared.schema)):
        assert not re.search(r" at 0x|<class|<function|FieldInfo|object>|x-class|typing\.", told)


@pytest.mark.parametrize(("annotation", "said"), UNCHECKED, ids=str)
def test_a_type_that_can_not_be_checked_is_refused_when_it_is_declared(annotation: Any, said: str) -> None:
    for declare in (function, lambda call: Orchestrator([call], model=ScriptedModel(["x"]), learn=False)):
        with pytest.raises(FunctionError, match=said) as raised:
            declare(_taking(annotation, "take"))
        assert str(raised.value).startswith("take: parameter x: ")
        assert "\n" not in str(raised.value)
        assert " at 0x" not in str(raised.value)


def test_a_process_that_is_called_does_not_check_types_once_more(tmp_path, monkeypatch) -> None:
    (tmp_path / "lazily.py").write_text(
        "import sys\n"
        "from collections.abc import Iterable\n"
        "from llmorch import function\n"
        "@function(kind='compute')\n"
        "def modules(x: Iterable[int]) -> bool:\n"
        "    return 'pydantic' in sys.modules\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import lazily  # type: ignore[import-not-found]

    orchestrator = Orchestrator([lazily.modules], model=ScriptedModel(["x"]), learn=False, processors=1)
    assert orchestrator.execute_sync("s1 = modules(x=[1])").answer is False
