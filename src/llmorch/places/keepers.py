"""Starting worker processes by way of a keeper, the process that each is forked from.

Decides what a worker inherits. What a keeper does is in ``keeper.py``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from llmorch.places.family import current_folder
from llmorch.places.forks import forgotten_in_children, no_fork
from llmorch.places.keeper import AGAIN, FIRST
from llmorch.places.output import Outlet
from llmorch.places.process import Process
from llmorch.places.surroundings import absolute
from llmorch.places.wire import prepared

if TYPE_CHECKING:
    from llmorch.places.surroundings import Environment

_PATIENCE = 2.0


class Keeper:
    """A process that starts one worker process after the other, on these CPUs or on any for none.

    ``environment`` says which variables they have. A keeper dies with the
    thread that made it, after all that its worker has started.
    """

    def __init__(self, cpus: tuple[int, ...], environment: Environment) -> None:
        self._environment = environment
        self._asks = FIRST
        with no_fork():
            self._control, theirs = socket.socketpair()
            program = (
                f"import sys; sys.path[:] = {absolute(sys.path)!r}\n"
                f"from llmorch.places.keeper import main; main({theirs.fileno()}, {os.getpid()}, {cpus!r})"
            )
            with ExitStack() as undone, theirs:
                undone.callback(self._control.close)
                self._popen = subprocess.Popen(
                    [sys.executable, "-c", program],
                    stdin=subprocess.DEVNULL,
                    cwd=None if current_folder() else "/",
                    env=environment.of(os.environb),
                    stdout=subprocess.DEVNULL,  # our standard output is the answer and nothing else
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C is for us
                )
                undone.pop_all()
            forgotten_in_children(self)

    @property
    def ended(self) -> bool:
        """Whether it can start nothing any more."""
        return self._popen.poll() is not None

    def start(self) -> Process:
        """Start a worker process without waiting for it; first, the one before has to end."""
        with no_fork():
            with ExitStack() as undone, ExitStack() as given:
                ours, theirs = socket.socketpair()
                undone.callback(ours.close)
                given.callback(theirs.close)
                leash, its_leash = socket.socketpair()
                undone.callback(leash.close)
                given.callback(its_leash.close)
                outlet = Outlet()
                undone.callback(outlet.drop)
                sent = [theirs.fileno(), outlet.writing, its_leash.fileno()]
                with suppress(ConnectionError):  # it was killed: the process will have ended
                    socket.send_fds(self._control, [self._asks], sent)
                self._asks = AGAIN
                outlet.start()  # if no thread can be had, what was started finds its leash gone, and ends
                undone.pop_all()
            ours.setblocking(False)
            leash.setblocking(False)
            return Process(prepared(ours), leash, outlet, self._environment)

    def hang_up(self) -> None:
        """Let it end, once its worker has ended."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()

    def close(self) -> None:
        """End it and wait for that, which blocks for a moment; after its worker has ended."""
        self.hang_up()
        with suppress(subprocess.TimeoutExpired):  # its worker is stuck in the kernel
            self._popen.wait(timeout=_PATIENCE)

    def forget(self) -> None:
        """Close what a child of this process inherited, and leave the keeper alone."""
        self._control.close()
        self._popen.returncode = 0  # it is no child of ours
