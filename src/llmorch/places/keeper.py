"""The program that keeps a worker process, and sees to it that nothing of it outlives it.

Decides how a worker is started, and how all that it started is ended with it. On Linux a
keeper adopts every process that loses its parent below it, so none gets away, whatever
session it made for itself; and it ends with its own parent, having ended all others
first. It must import in milliseconds, since it is what a worker is forked from: the next
one is there as soon as the one before is gone.
"""

from __future__ import annotations

import math
import os
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from importlib import import_module

from llmorch.errors import shortage
from llmorch.places import worker
from llmorch.places.family import adopt, children, family, read, resident

LIMIT = struct.Struct("<q")
"""What is asked while a worker lives: to watch its memory, up to so many bytes more; 0 for no longer."""
FIRST, AGAIN = b"f", b"a"
"""What is asked of a keeper: its first worker, which is wanted soon, or another one."""
WATCHING, ENDED = b"w", b"e"
NONE = "no process was started: "
"""What the reason begins with, where there was none that could end."""
"""What is answered: that the memory is watched, and that nothing is left, with how the worker ended."""
MEMORY = "memory"
"""How a worker ended that took more memory than it may."""

_POLL = 0.02
"""Seconds between two looks at a worker's memory, or at what it left: a child of it may become ours."""
_TRACKER_GRACE = 5.0
"""Seconds for Python's own tracker of shared memory to remove what a killed process left."""
_BEGINNING = 0.05
"""Seconds in which a process must have begun its program, by which it is known."""
_TRACKER_PAUSE = 0.06
"""Seconds of these for which the end of a call waits; then it goes on beside the next one."""
_DECLARING = ("llmorch.declare.decorator", "docstring_parser")
"""What nearly every module of functions imports; a worker that is forked after that needn't."""
_TRACKER = "multiprocessing.resource_tracker"


def main(descriptor: int, parent: int, cpus: tuple[int, ...]) -> None:
    """Start a worker whenever three descriptors come over the socket ``descriptor``, one after the other.

    They are its socket, its output, and the leash: a socket that is closed at the other
    end to have it killed. ``cpus`` are those for workers to run on, or none for any.
    """
    start = _Keeper(descriptor, parent).serve()
    if start is None:
        os._exit(0)
    worker.main(*start, cpus)


class _Keeper:
    """The parent of one worker at a time."""

    def __init__(self, descriptor: int, parent: int) -> None:
        self._signals, writing = os.pipe()
        os.set_blocking(self._signals, False)
        os.set_blocking(writing, False)
        self._noting = writing
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for one in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(one, lambda *_: None)  # its number is in the pipe
        adopt(end_with=signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)
        self._parent = parent
        self._control = socket.socket(fileno=descriptor)
        self._control.set_inheritable(False)
        self._orphaned = False
        self._seen: dict[int, float] = {}
        """When each process that is to end was first seen."""

    def serve(self) -> tuple[int, int] | None:
        """Keep workers until nobody wants any. In a worker this returns its socket and its parent."""
        while not self._orphaned:
            if not self._wait(self._control):
                continue
            asked, descriptors, _, _ = socket.recv_fds(self._control, 1, 3)
            if len(descriptors) < 3:
                break
            if asked == AGAIN:
                for module in _DECLARING:
                    with suppress(ImportError):
                        import_module(module)
            connection, output, leash_at = descriptors
            ours = os.getpid()
            try:
                pid = os.fork()
            except OSError as error:
                os.close(connection)
                os.close(output)
                with socket.socket(fileno=leash_at) as leash, suppress(OSError):
                    leash.send(ENDED + f"{NONE}{shortage(error) or error}".encode())
                continue
            if not pid:
                os.close(leash_at)
                self._become_worker(output)
                return connection, ours
            os.close(connection)
            os.close(output)
            with socket.socket(fileno=leash_at) as leash:
                how = self._keep(pid, leash)
                with suppress(OSError):
                    leash.send(ENDED + how.encode())
        while self._others_live(math.inf):
            self._wait(None, _POLL)
        return None

    def _become_worker(self, output: int) -> None:
        signal.set_wakeup_fd(-1)
        for one in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(one, signal.SIG_DFL)
        self._control.close()
        os.close(self._signals)
        os.close(self._noting)
        os.setsid()  # what a function sends to its group is not for us
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)

    def _wait(self, connection: socket.socket | None, seconds: float | None = None) -> bool:
        """Wait for something to read or a signal; whether there is something to read.

        Takes note of the signal that tells the end of our parent. Anybody may send that, a function to the
        parent of its process for instance.
        """
        poll = select.poll()  # which, other than select, takes descriptors of any number
        for one in (self._signals,) if connection is None else (self._signals, connection):
            poll.register(one, select.POLLIN)
        readable = dict(poll.poll(None if seconds is None else seconds * 1000))
        with suppress(BlockingIOError):
            if signal.SIGTERM in os.read(self._signals, 4096):
                self._orphaned |= os.getppid() != self._parent
        return connection is not None and connection.fileno() in readable

    def _keep(self, pid: int, leash: socket.socket) -> str:
        """Wait for a worker's end, or bring it about; end what it started, and say how it ended."""
        limit, how, ended = 0, "", 0
        while not ended:
            readable = self._wait(leash, _POLL if limit else None)
            if self._orphaned:
                break
            if readable:
                asked = b""
                with suppress(OSError):
                    asked = leash.recv(64 * LIMIT.size)
                if len(asked) < LIMIT.size:
                    break
                (limit,) = LIMIT.unpack(asked[-LIMIT.size :])
                if limit:
                    limit += resident(family(pid))
                    with suppress(OSError):
                        leash.send(WATCHING)
            if limit and resident(family(pid), limit) > limit:
                how = MEMORY
                break
            ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended:
            for one in family(pid):
                self._kill(one)
            status = os.waitpid(pid, 0)[1]
        self._end_rest(pid)
        return how or _how_it_ended(status)

    def _end_rest(self, group: int) -> None:
        """End what a worker that is gone has left; return once nothing of it lives."""
        if sys.platform != "linux":  # its group is all that can be found
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        until = time.monotonic() + _TRACKER_PAUSE
        while self._others_live(until):
            self._wait(None, _POLL)

    def _others_live(self, until: float) -> bool:
        """Reap what has ended, and kill what lives; whether that has to be waited for."""
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass  # what it had started is ours now
        left = children(os.getpid())
        self._seen = {child: self._seen[child] for child in left if child in self._seen}
        trackers = [child for child in left if self._kill(child)]
        return len(left) > len(trackers) or (bool(left) and time.monotonic() < until)

    def _kill(self, pid: int) -> bool:
        """Kill a process, unless it is a tracker, which removes what others left and then ends; whether it is."""
        since = time.monotonic() - self._seen.setdefault(pid, time.monotonic())
        program = read(f"/proc/{pid}/cmdline")
        if _TRACKER in program and since < _TRACKER_GRACE:
            return True
        if program or since > _BEGINNING:  # it is empty for a moment while a program begins
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return False


def _how_it_ended(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
