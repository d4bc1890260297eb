"""One worker process as seen from its parent: how it starts, is asked, and ends.

Decides what is done to a process, not when: that is ``pool.py``. How values cross is in
``wire.py``; the program that runs on the other side is ``worker.py``.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmorch.processors.output import Outlet
from llmorch.processors.wire import Inbox, Parcel, prepared
from llmorch.processors.worker import READY

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.processors.wire import Message

    Surroundings = tuple[list[str], int, tuple[int, ...]]
    """Where modules are looked for, how many files were loaded, and the CPUs to run on."""


class LateError(Exception):
    """A process took longer to answer than it had."""


class UnsentError(Exception):
    """A process was gone before it got the message: what it asked for hasn't begun."""


class Process:
    """A worker process, its socket, and what it already knows.

    ``ask`` and ``release`` belong to the thread of the event loop; ``kill`` and ``reap``
    may be called on any.
    """

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        connection: socket.socket,
        outlet: Outlet,
        surroundings: Surroundings,
    ) -> None:
        self.ready = False
        self.gone = False
        self.outstanding = False
        """Whether it was asked something and hasn't answered."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self.known: dict[int, Callable[..., Any]] = {}
        self.surroundings = surroundings
        self._popen = popen
        self._connection = connection
        self._outlet = outlet
        self._descriptor = connection.fileno()  # asyncio makes a socket's repr, which is dear
        self._inbox = Inbox(connection)
        self._waiter: asyncio.Future[Message | None] | None = None

    @property
    def pid(self) -> int:
        """The number of the process, and of the group of all that it starts."""
        return self._popen.pid

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen on this event loop from now on, and no longer on the one before."""
        if self.loop is not loop:
            self._detach()
            loop.add_reader(self._descriptor, self._readable)
            self.loop = loop

    def _detach(self) -> None:
        loop, self.loop = self.loop, None
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self._descriptor)

    async def started(self) -> None:
        """Wait for the program to be ready for its first message."""
        if self.gone:
            raise EOFError
        if not self.ready:
            await self._answer()

    async def ask(self, parcel: Parcel, timeout: float | None = None) -> Message:
        """Send a message and return the answer.

        Raises ``EOFError`` if the process ended before it answered, ``UnsentError`` if it
        had ended before, and ``LateError`` after ``timeout`` seconds.
        """
        loop = self.loop
        assert loop is not None
        self.outstanding = True
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
        if timeout is None:
            answer = await self._answer()
        else:
            timer = loop.call_later(timeout, self._expire)
            try:
                answer = await self._answer()
            finally:
                timer.cancel()
        assert answer is not None
        return answer

    def _answer(self) -> asyncio.Future[Message | None]:
        assert self.loop is not None
        self._waiter = self.loop.create_future()
        if self.gone:
            self._waiter.set_exception(EOFError())
        return self._waiter

    def _expire(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(LateError())

    def _readable(self) -> None:
        try:
            message = self._inbox.receive()
        except EOFError as error:
            self.gone = True
            self._detach()  # or the loop would call this for ever
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(error)
            return
        if message is None:
            return
        if message.kind == READY:  # noted here: whoever waits for it may be cancelled by now
            self.ready = True
            message = None
        else:
            self.outstanding = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(message)
        self._waiter = None

    def hang_up(self) -> None:
        """Tell an idle process that nothing more will come, so that it ends by itself."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """End the process and every process it started, at once."""
        if self._popen.returncode is None:  # one that is reaped has given its number back
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def reap(self, grace: float = 0.0) -> str:
        """Wait until the process has ended, and say how; blocks.

        It has ``grace`` seconds to end by itself; what is left then is killed.
        """
        if grace and not self.gone:
            with suppress(OSError, ValueError):
                import select

                select.select([self._descriptor], [], [], grace)  # readable at its end
        self.kill()
        with suppress(subprocess.TimeoutExpired):  # stuck in the kernel: nothing helps
            self._popen.wait(timeout=5)
        self._outlet.drain()
        status = self._popen.returncode
        if status is None or status >= 0:
            return f"exit status {status}"
        try:
            return f"signal {signal.Signals(-status).name}"
        except ValueError:
            return f"signal {-status}"

    def release(self) -> None:
        """Give the socket back; whoever still waits for an answer gets ``EOFError``."""
        self.gone = True
        self._detach()
        self._connection.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(EOFError())
        self._waiter = None


def start(cpus: Sequence[int], environment: Mapping[str, str]) -> Process:
    """Start a worker process on these CPUs, or on any for none, without waiting for it.

    ``environment`` is what it finds beside this process's own.
    """
    ours, theirs = socket.socketpair()
    outlet = Outlet()
    path = list(sys.path)
    program = (
        f"import sys; sys.path[:] = {absolute(path)!r}\n"
        f"from llmorch.processors.worker import main; main({theirs.fileno()}, {os.getpid()}, {tuple(cpus)!r})"
    )
    try:
        with theirs:
            popen = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.DEVNULL,
                cwd=None if _has_folder() else "/",
                env={**os.environ, **environment},
                stdout=outlet.writing,  # our standard output is the answer and nothing else
                stderr=outlet.writing,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for us; and one signal reaches all it started
            )
    except BaseException:
        ours.close()
        raise
    finally:
        outlet.start()
    ours.setblocking(False)
    return Process(popen, prepared(ours), outlet, (path, 0, tuple(cpus)))


def _has_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - pathlib asks the same
    except OSError:
        return False
    return True


def absolute(path: list[str]) -> list[str]:
    """Where modules are looked for, whatever the current directory will be."""
    found = []
    for entry in path:
        if isinstance(entry, str):
            with suppress(OSError):  # "" is the current directory, which may be gone
                found.append(os.path.abspath(entry))  # noqa: PTH100
    return found
