"""Reads a plan as a model writes it: parsed and checked line by line, so that its calls can start at once.

Decides which lines a repair can go on from, whether it did, and when what looked like a plan
was thought.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from llmorch.errors import DuplicateId, PlanError, PlanTooLarge
from llmorch.plan import Checker, Parser, render_without_id, with_query
from llmorch.plan.replies import ReplyScanner
from llmorch.plan.spoken import blanked, spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.calls import FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.techniques import WritePlan


class DraftReader:
    """A reply that is a plan, or what comes below the lines that ``wanted.above`` has already.

    ``earlier`` are the calls of other plans whose results it may use.
    """

    def __init__(
        self, wanted: WritePlan, functions: Mapping[str, Function], earlier: Sequence[FunctionCall] = ()
    ) -> None:
        self._wanted, self._functions = wanted, functions
        self._earlier = [call.id for call in earlier]
        self._checker = Checker(functions, earlier)
        self._reply = ""
        self.void = 0
        """How many characters of it were thought after all: no call in them that was handed on counts."""
        self._restart(wanted.above)

    def _restart(self, above: str) -> list[FunctionCall]:
        """Read what was no thought of the reply anew, below these lines; return its calls."""
        self._above = above
        self._wrong: PlanError | None = None
        """What is wrong with the text, unless all of it turns out to be thought."""
        self.calls: list[FunctionCall] = []
        parser = Parser(self._earlier, numbers=True, reply=ReplyScanner(self._functions))
        self._pending = self._checked(parser.feed(above))
        """Calls of the lines above, until it is clear that the reply goes on from them."""
        row = self._reply.count("\n", 0, self.void)
        column = self.void - (self._reply.rfind("\n", 0, self.void) + 1)
        self._scanner = ReplyScanner(self._functions, above=above.count("\n") + row)
        self._parser = Parser(self._earlier, above=self._pending, numbers=True, reply=self._scanner)
        return self._taking(partial(self._parser.feed, " " * column + self._reply[self.void :]))

    @property
    def text(self) -> str:
        """All of the plan, as it was written, with its thoughts blank."""
        return self._above + blanked(self._reply)

    @property
    def over(self) -> bool:
        """Whether the reply has said that it ends."""
        return self._scanner.thoughts.over

    @property
    def ends(self) -> bool:
        """Whether the reply has said that it ends, or says so in a line that isn't complete."""
        return self.over or spoken(self._reply[self._last_line :]).ended

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
            found = self._taking(partial(self._parser.feed, line))
            calls = [*calls, *found] if self.void == before else found
        return calls

    def finish(self) -> list[FunctionCall]:
        """End the reply; return the calls of the last line. Raises ``PlanError``."""
        calls: list[FunctionCall] = []
        parser = None
        while parser is not self._parser:  # else it was begun anew
            parser = self._parser
            before = self.void
            found = self._taking(parser.finish)
            calls = [*calls, *found] if self.void == before else found
        if self._wrong:
            raise self._wrong
        return calls

    def cut_off(self, max_tokens: int) -> PlanError:
        """What is wrong with a reply that the model was not done with when its tokens were used up."""
        return self._wrong or PlanTooLarge.cut_off(self.text, max_tokens)

    def above(self, error: PlanError) -> str:
        """The lines above an error, down to the last call that is right."""
        if isinstance(error, PlanTooLarge):
            return ""  # what led there may stand above
        ends = [call.position[0] + call.text.count("\n") for call in self.calls]
        end = max((end for end in ends if end < error.line), default=0)
        return "".join(f"{line}\n" for line in self.text.split("\n")[:end])

    def _taking(self, read: Callable[[], list[FunctionCall]]) -> list[FunctionCall]:
        """What the parser reads, after the calls above; what comes after all that turns out to be thought.

        Where one of the lines above is written again, the reply is the whole plan.
        """
        again = False
        try:
            found = self._checked(read())
        except PlanError as error:
            found = []
            again = bool(self._pending) and isinstance(error, DuplicateId)
            if not (self._parser.voids or again):
                if self._scanner.said is None:
                    raise
                self._wrong = self._wrong or error
        if self._parser.voids:
            self.void = self._last_line + self._scanner.void_at
            return self._restart(self._wanted.above)
        # A call without an id never has an id that is taken.
        if again or (found and render_without_id(found[0]) in map(render_without_id, self._pending)):
            return self._restart("")
        if self._wrong:
            return []
        if found and self._pending:
            found, self._pending = [*self._pending, *found], []
        return found

    @property
    def _last_line(self) -> int:
        """Where the reply's last line begins."""
        return self._reply.rfind("\n", 0, len(self._reply) - 1) + 1

    def _checked(self, found: Sequence[FunctionCall]) -> list[FunctionCall]:
        checked = []
        for call in found:
            checked.append(with_query(self._checker.check(call), self._wanted.query))
            self.calls.append(checked[-1])
        return checked
