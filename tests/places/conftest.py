"""What the tests of processors share: none of them leaves a process behind."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def children() -> set[int]:
    """The processes that this one started and that aren't reaped, dead or alive."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return {
        int(pid) for pid, parent, args in rows if int(parent) == os.getpid() and not args.startswith("ps ")
    }


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Every process that a module's tests start is ended and reaped when they are done."""
    before = children()
    yield
    assert children() <= before


def shared(at_least: int) -> set[Path]:
    """What is in shared memory and has so many bytes: other programs have something there too."""
    found = set()
    for file in Path("/dev/shm").iterdir():
        with suppress(OSError):  # it has just been removed
            if file.stat().st_size >= at_least:
                found.add(file)
    return found
