"""A plan in a model's reply: which lines of it are statements, whatever stands around them.

Decides where a statement begins and where what follows it is no code; all else is prose, and
is blanked out, so that every line and column stays what it was. It must not know what a
statement says: a wrong one is the parser's to refuse, and is never passed over as prose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.errors import EmptyPlan, InvalidSyntax
from llmorch.plan import forms
from llmorch.plan.marks import unpaired
from llmorch.plan.statements import FORM
from llmorch.plan.thoughts import Thoughts

if TYPE_CHECKING:
    import re
    from collections.abc import Container, Iterable

    from llmorch.calls import CallId
    from llmorch.errors import PlanError

MAX_MENTIONS = 100
"""Calls that prose speaks of and that are looked for in the plan."""


class ReplyLines:
    """The statements in a reply, line by line.

    ``functions`` are those offered: of a name that is none of them, a call is meant as text.
    """

    def __init__(self, functions: Iterable[str] = ()) -> None:
        self.functions = frozenset(functions)
        self.thoughts = Thoughts("plan")
        self.void_at = 0
        """Where in its line a thought ended that had not begun."""
        self._unread: list[str] = []
        self._unread_number = 0
        self._begin()

    def _begin(self) -> None:
        self.said: tuple[int, str] | None = None
        """The first prose in it: the number of its line, and the line."""
        self._fence: tuple[str, int] | None = None
        self._fences = 0
        self._fenced_calls = False
        self._no_plan = False
        self._is_plain = True
        """Whether a line that looks like a statement is one, with nothing to be looked at twice."""
        self._after = 0
        """Where in the line the last fence ended."""
        self._opened_at = 0
        """Where in the line the last mark stands."""
        self._bold = self._ticked = False
        self._continued: re.Pattern[str] | None = None
        self._prompted = False
        """Whether the last statement stands after the prompt of a shell."""
        self._mentioned: dict[CallId, tuple[int, int, str]] = {}
        self._above = ""
        self.last = 0
        """The number of the line that ended the last statement; the parser says so."""

    @property
    def place(self) -> int:
        """The number of the fence that the last statement stands in; 0 outside, and -1 in backticks."""
        return -1 if self._ticked else self._fences if self._fence else 0

    def goes_on(self) -> None:
        """Take what comes now as a reply of its own, which goes on from what was read."""
        self.said = None
        self.thoughts.begun = self.thoughts.called = False

    def line(self, line: str, number: int, at: int = 0) -> str:
        """A line from its next statement on, with all before that blank; empty if none begins in it.

        What stands before ``at`` was a statement, and another can only follow a mark.
        """
        if (
            self._is_plain and not at and forms.BEGINS.match(line) and line.endswith(")")
        ):  # most of most replies
            return self._statement(line, 0)
        found = self._found(line, number, at)
        self._keep(line, number)
        self._is_plain = not (
            self.thoughts.inside
            or self.thoughts.ended
            or self._no_plan
            or self._bold
            or self._ticked
            or self._continued
        )
        return found

    def _keep(self, line: str, number: int) -> None:
        """Keep a line that is perhaps thought: what comes after a tag that may be closed or not."""
        if not self.thoughts.perhaps:
            self._unread = []
        elif self._unread:
            self._unread.append(line)
        else:
            self._unread, self._unread_number = [" " * self._opened_at + line[self._opened_at :]], number

    def unread(self) -> list[tuple[int, str]]:
        """At the end: the lines since a tag that is not closed, to be read anew with it as text."""
        unread, self._unread = self._unread, []
        if not unread or not self.thoughts.perhaps:
            return []
        self.thoughts.never_closed(unpaired("\n".join(unread)))
        return [*enumerate(unread, self._unread_number)]

    def _found(self, line: str, number: int, at: int) -> str:
        thoughts = self.thoughts
        self._number = number
        begin, fresh = at, not at
        if fresh:
            voids = thoughts.voids
            if heading := thoughts.heading(line):
                begin = heading[1]
                if thoughts.voids != voids:
                    self._begin()
                    self.void_at = begin
        while begin < len(line) and not thoughts.over:
            outside = not thoughts.inside and not thoughts.ended
            start = self._begins(line, begin, fresh=fresh) if outside else None
            if start is not None:
                return self._statement(line, start) if start < len(line) else ""
            voids = thoughts.voids
            mark = thoughts.next(line, begin)
            if outside and mark is None and self._is_garbage(line[max(begin, self._after) :]):
                return self._statement(line, begin)
            if outside:
                self._pass(line, max(begin, self._after), mark[0] if mark else len(line))
            if mark is None:
                return ""
            self._opened_at = mark[0]
            if thoughts.voids != voids:
                self._begin()
                self.void_at = mark[1]
            begin, fresh = mark[1], True
        return ""

    def last_line(self, line: str, number: int) -> str:
        """As ``line`` does it for a text's last line, which may be the beginning of a statement only."""
        found = self.line(line, number)
        if (
            found
            or not line.strip()
            or self.last != number - 1
            or self._prompted  # what a prompt shows below is what came of it
            or self.thoughts.inside
            or self.thoughts.ended
        ):
            return found
        cut = forms.CUT.fullmatch(line.strip())
        return line if cut and self._is_cut(cut["number"] or cut["id"], cut["name"] or "") else ""

    def _is_cut(self, id_: str | None, name: str) -> bool:
        names = not name or any(function.startswith(name) for function in self.functions)
        if id_:
            return names
        return bool(name) and (names or self._above.lstrip().startswith(name.rstrip("0123456789")))

    def continued(self, line: str, *, in_string: bool) -> str:
        """A further line of a statement, without what quotes it."""
        if self._continued is None or (found := self._continued.match(line)) is None:
            return line
        return line[found.end() :] if in_string else " " * found.end() + line[found.end() :]

    def ends(self, line: str, at: int) -> bool:
        """Whether what comes at this place, after a call, is no code."""
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
        if self.thoughts.inside:
            return EmptyPlan("the reply is a thought that doesn't end, without a call after it", hint=FORM)
        if self.thoughts.tag:
            return EmptyPlan(
                f"the reply holds only thoughts, as in {self.thoughts.tag}>, and no call outside of them",
                hint=FORM,
            )
        if self.thoughts.met:
            return EmptyPlan("the reply holds only thoughts, and no call", hint=FORM)
        return EmptyPlan("the plan has no call", hint=FORM)

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
                return None if is_bare or self._is_other(line, at) else at
            if fresh and not self._no_plan and forms.BLOCK.match(line, at) and forms.is_block(line[at:]):
                return at
            if line[at] in "<&[`~" and self.thoughts.is_mark(line, at):
                return None
            if fence := forms.FENCE.match(line, at):
                after = self._through(line, fence)
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

    def _is_other(self, line: str, at: int) -> bool:
        """Whether what looks like a call is told of: a signature, or words with others in brackets."""
        if "->" in line and (told := forms.SIGNATURE.match(line, at)):
            taken = told["parameters"]
            return taken.replace(",", "").replace(" ", "").isidentifier() or bool(forms.TYPED.search(taken))
        if (meaning := forms.MEANING.match(line, at)) and meaning["word"] not in self.functions:
            self._mention(meaning["id"], line, at)  # "s1 = the page about it"
            return True
        if told := forms.TOLD.match(line, at):
            return forms.CODE.search(line, told.end()) is None
        # After a plan in a fence, a call in backticks is one that is explained.
        return self._ticked and not self._fence and self._fenced_calls

    def _statement(self, line: str, at: int) -> str:
        self.thoughts.called_for()
        self._fenced_calls = self._fenced_calls or self._fence is not None
        if at:
            line = " " * at + line[at:]
        self._above = line
        self._prompted = self._continued is forms.PROMPTED
        if line[at].isdigit() and ("`" in line or "*" in line):
            decorated = forms.DECORATED.match(line)
            if decorated:
                self._bold = "*" in decorated[1]
                line = line[: decorated.start(1)] + " " * len(decorated[1]) + line[decorated.end(1) :]
        return line

    def _through(self, line: str, fence: re.Match[str]) -> int | None:
        """Open or close a fence; where its line goes on."""
        char, length = fence[1][0], len(fence[1])
        after = fence.end(1)
        rest = line[after:].strip()
        if self._fence is not None:
            if char != self._fence[0] or length < self._fence[1]:
                return None  # it is inside of a longer one
            if not fence["info"]:
                self._fence, self._no_plan = None, False
                return after
        self._fence = (char, length)
        self._fences += 1
        language = "" if forms.ON_ITS_FENCE.match(line, after) else fence["language"].lower()
        self._no_plan = self.thoughts.begun and language in forms.NO_PLAN
        if not rest or not language:
            return after
        return fence.end() if forms.ON_ITS_FENCE.match(line, fence.end()) else len(line)

    def _is_garbage(self, text: str) -> bool:
        """Whether nobody would say this, so that the reply is broken where it stands."""
        text = text.strip(" \t\r")
        return bool(forms.GARBAGE.fullmatch(text)) and not forms.RULE.fullmatch(text) and not self._no_plan

    def _pass(self, line: str, start: int, end: int) -> None:
        """Take note of prose in a line."""
        text = line[start:end].strip()
        if not text or text.startswith("#") or self._no_plan:
            return
        if fence := forms.fence_at_end(line, start, end):
            self._through(line, fence)
        if self.said is None and not forms.RULE.fullmatch(text):
            self.said = (self._number, line)
        for found in forms.MENTIONED.finditer(line, start, end):
            if found["name"] in self.functions:
                self._mention(found["id"], line, found.start())

    def _mention(self, id_: CallId, line: str, at: int) -> None:
        if len(self._mentioned) < MAX_MENTIONS:
            self._mentioned.setdefault(id_, (self._number, at + 1, line))
