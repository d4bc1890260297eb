"""Keeps what calls took in a file, for the runs to come.

The file saves time and nothing else: whatever goes wrong with it is as if it weren't there.
Processes may share it; of two that write at once one's samples may be lost, never the file.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from llmorch.learned import SAMPLES, Learned, Sample
from llmorch.machine import NoHome, cache_folder, file_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from llmorch.runtime.driver import Execution

FILE = "learned.json"
EVERY = 1.0
"""Seconds between two saves while runs go on: what is left is saved at the end."""
_MOST_BYTES = 2_000_000


class Learning:
    """What one orchestrator knows of earlier calls, from its own runs and from a file."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._known = Learned()
        self._new = Learned()
        """What isn't in the file yet."""
        self._seen: object = None
        self._wrote = clock()

    def known(self) -> Learned:
        """All that is known by now."""
        if (seen := self._state()) != self._seen:
            self._seen = seen
            self._known = self._read()
            self._known.add(self._new)
        return self._known

    def learn(self, samples: Mapping[str, list[Sample]]) -> None:
        """Take what calls took; it is saved unless that was done just now."""
        ran = Learned()
        for name, some in samples.items():
            ran.take(name, some)
        self._known.add(ran)
        self._new.add(ran)
        if self._clock() - self._wrote >= EVERY:
            self.write()

    def write(self) -> None:
        """Write what isn't in the file yet."""
        if not self._new:
            return
        self._wrote = self._clock()
        self._known = self._read()
        self._known.add(self._new)
        self._new = Learned()
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._known.as_json()), encoding="utf-8")
            temporary.replace(self._path)
        except (OSError, ValueError):
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        self._seen = self._state()

    def _state(self) -> object:
        try:
            found = self._path.stat()
        except (OSError, ValueError):
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> Learned:
        try:
            return Learned.from_json(json.loads(file_bytes(self._path, _MOST_BYTES)))
        except (OSError, ValueError, RecursionError, MemoryError):
            return Learned()


def taken(execution: Execution, names: Mapping[str, str]) -> dict[str, list[Sample]]:
    """What the calls took that completed: the seconds that each ran, and what it asked.

    ``names`` is what each function is known as. Of many calls of one function the last are enough.
    """
    found: dict[str, list[Sample]] = {}
    for state in reversed(execution.core.states.values()):
        if state.status != "completed" or state.dispatched is None or state.completed is None:
            continue
        samples = found.setdefault(names[state.call.function], [])
        if len(samples) < SAMPLES:
            seconds = state.completed - state.dispatched
            usage = execution.store.asked.get(state.key)
            asked = () if usage is None else (usage.requests, usage.input_tokens, usage.output_tokens)
            samples.append(Sample(seconds, *asked))
    return {name: samples[::-1] for name, samples in found.items()}


def learning_in(file: str) -> Learning | None:
    """What is kept in a file of the user's cache folder; nothing where there is no such folder."""
    try:
        return Learning(cache_folder() / file)
    except NoHome:
        return None
