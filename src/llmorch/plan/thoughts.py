"""What a model writes besides its reply: thoughts in tags, and tokens that end or frame a turn.

Decides what is a thought, whatever is in it, and where a reply ends.
Everything is looked at once, but for what a tag that is never closed stands before.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from llmorch.plan import forms
from llmorch.plan.forms import MARK, MAYBE, NAMES_A_THOUGHT, tag

MAX_VOIDS = 100
"""Thoughts that end without having begun, after which a reply is over: each has it read anew."""

_STRING = re.compile(r"\\.|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_FENCED = "```"
"""A thought in a fence, among those that are open."""
_QUOTES = ("``", '""', "''", "“”", "\u2018\u2019", "«»", "「」")


def closes(line: str, at: int, end: int, quote: str = "") -> int | None:
    """Where in code, from ``at`` to ``end`` of a line, a thought ends, outside strings; ``quote`` is open there."""
    if not MAYBE.search(line, at, end):
        return None
    code = line[at : line.rfind(quote, at, end) if quote else end]
    code = _STRING.sub(lambda found: " " * len(found.group()), code)
    for maybe in MAYBE.finditer(code):
        found = MARK.match(code, maybe.start())
        if found and found.lastgroup in ("open", "close"):
            return at + maybe.start() if found.lastgroup == "close" else None
    return None


Reading: TypeAlias = Literal["plan", "turn", "text"]
"""What a reply is read for. In any text only marks that name a thought are thoughts, as it may be in HTML.

