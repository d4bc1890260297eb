"""Functions that return iterators, in a module that a worker process can import."""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
import sqlite3
import time
from typing import Any


def rows(n: int) -> Any:
    yield from range(n)


def failing(n: int) -> Any:
    yield from range(n)
    raise ValueError(f"row {n} is broken")


def slow(n: int) -> Any:
    for number in range(n):
        time.sleep(0.1)
        yield number


class Countdown:
    """An iterator of a class of its own."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> int:
        if self.n == 0:
            raise StopIteration
        self.n -= 1
        return self.n


class AsyncCountdown:
    """The same, to be awaited."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> int:
        await asyncio.sleep(0)
        if self.n == 0:
            raise StopAsyncIteration
        self.n -= 1
        return self.n


async def async_rows(n: int) -> Any:
    for number in range(n):
        await asyncio.sleep(0)
        yield number


async def async_failing(n: int) -> Any:
    for number in range(n):
        yield number
    raise ValueError(f"row {n} is broken")


async def async_endless() -> Any:
    while True:
        yield 1


def cursor() -> Any:
    database = sqlite3.connect(":memory:")
    database.execute("create table t (x)")
    database.executemany("insert into t values (?)", [(1,), (2,)])
    return database.execute("select x from t order by x")


def groups() -> Any:
    return itertools.groupby([1, 1, 2], key=lambda number: number % 2 == 0)


SYNC: dict[str, tuple[Any, list[Any]]] = {
    "generator": (lambda: rows(3), [0, 1, 2]),
    "nothing": (lambda: rows(0), []),
    "map": (lambda: map(str, [1, 2]), ["1", "2"]),
    "filter": (lambda: filter(None, [0, 1]), [1]),
    "zip": (lambda: zip([1, 2], "ab", strict=True), [(1, "a"), (2, "b")]),
    "reversed": (lambda: reversed([1, 2]), [2, 1]),
    "enumerate": (lambda: enumerate("a"), [(0, "a")]),
    "dict iterator": (lambda: iter({"a": 1}), ["a"]),
    "of a class": (lambda: Countdown(2), [1, 0]),
    "csv.reader": (lambda: csv.reader(io.StringIO("a,b\n1,2\n")), [["a", "b"], ["1", "2"]]),
    "csv.DictReader": (lambda: csv.DictReader(io.StringIO("a,b\n1,2\n")), [{"a": "1", "b": "2"}]),
    "sqlite cursor": (cursor, [(1,), (2,)]),
    "groupby": (groups, [(False, [1, 1]), (True, [2])]),
    "iterators in one": (lambda: (rows(n) for n in (1, 2)), [[0], [0, 1]]),
}
ASYNC: dict[str, tuple[Any, list[Any]]] = {
    "async generator": (lambda: async_rows(3), [0, 1, 2]),
    "async iterator": (lambda: AsyncCountdown(2), [1, 0]),
}
ALL = SYNC | ASYNC


def returned(kind: str) -> Any:
    return ALL[kind][0]()


async def async_returned(kind: str) -> Any:
    await asyncio.sleep(0)
    return ALL[kind][0]()


def endless() -> Any:
    return itertools.count()


async def returned_endless() -> Any:
    return itertools.count()


def returned_slow(n: int) -> Any:
    return slow(n)


async def async_returned_slow(n: int) -> Any:
    return slow(n)


def file(path: str) -> Any:
    with open(path, "w") as opened:  # noqa: PTH123
        opened.write("a\nb\n")
    return open(path)  # noqa: PTH123


async def coroutine_in_coroutine() -> Any:
    async def inner() -> int:
        return 7

    return inner()


def range_of(n: int) -> Any:
    return range(n)


def batch(calls: list[dict[str, Any]]) -> Any:
    return ([rows, failing, async_rows][call["n"] % 3](call["n"]) for call in calls)


async def async_batch(calls: list[dict[str, Any]]) -> Any:
    return [[rows, failing, async_rows][call["n"] % 3](call["n"]) for call in calls]
