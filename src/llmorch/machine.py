"""What this machine lets this process have: processors, GPUs, a folder, and what a named file holds."""

from __future__ import annotations

import errno
import os
import select
import stat
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from llmorch.errors import ModelError

_CGROUP = Path("/sys/fs/cgroup/cpu.max")


def allowed_processors() -> int:
    """How many processors this process may use: its affinity, and a container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = _CGROUP.read_text().split()
        if quota != "max":
            count = min(count, round(int(quota) / int(period)))
    return max(1, count)


class NoHome(ModelError):
    """There is no folder to keep files in, as in a container whose user has no entry."""


def cache_folder() -> Path:
    """The folder of everything that can be fetched or computed again. Raises ``NoHome``."""
    said = os.environ.get("XDG_CACHE_HOME", "")
    if said.startswith("/"):  # the XDG specification: a relative path is to be ignored
        return Path(said) / "llmorch"
    try:
        if not os.environ.get("HOME", "/").startswith("/"):  # an empty one would stand for /
            raise RuntimeError
        return Path.home() / ".cache" / "llmorch"
    except RuntimeError:  # no HOME either, and no entry of this user
        text = "there is no home folder to keep files in: set XDG_CACHE_HOME to a folder"
        raise NoHome(text) from None


PATIENCE = 2.0
"""Seconds that a named pipe has to find somebody who writes to it."""
_PIECE = 1 << 20


def file_bytes(path: str | Path, most: int) -> bytes:
    """What a file holds that somebody named, which may be a device without end or a pipe that nobody writes to.

    Raises ``OSError``, also where it is more than ``most``.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if stat.S_ISREG(found.st_mode) and found.st_size > most:
            raise _too_large(most)
        return rest_of(descriptor, most, patience=PATIENCE if stat.S_ISFIFO(found.st_mode) else 0.0)
    finally:
        os.close(descriptor)


def rest_of(descriptor: int, most: int, *, patience: float = 0.0) -> bytes:
    """All that can be read from here. Raises ``OSError`` where that is more than ``most`` bytes.

    With ``patience``, an end before the first byte is no end for so many seconds: that of a pipe
    which nobody has opened to write.
    """
    pieces: list[bytes] = []
    size = 0
    end = time.monotonic() + patience
    while True:
        try:
            piece = os.read(descriptor, min(_PIECE, most + 1 - size))
        except BlockingIOError:  # somebody will write
            select.select([descriptor], [], [])
            continue
        if not piece and not size and patience:
            if time.monotonic() >= end:
                raise OSError(errno.ENODATA, "nobody writes to this pipe")
            time.sleep(0.01)
            continue
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise _too_large(most)


def as_lines(data: bytes) -> str:
    """The text in UTF-8, whatever its lines end with. Raises ``UnicodeDecodeError``."""
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def _too_large(most: int) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {most / 1e6:,.0f} MB")


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
