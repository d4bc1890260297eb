"""Several calls made as one, as one task, and how one of them is given up alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmorch.errors import CallError
from llmorch.places.batches import Batch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.places.batches import Outcome

    Execute = Callable[[Function, Mapping[str, Any]], Awaitable[Any]]


class Part:
    """A batch that runs, as the work of one of its calls: stopped once none of them is wanted."""

    def __init__(self, task: asyncio.Task[None], wanted: Callable[[], bool]) -> None:
        self._task = task
        self._wanted = wanted

    def cancel(self) -> None:
        """Drop what comes of one call, which is not wanted any more."""
        if not self._wanted():
            self._task.cancel()

    def add_done_callback(self, told: Callable[[object], object]) -> None:
        """Call ``told`` once a call that was cancelled uses nothing: the last one does while it is stopped."""
        if self._wanted():
            asyncio.get_running_loop().call_soon(told, self._task)
        else:
            self._task.add_done_callback(told)


async def made_as_one(
    function: Function,
    calls: Sequence[FunctionCall],
    given: Mapping[CallId, Any],
    execute: Execute,
) -> list[Outcome]:
    """What each call came to: its result, or the error of which it failed."""
    batch = Batch(function, calls, given)
    if batch.is_empty:
        return batch.outcomes(None, None)
    try:
        return batch.outcomes(await execute(batch.function, batch.args), None)
    except CallError as error:
        return batch.outcomes(None, error)
