"""Reads a plan as a model writes it: parsed and checked line by line, so that its calls can start at once.

Decides which lines a repair can go on from, and whether it did. It must not know who
asked for the plan, nor what is done with its calls.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from llmorch.errors import DuplicateId, EmptyPlan, PlanTooLarge
from llmorch.plan import Checker, Parser, render_without_id, with_query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.errors import PlanError
    from llmorch.functions import Function
    from llmorch.techniques import WritePlan


class Drafting:
    """A reply that is a plan, or what comes below the lines that ``wanted.above`` has already.

    ``earlier`` are the calls of other plans whose results it may use.
    """

    def __init__(
        self, wanted: WritePlan, functions: Mapping[str, Function], earlier: Sequence[CallId] = ()
    ) -> None:
        self._query, self._functions, self._earlier = wanted.query, functions, earlier
        self._reply = ""
        self.text = wanted.above
        """All of the plan, as it was written."""
        self._begin()
        self._held = self._read(wanted.above)
        """Calls of the lines above, until the reply has shown that it goes on from them."""

    def _begin(self) -> None:
        self._parser = Parser(self._earlier, numbers=True)
        self._checker = Checker(self._functions)
        self.calls: list[FunctionCall] = []

    def feed(self, piece: str) -> list[FunctionCall]:
        """Take the next piece of the reply; return the calls that can be made now. Raises ``PlanError``."""
        # Line by line, so that an error takes no line above with it.
        calls = []
        for line in piece.splitlines(keepends=True):
            self.text += line
            self._reply += line
            calls += self._going_on(partial(self._read, line), lambda: self._read(self._reply))
        return calls

    def finish(self) -> list[FunctionCall]:
        """End the reply; return the calls of the last line. Raises ``PlanError``."""
        calls = self._going_on(self._ended, lambda: [*self._read(self._reply), *self._ended()])
        if self._held:
            raise EmptyPlan("the reply has no call", hint="write the calls that are missing, one a line")
        return calls

    def above(self, error: PlanError) -> str:
        """The lines above an error, down to the last call that is right."""
        if isinstance(error, PlanTooLarge):
            return ""  # what led there may stand above
        ends = [call.position[0] + call.text.count("\n") for call in self.calls]
        end = max((end for end in ends if end < error.line), default=0)
        return "".join(f"{line}\n" for line in self.text.split("\n")[:end])

    def _going_on(
        self, read: Callable[[], list[FunctionCall]], read_again: Callable[[], list[FunctionCall]]
    ) -> list[FunctionCall]:
        """What ``read`` finds, after the lines above; or the whole plan, where one of their calls is written again."""
        try:
            found = read()
        except DuplicateId:
            if not self._held:
                raise
            again = True
        else:
            # One without an id never has an id that is taken.
            again = bool(found) and render_without_id(found[0]) in map(render_without_id, self._held)
        if again:
            self._begin()
            self.text, self._held = self._reply, []
            return read_again()
        if found and self._held:
            found, self._held = [*self._held, *found], []
        return found

    def _ended(self) -> list[FunctionCall]:
        return self._checked(self._parser.finish())

    def _read(self, text: str) -> list[FunctionCall]:
        return self._checked(self._parser.feed(text))

    def _checked(self, found: Sequence[FunctionCall]) -> list[FunctionCall]:
        checked = []
        for call in found:
            checked.append(with_query(self._checker.check(call), self._query))
            self.calls.append(checked[-1])
        return checked
