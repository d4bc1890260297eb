"""Results whose methods raise, lie or write megabytes: the call that meets them fails, and nothing else does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator  # noqa: TC003 - the functions' annotations are read
from enum import Enum
from typing import Any

import pytest

from llmorch import Orchestrator, Result, function

pytestmark = pytest.mark.anyio

_METHODS = (
    *(
        "__repr__",
        "__str__",
        "__eq__",
        "__hash__",
        "__len__",
        "__iter__",
        "__bool__",
        "__getattr__",
        "__getitem__",
    ),
    *(
        "__contains__",
        "__add__",
        "__radd__",
        "__lt__",
        "__gt__",
        "__missing__",
        "__reduce__",
        "__reduce_ex__",
        "keys",
    ),
    *(
        "__format__",
        "__int__",
        "__float__",
        "__index__",
        "items",
        "values",
        "model_dump",
    ),
)
BIG = "x" * 2_000_000


class Stop(BaseException):
    """What no ``except Exception`` holds."""


class Mute(Exception):
    """An exception of which nothing can be read."""

    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__

    @property
    def args(self) -> Any:  # type: ignore[override]
        raise SystemExit

    @property
    def __cause__(self) -> Any:  # type: ignore[override]
        raise KeyboardInterrupt

    @property
    def __notes__(self) -> Any:
        raise GeneratorExit


ERRORS: dict[str, Callable[[], BaseException]] = {
    "KeyError": KeyError,
    "a large message": lambda: ValueError(BIG),
    "a large key": lambda: KeyError(BIG),
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "CancelledError": asyncio.CancelledError,
    "BaseException": Stop,
    "a mute exception": Mute,
}


def _raising(error: Callable[[], BaseException]) -> Callable[..., Any]:
    def method(*_: Any, **__: Any) -> Any:
        raise error()

    return method


def _all(error: Callable[[], BaseException], *bases: type) -> type:
    """A class of which every method raises."""
    methods = {name: _raising(error) for name in _METHODS}
    if bases and bases[0] is not dict:
        del methods["__missing__"]
    methods |= {
        name: property(_raising(error)) for name in ("__class__", "area", "shape", "dtype", "columns")
    }
    return type("Hostile", bases, methods)


def _of(**methods: Any) -> Any:
    return type("Hostile", (), methods)()


class Meta(type):
    """A metaclass that raises whatever is asked of the class."""

    def __getattribute__(cls, name: str) -> Any:
        raise Stop

    def __instancecheck__(cls, one: object) -> bool:
        raise SystemExit

    __subclasscheck__ = __instancecheck__

    def __repr__(cls) -> str:
        raise GeneratorExit


def _of_meta() -> type:
    """A class that pytest must not find in this module: it asks each what it is."""
    return type.__new__(Meta, "OfMeta", (), {})


class Lies:
    """It says that it is what it isn't, and that it has what it hasn't."""

    def __init__(self, kind: type) -> None:
        self.kind = kind

    @property
    def __class__(self) -> Any:
        return self.kind

    def __len__(self) -> int:
        return 2**62

    def __repr__(self) -> str:
        return BIG

    __str__ = __repr__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class LongName:
    pass


LongName.__name__ = LongName.__qualname__ = BIG


def _itself() -> Any:
    made: list[Any] = []
    made += [made, made]
    return made


def _shared() -> Any:
    made: list[Any] = [1]
    for _ in range(40):
        made = [made, made]
    return made


def _deep() -> Any:
    made: list[Any] = []
    for _ in range(20_000):
        made = [made]
    return made


class Wild(Enum):
    """A choice that can't be written."""

    ONE = 1

    def __repr__(self) -> str:
        raise Stop

    __str__ = __repr__


HOSTILE: dict[str, Callable[[], Any]] = {
    **{f"raises {name}": lambda error=error: _all(error)() for name, error in ERRORS.items()},
    **{
        f"a {kind.__name__} that raises {name}": lambda kind=kind, name=name: _all(ERRORS[name], kind)()
        for kind in (str, int, dict, list, tuple, float, bytes, set)
        for name in ("KeyError", "BaseException")
    },
    **{
        f"says it is a {kind.__name__}": lambda kind=kind: Lies(kind)
        for kind in (str, int, dict, list, type, Result)
    },
    "can't be awaited": lambda: _of(__await__=_raising(Stop)),
    "can't be drawn": lambda: _of(__iter__=lambda self: self, __next__=_raising(Stop)),
    "metaclass": lambda: object.__new__(_of_meta()),
    "the class of it": _of_meta,
    "a long name": LongName,
    "large key": lambda: {BIG: 1},
    "large keys": lambda: {f"{number}{BIG}": number for number in range(3)},
    "large number": lambda: 10**5_000,
    "not a number": lambda: float("nan"),
    "no Unicode": lambda: "\ud800",
    "keys that are alike": lambda: {1: "a", "1": "b"},
    "itself in it": _itself,
    "shared": _shared,
    "deep": _deep,
    "a wild choice": lambda: Wild.ONE,
    "choices": lambda: {Wild.ONE: Wild.ONE},
    "an exception": lambda: Mute("never raised"),
}
USES = (
    *(
        "s1",
        "s1.area",
        's1["a"]',
        "s1[0]",
        "s1 + 1",
        "s1 == 1",
        "1 < s1",
        "1 in s1",
        "not s1",
        "s1 and 1",
        '"see {s1}"',
    ),
    *(
        "str(s1)",
        "len(s1)",
        "sum(s1)",
        "sorted(s1)",
        "max(s1)",
        "int(s1)",
        "round(s1)",
        "{s1: 1}",
        '{"a": 1}[s1]',
        "-s1",
    ),
)


