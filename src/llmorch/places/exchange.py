"""One call's exchange with a worker process: what is sent first, what with the call, and what its answer means.

Decides the order of the messages, and the error for arguments that can't be sent. What becomes of a
process that doesn't answer is ``workers.py``'s to say.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from llmorch.declare.text import interrupted, kind_name
from llmorch.errors import CallError, EvaluationError, shortage
from llmorch.places.apart import apart
from llmorch.places.failure import OUTGROWN, Raised, described, known_kinds, late
from llmorch.places.handles import Enclosing, Later, closed, each_later, large
from llmorch.places.known import tell
from llmorch.places.surroundings import current
from llmorch.places.threads import Threads
from llmorch.places.wire import BrokenError, Parcel, pack
from llmorch.places.worker import (
    CALL,
    CLOSED,
    EACH,
    LARGE,
    LATE,
    LOAD,
    RAISED,
    REFUSED,
    RETURNED,
    SURROUNDINGS,
    UNFIT,
    UNREAD,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.declare.functions import Function
    from llmorch.places.process import Process
    from llmorch.places.variables import Sent
    from llmorch.places.wire import Message, Reducers

ON_LOOP = 1024 * 1024
"""More than this, in bytes, is written to its file on a thread and not on the event loop."""
_EVALUATING = "llmorch.plan.evaluate"
_CHECKING = "pydantic"


async def exchange(
    process: Process, function: Function, args: Mapping[str, Any], cpus: tuple[int, ...]
) -> Any:
    """Have a process call a function, and return what it returns: plain data, or an ``Unopened``.

    Of a batch form it is the list of what its calls came to, with a ``Raised`` for one that failed.

    Raises ``CallError`` for a call that failed, and what ``Process.ask`` raises.
    """
    if process.surroundings is None or not process.surroundings.are_now(cpus):
        process.surroundings, now = None, current(cpus)
        answer = await process.ask(pack(SURROUNDINGS, now.message(process.environment)))
        if answer.kind == REFUSED:
            message, detail = answer.parts(str, str)
            text = f"{function.name} can't be called: its process can't go where the program is: {message}"
            raise CallError(text, detail=detail)
        process.surroundings = now
    # Before the clock of the call starts: importing what it needs may take long.
    for needed in (function.call,) if function.show is None else (function.call, function.show):
        known = process.known.get(id(needed))
        if known is None or not known.is_current(process.sent):
            await tell(process, needed, function)
    if wanted := _needed(args, function) - process.loaded:
        await process.ask(pack(LOAD, sorted(wanted)))
        process.loaded |= wanted
    answer = await _asked(process, function, args)
    if answer.kind == UNREAD:  # by value it may be readable there: a function of a script's is such a case
        answer = await _asked(process, function, await opened_arguments(function, args))
    if answer.kind == RETURNED:
        return answer.plain()
    if answer.kind == LARGE:
        return large(answer, function)
    if answer.kind == CLOSED:
        return closed(answer.plain(), function)
    if answer.kind == EACH:
        return _each(answer.plain(), function)
    if answer.kind == LATE:
        raise late(function.name, function.timeout)
    if answer.kind == UNFIT:  # an argument has no value, or one that doesn't fit
        name, reason = answer.parts(str, str)
        raise CallError(f"{name} of {function.name}: {reason}")
    if answer.kind == RAISED:
        message, detail, kinds = answer.parts(str, str, tuple)
        if function.memory is not None and OUTGROWN[0] in kinds:
            raise outgrown(function, detail)
        raise CallError(message, detail=detail, kinds=known_kinds(kinds))
    message, detail = answer.parts(str, str)
    raise CallError(f"{function.name} {message}", detail=detail)


def _each(items: Any, function: Function) -> list[Any]:
    """What the calls of a batch came to, as it was taken apart."""
    try:
        return [
            closed(parts, function) if how == CLOSED else _failed(how, function, *parts)
            for how, parts in items
        ]
    except (TypeError, ValueError):
        raise BrokenError from None


def _failed(how: int, function: Function, message: str, detail: str, kinds: object = ()) -> Raised:
    text = message if how == RAISED else f"{function.name} {message}"
    return Raised(text, detail, known_kinds(kinds))


def _needed(args: Mapping[str, Any], function: Function) -> set[str]:
    """The modules by which arguments are worked out in the process."""
    needed: set[str] = set()
    if not (function.is_batch or Later in map(type, args.values())):
        return needed

    def look(_: str, one: Later) -> None:
        if not one.as_it_is:
            needed.add(_EVALUATING)
            if not one.parameter.is_plain:
                needed.add(_CHECKING)

    each_later(args, look, batch=function.is_batch)
    return needed


async def _asked(process: Process, function: Function, args: Mapping[str, Any]) -> Message:
    try:
        parcel = calling(function, args, process.sent)
    except CallError:  # a parameter's type may be what can't be sent
        if not any(type(value) is Later for value in args.values()):
            raise
        parcel = calling(function, await opened_arguments(function, args), process.sent)
    if parcel.size > ON_LOOP:
        try:
            await asyncio.to_thread(parcel.write)
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be had
            why = shortage(error) or error
            text = f"{function.name} can't be called: its arguments can't be written: {why}"
            raise CallError(text) from None
    if function.memory is not None:
        await process.watch(function.memory)
    answer = await process.ask(parcel, function.time_left)
    if answer.kind in (UNREAD, REFUSED):
        process.sent.begin()  # nothing of it has arrived
    else:
        process.sent.arrived()
    if function.memory is not None:
        await process.watch(0)
    return answer


def outgrown(function: Function, detail: str = "") -> CallError:
    """The failure of a call that took more memory than it may."""
    memory = function.memory or 0
    size = f"{memory / 2**30:.3g} GiB" if memory >= 2**30 else f"{memory / 2**20:.3g} MiB"
    return CallError(
        f"{function.name} took more memory than its limit of {size}", detail=detail, kinds=OUTGROWN
    )


def calling(function: Function, args: Mapping[str, Any], sent: Sent) -> Parcel:
    """The message that makes a worker call a function that it remembers."""
    sent.begin()
    enclosing = Enclosing()
    deferred: list[str] = []
    reducers: Reducers | None = None

    def cross(name: str, one: Later) -> Any:
        nonlocal reducers
        reducers = enclosing.reducers
        crossing = one.sent()
        if type(crossing) is Later:
            deferred.append(name)
        return crossing

    values = dict(args)
    if function.is_batch or Later in map(type, args.values()):
        values = each_later(args, cross, batch=function.is_batch)
    try:
        show = None if function.show is None else id(function.show)
        how = (function.memory, function.time_left, show, function.is_batch, function.keeps_iterator)
        parcel = pack(CALL, (id(function.call), values, deferred, *how), reducers=reducers, has=sent.has)
    except BaseException as error:
        if interrupted(error):
            raise
        text, detail = described(error)
    else:
        parcel.enclosed = enclosing.files
        return parcel
    for name, value in values.items():
        try:
            pack(CALL, value, reducers=reducers)
        except BaseException as error:
            if interrupted(error):
                raise
            text, detail = described(error)
            what = f"its argument {name}, a value of type {kind_name(value)}"
            text = f"{what}, can't be sent to another process ({text})"
            break
    raise CallError(f"{function.name} can't be called: {text}; pass plain data", detail=detail)


async def opened_arguments(function: Function, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arguments that are worked out here after all, on a thread, their results opened.

    Raises ``CallError`` for one that has no value, or of a result that can't be read here either, or not in time.
    """

    def value(name: str, one: Later) -> Any:
        try:
            return one.value()
        except (EvaluationError, ValueError) as error:
            raise CallError(f"{name} of {function.name}: {error}") from None
        except CallError as error:
            raise CallError(f"{function.name} can't be called: {error}", detail=error.detail) from None

    threads = Threads()
    try:
        return await apart(threads, function, partial(each_later, args, value, batch=function.is_batch))
    finally:
        threads.release()