Where calls are looked for, what stands in a pair of other tags is thought too, unless their name is
one for a plan; and what comes below a heading of thoughts, down to one of the plan. In a turn an
answer is no such plan: calls may come before it.
"""


class Thoughts:
    """Follows a reply's text, line by line, through thoughts to its end.

    ``plain`` are the names of tags that are known to be never closed.
    """

    def __init__(self, reading: Reading = "text", plain: frozenset[str] = frozenset()) -> None:
        self._reading = reading
        self._plain = plain
        self._open: list[str] = []
        self._may_go_on = False
        self._line, self._counted, self._quotes, self._last_quote = "", 0, 0, -1
        self.ended = False
        """Whether an end token was met: what comes after it is not the reply's."""
        self.begun = False
        """Whether there was anything of the reply itself; whoever reads it says so."""
        self.called = False
        """Whether there was a call; whoever reads it says so."""
        self.headed = False
        """Whether there was a heading of thoughts, before any call."""
        self._gap = False
        """Whether the last line was empty."""
        self.met = False
        """Whether there was a thought."""
        self.tag = ""
        """The name of the last tag whose pair enclosed a thought."""
        self.voids = 0
        """How often a thought ended that had not begun: all before its end was thought."""

    @property
    def inside(self) -> bool:
        """Whether the text is amid a thought."""
        return bool(self._open)

    @property
    def perhaps(self) -> bool:
        """Whether the text is a thought only if a tag of any name, which is open, is closed."""
        return bool(self._open) and self._open[0].startswith("<")

    def never_closed(self, names: frozenset[str]) -> None:
        """Take tags of these names as text, and what came since one of them was opened as unread."""
        self._plain |= names
        self._open.clear()

    @property
    def over(self) -> bool:
        """Whether nothing that may come can be the reply's."""
        return self.ended and not self._may_go_on

    def is_mark(self, line: str, at: int) -> bool:
        """Whether a mark of any kind stands at this position."""
        found = MARK.match(line, at)
        if found is None:
            return False
        if found.lastgroup == "fence":
            return NAMES_A_THOUGHT.fullmatch(found["language"]) is not None
        return found.lastgroup != "tag" or self._is_thought(found)

    def called_for(self) -> None:
        """Take note that a call stands here."""
        self.begun = self.called = True
        self._gap = False

    def said(self) -> None:
        """Take note of prose, which is no part of a plan."""
        self.begun = self.begun or self._reading != "plan"

    def heading(self, line: str) -> tuple[int, int] | None:
        """The position of a heading at which a line begins after which things are different, as with ``next``."""
        gap, self._gap = self._gap, not line.strip()
        bracketed = self._open[-1:] and self._open[-1].startswith("[")
        if self.over or (self.inside and not (bracketed or self.perhaps)):
            return None
        if bracketed and (found := forms.BRACKETED.match(line)):
            self._open.pop()
            return found.span()
        if (
            self.headed
            and (found := forms.PLAN.match(line))
            and (self._reading == "plan" or not found["answer"])
        ):
            self.headed = False
            self._open.clear()
            self._void()
            rest = line[found.end() :].strip()
            # What is said of the plan belongs to it.
            return (0, found.end() if not rest or forms.beginning(rest) is not None else 0)
        if self._reading == "text" or self.inside:
            return None
        if self.called:
            found = forms.ANOTHER_TURN.match(line)
            if found and (gap or not found["comment"]):
                self.ended = True
                return found.span()
        elif not self.headed:
            self.headed = forms.THINKING.match(line) is not None
        return None

    def next(self, line: str, at: int) -> tuple[int, int] | None:
        """Go on to the next mark in this line, from ``at`` on, after which things are different; its position."""
        while not self.over and (maybe := MAYBE.search(line, at)):
            at = maybe.start()
            found = MARK.match(line, at)
            if found is None or self._is_mentioned(line, *found.span()):
                at = found.end() if found else at + 1
            elif self._passes(found):
                return found.span()
            else:
                at = found.end()
        return None

    def _is_mentioned(self, line: str, start: int, end: int) -> bool:
        """Whether a mark is spoken of: it stands in quotes or, outside of thoughts, amid what is quoted."""
        if line[start - 1 : start] + line[end : end + 1] in _QUOTES:
            return True
        if self._open:
            return False
        if self._line is not line or start < self._counted:
            self._line, self._counted, self._quotes = line, 0, 0
            self._last_quote = line.rfind('"')
        if self._last_quote < end:
            return False
        self._quotes += line.count('"', self._counted, start)
        self._counted = start
        return self._quotes % 2 == 1

    def _passes(self, mark: re.Match[str]) -> bool:
        """Take a mark; whether it means anything here."""
        text = mark.group().lower()
        kind, kin = self._kind(mark, text)
        if self.ended and not (kind == "close" and kin == "channel"):
            return False
        match kind:
            case "open":
                if not text.endswith("/>") and not (kin == "channel" and kin in self._open):
                    self._open.append(kin)
                    self.met = self.met or not self.perhaps
            case "close" if kin in self._open:
                while self._open.pop() != kin:
                    pass
                self.met = True
                self.tag = kin if kin.startswith("<") else self.tag
            case _ if self._open or not kind:
                return False
            case "close":
                self._void()
            case "end" | "assistant" if kind == "end" or self.begun:
                self.ended = True
                self._may_go_on = text == "<|end|>"  # before another channel of the same reply, too
        return True

    def _kind(self, mark: re.Match[str], text: str) -> tuple[str, str]:
        """What a mark does here, nothing if it is none, and what it has in common with its other end."""
        kind, top = str(mark.lastgroup), self._open[-1:]
        if kind == "tag":
            name, closes = tag(mark)
            opens = not closes and (not top or top == [name])
            return ("close" if closes else "open" if opens else "") if self._is_thought(mark) else "", name
        if kind == "fence":
            language = mark["language"]
            if top == [_FENCED]:
                return "open" if language else "close", _FENCED
            return "open" if not top and NAMES_A_THOUGHT.fullmatch(language) else "", _FENCED
        if kind == "end" and text == "<|end|>" and top == ["channel"]:
            return "close", "channel"
        return kind, forms.family(text)

    def _void(self) -> None:
        """Take all that came before as thought."""
        self.voids += 1
        self.ended = self.voids == MAX_VOIDS
        self.begun = self.called = self._may_go_on = False
        self.met = True

    def _is_thought(self, mark: re.Match[str]) -> bool:
        """Whether a tag that names no thought is the end of one that is open, or begins one unless it is unpaired."""
        if self._reading == "text":
            return False
        name, closes = tag(mark)
        if closes:
            return name in self._open
        if mark["empty"] or name in self._plain or self.ended:
            return False
        return not forms.is_plain(mark["name"] or "")
