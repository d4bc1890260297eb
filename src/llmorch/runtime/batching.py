"""Several calls made as one, as one task, and how one of them is given up alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmorch.errors import CallError
from llmorch.places.calling import Calling
from llmorch.places.port import Job
from llmorch.places.showing import Shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.places.port import End

    Outcome = tuple[Any, CallError | None]
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
    calling = Calling(Job(function, tuple(calls), {}), given)
    try:
        made = None if calling.is_empty else await execute(calling.function, calling.args)
        return [_outcome(end) for end in calling.ends(made)]
    except CallError as error:
        return [_outcome(end) for end in calling.ends(error=error)]


def _outcome(end: End) -> Outcome:
    if end.value is None:
        return None, end.error
    result, text, why = end.value.open(), end.value.text, end.value.why
    return result if text is None and not why else Shown(result, text, why), None
