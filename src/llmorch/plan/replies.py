"""A plan in a model's reply: which lines of it are statements, whatever is thought or said around them.

Decides where a statement begins and where what follows it is no code; all else is blank in a
statement's text, so that every line and column stays what it was. It must not know what a statement
says: a wrong one is the parser's to refuse, and is never passed over as prose. What is thought is
``thoughts``'s to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.errors import EmptyPlan, InvalidSyntax, PlanTooLarge
from llmorch.plan import forms
from llmorch.plan.scanner import FORM, Scanner, Statement
from llmorch.plan.thoughts import Thoughts, closes

if TYPE_CHECKING:
    import re
    from collections.abc import Container, Iterable

    from llmorch.calls import CallId
    from llmorch.errors import PlanError


MAX_COPIED = 2_000_000
"""Characters of the statements that begin in one line, each with all that stands before it there."""


class ReplyScanner(Scanner):
    """Finds the statements in a reply, line by line, whatever stands around them.

    ``functions`` are those offered: of a name that is none of them, a call is meant as text.
    ``above`` is how many lines the reply goes on from.
    """

    _whole = False
    """Whether only what is thought is looked for: then any call may be code, wherever it stands."""

    def __init__(
        self, functions: Iterable[str] = (), *, above: int = 0, thoughts: Thoughts | None = None
    ) -> None:
        super().__init__()
        self.functions = frozenset(functions)
        self.thoughts = thoughts or Thoughts("plan")
        self.number = above
        self.void_at = 0
        """Where in its line a thought ended that had not begun: nothing before it counts."""
        self.dropped: list[tuple[int, int | None]] = []
        """What is no part of the reply, as positions in its text; ``None`` is the text's end."""
        self._first = self._next = 0
        """Where in the text this line begins, and where the next one does."""
        self._since = 0
        """Where the thought that is open began."""
        self._unread: list[tuple[int, str]] = []
        """The lines since a tag that begins a thought only if it is closed."""
        self._begin()

    def _begin(self) -> None:
        """Take all before as thought."""
        self._open, self._size = [], 0
        self._voids = self.thoughts.voids
        self.said: tuple[int, str] | None = None
        """The first prose: the number of its line, and the line."""
        self._fence: tuple[str, int] | None = None
        self._fences = 0
        self._fenced_calls = False
        self._no_plan = False
        self._after = 0
        """Where in the line the last fence ended."""
        self._bold = self._ticked = False
        self._continued: re.Pattern[str] | None = None
        self._prompted = False
        """Whether the last statement stands after the prompt of a shell."""
        self._mentioned: dict[CallId, tuple[int, int, str]] = {}
        """Where prose speaks of a call."""
        self._above = ""
        self._last = 0
        """The number of the line that ended the last statement."""
        self._copied = 0
        """Characters that the statements of this line have, with what is blank before them."""

    def line(self, line: str) -> list[Statement]:
        """The statements that this line completes, without those before a thought's end that voids them."""
        found: list[Statement] = []
        self.number += 1
        self._first, self._next = self._next, self._next + len(line) + 1
        self.bound(len(line), self.number)
        self._copied = 0
        self._scan(line.removesuffix("\r"), found)
        if not self.thoughts.perhaps:
            self._unread = []
        else:  # of its first line, what stands before the tag has been read
            at = 0 if self._unread else self._since - self._first
            self._unread.append((self.number, " " * at + line[at:]))
        return found

    def end(self, line: str) -> list[Statement]:
        """The statements of the last line, and of those since a tag that was never closed."""
        found = [*(self._last_line(line) if line else ()), *self._rest()]
        if self._unread and self.thoughts.perhaps:
            unread, self._unread = self._unread, []
            self.thoughts.never_closed(forms.unpaired("\n".join(line for _, line in unread)))
            for number, again in unread:
                self.number = number - 1
                voids = self._voids
                more = self.line(again)
                found = [*found, *more] if self._voids == voids else more
            found += self._rest()
        return found

    def _scan(self, line: str, found: list[Statement]) -> None:
        thoughts = self.thoughts
        at, fresh, broken, marked = 0, not self._open, False, False
        if self._open:
            line = self._without_quotes(line)
            at, marked = self._through(line, 0, found)
        else:
            inside = thoughts.inside
            if heading := thoughts.heading(line):
                self._change(heading, found, inside=inside)
                at = heading[1]
        while at < len(line) and not thoughts.over:
            outside, inside = not thoughts.inside and not thoughts.ended, thoughts.inside
            begins = outside and not broken and not marked
            if begins and (start := self._begins(line, at, fresh=fresh)) is not None:
                if start == len(line):
                    return
                at, marked = self._through(self._code_from(line, start), start, found)
                broken = self._broken
                fresh = self._whole
                continue
            marked = False
            mark = thoughts.next(line, at)
            if outside and not broken:
                at = max(at, self._after)
                if mark is None and not self._no_plan and forms.is_garbage(line[at:]):
                    self._through(self._code_from(line, at), at, found)
                    return
                self._pass(line, at, mark[0] if mark else len(line))
            if mark is None:
                return
            self._change(mark, found, inside=inside)
            at, fresh, broken = mark[1], True, False

    def _change(self, mark: tuple[int, int], found: list[Statement], *, inside: bool) -> None:
        """Take note of a mark; ``inside`` says whether it stands in a thought."""
        start, end = self._first + mark[0], self._first + mark[1]
        thoughts = self.thoughts
        if thoughts.voids != self._voids:
            self._begin()
            found.clear()
            self.void_at = mark[1]
            self.dropped = [(0, end)]
        elif thoughts.inside and not inside:
            self._since = start
        elif inside and not thoughts.inside:
            self.dropped.append((self._since, end))
        elif not inside and not (self.dropped and self.dropped[-1][1] is None):
            self.dropped.append((start, None if thoughts.ended else end))

    def _through(self, line: str, at: int, found: list[Statement]) -> tuple[int, bool]:
        """Go through code; return where else there may be a mark, and whether it is a thought's end amid it."""
        amid = bool(self._open) and self._quote
        end = self._code(line, at, found, self._ends)
        if self._broken:
            return at, False
        if not self._open:
            self._last = self.number
        mark = None if amid else closes(line, at, end, self._quote)
        return (end, False) if mark is None else (mark, True)

    def _statement(self, text: str, line: int) -> Statement:
        return Statement(text, line, -1 if self._ticked else self._fences if self._fence else 0)

    def _last_line(self, line: str) -> list[Statement]:
        """The statements of the last line, which may be the beginning of one only."""
        thoughts, open_ = self.thoughts, bool(self._open)
        found = self.line(line)
        if found or open_ or self._open or not line.strip() or self._last != self.number - 1:
            return found
        if self._prompted or thoughts.inside or thoughts.ended:
            return found  # what a prompt shows below is what came of it
        if cut := forms.CUT.fullmatch(line.strip()):
            name = cut["name"] or ""
            begins = any(function.startswith(name) for function in self.functions)
            if cut["number"] or cut["id"]:
                is_cut = begins or not name
            else:
                is_cut = bool(name) and (begins or self._above.lstrip().startswith(name.rstrip("0123456789")))
            if is_cut:
                self._through(line, 0, found)
        return found

    def _without_quotes(self, line: str) -> str:
        """A further line of a statement, without what quotes it."""
        if self._continued is None or (found := self._continued.match(line)) is None:
            return line
        return line[found.end() :] if self._quote else " " * found.end() + line[found.end() :]

    def _ends(self, line: str, at: int) -> bool:
        """Whether what comes at this position, after a call, is no code."""
        found = forms.AFTER.match(line, at)
        if found is None:
            return False
        if found["bold"]:
            return self._bold
        if found["comment"]:
            return "<" in line[at:] or "[" in line[at:] or "◁" in line[at:]  # perhaps a mark
        if mark := found["mark"]:
            return len(mark) > 1 or self.thoughts.is_mark(line, found.start("mark"))
        return True

    def empty(self) -> EmptyPlan:
        """Why there is no plan in a reply that says nothing else."""
        thoughts = self.thoughts
        if thoughts.inside:
            why = "the reply is a thought that doesn't end, without a call after it"
        elif thoughts.tag:
            why = f"the reply holds only thoughts, as in {thoughts.tag}>, and no call outside of them"
        else:
            why = "the reply holds only thoughts, and no call" if thoughts.met else "the plan has no call"
        return EmptyPlan(why, hint=FORM)

    def lost(self, known: Container[CallId]) -> PlanError | None:
        """An error at a call that only a sentence makes: nobody can say whether it was meant."""
        for id_, (number, column, line) in self._mentioned.items():
            if id_ not in known:
                return InvalidSyntax(
                    f"{id_} stands amid other text only", line=number, column=column, text=line, hint=FORM
                )
        return None

    def _begins(self, line: str, at: int, *, fresh: bool) -> int | None:
        """Where a statement begins, after labels and fences; the line's end where that is all there is."""
        self._bold = self._ticked = False
        self._continued = None
        self._after = 0
        at = forms.SPACE.match(line, at).end()  # type: ignore[union-attr]
        label: re.Match[str] | None = None
        while at < len(line):
            if fresh and not self._no_plan and forms.BEGINS.match(line, at):
                if line.endswith(")"):
                    return at
                self._ticked = self._ticked or forms.NUMBER_TICKED.match(line, at) is not None
                is_bare = label is not None and forms.BARE.match(line, at)
                return None if is_bare or self._is_mention(line, at) else at
            if fresh and not self._no_plan and forms.BLOCK.match(line, at) and forms.is_block(line[at:]):
                return at
            if line[at] in "<&[`~" and self.thoughts.is_mark(line, at):
                return None
            if fence := forms.FENCE.match(line, at):
                after = self._through_fence(line, fence)
                if after is None:
                    return None
                at = self._after = after
                continue
            label = forms.LABEL.match(line, at) if fresh else None
            if label is None:
                return None
            text = label.group()
            self._bold = self._bold or "*" in text or "_" in text
            self._ticked = self._ticked or "`" in text
            if text.startswith(">"):
                self._continued = forms.PROMPTED if text == ">>>" else forms.QUOTED
            at = label.end()
        return at

    def _is_mention(self, line: str, at: int) -> bool:
        """Whether what looks like a call only mentions one: a signature, or words with others in brackets."""
        if found := forms.SIGNATURE.match(line, at):
            taken = found["parameters"]
            return taken.replace(",", "").replace(" ", "").isidentifier() or bool(forms.TYPED.search(taken))
        if (meaning := forms.MEANING.match(line, at)) and meaning["word"] not in self.functions:
            self._mentioned.setdefault(meaning["id"], (self.number, at + 1, line))  # "s1 = the page about it"
            return True
        if found := forms.MENTION.match(line, at):
            return forms.CODE.search(line, found.end()) is None
        # After a plan in a fence, a call in backticks is one that is explained.
        return self._ticked and not self._fence and self._fenced_calls

    def _code_from(self, line: str, at: int) -> str:
        """The line from a statement's beginning on, with all before that blank. Raises ``PlanTooLarge``."""
        self.thoughts.called_for()
        self._fenced_calls = self._fenced_calls or self._fence is not None
        self._prompted = self._continued is forms.PROMPTED
        self._copied += len(line)
        if self._copied > MAX_COPIED:  # each has a text as long as the line, so that its columns stay
            raise PlanTooLarge("a long line has too many calls", line=self.number, column=at + 1, hint=FORM)
        self._above = line = " " * at + line[at:]
        if line[at].isdigit() and (decorated := forms.DECORATED.match(line)):
            self._bold = "*" in decorated[1]
            line = line[: decorated.start(1)] + " " * len(decorated[1]) + line[decorated.end(1) :]
        return line

    def _through_fence(self, line: str, fence: re.Match[str]) -> int | None:
        """Open or close a fence; where its line goes on."""
        char, length = fence[1][0], len(fence[1])
        after = fence.end(1)
        if self._fence is not None:
            if char != self._fence[0] or length < self._fence[1]:
                return None  # it is inside of a longer one
            if not fence["info"]:
                self._fence, self._no_plan = None, False
                return after
        self._fence = (char, length)
        self._fences += 1
        language = "" if forms.ON_ITS_FENCE.match(line, after) else fence["language"].lower()
        self._no_plan = self.thoughts.begun and language in forms.NO_PLAN and not self._whole
        if not line[after:].strip() or not language:
            return after
        return fence.end() if forms.ON_ITS_FENCE.match(line, fence.end()) else len(line)

    def _pass(self, line: str, start: int, end: int) -> None:
        """Take note of prose in a line."""
        text = line[start:end].strip()
        if text and end == len(line):
            self.thoughts.said()
        if not text or text.startswith("#") or self._no_plan:
            return
        if fence := forms.fence_at_end(line, start, end):
            self._through_fence(line, fence)
        if self.said is None and not forms.RULE.fullmatch(text):
            self.said = (self.number, line)
        for found in forms.MENTIONED.finditer(line, start, end):
            if found["name"] in self.functions:
                self._mentioned.setdefault(found["id"], (self.number, found.start() + 1, line))
