"""Slot files: what the local model computed for the constant part of a prompt, on disk.

This module decides which file belongs to which prompt and which files are kept. A slot
file saves time and nothing else, so whatever goes wrong with one is as if it weren't there.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

    def file(self, key: str) -> str | None:
        """The file's name if there is one for this key, marked as used now."""
        name = f"{key}.bin"
        try:
            os.utime(self.folder / name)
        except OSError:
            return None
        return name

    def temporary(self, key: str, writer: int) -> str:
        """The name under which a process saves; ``keep`` gives the file its own name once it is whole."""
        return f"{key}.{writer}.tmp"

    def keep(self, key: str, writer: int) -> None:
        """Take over the file saved under ``temporary`` and remove the ones used longest ago."""
        with suppress(OSError):
            (self.folder / self.temporary(key, writer)).replace(self.folder / f"{key}.bin")
        self._prune()

    def drop(self, key: str, writer: int) -> None:
        """Remove a file that can't be used, and what was saved of one that didn't become whole."""
        for name in (f"{key}.bin", self.temporary(key, writer)):
            with suppress(OSError):
                (self.folder / name).unlink()

    def _prune(self) -> None:
        with suppress(OSError):
            # Another process may remove the same files: then the rest is its business too.
            kept = sorted(self.folder.glob("*.bin"), key=lambda path: path.stat().st_mtime, reverse=True)
            stale = [p for p in self.folder.glob("*.tmp") if time.time() - p.stat().st_mtime > _STALE]
            for path in kept[_MOST:] + stale:
                path.unlink(missing_ok=True)
