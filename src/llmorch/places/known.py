"""A process's functions and variables, kept as they are here.

Decides what a process is told before a call. A function that can be imported there is named
once, and sent anew only where the process has other code in its place; any other is
pickled again for each call, while that is small, and sent when the outcome is another one.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmorch.errors import CallError
from llmorch.places.codes import digest, functions_in, names_in, sets
from llmorch.places.failure import described
from llmorch.places.plain import SMALL
from llmorch.places.referred import MAIN, MISSING
from llmorch.places.watched import Watched
from llmorch.places.wire import pack
from llmorch.places.worker import DONE, OTHER, REFUSED, REMEMBER, SET

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmorch.declare.functions import Function
    from llmorch.places.by_value import Unsent
    from llmorch.places.process import Process
    from llmorch.places.referred import Place
    from llmorch.places.told import Change, Told
    from llmorch.places.wire import Message


class Known:
    """One function as a process knows it. ``pickled`` is what was sent of one that can't be imported there."""

    __slots__ = ("call", "pickled", "reference", "watched")

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call  # held, so that its id stays its own
        self.reference = reference(call)
        self.pickled = b""
        self.watched: Watched

    def is_current(self, told: Told) -> bool:
        """Whether all that a look can tell is as it was when the process was told; in a few microseconds."""
        return (self.reference is not None or self.watched.is_all) and self.watched.is_current(told)

    @property
    def is_large(self) -> bool:
        """Whether it is too large to be pickled again for each call."""
        return len(self.pickled) > SMALL


async def tell(process: Process, call: Callable[..., Any], function: Function) -> None:
    """Have a process know a function as it is now, with the variables that it refers to.

    Raises ``CallError`` where it can't be sent or loaded there, and what ``Process.ask`` raises.
    """
    known = process.known.get(id(call))
    if known is None:
        known = await _introduced(process, call, function)
    elif known.reference is None:
        known = await _renewed(process, known, function)
    elif known.watched.moved(closures=False):
        known = await _moved(process, known, function)
    process.told.begin()
    changes = known.watched.changes(process.told)
    try:
        for place, is_new in known.watched.other_changes(process.told):
            changes += _variable(place, known, function, must=is_new)
    except CallError:
        del process.known[id(call)]  # what was looked at wasn't sent
        raise
    if changes:
        await _set(process, changes, function)


async def _introduced(process: Process, call: Callable[..., Any], function: Function) -> Known:
    known = Known(call)
    if known.reference is None:
        known.pickled = by_value(call, function)
    known.watched = Watched(call, known.reference)
    await _remember(process, known, function)
    known.watched.overwritten = process.told.overwritten
    process.known[id(call)] = known
    return known


async def _renewed(process: Process, known: Known, function: Function) -> Known:
    """The same for a function that goes by value, and may have changed in any way."""
    watched = known.watched
    if process.told.overwritten != watched.overwritten:
        known = await _introduced(process, known.call, function)
    elif known.is_large or watched.is_all:
        if watched.moved_variables() or watched.moved(closures=True):
            known = await _introduced(process, known.call, function)
    elif by_value(known.call, function) != known.pickled:
        known = await _introduced(process, known.call, function)
    elif watched.moved(closures=False):
        known = await _moved(process, known, function)
    return known


async def _moved(process: Process, known: Known, function: Function) -> Known:
    """The same where other code is in a place than before: it is sent there by value."""
    moved = known.watched.moved_code()
    if reference(known.call) != known.reference:  # the function's own module was loaded anew, say
        known = Known(known.call)
        known.pickled = by_value(known.call, function)
    known.watched = Watched(known.call, known.reference)
    process.told.begin()
    if moved := [(place, value) for place, value in moved if place.module != MAIN and value is not MISSING]:
        await _set(process, [_code(place, value, function) for place, value in moved], function)
    await _remember(process, known, function)
    process.known[id(known.call)] = known
    return known


async def _remember(process: Process, known: Known, function: Function) -> None:
    """Have a process load a function, once what it refers to is of the same code there."""
    code = [(place, value) for place, value in known.watched.code if place.module != MAIN]
    checks = [(place.module, place.path, digest(value)) for place, value in code]
    answer = await _asked_to_load(process, known, checks, function)
    if answer.kind == OTHER:
        other = [code[index] for index in answer.value()]
        process.told.begin()  # the function was not loaded, nor what it refers to
        await _set(process, [_code(place, value, function) for place, value in other], function)
        answer = await _asked_to_load(process, known, [], function)
    if answer.kind == REFUSED:
        process.told.begin()
        message, detail = answer.value()
        hint = "define it in a module that can be imported from anywhere"
        text = f"{function.name} can't be loaded in a worker process: {message}; {hint}"
        raise CallError(text, detail=detail)
    process.told.sent()


async def _asked_to_load(
    process: Process, known: Known, checks: Sequence[tuple[str, str, int]], function: Function
) -> Message:
    process.told.begin()
    sent: Any = known.reference
    if sent is None:
        sent = by_value(known.call, function, unsent=process.told.unsent)
    return await process.ask(pack(REMEMBER, (id(known.call), sent, checks)))


def _code(place: Place, value: Any, function: Function) -> tuple[str, str, bytes]:
    try:
        return place.module, place.path, as_it_is(value, place.module)
    except Exception as error:
        message, detail = described(error)
        text = (
            f"{function.name} can't be called: {place.module}.{place.path}, which it uses, isn't as it is in its "
            f"file, and can't be sent to another process ({message}); define it in a module"
        )
        raise CallError(text, detail=detail) from None


def _variable(place: Place, known: Known, function: Function, *, must: bool) -> list[Change]:
    """What to send of a variable that isn't small plain data.

    Without ``must`` it may be as its module's import has made it there too. What the function sets
    by itself, as a connection that it opens when first needed, is the process's own where it can't be sent.
    """
    try:
        return [(place.module, place.path, by_pickle(place.value))]
    except Exception as error:
        if not must or any(sets(value, place.name) for value in (known.call, *known.watched.values)):
            return []
        message, detail = described(error)
        what = f"{place.module}.{place.path}, a value of type {type(place.value).__name__}"
        text = (
            f"{function.name} can't be called: {what}, was set anew and can't be sent to another process "
            f"({message}); make it inside the function, or where its module is imported"
        )
        raise CallError(text, detail=detail) from None


async def _set(process: Process, changes: Sequence[tuple[str, str, bytes]], function: Function) -> None:
    answer = await process.ask(pack(SET, changes))
    if answer.kind != DONE:
        process.known.clear()  # nobody knows what it has
        process.told.forget()
        message, detail = answer.value()
        text = f"{function.name} can't be called: a variable can't be set in its process: {message}"
        raise CallError(text, detail=detail)
    process.told.sent()


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
