"""Reads a plan as a model writes it: parsed and checked line by line, so that its calls can start at once.

Decides which lines a repair can go on from, whether it did, and when what looked like a plan
was thought. It must not know who asked for the plan, nor what is done with its calls.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from llmorch.errors import DuplicateId, EmptyPlan, PlanError, PlanTooLarge
from llmorch.plan import Checker, Parser, render_without_id, with_query
from llmorch.plan.replies import ReplyLines
from llmorch.plan.thoughts import Thoughts, blanked, spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.techniques import WritePlan


class Drafting:
    """A reply that is a plan, or what comes below the lines that ``wanted.above`` has already.

    ``earlier`` are the calls of other plans whose results it may use.
    """

    def __init__(
        self, wanted: WritePlan, functions: Mapping[str, Function], earlier: Sequence[CallId] = ()
    ) -> None:
        self._query, self._functions, self._earlier = wanted.query, functions, earlier
        self._wanted = wanted
        self._reply = ""
        self.void = 0
        """How many characters of it were thought after all: no call in them that was handed on counts."""
        self._restart()

    def _restart(self) -> None:
        """Begin the reply anew, below the lines that were there."""
        self._above = self._wanted.above
        self._wrong: PlanError | None = None
        """What is wrong with the text, unless all of it turns out to be thought."""
        self._begin()
        self._held = self._read(self._above)
        """Calls of the lines above, until the reply has shown that it goes on from them."""
        self._said.goes_on()

    def _begin(self) -> None:
        self._said = ReplyLines(self._functions)
        self._parser = Parser(self._earlier, numbers=True, reply=self._said)
        self._checker = Checker(self._functions)
        self.calls: list[FunctionCall] = []

    @property
    def text(self) -> str:
        """All of the plan, as it was written, with its thoughts blank."""
        return self._above + blanked(self._reply)

    @property
    def over(self) -> bool:
        """Whether the reply has said that it ends."""
        return (self._passed if self._wrong else self._said.thoughts).over

    def feed(self, piece: str) -> list[FunctionCall]:
        """Take the next piece of the reply; return the calls that can be made now. Raises ``PlanError``.

        Where prose came before an error, it is raised at the end only: the model may be
        thinking aloud, and say so when it is done.
        """
        # Line by line, so that an error takes no line above with it.
        calls: list[FunctionCall] = []
        for line in piece.splitlines(keepends=True):
            self._reply += line
            before = self.void
            if self._wrong is None:
                found = self._taking(partial(self._read, line), self._reread)
            else:
                found = self._looking() if line.endswith("\n") else []
            calls = [*calls, *found] if self.void == before else found
        return calls

    def finish(self) -> list[FunctionCall]:
        """End the reply; return the calls of the last line. Raises ``PlanError``."""
        before = self.void
        calls = self._looking() if self._wrong and not self._reply.endswith("\n") else self._ending()
        if self._wrong is None and self.void != before:
            calls += self._ending()
        if self._wrong:
            raise self._wrong
        if self._held:
            raise EmptyPlan("the reply has no call", hint="write the calls that are missing, one a line")
        return calls

    @property
    def ends(self) -> bool:
        """Whether the reply has said that it ends, or says so in a line that isn't complete."""
        return self.over or spoken(self._reply[self._last_line :]).ended

    def cut_off(self, max_tokens: int) -> PlanError:
        """What is wrong with a reply that the model was not done with when its tokens were used up."""
        return self._wrong or PlanTooLarge.cut_off(self.text, max_tokens)

    def _ending(self) -> list[FunctionCall]:
        return [] if self._wrong else self._taking(self._ended, lambda: [*self._reread(), *self._ended()])

    def _taking(
        self, read: Callable[[], list[FunctionCall]], read_again: Callable[[], list[FunctionCall]]
    ) -> list[FunctionCall]:
        """What is found; or, if all before turns out to be thought, what comes after that."""
        try:
            found = self._going_on(read, read_again)
        except PlanError as error:
            if not self._parser.voids:
                if self._said.said is None:
                    raise
                self._wrong, self._passed = error, Thoughts("plan")
                self._passed.headed = self._said.thoughts.headed
                row = self.text.count("\n") + (not self._reply.endswith("\n"))
                return self._looking(error.column - 1 if error.line == row else 0)
            found = []
        return self._anew(self._last_line + self._said.void_at) if self._parser.voids else found

    def _looking(self, at: int = 0) -> list[FunctionCall]:
        """What comes after a thought that ends in the reply's last line, if one does that had not begun."""
        first = self._last_line
        line = self._reply[first:]
        at = max(at, self.void - first)
        while mark := (None if at else self._passed.heading(line)) or self._passed.next(line, at):
            at = mark[1]
            if self._passed.voids:
                return self._anew(first + at)
        return []

    def _anew(self, void: int) -> list[FunctionCall]:
        """Begin anew after so many characters, which were thought; return the calls that come there."""
        self.void = void
        self._restart()
        return self._taking(self._reread, self._reread)

    @property
    def _last_line(self) -> int:
        """Where the reply's last line begins."""
        return self._reply.rfind("\n", 0, len(self._reply) - 1) + 1

    def _reread(self) -> list[FunctionCall]:
        """The calls of the reply so far; what was thought is blank, so that every place stays what it was."""
        rows = self._reply.count("\n", 0, self.void)
        columns = self.void - (self._reply.rfind("\n", 0, self.void) + 1)
        return self._read("\n" * rows + " " * columns + self._reply[self.void :])

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
            self._above, self._held = "", []
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
