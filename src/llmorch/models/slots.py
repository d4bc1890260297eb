"""Slot files: what the local model computed for the constant part of a prompt, on disk.

This module decides which file belongs to which prompt, whether it is whole, and which files are
kept. A slot file saves time and nothing else, so whatever goes wrong with one is as if it weren't there.

A file's name ends with its size and a checksum, so that name and content change in one step:
``KEY.SIZE.CHECKSUM.bin``. The checksum finds damage; whoever may write into the folder can forge it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import BufferedReader
    from pathlib import Path

    from llmorch.models.model import Message

_MOST = 12
_STALE = 3600.0  # seconds after which a half-written file has no writer any more


@dataclass(frozen=True, slots=True)
class Slots:
    """The folder of slot files of one model with one context."""

    folder: Path
    weights: str
    context: int

    def prepare(self) -> None:
        """Make the folder, for this user alone: a slot file tells what was asked."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def key(self, messages: tuple[Message, ...]) -> str | None:
        """The name of what can be kept for these messages; None if nothing can."""
        if not messages:
            return None
        turns = [[message.role, message.text] for message in messages]
        parts = json.dumps([self.weights, self.context, version("xllamacpp"), turns])
        return hashlib.sha256(parts.encode()).hexdigest()

    def has(self, key: str) -> bool:
        """Whether there is a file for this key, of the right size; marks it as used now."""
        return any(self._marked(path) for path in self._of(key))

    def whole(self, key: str) -> str | None:
        """The name of a file for this key that is as it was written. Damaged ones are removed.

        It reads the file, so not on the event loop.
        """
        for path in self._of(key):
            with suppress(OSError):
                # The size first: a huge file is not read.
                if self._marked(path) and self._name(key, path) == path.name:
                    return path.name
            _remove(path)
        return None

    def temporary(self, key: str) -> str:
        """A name for a file to be saved under; ``keep`` gives it its own once it is whole."""
        return f"{key}.{secrets.token_hex(8)}.tmp"

    def keep(self, key: str, temporary: str) -> None:
        """Take over a saved file and remove the ones used longest ago. It reads the file."""
        path = self.folder / temporary
        with suppress(OSError):
            name = self._name(key, path)
            for other in self._of(key):
                if other.name != name or other.is_dir():
                    _remove(other)
            path.replace(self.folder / name)
        _remove(path)  # if it couldn't be taken over
        self._prune()

    def drop(self, name: str) -> None:
        """Remove a file that can't be used."""
        _remove(self.folder / name)

    def _of(self, key: str) -> list[Path]:
        """The files of this key; in the order of their names, so that processes agree."""
        try:
            return sorted(self.folder.glob(f"{key}.*.*.bin"))
        except OSError:
            return []

    def _name(self, key: str, path: Path) -> str:
        """What a file with this content for this key is named."""
        with _regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            checksum = hashlib.file_digest(file, lambda: hashlib.sha256(key.encode()))
        return f"{key}.{size}.{checksum.hexdigest()[:32]}.bin"

    def _marked(self, path: Path) -> bool:
        try:
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or str(found.st_size) != path.name.split(".")[1]:
                return False
            os.utime(path)
        except OSError:
            return False
        return True

    def _prune(self) -> None:
        with suppress(OSError):
            # Another process may remove the same files: then the rest is its business too.
            kept = sorted(self.folder.glob("*.bin"), key=lambda path: path.lstat().st_mtime, reverse=True)
            stale = [p for p in self.folder.glob("*.tmp") if time.time() - p.lstat().st_mtime > _STALE]
            for path in kept[_MOST:] + stale:
                _remove(path)


def _regular(path: Path) -> BufferedReader:
    """The file, opened to be read. A pipe, a device or a link in its place is an ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no file")
    return os.fdopen(descriptor, "rb")


def _remove(path: Path) -> None:
    """Remove what is there under a name, and be it a folder."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
