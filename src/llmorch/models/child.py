"""The parent's side of the local model's process: its start, its address, its end.

No such process outlives its parent; what happens inside it is in ``server.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from typing import IO, TYPE_CHECKING

from pydantic import SecretStr

from llmorch.declare.secrets import names_secret
from llmorch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_COMMAND = "from llmorch.models.server import main; main()"
_LONGEST_ANSWER = 1 << 16
# fmt: off
_NEEDED = frozenset((
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP",
    "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH",
    "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE",
    "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONCOERCECLOCALE", "PYTHONFAULTHANDLER",
    "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_TF32_OVERRIDE", "GPU_DEVICE_ORDINAL",
    "ZE_AFFINITY_MASK", "ONEAPI_DEVICE_SELECTOR",
))
# fmt: on
"""Variables without which Python, the system's libraries or a device may not be found."""
_NEEDED_PREFIXES = ("LC_", "XDG_", "CUDA_", "ROCR_", "HIP_", "HSA_", "VK_", "GGML_", "OMP_", "GOMP_", "KMP_")


class Child:
    """One process that serves one file of weights; constructing it starts it."""

    def __init__(self, label: str, path: Path, *, context: int, threads: int, slots: Path) -> None:
        self._key = SecretStr(secrets.token_urlsafe(24))
        self._label = label
        self._killed = False
        self._address: str | None = None
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  open as long as the process
        self._process = subprocess.Popen(
            # -P: a json.py in the working directory is not the one that is meant.
            [sys.executable, "-P", "-c", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # Else llama.cpp's threads spin between requests and take the processors from the calls.
            env=needed(os.environ) | {"OMP_WAIT_POLICY": "passive"},
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
        # Also at the interpreter's exit. The process can't be forgotten while this object is alive.
        self._end = weakref.finalize(self, _end, self._process, self._log, os.getpid())
        settings = {
            "path": str(path),
            "context": context,
            "threads": threads,
            "key": self.key,
            "slots": str(slots),
            "parent": os.getpid(),
            # Linux ends a child with the thread that started it, so only the main thread asks for that.
            "at_once": threading.current_thread() is threading.main_thread(),
        }
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it ended already: ``address`` will say why
            self._process.stdin.write(json.dumps(settings).encode() + b"\n")
            self._process.stdin.flush()

    @property
    def key(self) -> str:
        """Without it the process answers nobody."""
        return self._key.get_secret_value()

    @property
    def alive(self) -> bool:
        return self._end.alive and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def address(self) -> str:
        """Where it serves; waits until it has loaded the weights. One thread at a time asks."""
        if self._address is None:
            assert self._process.stdout is not None
            try:
                answer = json.loads(self._process.stdout.readline(_LONGEST_ANSWER))
            except (ValueError, RecursionError):  # none, or half of one
                answer = None
            if not isinstance(answer, dict):
                answer = {}
            if said := answer.get("error"):
                raise ModelError(f"{self._label}: {' '.join([*said.split(), *self._last()])}")
            if "address" not in answer:
                raise self.ended("loading")
            self._address = str(answer["address"])
        return self._address

    def ended(self, while_: str) -> ModelError:
        """The error for a process that is no more: how it ended and the last it said."""
        if self._killed:
            return ModelError(f"{self._label}: the model was closed while {while_}; ask again")
        code = self._process.poll() or 0
        how = f"was killed by signal {-code}" if code < 0 else "ended"
        advice = "is there enough memory?" if code == -signal.SIGKILL else "try again"
        said = "".join(f" (its last words: {line})" for line in self._last())
        return ModelError(f"{self._label}: the model's process {how} while {while_}{said}; {advice}")

    def kill(self) -> None:
        """End the process, now; may be called twice."""
        self._killed = True
        self._end()

    def _last(self) -> list[str]:
        """The log's last line, if it has one."""
        try:
            size = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(0, size - 4096))
            lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines()]
        except ValueError:  # closed by kill
            return []
        return [line[-300:] for line in lines if line][-1:]


def needed(variables: Mapping[str, str]) -> dict[str, str]:
    """Those variables that the process needs. Keys are not among them, whatever they are named."""
    return {
        name: value
        for name, value in variables.items()
        if (name in _NEEDED or name.startswith(_NEEDED_PREFIXES)) and not names_secret(name)
    }


def _end(process: subprocess.Popen[bytes], log: IO[bytes], owner: int) -> None:
    if os.getpid() != owner:  # a fork's copy of this object: the process is its parent's
        process.returncode = 0  # so that nobody waits for it, or warns that nobody has
        return
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout, log):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
