"""What the system tells of processes: who is below one, what memory they hold, and whose they become.

Only Linux tells. Elsewhere nothing is found, and what relies on it does without. It must import quickly.
"""

from __future__ import annotations

import os
import sys

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
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - pathlib is slow to import
    except OSError:
        return []
    found = [int(one) for thread in threads for one in read(f"/proc/{pid}/task/{thread}/children").split()]
    if found or os.path.exists("/proc/thread-self/children"):  # noqa: PTH110
        return found
    # A kernel without those lists: by everybody's parent.
    numbers = [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208
    return [one for one in numbers if read(f"/proc/{one}/stat").rpartition(")")[2].split()[1:2] == [str(pid)]]


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
    fields = read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE if fields else 0  # it has just ended


def _proportional(pid: int) -> int:
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return _resident(pid)


def current_folder() -> str | None:
    """Where this process is; None where that was removed."""
    try:
        return os.getcwd()  # noqa: PTH109 - pathlib asks the same
    except OSError:
        return None


def read(path: str) -> str:
    """What the kernel tells in a file; empty where it can't be read."""
    try:
        with open(path, errors="replace") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""
