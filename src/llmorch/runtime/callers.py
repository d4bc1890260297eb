"""The call in which code runs, if it does: a run that is opened there is one that the call waits for."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmorch.runtime.door import Door
    from llmorch.schedule import Caller

    Calling = tuple[tuple[Door, Caller], ...]

CALLING: ContextVar[Calling] = ContextVar("llmorch_calling", default=())
"""That call, after those that wait for it."""


def callers(door: Door, opened: Calling = ()) -> tuple[Caller, ...]:
    """The calls on these processors in which this code runs, but for those in which something was opened."""
    within = CALLING.get()
    if within is opened:
        return ()
    known = {caller for _, caller in opened}
    return tuple(caller for of, caller in within if of is door and caller not in known and not caller.over)
