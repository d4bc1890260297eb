"""Where a declaration is left: on the callable itself, or on what stands for one that takes no attributes.

This module must not know what a declaration is.
"""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from llmorch.declare.callables import attribute

if TYPE_CHECKING:
    from collections.abc import Callable


class Carrier:
    """Stands for a bound method, a built-in, or an object with slots, and carries what was said of it."""

    def __init__(self, call: Callable[..., Any]) -> None:
        update_wrapper(self, call)
        self.__wrapped__ = call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<offered: {self.__wrapped__!r}>"


def carrier(call: Any, name: str, said: object) -> Any:
    """The callable with what was said of it, if it takes attributes; else a ``Carrier`` that has it."""
    try:
        setattr(call, name, said)
    except (AttributeError, TypeError):
        call = Carrier(call)
        setattr(call, name, said)
    return call


def carried(call: object, name: str) -> Any:
    """What was said of exactly this callable; of a method, of its function.

    A subclass does not take over what was said of its class, nor an object what was said of its own.
    """
    return attribute(getattr(call, "__func__", call) if attribute(call, name) is None else call, name)
