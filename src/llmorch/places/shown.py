"""The text that a model sees instead of a result, where a function says how it is shown.

Decides what ``show`` may take and what becomes of its mistakes. It runs where the function
ran, since that is where the result is: also in worker processes, so it must import quickly.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from llmorch.declare.text import interrupted, is_a, kind_name
from llmorch.errors import without_middle
from llmorch.places.failure import Raised, line_of
from llmorch.places.iterators import items_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 1.0
"""The time that showing one result may take."""
LONGEST = 100_000
"""Characters of a shown text that are kept; what a prompt takes of it is less."""
_LATE = f"it took longer than {SECONDS:g} s"


class Shown(NamedTuple):
    """A result and the text for a model, or why there is none."""

    result: Any
    text: str | None = None
    why: str = ""


def shown(result: Any, show: Callable[[Any], object] | None, *, batch: bool = False) -> Any:
    """The result with its text; of a batch form, each of its results with its own. Without ``show`` it was too late."""
    if not batch:
        return _shown(result, show)
    if not is_a(result, (list, tuple)):
        return result  # which is no list of results: whoever wants one will say so
    return [item if is_a(item, (Raised, BaseException)) else _shown(item, show) for item in items_of(result)]


def late(result: Any, *, batch: bool = False) -> Any:
    """The same where showing took too long."""
    return shown(result, None, batch=batch)


def _shown(result: Any, show: Callable[[Any], object] | None) -> Shown:
    if show is None:
        return Shown(result, why=_LATE)
    began = monotonic()
    try:
        with _in_time():
            text = show(result)
    except _LateError:
        return Shown(result, why=_LATE)
    except BaseException as error:
        if interrupted(error):
            raise
        return Shown(result, why=line_of(error))
    if monotonic() - began > SECONDS:  # on a thread, whose end the event loop may hear of late
        return Shown(result, why=_LATE)
    if not issubclass(type(text), str):
        return Shown(result, why=f"it returned no text but a value of type {kind_name(text)}")
    return Shown(result, without_middle(str.__str__(text), LONGEST))


class _LateError(BaseException):
    """Not an ``Exception``, so that ``show`` doesn't take it for one of its own."""


@contextmanager
def _in_time() -> Iterator[None]:
    """Stop what takes too long, where a process can stop itself; on a thread others stop waiting."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    import signal

    def stop(*_: object) -> None:
        raise _LateError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
