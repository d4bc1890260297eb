"""What is sent to a worker process: a function once, its arguments with each call.

Decides how a function is named there, and words the error for what can't be sent. It
must not know when anything is sent.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from llmorch.errors import CallError, EvaluationError
from llmorch.processors.failure import described
from llmorch.processors.handing import Enclosing, Later
from llmorch.processors.wire import Parcel, pack
from llmorch.processors.worker import CALL, CALL_BATCH, REMEMBER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmorch.functions import Function


def remembering(call: Callable[..., Any], function: Function) -> Parcel:
    """The message that makes a worker remember a function, or what shows its results."""
    reference: tuple[str, str] | bytes | None = _reference(call)
    if reference is None:
        try:
            reference = _by_value(call)
        except Exception as error:
            message, detail = described(error)
            hint = "define it in a module, or make inside it what it uses"
            text = f"{function.name} can't be sent to another process: {message}; {hint}"
            raise CallError(text, detail=detail) from None
    return pack(REMEMBER, (id(call), reference))


def _reference(call: Callable[..., Any]) -> tuple[str, str] | None:
    """The module and path of a function that can be imported; None for any other."""
    module = getattr(call, "__module__", None)
    path = getattr(call, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str) or module == "__main__":
        return None
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return (module, path) if found is call else None


def _by_value(call: Callable[..., Any]) -> bytes:
    from llmorch.processors.by_value import dumps

    return dumps(call, worker=False)


def calling(function: Function, args: Mapping[str, Any]) -> Parcel:
    """The message that makes a worker call a function that it remembers."""
    enclosing = Enclosing()
    values = {name: value.sent() if isinstance(value, Later) else value for name, value in args.items()}
    late = [name for name, value in values.items() if isinstance(value, Later)]
    reducers = enclosing.reducers if any(isinstance(value, Later) for value in args.values()) else None
    try:
        show = None if function.show is None else id(function.show)
        kind = CALL_BATCH if function.is_batch else CALL
        parcel = pack(kind, (id(function.call), values, late, function.memory, show), reducers=reducers)
    except Exception as error:
        text, detail = described(error)
    else:
        parcel.enclosed = enclosing.files
        return parcel
    for name, value in values.items():
        try:
            pack(CALL, value, reducers=reducers)
        except Exception as error:
            text, detail = described(error)
            what = f"its argument {name}, a value of type {type(value).__name__}"
            text = f"{what}, can't be sent to another process ({text})"
            break
    raise CallError(f"{function.name} can't be called: {text}; pass plain data", detail=detail)


def opened_arguments(function: Function, args: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that are worked out here after all, their held results opened.

    Raises ``CallError`` for one that has no value, or of a result that can't be read here either.
    """
    found = {}
    for name, value in args.items():
        try:
            found[name] = value.value() if isinstance(value, Later) else value
        except (EvaluationError, ValueError) as error:
            raise unfit(function, name, str(error)) from None
        except CallError as error:
            raise CallError(f"{function.name} can't be called: {error}", detail=error.detail) from None
    return found


def unfit(function: Function, name: str, reason: str) -> CallError:
    """The failure of a call whose argument has no value, or one that doesn't fit."""
    return CallError(f"{name} of {function.name}: {reason}")


def write(parcel: Parcel, function: Function) -> None:
    """Write a message's file; on any thread."""
    try:
        parcel.write()
    except OSError as error:
        raise CallError(f"{function.name} can't be called: its arguments can't be written: {error}") from None
