"""Operators and properties of somebody's class that hang: the call that meets them waits, and nothing else does."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import pytest

from llmorch import LimitReached, Orchestrator, function
from llmorch.places.failure import UnknownHereError
from llmorch.testing import ScriptedModel

pytestmark = pytest.mark.anyio
_released = threading.Event()
_hanging = threading.Event()


def _hang(*_: object) -> Any:
    _hanging.set()
    _released.wait(60)
    return 1


class Hangs:
    """Whatever is asked of it hangs."""

    __eq__ = __lt__ = __add__ = __radd__ = __len__ = __iter__ = __contains__ = __getitem__ = __str__ = _hang
    __bool__ = __neg__ = __round__ = __abs__ = __hash__ = _hang
    area = property(_hang)


@function
def make() -> Any:
    """Make one."""
    return Hangs()


@function
def use(x: Any) -> Any:
    """Use it."""
    return 1


@function
async def quick(n: int) -> int:
    """Return n."""
    return n


USES = [
    "s1 == 1",
    "s1 + 1",
    "len(s1)",
    "1 in s1",
    "s1[0]",
    "'{s1}!'",
    "str(s1)",
    "s1 and 1",
    "-s1",
    "s1.area",
]
USES += [
    "sorted([s1, s1])",
    "{s1: 1}",
    "[s1] == [1]",
    "sum([s1])",
    "not s1",
    "round(s1)",
    "max(s1, s1)",
]


@pytest.fixture(autouse=True)
def _release() -> Any:
    _released.clear()
    _hanging.clear()
    yield
    _released.set()


@pytest.mark.parametrize("text", USES)
async def test_a_deadline_holds_and_other_runs_go_on(text: str) -> None:
    async with Orchestrator([make, use, quick], model=ScriptedModel([]), learn=False, optimize=False) as made:
        hanging = asyncio.create_task(made.execute(f"s1 = make()\ns2 = use(x={text})", deadline=0.3))
        began = time.monotonic()
        assert (await made.execute("s1 = quick(n=3)")).answer == 3
        assert time.monotonic() - began < 0.25
        with pytest.raises(LimitReached, match=r"longer than its deadline of 0\.3 s"):
            await hanging
        assert time.monotonic() - began < 5


async def test_a_call_with_a_timeout_fails_when_its_arguments_take_longer() -> None:
    @function(timeout=0.2)
    async def soon(x: Any) -> Any:
        return x

    async with Orchestrator([make, soon], model=ScriptedModel([]), learn=False, optimize=False) as made:
        result = await made.execute("s1 = make()\ns2 = soon(x=s1 + 1)")
    assert result.calls["s2"].error == "soon took longer than its timeout of 0.2 s"


async def test_what_a_class_computes_is_used_by_every_kind_of_call() -> None:
    class Money:
        def __init__(self, cents: int) -> None:
            self.cents = cents

        def __add__(self, other: Money) -> Money:
            return Money(self.cents + other.cents)

        def __str__(self) -> str:
            return f"{self.cents} cents"

        @property
        def euros(self) -> float:
            return self.cents / 100

    @function
    def money(cents: int) -> Any:
        return Money(cents)

    @function
    def show(text: str) -> str:
        return text

    @function(asks_model=True)
    def ask(text: str) -> str:
        return text

    plan = (
        's1 = money(cents=150)\ns2 = show(text="{s1} and {s1.euros}")\ns3 = self(prompt="How much is {s1}?")\n'
        's4 = ask(text="{s1}")\ns5 = quick(n=(s1 + s1).cents)'
    )
    model = ScriptedModel(lambda request: request.messages[-1].text)
    async with Orchestrator([money, show, ask, quick], model=model, learn=False, optimize=False) as made:
        result = await made.execute(plan)
    assert [call.result for call in result.calls][1:] == [
        "150 cents and 1.5",
        "How much is 150 cents?",
        "150 cents",
        300,
    ]


class Slow:
    """Adding to it takes a while."""

    def __add__(self, other: int) -> int:
        _released.wait(0.4)
        return other


@function
def slow() -> Any:
    """Make one."""
    return Slow()


@function(timeout=0.7)
async def waits(x: int) -> int:
    await asyncio.sleep(0.5)
    return x


@function(timeout=0.7)
def sleeps(x: int) -> int:
    time.sleep(0.5)
    return x


@function(timeout=0.7, asks_model=True)
def asks(x: int) -> str:
    return f"wait {x}"


@pytest.mark.parametrize("name", ["waits", "sleeps", "asks"])
async def test_a_timeout_counts_once_for_the_arguments_and_the_call(name: str) -> None:
    offered, model = [slow, waits, sleeps, asks], ScriptedModel(lambda _: "late", delay=0.5)
    async with Orchestrator(offered, model=model, learn=False, optimize=False) as made:
        plain = await made.execute(f"s1 = {name}(x=1)")
        result = await made.execute(f"s1 = slow()\ns2 = {name}(x=s1 + 1)")
    assert plain.calls["s1"].error is None
    assert result.calls["s2"].error == f"{name} took longer than its timeout of 0.7 s"


@function(kind="compute")
def text(length: int) -> str:
    """A long text, which stays in its file."""
    return "x" * length


@function(kind="compute")
def lengths(x: Any, y: Any = "") -> int:
    """How long both are."""
    return len(x) + len(y)


async def test_arguments_that_another_process_works_out_share_the_budget_of_their_call() -> None:
    many = "{s1}" * 9
    async with Orchestrator([text, lengths], model=ScriptedModel([]), processors=1, learn=False) as made:
        one = await made.execute(f"s1 = text(length=3000000)\ns2 = lengths(x='{many}')")
        both = await made.execute(f"s1 = text(length=3000000)\ns2 = lengths(x='{many}', y='{many}')")
        here = await made.execute(f"s1 = text(length=3000000)\ns2 = lengths(x='{many}', y='y' * 40000000)")
    assert one.answer == 27_000_000
    for result in (both, here):
        assert "the arguments would be longer than 50,000,000 characters" in str(result.calls["s2"].error)


async def test_what_is_put_beside_a_large_result_is_worked_out_apart() -> None:
    offered = [make, text, lengths, quick]
    async with Orchestrator(offered, model=ScriptedModel([]), processors=1, learn=False) as made:
        await made.execute("s1 = text(length=1)")
        plan = "s1 = text(length=3000000)\ns2 = make()\ns3 = lengths(x=[s1, s2 + 1])"
        hanging = asyncio.create_task(made.execute(plan, deadline=2))
        began = time.monotonic()
        assert await asyncio.to_thread(_hanging.wait, 30)
        assert (await made.execute("s1 = quick(n=3)")).answer == 3
        assert time.monotonic() - began < 20
        with pytest.raises(LimitReached, match="longer than its deadline of 2 s"):
            await hanging


class Sealed:
    """It is rebuilt in the process ``pid`` only, and that hangs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def __reduce__(self) -> Any:
        return _rebuilt, (self.pid, "x" * 3_000_000)


def _rebuilt(pid: int, _: str) -> Any:
    if os.getpid() != pid:
        raise UnknownHereError("not here")  # as what refers to something of a script does
    return _hang()


@function(kind="compute")
def sealed(pid: int) -> Any:
    return Sealed(pid)


async def test_what_has_to_be_opened_here_for_another_process_is_opened_apart() -> None:
    async with Orchestrator(
        [sealed, lengths, quick], model=ScriptedModel([]), processors=1, learn=False
    ) as made:
        plan = f"s1 = sealed(pid={os.getpid()})\ns2 = lengths(x=s1)"
        hanging = asyncio.create_task(made.execute(plan))
        began = time.monotonic()
        assert await asyncio.to_thread(_hanging.wait, 30)
        assert (await made.execute("s1 = quick(n=3)")).answer == 3
        assert time.monotonic() - began < 20
        _released.set()
        assert "has no len()" in str((await hanging).calls["s2"].error)
