"""What this machine lets this process have."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup/cpu.max")


def allowed_processors() -> int:
    """How many processors this process may use: its affinity, and a container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = _CGROUP.read_text().split()
        if quota != "max":
            count = min(count, round(int(quota) / int(period)))
    return max(1, count)
