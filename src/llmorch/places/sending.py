"""What is sent to a worker process: a function once, its arguments with each call.

Decides how a function is named there, and words the error for what can't be sent. It
must not know when anything is sent.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmorch.errors import CallError, EvaluationError
from llmorch.places.codes import functions_in, names_in
from llmorch.places.failure import described
from llmorch.places.handing import Enclosing, Later
from llmorch.places.wire import Parcel, pack
from llmorch.places.worker import CALL, CALL_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmorch.declare.functions import Function
    from llmorch.places.by_value import Unsent
    from llmorch.places.told import Told


def reference(call: Callable[..., Any]) -> tuple[str, str] | None:
    """The module and path of a function that can be imported; None for any other."""
    module = getattr(call, "__module__", None)
    path = getattr(call, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str) or module == "__main__":
        return None
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return (module, path) if found is call else None


def by_value(call: Callable[..., Any], function: Function, *, unsent: Unsent | None = None) -> bytes:
    """A function that can't be imported, or what shows its results, with what it refers to."""
    from llmorch.places.by_value import dumps

    try:
        return dumps(call, worker=False, unsent=unsent)
    except Exception as error:
        with suppress(Exception):
            return dumps(call, worker=False, unsent=unsent, bare=True)
        message, detail = described(error)
        what = _unfit_variable(call)
        why = message if what is None else f"{what} ({message})"
        hint = "define it in a module, or make inside it what it uses"
        text = f"{function.name} can't be sent to another process: {why}; {hint}"
        raise CallError(text, detail=detail) from None


def _unfit_variable(call: Any) -> str | None:
    """The variable because of which a function can't be sent."""
    from llmorch.places.by_value import dumps

    for one in functions_in(call):
        cells = zip(one.__code__.co_freevars, one.__closure__ or (), strict=True)
        found = {name: one.__globals__[name] for name in names_in(one.__code__) & one.__globals__.keys()}
        for name, cell in cells:
            with suppress(ValueError):  # nothing is in it yet
                found[name] = cell.cell_contents
        for name, value in sorted(found.items()):
            try:
                dumps(value, worker=False)
            except Exception:
                return f"it uses {name}, a value of type {type(value).__name__}"
    return None


def as_it_is(value: Any, module: str) -> bytes:
    """What is in a place of a module, its functions by value although they could be imported."""
    from llmorch.places.by_value import dumps

    return dumps(value, worker=False, home=module)


def by_pickle(value: Any) -> bytes:
    """A variable's value, whatever its size."""
    from llmorch.places.by_value import dumps

    return dumps(value, worker=False)


def calling(function: Function, args: Mapping[str, Any], told: Told) -> Parcel:
    """The message that makes a worker call a function that it remembers."""
    told.begin()
    enclosing = Enclosing()
    values = {name: value.sent() if isinstance(value, Later) else value for name, value in args.items()}
    late = [name for name, value in values.items() if isinstance(value, Later)]
    reducers = enclosing.reducers if any(isinstance(value, Later) for value in args.values()) else None
    try:
        show = None if function.show is None else id(function.show)
        kind = CALL_BATCH if function.is_batch else CALL
        limits = (function.memory, function.timeout)
        asked = (id(function.call), values, late, *limits, show, function.keeps_iterator)
        parcel = pack(kind, asked, reducers=reducers, unsent=told.unsent)
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
