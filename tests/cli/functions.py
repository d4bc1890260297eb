"""Functions for the command line's tests."""

from __future__ import annotations

import asyncio
import time

from llmorch import function


@function(pure=True)
async def fetch(name: str, seconds: float = 0.0) -> str:
    """Fetch a page."""
    print("fetching")
    await asyncio.sleep(seconds)
    return f"<{name}>"


@function(kind="compute", pure=True)
def spin(seconds: float) -> float:
    """Occupy a processor."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return seconds


@function(pure=True)
async def stubborn(seconds: float) -> str:
    """Ignore every cancellation for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            continue
    return "done"


@function(kind="compute", pure=True)
def broken() -> str:
    """Fail."""
    raise ValueError("out of order")


@function(resources={"camera": 1, "cpu": 2}, pure=True)
def film(name: str) -> str:
    """Film with the one camera."""
    return name
