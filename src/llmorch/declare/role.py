"""Whether this process only makes calls that another one has planned and checked.

A worker process imports the modules of the functions it calls, and with them their
declarations. What those say was checked where they were offered; here it would only take time.
"""

from __future__ import annotations

_only_calls = False


def serve() -> None:
    """Say that this process is a worker, for as long as it lives."""
    global _only_calls  # noqa: PLW0603 - it is a fact about the process
    _only_calls = True


def only_calls() -> bool:
    """Whether this process is a worker."""
    return _only_calls
