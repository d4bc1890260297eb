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
from llmorch.places.failure import OUTGROWN, described, known_kinds, late
from llmorch.places.handles import Enclosing, Later, kept
from llmorch.places.known import tell
from llmorch.places.surroundings import current
from llmorch.places.threads import Threads
from llmorch.places.wire import Parcel, pack
from llmorch.places.worker import (
    CALL,
    LARGE,
    LATE,
    LOAD,
    RAISED,
    REFUSED,
    SURROUNDINGS,
    UNFIT,
    UNREAD,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.declare.functions import Function
    from llmorch.places.process import Process
    from llmorch.places.variables import Sent
    from llmorch.places.wire import Message

ON_LOOP = 1024 * 1024
"""More than this, in bytes, is written to its file on a thread and not on the event loop."""
_EVALUATING = "llmorch.plan.evaluate"
_CHECKING = "pydantic"


async def exchange(
    process: Process, function: Function, args: Mapping[str, Any], cpus: tuple[int, ...]
) -> Any:
    """Have a process call a function, and return what it returns: a large result as it arrived.

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
    if wanted := _needed(args) - process.loaded:
        await process.ask(pack(LOAD, sorted(wanted)))
        process.loaded |= wanted
    answer = await _asked(process, function, args)
    if answer.kind == UNREAD:  # by value it may be readable there: a class of a script's is such a case
        answer = await _asked(process, function, await _opened(function, args))
    if answer.kind == LATE:
        raise late(function.name, function.timeout)
    if answer.kind == LARGE:
        return kept(answer, function.name)
    if answer.kind == UNFIT:  # an argument has no value, or one that doesn't fit
        name, reason = answer.parts(str, str)
        raise CallError(f"{name} of {function.name}: {reason}")
    if answer.kind == RAISED:
        message, detail, kinds = answer.parts(str, str, tuple)
        if function.memory is not None and OUTGROWN[0] in kinds:
            raise outgrown(function, detail)
        raise CallError(message, detail=detail, kinds=known_kinds(kinds))
    if answer.kind == REFUSED:
        message, detail = answer.parts(str, str)
        raise CallError(f"{function.name} {message}", detail=detail)
    try:
        value = answer.value()
    except BaseException as error:
        if interrupted(error):
            raise
        message, detail = described(error)
        text = f"{function.name} returned what can't be read here: {message}"
        raise CallError(text, detail=detail) from None
    return value


def _needed(args: Mapping[str, Any]) -> set[str]:
    """The modules by which arguments are worked out in the process."""
    needed = set()
    for value in args.values():
        if type(value) is Later and not value.as_it_is:
            needed.add(_EVALUATING)
            if not value.parameter.is_plain:
                needed.add(_CHECKING)
    return needed


async def _asked(process: Process, function: Function, args: Mapping[str, Any]) -> Message:
    try:
        parcel = calling(function, args, process.sent)
    except CallError:  # a parameter's type may be what can't be sent
        if not any(type(value) is Later for value in args.values()):
            raise
        parcel = calling(function, await _opened(function, args), process.sent)
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
    values, deferred, reducers = dict(args), [], None
    for name, value in args.items():
        if type(value) is Later:
            reducers = enclosing.reducers
            values[name] = crossing = value.sent()
            if type(crossing) is Later:
                deferred.append(name)
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


async def _opened(function: Function, args: Mapping[str, Any]) -> dict[str, Any]:
    """The same as ``opened_arguments``, on a thread."""
    threads = Threads()
    try:
        return await apart(threads, function, partial(opened_arguments, function, args))
    finally:
        threads.release()


def opened_arguments(function: Function, args: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that are worked out here after all, their results opened.

    Raises ``CallError`` for one that has no value, or of a result that can't be read here either.
    """
    found = {}
    for name, value in args.items():
        try:
            found[name] = value.value() if type(value) is Later else value
        except (EvaluationError, ValueError) as error:
            raise CallError(f"{name} of {function.name}: {error}") from None
        except CallError as error:
            raise CallError(f"{function.name} can't be called: {error}", detail=error.detail) from None
    return found
