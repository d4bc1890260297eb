"""Waiting for a turn, and for other threads' work, on whatever event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from threading import RLock
from typing import TypeVar

T = TypeVar("T")

CHECK = 1.0
"""Seconds after which who waits looks whether a turn is taken by an event loop that was closed meanwhile."""


class Turns:
    """So many at a time, in the order in which they came, from any thread's event loop.

    An event loop that is closed has no turn any more: whatever had it there never goes on.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken: list[Turn] = []
        self._waiting: deque[Turn] = deque()
        self._lock = RLock()  # a coroutine that is dropped gives its turn back, at any moment

    def take(self) -> Turn:
        """A turn, as a context to be entered on a running event loop."""
        return Turn(self)

    def add(self, turn: Turn) -> Future[None] | None:
        """Let this one have a turn, now or when it is next: what is returned is done then."""
        with self._lock:
            if not self._waiting and len(self._taken) < self._count:
                self._taken.append(turn)
                return None
            turn.given = Future()
            self._waiting.append(turn)
            self.renew()
            return turn.given

    def remove(self, turn: Turn) -> None:
        """Let it have none, or no longer."""
        with self._lock:
            for turns in (self._taken, self._waiting):
                if turn in turns:
                    turns.remove(turn)
            if self._waiting:
                self.renew()

    def renew(self) -> None:
        """Take back the turns of event loops that are closed, and give those that are free to who is next."""
        with self._lock:
            for turn in [turn for turn in (*self._taken, *self._waiting) if turn.loop.is_closed()]:
                (self._taken if turn in self._taken else self._waiting).remove(turn)
            while self._waiting and len(self._taken) < self._count:
                turn = self._waiting.popleft()
                self._taken.append(turn)
                if turn.given is not None:
                    turn.given.set_result(None)


class Turn:
    """One turn, of this event loop."""

    __slots__ = ("_turns", "given", "loop")

    def __init__(self, turns: Turns) -> None:
        self.loop = asyncio.get_running_loop()
        self.given: Future[None] | None = None
        """What is waited for, if it has to wait."""
        self._turns = turns

    async def __aenter__(self) -> None:
        given = self._turns.add(self)
        if given is None:
            return
        try:
            while not given.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(CHECK):
                        await over(given)
                self._turns.renew()
        except BaseException:
            self._turns.remove(self)
            raise

    async def __aexit__(self, *_: object) -> None:
        self._turns.remove(self)


async def over(future: Future[T]) -> T:
    """Wait for another thread's work; cancelling the wait leaves the work alone."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wake(_: Future[T]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(wake)
    await done.wait()
    return future.result()
