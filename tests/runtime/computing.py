"""Functions that compute, in a module that a worker process imports fast: each new one imports it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from llmorch import function


@function(kind="compute", pure=True)
def square(n: int) -> int:
    return n * n


@function(kind="compute", pure=True)
def spin(seconds: float) -> int:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return os.getpid()


@function(kind="compute", pure=True)
def exists(file: str) -> bool:
    """Wait until there is a file."""
    while not Path(file).exists():
        time.sleep(0.005)
    return True
