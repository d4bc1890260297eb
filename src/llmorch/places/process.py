"""One worker process as seen from here: how it is asked, and how it ends.

Decides what is done to a process, not when: that is ``workers.py``. Who starts it is in
``keepers.py``, and the program on the other side in ``worker.py``.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import time
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from llmorch.places.forks import forgotten_in_children
from llmorch.places.keeper import ENDED, LIMIT
from llmorch.places.variables import Sent
from llmorch.places.wire import BrokenError, Inbox, Parcel
from llmorch.places.worker import ANSWERS, LAST, READY

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from llmorch.places.output import Outlet
    from llmorch.places.surroundings import Environment, Surroundings
    from llmorch.places.wire import Message

STUCK = 5.0
"""Seconds after which a killed process is stuck in the kernel: nothing helps."""
REST = 10.0
"""Seconds that the rest of a message may take to arrive: it is sent at once."""


class LateError(Exception):
    """A process took longer to answer than it had."""


class UnsentError(Exception):
    """A process was gone before it got the message: what it asked for hasn't begun."""


class Process:
    """A worker process, its socket, and what it already knows.

    ``leash`` leads to its keeper, which kills it with all that it started when the leash
    is let go, and answers when that is done. ``environment`` says which variables it has.
    It is heard on one event loop at a time, that of the call which runs on it or did so
    last: ``ask``, ``watch`` and ``ended`` belong there; ``kill``, ``reap`` and ``release`` may be called anywhere.
    """

    def __init__(
        self, connection: socket.socket, leash: socket.socket, outlet: Outlet, environment: Environment
    ) -> None:
        self.pid: int | None = None
        """The number of the process, once it is ready."""
        self.ready = False
        self.gone = False
        self.used_up = False
        """Whether a call left something behind in it, so that it may get no other."""
        self.stuck = False
        """Whether it did not end when it was killed."""
        self.outstanding = False
        """Whether it was asked something and hasn't answered."""
        self.known: dict[int, Any] = {}
        """The functions that it was sent, by their ids here."""
        self.sent = Sent()
        self.loaded: set[str] = set()
        """The modules that it has imported because it was asked to."""
        self.environment = environment
        self.surroundings: Surroundings | None = None
        """The surroundings that it was last given."""
        self._connection = connection
        self._leash = leash
        self._report = b""
        """What the keeper said so far of its end."""
        self._outlet = outlet
        self._ear: _Ear | None = None
        self._ears: WeakSet[_Ear] = WeakSet()
        self._inbox = Inbox(connection)
        self._arriving = select.poll()
        self._arriving.register(connection, select.POLLIN)
        self._inbox.number = 0  # of its first message, which answers nothing
        self._kinds: Container[int] = (READY,)
        """What may arrive now."""
        self._rest: asyncio.Handle | None = None
        self._waiter: asyncio.Future[Message | None] | None = None
        self._timer: asyncio.Handle | None = None
        self._lock = Lock()
        forgotten_in_children(self)

    def attach(self) -> None:
        """Listen on this event loop from now on, and no longer on the one before."""
        loop = asyncio.get_running_loop()
        if self._ear is not None and self._ear.loop is loop:
            return
        with self._lock:
            if not self.gone:
                self._ear = _Ear(self._connection, loop, self._heard)
                self._ears.add(self._ear)

    async def started(self) -> None:
        """Wait for the program to be ready for its first message."""
        if self.gone or not self.ready:
            await self._answer()

    async def ask(self, parcel: Parcel, timeout: float | None = None) -> Message:
        """Send a message and return the answer.

        Raises ``EOFError`` if the process ended before it answered, ``UnsentError`` if it
        had ended before, ``LateError`` after ``timeout`` seconds, and ``BrokenError`` if what it
        sent is no answer to this.
        """
        assert self._ear is not None
        loop = self._ear.loop
        self.outstanding = True
        parcel.number = int.from_bytes(os.urandom(8))
        self._inbox.before, self._inbox.number = self._inbox.number, parcel.number
        self._kinds = ANSWERS[parcel.kind]
        self._outlet.renew()
        try:
            rest = parcel.send(self._connection)
        except ConnectionError:
            raise UnsentError from None
        if rest:
            try:
                await loop.sock_sendall(self._connection, rest)
            except OSError:
                raise EOFError from None
        self._timer = None if timeout is None else loop.call_later(timeout, self._expire)
        try:
            answer = await self._answer()
        finally:
            if self._timer is not None:
                self._timer.cancel()
        assert answer is not None
        return answer

    def _answer(self) -> asyncio.Future[Message | None]:
        assert self._ear is not None
        self._waiter = self._ear.loop.create_future()
        if self.gone:
            self._waiter.set_exception(EOFError())
        return self._waiter

    def _expire(self) -> None:
        if self._waiter is None or self._waiter.done() or self._ear is None:
            return
        arriving = select.poll()
        arriving.register(self._ear.descriptor, select.POLLIN)
        if arriving.poll(0):
            # The event loop was blocked: whether this answer was in time, the process itself says.
            self._timer = self._ear.loop.call_soon(self._expire)
        else:
            self._waiter.set_exception(LateError())

    def _heard(self, ear: _Ear) -> None:
        """Something arrived, or came to its end."""
        try:
            with self._lock:
                if self._ear is not ear:  # another event loop listens by now
                    ear.end()
                    return
                message = self._received()
        except (EOFError, BrokenError) as error:
            self.gone = True
            ear.end()  # or the loop would call this for ever
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(error)
            return
        if message is None:
            return
        if not self.ready:  # noted here: whoever waits for it may be cancelled by now
            self.ready, self.pid = True, message.plain()
            message = None
        else:
            self.outstanding = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(message)
        self._waiter = None

    def _received(self) -> Message | None:
        """The next message that answers what was asked. Raises ``EOFError`` and ``BrokenError``."""
        message = self._inbox.receive()
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if message is None:
            if not self._inbox.is_between and self._ear is not None:
                self._rest = self._ear.loop.call_later(REST, self._break)
            return None
        self.used_up |= self._inbox.dropped or bool(message.kind & LAST)
        message.kind &= ~LAST
        if message.kind not in self._kinds:
            raise BrokenError
        self._kinds = ()
        return message

    def _break(self) -> None:
        """Wait no more for the rest of a message."""
        self.gone = True
        if self._ear is not None:
            self._ear.end()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(BrokenError())
        self._waiter = None

    def is_quiet(self) -> bool:
        """Whether it says nothing before it is asked anything."""
        if not self.ready:
            return True
        return not self._arriving.poll(0)

    def hang_up(self) -> None:
        """Tell an idle process that nothing more will come, so that it ends by itself."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    async def watch(self, memory: int) -> None:
        """Have the process killed once it holds so much more memory, in bytes, than it does now.

        With 0 nobody looks any more. Raises ``EOFError`` where it has ended.
        """
        with suppress(OSError):
            self._leash.send(LIMIT.pack(memory))
        if memory:
            self.outstanding = True
            self._report = await asyncio.get_running_loop().sock_recv(self._leash, 1)
            if self._report in (b"", ENDED):
                raise EOFError
            self._report = b""

    def kill(self) -> None:
        """End the process and every process it started, at once."""
        with suppress(OSError):
            self._leash.shutdown(socket.SHUT_WR)

    async def ended(self) -> str:
        """Wait until the process that was killed has ended with all that it started, and say how, once."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(STUCK):
                while piece := await loop.sock_recv(self._leash, 200):
                    self._report += piece
        except TimeoutError:
            return self._ended(stuck=True)
        except OSError:  # it had not read all that was asked
            pass
        await self._outlet.drained()
        return self._ended()

    def _ended(self, *, stuck: bool = False) -> str:
        self._leash.close()
        self.stuck = stuck
        how = self._report.partition(ENDED)[2].decode()
        return "it can't be killed" if stuck else how or "its keeper was killed"

    def reap(self, grace: float = 0.0) -> str:
        """Wait until the process has ended with all that it started, and say how, once; blocks.

        It has ``grace`` seconds to end by itself; what is left then is killed.
        """
        if grace and not self.gone:
            self._hear(grace)
        self.kill()
        stuck = not self._hear(STUCK)
        if not stuck:
            self._outlet.drain()
        return self._ended(stuck=stuck)

    def _hear(self, seconds: float) -> bool:
        """Take in what the keeper tells; whether that came to its end in time."""
        until = time.monotonic() + seconds
        poll = select.poll()
        with suppress(OSError, ValueError):  # it was heard to the end before
            poll.register(self._leash, select.POLLIN)
            while poll.poll(max(0.0, until - time.monotonic()) * 1000):
                piece = self._leash.recv(200)
                self._report += piece
                if not piece:
                    return True
            return False
        return True

    def release(self) -> None:
        """Give the sockets back; whoever still waits for an answer gets ``EOFError``."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # which is heard wherever somebody still listens
        with self._lock:
            self.gone = True
            ear, self._ear = self._ear, None
        loop = None if ear is None else ear.loop
        if loop is None or loop is asyncio._get_running_loop() or not loop.is_running():
            self._release(ear)
        else:
            with suppress(RuntimeError):  # closed this very moment
                loop.call_soon_threadsafe(self._release, ear)

    def _release(self, ear: _Ear | None) -> None:
        if ear is not None:
            ear.end()
        self._connection.close()
        self._leash.close()
        if self._waiter is not None and not self._waiter.done():
            with suppress(RuntimeError):  # its event loop is closed: nobody waits
                self._waiter.set_exception(EOFError())
        self._waiter = None

    def forget(self) -> None:
        """Close what a child of this process inherited, and leave the process alone."""
        self.gone = True
        self._ear = None
        for ear in self._ears:
            ear.close()
        self._connection.close()
        self._leash.close()


class _Ear:
    """Where a process is heard: an event loop, by a descriptor of its own that ends with the listening.

    So another event loop can begin to listen while this one hasn't heard that it is to end.
    """

    __slots__ = ("__weakref__", "descriptor", "loop")

    def __init__(
        self, connection: socket.socket, loop: asyncio.AbstractEventLoop, heard: Callable[[_Ear], None]
    ) -> None:
        self.descriptor = -1  # there may be none left
        self.descriptor = os.dup(connection.fileno())  # asyncio makes a socket's repr, which is dear
        self.loop = loop
        loop.add_reader(self.descriptor, heard, self)

    def end(self) -> None:
        """Listen no more; on its event loop, or for one that doesn't run."""
        if not self.loop.is_closed():
            self.loop.remove_reader(self.descriptor)

    def close(self) -> None:
        """Close the descriptor, whoever listens."""
        descriptor, self.descriptor = self.descriptor, -1
        with suppress(OSError):
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()
