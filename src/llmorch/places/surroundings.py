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
    from collections.abc import Collection, Mapping

# The mapping behind os.environ compares in a microsecond; os.environ takes thirty.
_variables: dict[Any, Any] = getattr(os.environ, "_data", {})


_INTERPRETER = {"PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT"}
"""The variables without which Python itself may not start."""


class Environment(NamedTuple):
    """Which variables a process has: its ``own``, and the program's, or ``only`` those of these names."""

    own: Mapping[str, str]
    only: Collection[str] | None = None

    def of(self, variables: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """All of its variables, by what the program's are."""
        if self.only is None:
            shared = dict(variables)
        else:
            names = map(os.fsencode, {*self.only, *_INTERPRETER})
            shared = {name: variables[name] for name in names if name in variables}
        return shared | {os.fsencode(name): os.fsencode(value) for name, value in self.own.items()}


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

    def message(self, environment: Environment) -> tuple[Any, ...]:
        """What a process of this environment is sent."""
        variables = environment.of(self.variables)
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
