"""Whether a call that failed is made again, and after which pause.

Decides by what was declared, what was raised and how much time has passed. It waits for
nothing and reads no clock: ``call.py`` does. A call keeps its processor while it pauses,
so that nothing has to be scheduled anew; the core sees one attempt that takes longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmorch.declare.options import MAX_RETRIES
from llmorch.places.failure import kind_of
from llmorch.values import short

if TYPE_CHECKING:
    from random import Random

    from llmorch.calls import CallId
    from llmorch.declare.functions import Function

MAX_RETRYING = 60.0
"""Seconds from the beginning of a call's first attempt in which another attempt may begin."""
MAX_PAUSE = 30.0
"""The longest pause between two attempts, in seconds."""


@dataclass(frozen=True, slots=True)
class Retried:
    """An attempt of a call that failed and was followed by another.

    ``attempt`` counts from 1 within one dispatch of the call; ``pause`` is in seconds.
    """

    __repr__ = short

    call: CallId
    function: str
    attempt: int
    error: str
    pause: float


def pause_after(attempt: int, backoff: float, chance: Random) -> float:
    """Seconds to wait after a failed attempt, the first being 1: twice as long each time.

    Calls that failed together are spread out by up to half of it, or they would all come
    back at the same moment.
    """
    doublings = min(attempt - 1, MAX_RETRIES)
    return min(MAX_PAUSE, min(backoff, MAX_PAUSE) * 2.0**doublings) * chance.uniform(0.5, 1.0)


def in_time(since: float) -> bool:
    """Whether another attempt may begin ``since`` seconds after the first one began."""
    return since < MAX_RETRYING


def next_pause(
    function: Function, kinds: tuple[str, ...], *, attempt: int, since: float, chance: Random
) -> float | None:
    """Seconds until the attempt after this one, or ``None`` if there is to be none.

    ``kinds`` are those of the ``CallError``: exceptions are distinguished by name, since those of
    another process never arrive here. What fails before the function begins has no kind, and
    would fail again. ``since`` is the time since the first attempt began.
    """
    if attempt > function.retries or not function.retryable:
        return None
    if not any(kind_of(kind) in kinds for kind in function.retry_on):
        return None
    pause = pause_after(attempt, function.backoff, chance)
    return pause if in_time(since + pause) else None
