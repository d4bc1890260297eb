"""Values whose class runs code of its own when they are opened, in a module that a worker process can import."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Any

from llmorch import function

OPENED: list[str] = []
"""What was opened in this process."""
RELEASED = threading.Event()
"""Ends what hangs in this process."""


class Stop(BaseException):
    """What no ``except Exception`` holds."""


@dataclass
class Value:
    """A value that is rebuilt in some way."""

    how: str

    def __reduce__(self) -> Any:
        return rebuilt, (self.how,)

    def __str__(self) -> str:
        return f"what {self.how}"


def rebuilt(how: str) -> Value:
    """What opening it does."""
    OPENED.append(how)
    if how == "exits":
        os._exit(77)
    if how == "hangs":
        RELEASED.wait(60)
    if how == "raises":
        raise ValueError("no")
    if how == "raises SystemExit":
        raise SystemExit(3)
    if how == "raises KeyboardInterrupt":
        raise KeyboardInterrupt
    if how == "raises BaseException":
        raise Stop("no")
    return Value(how)


RAISES = {
    "raises": "ValueError: no",
    "raises SystemExit": "SystemExit: 3",
    "raises KeyboardInterrupt": "KeyboardInterrupt",
    "raises BaseException": "Stop: no",
}


@function(kind="compute")
def make(how: str) -> Any:
    """Make one."""
    return Value(how)


@function(kind="compute", timeout=0.5)
def make_soon(how: str) -> Any:
    """Make one, of a function with a timeout."""
    return Value(how)


@function(timeout=20)
def make_apart(how: str) -> Any:
    """Make one in a process that isn't a processor's."""
    return Value(how)


@function(kind="compute", show=lambda value: f"shown: {value.how}")
def make_shown(how: str) -> Any:
    """Make one, with a text for a model."""
    return Value(how)


@function(kind="compute")
def make_many(how: str) -> Any:
    """Make one, with others at once."""
    return Value(how)


@make_many.batch
def made_together(calls: list[dict[str, Any]]) -> list[Any]:
    return [ValueError("failed") if call["how"] == "fails" else Value(call["how"]) for call in calls]


@function(kind="compute", timeout=1)
def use(x: Any) -> Any:
    """Use one."""
    return getattr(x, "how", x)


@function(timeout=1)
def use_apart(x: Any) -> Any:
    """Use one in a process that isn't a processor's."""
    return getattr(x, "how", x)


@function(kind="compute", timeout=1)
def use_many(x: Any) -> Any:
    """Use one, with others at once."""
    return getattr(x, "how", x)


@use_many.batch
def used_together(calls: list[dict[str, Any]]) -> list[Any]:
    return [getattr(call["x"], "how", call["x"]) for call in calls]


@function(kind="compute", reads=["file:{x}"], timeout=1)
def read(x: Any) -> Any:
    """Read what has its name."""
    return 1


@function(kind="compute", writes=["file:{path}"])
def write(path: str) -> Any:
    """Write it."""
    return 1


@function(kind="compute")
def whole(x: int) -> int:
    """Use a whole number."""
    return x


@function
def use_here(x: Any) -> Any:
    """Use one on a thread."""
    return getattr(x, "how", x)


@function
async def use_waiting(x: Any) -> Any:
    """Use one on the event loop."""
    return getattr(x, "how", x)


@function(timeout=0.3)
async def use_soon(x: Any) -> Any:
    """Use one on the event loop, in time."""
    return getattr(x, "how", x)


FUNCTIONS = [make, make_soon, make_apart, make_shown, make_many, use, use_apart, use_many, read, write, whole]
FUNCTIONS += [use_here, use_waiting, use_soon]
