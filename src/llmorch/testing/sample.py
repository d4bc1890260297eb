"""Functions that a place for calls is tested with, in a module that any process can import."""

from __future__ import annotations

import asyncio
import time
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LARGE = 3_000_000
"""Characters of a large value."""
_PATIENCE = 20.0


def echo(value: Any) -> Any:
    """Return what it is given."""
    return value


def fail(text: str) -> None:
    """Raise a ``KeyError``."""
    raise KeyError(text)


def _note(file: str) -> None:
    Path(file).write_text("written")


def write_late(seconds: float, file: str) -> str:
    """Write a file after a while, having written one beside it at the beginning."""
    _note(f"{file}.begun")
    time.sleep(seconds)
    _note(file)
    return file


async def async_write_late(seconds: float, file: str) -> str:
    """The same on an event loop."""
    _note(f"{file}.begun")
    await asyncio.sleep(seconds)
    _note(file)
    return file


def meet(mine: str, other: str) -> float:
    """Write a file, and wait for the one that the other call writes: neither ends before the other begins."""
    _note(mine)
    until = time.monotonic() + _PATIENCE
    while _is_missing(other, until):
        time.sleep(0.01)
    return 1.0


def _is_missing(file: str, until: float) -> bool:
    if time.monotonic() > until:
        raise TimeoutError("the other call didn't begin beside this one")
    return not Path(file).exists()


async def async_meet(mine: str, other: str) -> float:
    """The same on an event loop."""
    _note(mine)
    until = time.monotonic() + _PATIENCE
    while _is_missing(other, until):  # noqa: ASYNC110 - another process may write it
        await asyncio.sleep(0.01)
    return 1.0


def large(fill: str) -> str:
    """A text of ``LARGE`` characters."""
    return fill * LARGE


def length(text: str) -> int:
    """How long a text is."""
    return len(text)


def after(number: int) -> int:
    """The next number."""
    return number + 1


def _async(target: Callable[..., Any]) -> Callable[..., Any]:
    """The same on an event loop, with the name by which another process finds it."""

    @wraps(target)
    async def later(*args: Any, **named: Any) -> Any:
        await asyncio.sleep(0)
        return target(*args, **named)

    later.__name__ = later.__qualname__ = f"async_{target.__name__}"
    return later


async_echo, async_fail, async_large = _async(echo), _async(fail), _async(large)
async_length, async_after = _async(length), _async(after)


def shortly(value: Any) -> str:
    """What a model is to see of a value. Raises for one without a length."""
    return f"{len(value)} of them"


def together(calls: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The batch form of ``echo``: what each is given, and the failure of one that is given ``None``."""
    return [LookupError("nothing") if call["value"] is None else call["value"] for call in calls]


def too_few(calls: Sequence[Mapping[str, Any]]) -> list[Any]:
    """A batch form that loses one."""
    return list(calls)[1:]
