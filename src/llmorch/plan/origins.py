"""Which calls of a plan come from outside, and by which relations.

What an ``untrusted`` function returns comes from outside, and so does all that is made of it:
whoever wrote it may have written what is in any text, list or number that was made of it, and in a model's
reply to a prompt that holds it. An argument that has to be trusted may not come from there. The same idea,
at the level of values of a program that is interpreted, is CaMeL's (arXiv 2503.18813).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from llmorch.calls import references

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function

ENDS = 4
"""Calls at each end of a path that are written out: those where it came in, and those before the argument."""


class _Step(NamedTuple):
    """A call from outside: what it has it from, itself where it came in, and its path in short."""

    before: CallId
    function: str
    length: int
    first: tuple[str, ...]


class Origins:
    """The calls from outside among those that were taken, in the plan's order."""

    def __init__(self) -> None:
        self._steps: dict[CallId, _Step] = {}

    def take(self, call: FunctionCall, *, untrusted: bool) -> None:
        """Take a call, or what stands for it now; ``untrusted`` says that its function's results come from outside."""
        self._steps.pop(call.id, None)
        before = call.id if untrusted else self.first(call.uses)
        if before is not None:
            _, _, length, first = self._steps.get(before, _Step("", "", 0, ()))
            if length < ENDS:
                first = (*first, f"{call.id} ({call.function})")
            self._steps[call.id] = _Step(before, call.function, length + 1, first)

    def first(self, calls: Iterable[CallId]) -> CallId | None:
        """The first of these calls that comes from outside."""
        return next((call for call in calls if call in self._steps), None) if self._steps else None

    def forget(self, call: CallId) -> None:
        """Drop a call."""
        self._steps.pop(call, None)

    def __contains__(self, call: object) -> bool:
        return call in self._steps

    def path(self, call: CallId, most: int | None = None) -> list[CallId]:
        """The last calls, at ``most``, by which it came from outside, this one last; none for a call that didn't."""
        path: list[CallId] = []
        while call in self._steps and (most is None or len(path) < most):
            path.append(call)
            before = self._steps[call].before
            if before == call:
                break
            call = before
        return path[::-1]

    def told(self, call: CallId) -> str:
        """The path for people: ``s1 (read_page) -> s2 (self)``."""
        if call not in self._steps:
            return ""
        _, _, length, first = self._steps[call]
        last = [
            f"{id_} ({self._steps[id_].function})"
            for id_ in self.path(call, max(0, min(length - ENDS, ENDS)))
        ]
        left = length - len(first) - len(last)
        return " -> ".join([*first, *([f"{left} more"] if left else []), *last])


def untrusted_argument(call: FunctionCall, function: Function, origins: Origins) -> tuple[str, str] | None:
    """An argument that has to be trusted and comes from outside: its name, and the path of relations that shows it."""
    if not function.trusted:
        return None
    given = {
        item.name: argument for item, argument in zip(function.parameters, call.positional, strict=False)
    }
    given |= call.args
    for name in function.trusted:
        if name in given:
            source = origins.first(reference.id for reference in references(given[name]))
            if source is not None:
                return name, f"{origins.told(source)} -> {name}"
    return None
