"""Functions that fail as often as they are told to, in a module that a worker process imports fast."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from llmorch import function


class UnavailableError(ConnectionError):
    """An exception of ours, known by name in every process."""


KINDS = {
    "reset": ConnectionResetError,
    "unavailable": UnavailableError,
    "value": ValueError,
    "exit": SystemExit,
}


def noted(file: str) -> int:
    """Note one attempt in a file; how many there are now."""
    with Path(file).open("a") as note:
        note.write("x")
    return made(file)


def attempt(file: str, kinds: list[str]) -> str:
    """Note an attempt and fail as the list says; succeed once it is used up."""
    number = noted(file)
    if number <= len(kinds):
        raise KINDS[kinds[number - 1]](f"attempt {number}")
    return f"attempt {number}"


def made(file: str | Path) -> int:
    """How many attempts a file has noted."""
    return Path(file).stat().st_size if Path(file).exists() else 0


@function(retries=3, retry_on=ConnectionError, backoff=0.01, pure=True)
async def waits(file: str, kinds: list[str]) -> str:
    await asyncio.sleep(0)
    return attempt(file, kinds)


@function(retries=3, retry_on=ConnectionError, backoff=0.01)
def blocks(file: str, kinds: list[str]) -> str:
    return attempt(file, kinds)


@function(kind="compute", retries=3, retry_on=ConnectionError, backoff=0.01)
def computes(file: str, kinds: list[str]) -> str:
    return attempt(file, kinds)


@function(kind="compute", retries=3, retry_on=ConnectionError, backoff=0.01)
async def computes_async(file: str, kinds: list[str]) -> str:
    return attempt(file, kinds)


PLACES = [waits, blocks, computes, computes_async]


@function(retries=1, retry_on=[TimeoutError], backoff=0, timeout=0.4)
async def late(file: str) -> str:
    await asyncio.sleep(0 if noted(file) > 1 else 5)
    return "in time"


@function(kind="compute", retries=1, retry_on=[TimeoutError], backoff=0, timeout=0.4)
def late_computing(file: str) -> str:
    time.sleep(0 if noted(file) > 1 else 5)
    return "in time"


def crashes(file: str) -> str:
    """End the process the first time."""
    if noted(file) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"
