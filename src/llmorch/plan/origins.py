"""Which calls of a plan come from outside, and by which relations.

What an ``untrusted`` function returns comes from outside, and so does all that is made of it:
whoever wrote it may have written what is in any text, list or number that was made of it, and in a model's
reply to a prompt that holds it. An argument that has to be trusted may not come from there. The same idea,
at the level of values of a program that is interpreted, is CaMeL's (arXiv 2503.18813).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.calls import references

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function

LONGEST_PATH = 8
"""Calls of a path that are written out: half of them its first, where it came in."""


class Origins:
    """The calls from outside among those that were taken, in the plan's order."""

    def __init__(self) -> None:
        self._calls: dict[CallId, tuple[CallId, str]] = {}
        """By call from outside: the call that it has it from, itself where it came in; and its function."""

    def take(self, call: FunctionCall, *, untrusted: bool) -> None:
        """Take a call, or what stands for it now; ``untrusted`` says that its function's results come from outside."""
        self._calls.pop(call.id, None)
        source = call.id if untrusted else self.first(call.uses)
        if source is not None:
            self._calls[call.id] = source, call.function

    def first(self, calls: Iterable[CallId]) -> CallId | None:
        """The first of these calls that comes from outside."""
        return next((call for call in calls if call in self._calls), None) if self._calls else None

    def forget(self, call: CallId) -> None:
        """Drop a call."""
        self._calls.pop(call, None)

    def __contains__(self, call: object) -> bool:
        return call in self._calls

    def path(self, call: CallId) -> list[CallId]:
        """The calls by which it came from outside, this one last; none for a call that didn't."""
        path = []
        while call in self._calls:
            path.append(call)
            before, _ = self._calls[call]
            if before == call:
                break
            call = before
        return path[::-1]

    def told(self, call: CallId) -> str:
        """The path for people: ``s1 (read_page) -> s2 (self)``."""
        named = [f"{id_} ({self._calls[id_][1]})" for id_ in self.path(call)]
        if len(named) > LONGEST_PATH:
            half = LONGEST_PATH // 2
            named[half:-half] = [f"{len(named) - LONGEST_PATH} more"]
        return " -> ".join(named)


def untrusted_argument(call: FunctionCall, function: Function, origins: Origins) -> tuple[str, str] | None:
    """An argument that has to be trusted and comes from outside: its name, and the path of relations that shows it."""
    for name in function.trusted:
        if name in call.args:
            source = origins.first(reference.id for reference in references(call.args[name]))
            if source is not None:
                return name, f"{origins.told(source)} -> {name}"
    return None
