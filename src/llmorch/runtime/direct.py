"""Calls that run without a task around them: most inout calls, where a task would take longer than the call.

Decides nothing about them: it knows which there are, so that an execution outlives them all.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmorch.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.declare.functions import Function
    from llmorch.places.inline import Inline
    from llmorch.places.stopping import Done
    from llmorch.runtime.attempts import Attempt


class Direct:
    """Attempts that ``inline`` runs directly, also those that were cancelled, until they end."""

    def __init__(self, inline: Inline) -> None:
        self._inline = inline
        self._attempts: set[Attempt] = set()
        self._all_ended = asyncio.Event()

    def begin(self, attempt: Attempt, function: Function, args: Mapping[str, Any], told: Done) -> None:
        """Start an attempt; ``told`` hears on the event loop how it ended, once."""

        def ended(result: Any, error: CallError | None) -> None:
            self._attempts.discard(attempt)
            if not self._attempts:
                self._all_ended.set()
            told(result, error)

        self._attempts.add(attempt)
        try:
            attempt.work = self._inline.begin(function, args, ended)
        except CallError as error:  # heard later, as of any other call
            asyncio.get_running_loop().call_soon(ended, None, error)

    async def end(self) -> None:
        """Stop them all, and return once they have ended. Raises ``CancelledError`` if cancelled, but after that."""
        for attempt in self._attempts:
            if attempt.work is not None:
                attempt.work.cancel()
        cancelled = None
        while self._attempts:  # not for long: they are stopped
            self._all_ended.clear()
            try:
                await self._all_ended.wait()
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