def _show(value: Any) -> str:
    return "" if type(value) is list else str(value)  # a thread that writes 2**40 items can't be stopped


@function
def make(how: str) -> Any:
    """Make one."""
    return HOSTILE[how]()


@function
async def make_async(how: str) -> Any:
    """Make one."""
    return HOSTILE[how]()


@function(show=_show)
def make_shown(how: str) -> Any:
    """Make one."""
    return HOSTILE[how]()


@function
def make_each(how: str) -> Iterator[Any]:
    """Make two."""
    yield HOSTILE[how]()
    yield HOSTILE[how]()


@function
async def make_each_async(how: str) -> AsyncIterator[Any]:
    """Make two."""
    yield HOSTILE[how]()
    yield HOSTILE[how]()


@function
def fail(how: str) -> Any:
    """Fail."""
    raise ERRORS[how]()


@function
async def fail_async(how: str) -> Any:
    """Fail."""
    raise ERRORS[how]()


@function
def use(x: Any) -> Any:
    """Use."""
    return 1


@function
def whole(x: int) -> int:
    """Use."""
    return 1


@function
def wholes(x: list[int]) -> int:
    """Use."""
    return 1


@function
def text(x: str) -> int:
    """Use."""
    return 1


@function(reads=["file:{x}"])
def touch(x: Any) -> Any:
    """Use."""
    return 1


@function
def sibling() -> int:
    """Count."""
    return 7


FUNCTIONS = [make, make_async, make_shown, make_each, make_each_async, fail, fail_async]
ALL = [*FUNCTIONS, use, whole, wholes, text, touch, sibling]


def _orchestrator(functions: list[Any] = ALL) -> Orchestrator:
    return Orchestrator(
        functions, processors=1, learn=False, optimize=False, model="openai:x", base_url="http://127.0.0.1:1"
    )


async def _held(orchestrator: Orchestrator, plan: str) -> Result:
    """Run a plan whose last call but one is a sibling: it ends as a Result, within every bound."""
    result = await orchestrator.execute(plan)
    assert result.calls["sibling"].result == 7, plan
    assert len(result.error or "") <= 2_000, plan
    for call in result.calls:
        assert len(call.error or "") <= 2_000, plan
        assert call.error is None or "\n" not in call.error, plan
        assert len(call.traceback or "") <= 20_000, plan
    for record in (result, result.calls, *result.calls):
        assert len(repr(record)) <= 600, plan
    return result


# What is computed of 2**40 shared items is for the tests of evaluation's bounds.
@pytest.mark.parametrize("how", [how for how in HOSTILE if how != "shared"])
async def test_whatever_is_done_with_a_result_its_sibling_ends(how: str) -> None:
    orchestrator = _orchestrator()
    for maker in ("make", "make_async", "make_shown", "make_each", "make_each_async"):
        lines = [f"s1 = {maker}(how={json.dumps(how)})", "sibling = sibling()", "last = use(x=s1)"]
        result = await _held(orchestrator, "\n".join(lines))
        assert result.calls["s1"].status in ("completed", "failed")
        if maker == "make" and not how.startswith("can't"):
            assert result.status == "answered"  # a result that is only passed on is nobody's to read
        await _held(orchestrator, f"{lines[1]}\n{lines[0]}")  # as the answer
    uses = [f"u{number} = use(x={one})" for number, one in enumerate(USES)]
    typed = [f"{name} = {name}(x=s1)" for name in ("whole", "wholes", "text", "touch")]
    plan = "\n".join(
        [f"s1 = make(how={json.dumps(how)})", *uses, *typed, "sibling = sibling()", "last = use(x=1)"]
    )
    result = await _held(orchestrator, plan)
    assert result.status == "answered"
    assert (result.calls["u0"].status == "completed") != how.startswith("can't")
    assert all(call.status in ("completed", "failed", "skipped") for call in result.calls)
    await orchestrator.close()


@pytest.mark.parametrize("how", HOSTILE)
async def test_a_result_is_written_as_json_within_bounds(how: str) -> None:
    result = await _orchestrator().execute(f"sibling = sibling()\ns1 = make(how={json.dumps(how)})")
    began = time.process_time()
    record = result.record
    assert max(map(len, map(repr, (record, *record.calls)))) <= 600
    kept = json.dumps(record.to_json(), indent=2)
    assert time.process_time() - began < 5
    assert len(kept) < 10 * len(BIG)
    assert json.loads(kept)["calls"][0]["result"] == 7


@pytest.mark.parametrize("how", ERRORS)
@pytest.mark.parametrize("failing", ["fail", "fail_async"])
async def test_whatever_a_function_raises_is_the_failure_of_its_call(how: str, failing: str) -> None:
    plan = f"sibling = sibling()\ns1 = {failing}(how={json.dumps(how)})\nlast = use(x=s1)"
    result = await _held(_orchestrator(), plan)
    assert result.calls["s1"].status == "failed"
    assert result.calls["last"].status == "skipped"
    assert result.error is not None
