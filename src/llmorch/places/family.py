"""The processes below a process: who they are, what memory they hold, and whose they become.

Only Linux tells. Elsewhere nothing is found, and what relies on it does without. This
module must import quickly, and must not know why anybody asks.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

_PAGE = os.sysconf("SC_PAGE_SIZE")
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def adopt(*, end_with: int) -> None:
    """Become the parent of every process below that loses its own; get this signal at our parent's end."""
    if sys.platform == "linux":
        import ctypes

        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_CHILD_SUBREAPER, 1)
        prctl(_PR_SET_PDEATHSIG, int(end_with))


def children(pid: int) -> list[int]:
    """The processes that are a process's own children now, dead ones that aren't reaped among them."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - pathlib is slow to import
            with suppress(FileNotFoundError, ProcessLookupError), open(_listed(pid, thread)) as file:  # noqa: PTH123
                found += map(int, file.read().split())
    except OSError:
        return []
    return found or _scanned(pid)


def _listed(pid: int, thread: str) -> str:
    return f"/proc/{pid}/task/{thread}/children"


def _scanned(pid: int) -> list[int]:
    """The same for a kernel without those lists: by everybody's parent."""
    if os.path.exists(_listed(os.getpid(), str(os.getpid()))):  # noqa: PTH110
        return []
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdecimal():
            with suppress(OSError), open(f"/proc/{name}/stat") as file:  # noqa: PTH123
                if int(file.read().rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(name))
    return found


def family(pid: int) -> list[int]:
    """A process and every process below it."""
    found = [pid]
    for one in found:  # grows meanwhile
        found += [child for child in children(one) if child not in found]
    return found


def resident(pids: list[int], enough: int = 0) -> int:
    """Bytes of memory that processes hold together: resident, without what is swapped out.

    Pages that they share count once; finding that out is slow, and is done only for
    several processes and if it matters, which is where the sum is more than ``enough``.
    """
    total = sum(map(_resident, pids))
    return total if len(pids) == 1 or total <= enough else sum(map(_proportional, pids))


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):  # it has just ended
        return 0


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:  # noqa: PTH123
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return _resident(pid)


def command(pid: int) -> str:
    """The command line of a process; empty where it can't be read."""
    try:
        with open(f"/proc/{pid}/cmdline", errors="replace") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""
