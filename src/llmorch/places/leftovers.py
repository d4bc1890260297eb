"""What a function leaves in its process: put back as the program has it, or found to be there for good.

Decides what is looked at after every call, which must take microseconds: current folder,
environment, ``umask``, ``sys.path``, standard input and output, signal handlers, timers, limits,
priority, threads, children. What modules keep in variables is theirs, and stays: a function may have a cache.
"""

from __future__ import annotations

import os
import signal
import sys
import time

# The module ``signal`` makes enumerations of all this, which takes twenty times as long.
from _signal import SIG_BLOCK, getsignal, pthread_sigmask  # type: ignore[import-not-found]
from contextlib import suppress
from resource import (
    RLIMIT_AS,
    RLIMIT_CPU,
    RLIMIT_DATA,
    RLIMIT_FSIZE,
    RLIMIT_NOFILE,
    RLIMIT_STACK,
    getrlimit,
)
from typing import Any

from llmorch.places.family import children, current_folder

_SIGNALS = [int(number) for number in signal.valid_signals()]
_STREAMS = (0, 1, 2)
_LIMITS = (RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_STACK)


class Before:
    """How this process is to be before a call: as the program is, as far as it was sent, and as it started."""

    def __init__(self) -> None:
        self._folder = current_folder() or "/"
        # The mapping behind os.environ compares in a microsecond; os.environ takes thirty.
        self._environment: dict[Any, Any] = getattr(os.environ, "_data", {})
        self._variables = dict(self._environment)
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._streams = sys.stdout, sys.stderr
        self.accept()

    def go(self, folder: str, variables: dict[bytes, bytes], umask: int | None, depth: int) -> None:
        """Be where the program is from now on. Raises ``OSError`` if its folder can't be entered."""
        if current_folder() != folder:
            os.chdir(folder)
        self._folder = folder
        self._variables = variables
        self._put_variables()
        if umask is not None:
            self._umask = umask
        sys.setrecursionlimit(depth)

    def _put_variables(self) -> None:
        if self._environment == self._variables:
            return
        zone = self._environment.get(b"TZ")
        for key in set(os.environb) - set(self._variables):
            del os.environb[key]
        os.environb.update(self._variables)
        if zone != self._variables.get(b"TZ"):
            time.tzset()

    def accept(self) -> None:
        """Take what can't be put back as it is now: what a module started belongs to the module."""
        self._path = list(sys.path)
        self._depth = sys.getrecursionlimit()
        self._fixed = _fixed()
        self._threads = sys._current_frames().keys()
        self._children = children(os.getpid())

    def put_back(self) -> bool:
        """Undo what a call changed. Whether that was all, and nothing else is left of it."""
        if current_folder() != self._folder:
            try:
                os.chdir(self._folder)
            except OSError:  # it is gone
                os.chdir("/")
        self._put_variables()
        os.umask(self._umask)
        sys.path[:] = self._path
        sys.setrecursionlimit(self._depth)
        sys.stdout, sys.stderr = self._streams
        with suppress(Exception):  # nobody reads it: not this call's failure
            sys.stdout.flush()
        return (
            sys._current_frames().keys() <= self._threads
            and not sys.stdout.closed
            and not sys.stderr.closed
            and _fixed() == self._fixed
            and self._childless()
        )

    def _childless(self) -> bool:
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        return bool(self._children) and children(os.getpid()) == self._children


def _fixed() -> tuple[Any, ...]:
    """What can be seen at once and isn't worth mending."""
    with suppress(OSError):
        return (
            [getsignal(number) for number in _SIGNALS],
            pthread_sigmask(SIG_BLOCK, ()),
            signal.getitimer(signal.ITIMER_REAL)[0] > 0,
            [os.fstat(stream).st_ino for stream in _STREAMS],
            [getrlimit(limit) for limit in _LIMITS],
            os.getpriority(os.PRIO_PROCESS, 0),
            os.sched_getaffinity(0) if sys.platform == "linux" else None,
        )
    return ()  # one of the streams was closed
