"""Where the program is: what a process takes over from it before a call.

Decides what that is: current folder, environment, where modules are looked for, how deep calls may go.
The ``umask`` goes along when anything is sent, and isn't looked at before each call: without a
moment in which other threads have another one, that would take longer than all of the rest.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from llmorch.places.family import current_folder, read
from llmorch.places.files import LOADED_FILES

if TYPE_CHECKING:
    from collections.abc import Mapping

# The mapping behind os.environ compares in a microsecond; os.environ takes thirty.
_variables: dict[Any, Any] = getattr(os.environ, "_data", {})


class Surroundings(NamedTuple):
    """What of the program a process should find as it is."""

    folder: str
    variables: dict[bytes, bytes]
    path: list[str]
    depth: int
    """How deep calls may be in one another."""
    files: int
    """How many files of functions were loaded: they are only ever added."""
    cpus: tuple[int, ...]

    def message(self, own: Mapping[str, str]) -> tuple[Any, ...]:
        """What a process is sent; its own variables are those it keeps, whatever the program's are."""
        variables = self.variables | {os.fsencode(name): os.fsencode(own[name]) for name in own}
        return self.folder, variables, umask(), absolute(self.path), self.depth, LOADED_FILES, self.cpus

    def are_now(self, cpus: tuple[int, ...]) -> bool:
        """Whether the program is still there, for a process that runs on these CPUs; in a microsecond."""
        return (
            self.variables == _variables
            and self.path == sys.path
            and self.folder == (current_folder() or "/")
            and self.depth == sys.getrecursionlimit()
            and self.files == len(LOADED_FILES)
            and self.cpus == cpus
        )


def current(cpus: tuple[int, ...]) -> Surroundings:
    """The surroundings as they are now, for a process that runs on these CPUs."""
    depth = sys.getrecursionlimit()
    return Surroundings(
        current_folder() or "/", dict(_variables), list(sys.path), depth, len(LOADED_FILES), cpus
    )


def umask() -> int | None:
    """The program's ``umask``, if that can be known without setting it, which other threads would see."""
    for line in read("/proc/self/status").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return None


def absolute(path: list[str]) -> list[str]:
    """Where modules are looked for, whatever the current directory will be."""
    found = []
    for entry in path:
        if isinstance(entry, str):
            with suppress(OSError):  # "" is the current directory, which may be gone
                found.append(os.path.abspath(entry))  # noqa: PTH100
    return found
