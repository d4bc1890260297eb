"""Functions that return iterators, and iterators in other things, in a module that a worker imports fast."""

from __future__ import annotations

import functools
from typing import Any

from tests.places.iterating import async_rows, rows


@functools.wraps(rows)
def traced(n: int) -> Any:
    return rows(n)


async def waited(n: int) -> Any:
    return rows(n)


def async_traced(n: int) -> Any:
    return async_rows(n)


def mapped(n: int) -> Any:
    return map(int, range(n))


def table(n: int) -> dict[str, Any]:
    return {"rows": rows(n), "n": n}


def pair(n: int) -> tuple[Any, ...]:
    return (mapped(n), n)


def several(n: int) -> list[Any]:
    return [rows(n), rows(n)]


async def late_table(n: int) -> dict[str, Any]:
    return table(n)


class Cursor:
    """Rows, one after the other, and how many there are."""

    def __init__(self, n: int) -> None:
        self.count = n
        self._rows = iter(range(n))

    def __iter__(self) -> Cursor:
        return self

    def __next__(self) -> int:
        return next(self._rows)


def query(n: int) -> Cursor:
    return Cursor(n)


async def late_query(n: int) -> Cursor:
    return Cursor(n)
