"""Several calls made as one: what each of them came to, and how one is given up alone.

Decides what a batch form is given and what it may return. It must not know why calls go
together, nor what happens after they ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmorch.errors import CallError
from llmorch.places.failure import Raised, raised
from llmorch.runtime.arguments import arguments

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function

    Execute = Callable[[Function, Mapping[str, Any]], Awaitable[Any]]
    Outcome = tuple[Any, CallError | None]


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
    """What each call came to: its result, or the error of which it failed.

    A call whose arguments don't fit fails alone. One call is made by the function itself.
    """
    outcomes: list[Outcome] = []
    fitting: list[tuple[int, dict[str, Any]]] = []
    for call in calls:
        try:
            fitting.append((len(outcomes), arguments(call, function, given)))
            outcomes.append((None, None))
        except CallError as error:
            outcomes.append((None, error))
    if len(fitting) == 1:
        ((place, args),) = fitting
        try:
            outcomes[place] = (await execute(function, args), None)
        except CallError as error:
            outcomes[place] = (None, error)
    elif fitting:
        made = await _together(function, [_filled(function, args) for _, args in fitting], execute)
        for (place, _), outcome in zip(fitting, made, strict=True):
            outcomes[place] = outcome
    return outcomes


async def _together(function: Function, calls: list[dict[str, Any]], execute: Execute) -> list[Outcome]:
    batch = function.batch
    assert batch is not None
    try:
        results = await execute(function.together, {batch.parameter: calls})
    except CallError as error:
        return [(None, error)] * len(calls)
    wrong = _wrong(results, len(calls))
    if wrong:
        name = getattr(batch.call, "__name__", "it")
        failed = CallError(
            f"the batch form of {function.name}, {name}, returned {wrong}; "
            f"return a list of {len(calls)}: one result for each call, in their order"
        )
        return [(None, failed)] * len(calls)
    return [_outcome(result) for result in results]


def _filled(function: Function, args: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a call, where the function itself would fill in its defaults."""
    return {item.name: args.get(item.name, item.default) for item in function.parameters}


def _wrong(results: object, count: int) -> str:
    if not isinstance(results, Sequence) or isinstance(results, str | bytes | bytearray):
        kind = type(results).__name__
        return "nothing" if results is None else f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
    found = len(results)
    return "" if found == count else f"{found} result{'' if found == 1 else 's'} for {count} calls"


def _outcome(result: Any) -> Outcome:
    if isinstance(result, BaseException):  # gather has one for what was cancelled
        result = raised(result)
    if isinstance(result, Raised):
        return None, CallError(result.message, detail=result.detail, kinds=result.kinds)
    return result, None
