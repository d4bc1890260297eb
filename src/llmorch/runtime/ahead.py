"""Reading ahead: a model with nothing to do reads what is known of the next prompt that it will be asked.

Decides what is worth reading and when. What is read changes no result: the request that
follows is only answered earlier.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from llmorch.declare.functions import SELF
from llmorch.errors import ModelError
from llmorch.runtime.prompt import beginning

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping

    from llmorch.calls import CallId
    from llmorch.declare.functions import Function
    from llmorch.runtime.call import Attempt
    from llmorch.runtime.store import Store
    from llmorch.schedule import Orchestration

MIN_AHEAD = 60
"""Characters of a prompt below which it isn't worth asking a model to read them ahead."""


class ReadingAhead:
    """Has the model read the beginning of the next prompt of ``self``, while nothing computes.

    ``read`` is how it reads, if it can. ``store`` is what is known,
    ``running`` the attempts of this moment, and ``finished`` is set while nothing more
    can run. Reading is a task of ``group``.
    """

    def __init__(
        self,
        read: Callable[[str], Awaitable[None]] | None,
        core: Orchestration,
        functions: Mapping[str, Function],
        store: Store,
        running: Mapping[tuple[CallId, int], Attempt],
        *,
        finished: asyncio.Event,
        group: asyncio.TaskGroup,
    ) -> None:
        self.planning = False
        """Whether the model works on the plan."""
        self._read, self._core, self._functions, self._store = read, core, functions, store
        self._running, self._finished, self._group = running, finished, group
        self._task: asyncio.Task[None] | None = None
        self._known = ""
        """The beginning of a prompt that the model has read."""

    def look(self) -> None:
        """Begin to read if there is enough that the model doesn't know, and nothing else for it to do."""
        if self._read is None or self.planning or self._task is not None or self._finished.is_set():
            return
        for attempt in self._running.values():
            if attempt.made.processors or self._functions[attempt.call.function].asks_model:
                return
        planned = (state.call for state in self._core.states.values() if state.status == "planned")
        call = next((call for call in planned if call.function == SELF), None)
        if call is None:
            return
        known = beginning(next(iter(call.args.values())), self._store.results, self._store.texts)
        if len(known) < MIN_AHEAD + (len(self._known) if known.startswith(self._known) else 0):
            return
        self._known = known
        self._task = self._group.create_task(self._reads(self._read, known))

    def stop(self) -> None:
        """Stop reading: nobody will ask."""
        if self._task is not None:
            self._task.cancel()

    async def _reads(self, read: Callable[[str], Awaitable[None]], known: str) -> None:
        try:
            with suppress(ModelError):  # the request that follows will tell
                await read(known)
        finally:
            self._task = None
        self.look()
