"""How a function's exception becomes text: one bounded line, and its traceback.

Exceptions never travel as objects, so one that can't be pickled, or whose ``__str__``
raises, is as good as any other. This module must not know where the function ran.
"""

from __future__ import annotations

MESSAGE = 2_000
"""The longest message, in characters."""
DETAIL = 20_000
"""The longest traceback, in characters."""


def described(error: BaseException, *, skip: int = 0) -> tuple[str, str]:
    """The line ``type: message`` and the traceback of an exception, both bounded.

    ``skip`` is the number of outermost frames that are ours and not the function's.
    """
    name = type(error).__name__
    try:
        text = str(error)[: 4 * MESSAGE]
    except BaseException:
        text = "(its message can't be read)"
    text = " ".join(line.strip() for line in text.splitlines() if line.strip())
    return shortened(f"{name}: {text}" if text else name, MESSAGE), _traceback(error, skip)


def _traceback(error: BaseException, skip: int) -> str:
    from traceback import format_exception  # a worker that never fails never needs it

    frames = error.__traceback__
    for _ in range(skip):
        frames = frames.tb_next if frames is not None else None
    try:
        text = "".join(format_exception(type(error), error, frames))
    except BaseException:  # an exception may override anything that is read here
        return ""
    return shortened(text, DETAIL)


def shortened(text: str, limit: int) -> str:
    """A text of at most ``limit`` characters: its beginning and, past the gap, its end."""
    if len(text) <= limit:
        return text
    head = limit * 3 // 4
    return f"{text[:head]} ... {text[len(text) - (limit - head - 5) :]}"
