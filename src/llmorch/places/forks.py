"""What a child of ``os.fork`` gives up: descriptors, threads and locks that are its parent's.

A child shares every descriptor with its parent and has none of its threads. So it closes what it
inherited, without a word to the other side, and begins anew with what it needs. A fork waits while
descriptors are made that nobody may keep a copy of.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import Protocol
from weakref import WeakSet


class Forgetful(Protocol):
    """What holds something that a child may not use."""

    def forget(self) -> None:
        """Give it up, in a child: the parent still uses it."""


class _Forking:
    """Holds up forks, and has everything forgotten in a child."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.known: WeakSet[Forgetful] = WeakSet()
        os.register_at_fork(before=self._before, after_in_parent=self._after, after_in_child=self._in_child)

    def _before(self) -> None:
        self.lock.acquire()

    def _after(self) -> None:
        self.lock.release()

    def _in_child(self) -> None:
        self.lock = Lock()
        for one in list(self.known):
            one.forget()


_forking = _Forking()


def no_fork() -> Lock:
    """A lock for while descriptors are on their way: a fork waits for that."""
    return _forking.lock


def forgotten_in_children(one: Forgetful) -> None:
    """Have this forgotten in children that are forked from now on."""
    _forking.known.add(one)
