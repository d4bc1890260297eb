"""Variables that are too large to be compared by what they hold, or aren't plain data, once they are set anew."""

from __future__ import annotations

import sys
import threading
from fractions import Fraction
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from llmorch.declare.functions import Function
from llmorch.errors import CallError
from llmorch.places.workers import Worker, Workers, cpus_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

MODULE = """
import os
import threading

VALUE = ["old"] * 10
LOCK = threading.Lock()
OPENED = None


class Table:
    rows = {0: "old"}


def first():
    return str(VALUE[0])


def count():
    return len(VALUE)


def row():
    return Table.rows[0]


def locked():
    return LOCK.locked()


def opened():
    global OPENED
    if OPENED is None:
        OPENED = threading.Lock()
    return os.getpid()


def die():
    os._exit(3)
"""


@pytest.fixture
def module(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A module in a file of its own."""
    name = f"large{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    sys.path.insert(0, str(tmp_path))
    yield __import__(name)
    sys.path.remove(str(tmp_path))
    del sys.modules[name]


@pytest.fixture(params=["compute", "timeout"])
async def call(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Any]]:
    """Calls a function in a process."""
    place = Worker(cpus_of((0,))) if request.param == "compute" else Workers(limit=1)

    async def called(function: Callable[..., Any], **args: Any) -> Any:
        return await place.execute(Function("f", function, timeout=30), args)

    yield called
    await place.close()


LARGE = {
    "65 KiB": [f"new {number}" for number in range(9_000)],
    "8 MiB": [f"new {number}" for number in range(500_000)],
    "an array": np.arange(1, 2_000_000),
    "bytes": b"n" * 5_000_000,
    "a text": "n" * 5_000_000,
    "many objects": [Fraction(1, number) for number in range(1, 9_000)],
}


@pytest.mark.parametrize("value", LARGE.values(), ids=LARGE)
async def test_a_large_variable_that_was_set_anew_is_never_the_old_one(
    call: Any, module: Any, value: Any
) -> None:
    assert await call(module.first) == "old"
    module.VALUE = value
    assert await call(module.first) == str(value[0])
    module.VALUE = ["small again"]
    assert await call(module.first) == "small again"
    module.VALUE = value
    assert await call(module.first) == str(value[0])


@pytest.mark.parametrize("value", LARGE.values(), ids=LARGE)
async def test_a_large_variable_counts_when_it_was_set_before_the_first_call_and_in_a_new_process(
    call: Any, module: Any, value: Any
) -> None:
    module.VALUE = value
    assert await call(module.first) == str(value[0])
    with pytest.raises(CallError):
        await call(module.die)
    assert await call(module.first) == str(value[0])


async def test_a_large_variable_of_a_class_counts_too(call: Any, module: Any) -> None:
    assert await call(module.row) == "old"
    module.Table.rows = dict.fromkeys(range(100_000), "new")
    assert await call(module.row) == "new"


async def test_a_large_container_counts_when_it_has_more_or_fewer_items(call: Any, module: Any) -> None:
    module.VALUE = list(range(100_000))
    assert await call(module.count) == 100_000
    module.VALUE.append(1)
    assert await call(module.count) == 100_001
    del module.VALUE[:5]
    assert await call(module.count) == 99_996


async def test_an_array_of_up_to_a_mebibyte_is_compared_by_what_it_holds(call: Any, module: Any) -> None:
    module.VALUE = np.zeros(120_000)
    assert await call(module.first) == "0.0"
    module.VALUE[0] = 9
    assert await call(module.first) == "9.0"


async def test_what_cannot_be_sent_fails_the_call_once_it_is_set_anew(call: Any, module: Any) -> None:
    assert await call(module.locked) is False
    old, module.LOCK = module.LOCK, threading.Lock()
    for _ in range(2):
        with pytest.raises(CallError) as raised:
            await call(module.locked)
        assert str(raised.value) == (
            f"f can't be called: {module.__name__}.LOCK, a value of type lock, was set anew and can't be sent to "
            "another process (TypeError: cannot pickle '_thread.lock' object); make it inside the function, or "
            "where its module is imported"
        )
    module.LOCK = old
    assert await call(module.locked) is False


async def test_what_a_function_opens_itself_when_first_needed_is_each_processes_own(
    call: Any, module: Any
) -> None:
    pid = await call(module.opened)
    module.opened()  # in the program too
    assert await call(module.opened) == pid


async def test_a_value_of_a_class_of_the_main_program_in_another_module_is_sent(
    call: Any, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = ModuleType("__main__")
    exec("class Rows:\n    def __getitem__(self, n): return 'of the program'", vars(main))
    monkeypatch.setitem(sys.modules, "__main__", main)
    module.VALUE = main.Rows()
    assert await call(module.first) == "of the program"


NAMESPACE = """
RATE = 1
ROWS = list(range({rows}))
class Unit:
    by = 1
def helper(n): return n * RATE * Unit.by
def price(n): return helper(n) + len(ROWS)
"""


@pytest.mark.parametrize("rows", [3, 100_000], ids=["small", "large"])
@pytest.mark.parametrize("name", ["plugin", "json", None], ids=["of no module", "named like one", "unnamed"])
async def test_variables_of_a_namespace_that_is_no_modules_are_as_they_are_now(
    call: Any, name: str | None, rows: int
) -> None:
    space: dict[str, Any] = {} if name is None else {"__name__": name}
    exec(NAMESPACE.format(rows=rows), space)
    price = space["price"]
    assert await call(price, n=2) == price(2)
    changes = ["RATE = 5", "Unit.by = 7", "ROWS.append(1)", "ROWS = []", "helper = lambda n: -n", "RATE = 2"]
    for change in changes:
        exec(change, space)
        assert await call(price, n=2) == price(2), change
