"""A process's functions and variables, kept as they are here.

Decides what a process is sent before a call, and how a change is noticed in as little time as can be.
A function that can be imported there is named once, and sent anew only where the process has other
code in its variable; any other is pickled again for each call, while that is small and a look at its
variables doesn't tell all, and sent when the outcome is another one.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmorch.errors import CallError
from llmorch.places.codes import digest, found_at, functions_in, names_in, sets
from llmorch.places.failure import described
from llmorch.places.referred import MISSING, Referred, Variable
from llmorch.places.variables import (
    MAIN,
    SMALL,
    NotPlainError,
    OfScriptError,
    TooLargeError,
    differs,
    look,
    pickled,
    sight,
)
from llmorch.places.wire import pack
from llmorch.places.worker import DONE, OTHER, REFUSED, REMEMBER, SET

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CellType

    from llmorch.declare.functions import Function
    from llmorch.places.process import Process
    from llmorch.places.variables import Sent
    from llmorch.places.wire import Message

    Change = tuple[str, str, bytes]
    """A module, a path in it, and what is to be there."""

_ROOM = 1024
_first: dict[tuple[str, str], Callable[[], object]] = {}
"""What was in the variables of modules at the first look of all: what their import put there, presumably."""


class Known:
    """One function as a process knows it, and what it refers to as it was at the last look."""

    def __init__(self, target: Callable[..., Any], function: Function) -> None:
        self.target = target  # kept, so that its id stays its own
        self.reference = reference(target)
        self.pickled = b"" if self.reference else by_value(target, function)
        """What was sent of one that can't be imported there."""
        referred = Referred(target, self.reference)
        self.code = referred.code
        self.overwritten = 0
        """What ``Sent.overwritten`` was at the last look."""
        self._is_all = referred.is_all
        """Whether a look at variables and code tells every change of a function that goes by value."""
        self._data = referred.data
        self._along = [(variable, sight(variable.value)) for variable in referred.along]
        self._cells = [
            (cell, _inside(cell)) for function in functions_in(target) for cell in function.__closure__ or ()
        ]
        self._small: list[Variable] = []
        self._others: list[tuple[Variable, tuple[object, int], bool]] = []
        """All that isn't small plain data, and whether it is of no import's making."""
        self._seen = b""
        for variable in self._data:
            if variable.module != MAIN:
                _first.setdefault((variable.module, variable.path), _reference(variable.value))
        self._look()

    def _look(self) -> None:
        self._small, self._others = [], []
        self._seen = b""
        left = SMALL
        for variable in self._data:
            value = variable.value
            try:
                left -= len(pickled(value, left))
                self._small.append(variable)
            except NotPlainError as error:
                is_own = variable.module != MAIN and isinstance(error, TooLargeError | OfScriptError)
                self._others.append((variable, look(value), is_own))
                self._is_all &= variable.module != MAIN or isinstance(error, TooLargeError)

    def is_current(self, sent: Sent) -> bool:
        """Whether all that a look can tell is as it was when it was sent; in a few microseconds."""
        return (self.reference is not None or self._is_all) and self._is_as_sent(sent)

    def _is_as_sent(self, sent: Sent) -> bool:
        if sent.overwritten != self.overwritten:
            return False
        for variable, value in self.code:
            if variable.space.get(variable.name) is not value:
                return False
        for variable, (seen, count), _ in self._others:
            value = variable.space.get(variable.name, MISSING)
            if value is not seen or (count >= 0 and len(value) != count):  # type: ignore[arg-type]
                return False
        try:
            return bool(self._seen) and self._now() == self._seen
        except NotPlainError:
            return False

    def _now(self) -> bytes:
        return pickled(
            [variable.space.get(variable.name, MISSING) for variable in self._small], SMALL + _ROOM
        )

    def moved_code(self, sent: Sent) -> list[tuple[Variable, Any]]:
        """The variables where other code is now, or was sent for another function, with the code that is there now."""
        return [
            (variable, value)
            for variable, before in self.code
            if (value := variable.value) is not before
            or sent.has_other(variable.module, variable.path, look(value))
        ]

    def has_changed(self, sent: Sent, function: Function) -> bool:
        """Whether the function is to be sent anew, or named anew after other code."""
        moved = self.moved_code(sent)
        if moved or self.reference is not None:
            return bool(moved)
        if sent.overwritten != self.overwritten:  # what it refers to may be another function's by now
            return True
        if not self._is_all and len(self.pickled) <= SMALL:
            return by_value(self.target, function) != self.pickled
        return any(_inside(cell) is not before for cell, before in self._cells) or any(
            differs(sight(variable.value), before) for variable, before in self._along
        )

    def changes(self, sent: Sent) -> list[tuple[Variable, bytes, bool]]:
        """The variables that the process doesn't have as they are now; the message that was begun sends them.

        Each with its data if it is small and plain, and whether it was set anew for certain.
        """
        if self._is_as_sent(sent):
            return []
        self._look()
        self._seen = self._now()  # before what is sent is read: another thread may set it meanwhile
        found = []
        for variable in self._small:
            data = sight(variable.value)
            if sent.lacks(variable.module, variable.path, data):
                found.append((variable, data if isinstance(data, bytes) else b"", True))
        for variable, seen, is_own in self._others:
            module, path = variable.module, variable.path
            is_new = sent.knows(module, path) or (module != MAIN and _first[module, path]() is not seen[0])
            if (is_new or is_own) and sent.lacks(module, path, seen):
                found.append((variable, b"", is_new))
        self.overwritten = sent.overwritten
        return found


