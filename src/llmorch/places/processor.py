"""The port to a place where function calls run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.declare.functions import Function


class Processor(Protocol):
    """One place where function calls run.

    An implementation promises three things, and ``tests/places`` holds every
    implementation to them:

    * ``execute`` returns the function's result or raises ``CallError``; where the function says
      how a result is shown, that is ``showing.Shown``, a result with its text;
    * cancelling ``execute`` stops the work where the platform lets it be stopped
      (a process, a coroutine; not a thread), never only the waiting;
    * ``close`` may be called twice, and leaves no process behind.
    """

    async def execute(self, function: Function, args: Mapping[str, Any]) -> Any:
        """Call ``function`` with ``args`` and return what it returns."""

    async def close(self) -> None:
        """Stop what runs and give back what is held."""


class Handing(Processor, Protocol):
    """A processor outside this process, to which large values are handed on without being opened here."""

    async def hand(self, function: Function, args: Mapping[str, Any]) -> Any:
        """``execute``, where an argument may be a ``Later`` and a large result stays ``Held``."""
