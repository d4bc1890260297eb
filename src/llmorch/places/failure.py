"""How a function's exception becomes text: one bounded line, its traceback, and its kinds.

Exceptions never travel as objects, so one that can't be pickled, or whose ``__str__``
raises, is as good as any other. This module must not know where the function ran.
"""

from __future__ import annotations

from typing import NamedTuple

from llmorch.errors import CallError
from llmorch.places.causes import one_line, shortened

DETAIL = 20_000
"""The longest traceback, in characters."""
MAX_KINDS = 20
"""The most classes of one exception that are named."""
KIND = 200
"""The longest name of a class, in characters."""
_OURS = __file__.removesuffix("places/failure.py")
"""The folder of this package: the frames in it that lead to a function are not the function's."""


def described(error: BaseException) -> tuple[str, str]:
    """The line ``type: message`` and the traceback of an exception, both bounded."""
    return one_line(error), _traceback(error)


def _traceback(error: BaseException) -> str:
    """The traceback from the function's own frames on, as Python prints it."""
    from traceback import format_exception, format_tb  # a worker that never fails never needs it

    frames = None
    try:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
            frames = frames.tb_next
        text = "".join(format_exception(type(error), error, frames))
    except BaseException:  # an exception may override anything that is read here
        text = "".join(format_tb(frames)) + one_line(error)
    return shortened(text, DETAIL)


def kind_of(kind: type) -> str:
    """A class's name by which it is known in every process."""
    return f"{kind.__module__}.{kind.__qualname__}"[:KIND]


def kinds_of(error: object) -> tuple[str, ...]:
    """The names of a value's class, an exception's mostly, and of those above it, nearest first."""
    try:
        kinds = tuple(kind_of(kind) for kind in type(error).__mro__[:-1])
    except BaseException:  # a metaclass may override anything that is read here
        return ()
    # Both what it is and that it is an Exception must be among them: the middle is left out.
    return kinds if len(kinds) <= MAX_KINDS else (*kinds[: MAX_KINDS // 2], *kinds[-MAX_KINDS // 2 :])


def known_kinds(kinds: object) -> tuple[str, ...]:
    """The names as ``kinds_of`` makes them; none of what came from another process in another form."""
    if not isinstance(kinds, tuple) or len(kinds) > MAX_KINDS:
        return ()
    return kinds if all(isinstance(kind, str) and len(kind) <= KIND for kind in kinds) else ()


class Raised(NamedTuple):
    """An exception as text, in the place of a result."""

    message: str
    detail: str
    kinds: tuple[str, ...]


def raised(error: BaseException) -> Raised:
    """What is known of an exception that a function returned and did not raise."""
    return Raised(*described(error), kinds_of(error))


def late(name: str, timeout: float | None) -> CallError:
    """The failure of a call of this function that took longer than it may, in seconds."""
    return CallError(f"{name} took longer than its timeout of {timeout or 0:g} s", kinds=LATE)


LATE = kinds_of(TimeoutError())
"""What a call past its timeout counts as, as if the function had raised it."""
OUTGROWN = kinds_of(MemoryError())
"""What a call past its limit of memory counts as."""
CRASHED = kinds_of(Exception())
"""What the end of a call's process counts as: no exception in particular."""
