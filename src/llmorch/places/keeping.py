"""Starting worker processes by way of a keeper, the process that each is forked from.

Decides what a worker inherits. What a keeper does is in ``keeper.py``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from llmorch.places.keeper import AGAIN, FIRST
from llmorch.places.output import Outlet
from llmorch.places.process import Process
from llmorch.places.surroundings import absolute
from llmorch.places.wire import prepared

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATIENCE = 2.0


class Keeper:
    """A process that starts one worker process after the other, on these CPUs or on any for none.

    ``environment`` is what they find beside this process's own. A keeper dies with the
    thread that made it, after all that its worker has started.
    """

    def __init__(self, cpus: tuple[int, ...], environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        self._environment = environment
        program = (
            f"import sys; sys.path[:] = {absolute(sys.path)!r}\n"
            f"from llmorch.places.keeper import main; main({theirs.fileno()}, {os.getpid()}, {cpus!r})"
        )
        try:
            with theirs:
                self._popen = subprocess.Popen(
                    [sys.executable, "-c", program],
                    stdin=subprocess.DEVNULL,
                    cwd=None if _has_folder() else "/",
                    env={**os.environ, **environment},
                    stdout=subprocess.DEVNULL,  # our standard output is the answer and nothing else
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C is for us
                )
        except BaseException:
            ours.close()
            raise
        self._control = ours
        self._asks = FIRST

    @property
    def ended(self) -> bool:
        """Whether it can start nothing any more."""
        return self._popen.poll() is not None

    def start(self) -> Process:
        """Start a worker process without waiting for it; first, the one before has to end."""
        ours, theirs = socket.socketpair()
        leash, its_leash = socket.socketpair()
        outlet = Outlet()
        try:
            with theirs, its_leash:
                sent = [theirs.fileno(), outlet.writing, its_leash.fileno()]
                with suppress(ConnectionError):  # it was killed: the process will have ended
                    socket.send_fds(self._control, [self._asks], sent)
                self._asks = AGAIN
        except BaseException:
            ours.close()
            leash.close()
            raise
        finally:
            outlet.start()
        ours.setblocking(False)
        leash.setblocking(False)
        return Process(prepared(ours), leash, outlet, self._environment)

    def hang_up(self) -> None:
        """Let it end, once its worker has ended."""
        self._control.close()

    def close(self) -> None:
        """End it and wait for that, which blocks for a moment; after its worker has ended."""
        self._control.close()
        with suppress(subprocess.TimeoutExpired):  # its worker is stuck in the kernel
            self._popen.wait(timeout=_PATIENCE)


def _has_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - pathlib asks the same
    except OSError:
        return False
    return True