def _inside(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is in it yet
        return MISSING


def _reference(value: Any) -> Callable[[], object]:
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value


async def tell(process: Process, target: Callable[..., Any], function: Function) -> None:
    """Have a process know a function as it is now, with the variables that it refers to.

    Raises ``CallError`` where it can't be sent or loaded there, and what ``Process.ask`` raises.
    """
    known = process.known.get(id(target))
    if known is None or known.has_changed(process.sent, function):
        before, known = known, Known(target, function)
        await _introduce(process, known, (before or known).moved_code(process.sent), function)
    process.sent.begin()
    try:
        changes = [
            change
            for variable, data, is_new in known.changes(process.sent)
            for change in _variable(variable, data, known, function, process.sent, must=is_new)
        ]
    except CallError:
        del process.known[id(target)]  # what was looked at wasn't sent
        raise
    if changes:
        await _set(process, changes, function)


async def _introduce(
    process: Process, known: Known, moved: Sequence[tuple[Variable, Any]], function: Function
) -> None:
    """Have a process load a function, once what it refers to is of the same code there."""
    if moved := [
        (variable, value) for variable, value in moved if variable.module != MAIN and value is not MISSING
    ]:
        await _set_code(process, moved, function)
    code = [(variable, value) for variable, value in known.code if variable.module != MAIN]
    answer = await _load(process, known, code, function)
    if answer.kind == OTHER:
        (others,) = answer.parts(list)
        moved = [pair for index, pair in enumerate(code) if index in others]
        await _set_code(process, moved, function)
        answer = await _load(process, known, [], function)
    if answer.kind == REFUSED:
        message, detail = answer.parts(str, str)
        hint = "define it in a module that can be imported from anywhere"
        text = f"{function.name} can't be loaded in a worker process: {message}; {hint}"
        raise CallError(text, detail=detail)
    process.sent.arrived()
    known.overwritten = process.sent.overwritten
    process.known[id(known.target)] = known


async def _set_code(process: Process, code: Sequence[tuple[Variable, Any]], function: Function) -> None:
    process.sent.begin()
    for variable, value in code:
        process.sent.lacks(variable.module, variable.path, look(value))
    process.sent.overwritten += 1
    await _set(process, [_code(variable, value, function) for variable, value in code], function)


async def _load(
    process: Process, known: Known, code: Sequence[tuple[Variable, Any]], function: Function
) -> Message:
    process.sent.begin()
    body = known.reference or by_value(known.target, function, process.sent)
    checks = [(variable.module, variable.path, digest(value)) for variable, value in code]
    return await process.ask(pack(REMEMBER, (id(known.target), body, checks)))


def _code(variable: Variable, value: Any, function: Function) -> Change:
    """What is in a variable of a module, its functions by value although they could be imported."""
    from llmorch.places.by_value import dumps

    try:
        return variable.module, variable.path, dumps(value, home=variable.module)
    except Exception as error:
        message, detail = described(error)
        text = (
            f"{function.name} can't be called: {variable.module}.{variable.path}, which it uses, isn't as it is in its "
            f"file, and can't be sent to another process ({message}); define it in a module"
        )
        raise CallError(text, detail=detail) from None


def _variable(
    variable: Variable, data: bytes, known: Known, function: Function, sent: Sent, *, must: bool
) -> list[Change]:
    """What to send of a variable, pickled if it isn't small plain data.

    Without ``must`` it may be as its module's import has made it there too. What the function sets
    by itself, as a connection that it opens when first needed, is the process's own where it can't be sent.
    """
    from llmorch.places.by_value import dumps

    value = variable.value
    try:
        return [(variable.module, variable.path, data or dumps(value, has=sent.has))]
    except Exception as error:
        if not must or any(
            sets(code, variable.name) for code in (known.target, *(code for _, code in known.code))
        ):
            return []
        message, detail = described(error)
        what = f"{variable.module}.{variable.path}, a value of type {type(value).__name__}"
        text = (
            f"{function.name} can't be called: {what}, was set anew and can't be sent to another process "
            f"({message}); make it inside the function, or where its module is imported"
        )
        raise CallError(text, detail=detail) from None


async def _set(process: Process, changes: Sequence[Change], function: Function) -> None:
    answer = await process.ask(pack(SET, changes))
    if answer.kind != DONE:
        process.known.clear()  # nobody knows what it has
        process.sent.forget()
        message, detail = answer.parts(str, str)
        text = f"{function.name} can't be called: a variable can't be set in its process: {message}"
        raise CallError(text, detail=detail)
    process.sent.arrived()


def reference(target: Callable[..., Any]) -> tuple[str, str] | None:
    """The module and path of a function that can be imported; None for any other."""
    module = getattr(target, "__module__", None)
    path = getattr(target, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str) or module == MAIN:
        return None
    return (module, path) if found_at(module, path) is target else None


def by_value(target: Callable[..., Any], function: Function, sent: Sent | None = None) -> bytes:
    """A function that can't be imported, or what shows its results, with what it refers to."""
    from llmorch.places.by_value import dumps

    has = None if sent is None else sent.has
    try:
        return dumps(target, has=has)
    except Exception as error:
        with suppress(Exception):
            return dumps(target, has=has, bare=True)
        message, detail = described(error)
        what = _unfit_variable(target)
        why = message if what is None else f"{what} ({message})"
        hint = "define it in a module, or make inside it what it uses"
        text = f"{function.name} can't be sent to another process: {why}; {hint}"
        raise CallError(text, detail=detail) from None


def _unfit_variable(target: Any) -> str | None:
    """The variable because of which a function can't be sent."""
    from llmorch.places.by_value import dumps

    for one in functions_in(target):
        found = {name: one.__globals__[name] for name in names_in(one.__code__) & one.__globals__.keys()}
        found |= zip(one.__code__.co_freevars, map(_inside, one.__closure__ or ()), strict=True)
        for name, value in sorted(found.items()):
            try:
                dumps(value)
            except Exception:
                if value is not MISSING:
                    return f"it uses {name}, a value of type {type(value).__name__}"
    return None
