"""Fields give data: no way leads from a result to the interpreter and what the program keeps there."""

from __future__ import annotations

import asyncio
import contextvars
import csv
import functools
import inspect
import io
import itertools
import logging
import multiprocessing
import os
import queue
import re
import sys
import threading
import types
import weakref
from collections import deque, namedtuple
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest

from llmorch.calls import Field, Reference
from llmorch.errors import EvaluationError
from llmorch.plan import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable


def field(value: Any, *names: str) -> Any:
    expression: Any = Reference("s1")
    for name in names:
        expression = Field(expression, name)
    return evaluate(expression, {"s1": value})


async def _coroutine() -> None: ...


async def _items() -> Any:
    yield 1


def _raised() -> BaseException:
    try:
        raise ValueError("x")
    except ValueError as error:
        return error


class Holder:
    """What a careless function might return."""

    kind = dict

    def __init__(self) -> None:
        self.module = re
        self.frame = sys._getframe()
        self.code = _items.__code__
        self.rows = (row for row in range(3))
        self.traceback = _raised().__traceback__
        self.file = io.StringIO("key")
        self.descriptor = Holder.__dict__["name"]
        self.method = self.move
        self.cls = Holder

    @property
    def name(self) -> str:
        return "holder"

    def move(self) -> None: ...


@pytest.mark.parametrize(
    "names",
    [
        ("module",),
        ("module", "sys"),
        ("frame",),
        ("frame", "f_globals"),
        ("code", "co_consts"),
        ("rows",),
        ("rows", "gi_frame", "f_builtins"),
        ("traceback", "tb_frame"),
        ("file",),
        ("descriptor", "fget"),
        ("method",),
        ("cls", "kind"),
        ("kind",),
    ],
)
def test_a_field_is_never_of_nor_as_an_object_of_the_interpreter(names: tuple[str, ...]) -> None:
    with pytest.raises(EvaluationError, match="has no field"):
        field(Holder(), *names)


def test_no_field_of_a_result_that_is_one_itself_is_read() -> None:
    coroutine, items = _coroutine(), _items()
    for value in (
        *(coroutine, items, (row for row in range(3)), re, Holder, _raised, len, "".join, sys._getframe()),
        *(_raised().__traceback__, _coroutine.__code__, Holder.name, io.StringIO()),
    ):
        for name in dir(value):
            with pytest.raises(EvaluationError, match="has no field"):
                field(value, name)
    coroutine.close()


MACHINERY: list[Callable[[], Any]] = [
    threading.current_thread,
    threading.Lock,
    queue.Queue,
    contextvars.copy_context,
    lambda: functools.partial(print, "a key"),
    lambda: logging.getLogger("a"),
    lambda: re.__spec__,
    lambda: inspect.signature(print),
    lambda: weakref.proxy(re),
    lambda: iter([1]),
    lambda: map(len, [""]),
    lambda: itertools.chain([1]),
    lambda: os.environ,
    lambda: asyncio.run(_task()),
    lambda: deque_iterator([1]),
    lambda: multiprocessing.get_context("spawn").Lock(),
    lambda: csv.reader(["a"]),
]


def deque_iterator(items: list[int]) -> Any:
    return iter(deque(items))


async def _task() -> Any:
    return asyncio.current_task()


@pytest.mark.parametrize("made", MACHINERY)
def test_neither_is_one_of_nor_as_what_a_program_runs_by(made: Callable[[], Any]) -> None:
    value = made()
    for holder in (types.SimpleNamespace(a=value), {"a": value}, namedtuple("One", "a")(value)):
        with pytest.raises(EvaluationError, match="has no field"):
            field(holder, "a")
    for name in dir(value) if value is not os.environ else ():  # which is a mapping
        with pytest.raises(EvaluationError, match="has no field"):
            field(value, name)


def test_a_key_of_a_dictionary_is_no_way_to_a_function() -> None:
    with pytest.raises(EvaluationError, match="has no field"):
        field({"f": field}, "f")


def test_what_data_of_the_library_leads_to_is_no_way_either() -> None:
    bad = (types.ModuleType, types.FrameType, types.CodeType, types.FunctionType, type, io.IOBase)
    for value in (_raised(), re.compile("a"), re.match("a", "a")):
        for name in dir(value):
            try:
                came = field(value, name)
            except EvaluationError:
                continue
            assert not isinstance(came, bad), (value, name)


@dataclass(slots=True)
class Slotted:
    area: float


class Color(Enum):
    RED = "red"


def test_data_stays_readable() -> None:
    holder = Holder()
    holder.table = types.MappingProxyType({"a": 1})  # type: ignore[attr-defined]
    assert field(holder, "name") == "holder"
    assert field(holder, "table", "a") == 1
    assert field(Slotted(2.5), "area") == 2.5
    assert field(namedtuple("Pair", "a b")(1, 2), "b") == 2
    assert field(Color.RED, "value") == "red"
    assert field(types.SimpleNamespace(a=types.SimpleNamespace(b=3)), "a", "b") == 3
    assert field(3 + 4j, "imag") == 4.0
    assert field(range(2, 9), "stop") == 9
    assert field({"gi_frame": 1}, "gi_frame") == 1


def test_arrays_and_tables_stay_readable() -> None:
    numpy = pytest.importorskip("numpy")
    assert field(numpy.zeros((2, 3)), "shape") == (2, 3)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"price": [1, 2]})
    assert list(field(frame, "columns")) == ["price"]
    assert list(field(frame, "price")) == [1, 2]
