"""What this machine lets this process have."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
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


def cache_folder() -> Path:
    """The folder of everything that can be fetched or computed again."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    return (Path(home) if home.startswith("/") else Path.home() / ".cache") / "llmorch"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU: what CUDA_VISIBLE_DEVICES calls it, and its memory in bytes."""

    name: str
    memory: int


_ASKED = ("nvidia-smi", "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits")


def gpus() -> tuple[Gpu, ...]:
    """The GPUs that this process may use, as the driver's own tool tells; none where there is no such tool.

    The driver numbers them otherwise than CUDA may, so each is named by its UUID.
    """
    try:
        listed = subprocess.run(_ASKED, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    found: dict[str, Gpu] = {}
    for line in listed.splitlines():
        index, uuid, size = (part.strip() for part in f"{line},,".split(",")[:3])
        if size.isdigit():  # else it has no memory of its own
            found[index] = Gpu(uuid, int(size) * 2**20)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple(found.values())
    chosen = []
    for name in (part.strip() for part in visible.split(",")):
        gpu = found.get(name) or next(
            (item for item in found.values() if name.startswith("GPU-") and item.name.startswith(name)), None
        )
        if gpu is None:  # as for CUDA, which sees none from there on
            break
        chosen.append(gpu)
    return tuple(chosen)


def device_name(number: int) -> str:
    """What CUDA_VISIBLE_DEVICES calls the GPU of that number, where nobody asked the driver."""
    visible = [part.strip() for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip()]
    return visible[number] if number < len(visible) else str(number)
