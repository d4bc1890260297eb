"""What calls touch, as results come in that say more of it than the plan did.

Decides which results are opened for that, and when: never where others wait.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from llmorch.errors import CallError
from llmorch.relations import touches
from llmorch.relations.effects import named_by
from llmorch.schedule import EffectsKnown

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llmorch.calls import CallId
    from llmorch.declare.functions import Function
    from llmorch.places.local import Local
    from llmorch.places.port import Handle
    from llmorch.runtime.store import Store
    from llmorch.schedule import Event, Orchestration

    Tell = Callable[[Event], None]


class Touched:
    """What the calls of one run touch. ``inline`` opens results, in tasks of the ``group``."""

    def __init__(
        self,
        core: Orchestration,
        functions: Mapping[str, Function],
        store: Store,
        *,
        inline: Local,
        group: asyncio.TaskGroup,
    ) -> None:
        self._core, self._functions, self._store = core, functions, store
        self._inline, self._group = inline, group
        self._names_things = any(item.reads or item.writes for item in functions.values())
        """Whether results can say what else a call touches."""
        self._tasks: set[asyncio.Task[None]] = set()

    def narrow(self, calls: Iterable[CallId], tell: Tell) -> None:
        """Tell the core what these calls touch, where more of it is known than it was."""
        for id_ in calls:
            call = self._core.graph.call(id_)
            function = self._functions[call.function]
            if not (function.reads or function.writes):
                continue
            used = [self._store.handles.get(other) for other in named_by(function, call)]
            if closed := [handle for handle in used if handle is not None and not handle.here]:
                task = self._group.create_task(self._open(closed, id_, function, tell))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                continue
            touch = touches(function, call, self._store.results)
            if touch != self._core.graph.touch(id_):
                tell(EffectsKnown(id_, touch))

    def narrow_users(self, calls: Sequence[CallId], tell: Tell) -> None:
        """The same for those that use the results of these calls, which are known by now."""
        if calls and self._names_things:
            graph = self._core.graph
            self.narrow(
                (user for call in calls for same in graph.alike(call) for user in graph.users(same)), tell
            )

    async def _open(self, closed: Sequence[Handle], id_: CallId, function: Function, tell: Tell) -> None:
        for handle in closed:
            with suppress(CallError):  # the call that is given it will say so
                await self._inline.apart(function, handle.open)
        if all(handle.here for handle in closed) and id_ in self._core.graph:
            self.narrow((id_,), tell)

    def stop(self) -> None:
        """Open nothing more: the run ends."""
        for task in self._tasks:
            task.cancel()
