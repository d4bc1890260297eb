"""What a model writes besides its reply: thoughts in tags, and tokens that end or frame a turn.

Decides what is a thought, whatever is in it, and where a reply ends. It must not know what
the reply says. Everything is looked at once, but for what a tag that is never closed stands before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from llmorch.errors import PlanTooLarge
from llmorch.plan import forms
from llmorch.plan.marks import (
    ANOTHER_TURN,
    LABEL,
    MARK,
    MAYBE,
    NAMES_A_THOUGHT,
    PLAN,
    THINKING,
    family,
    is_plain,
    tag,
    unpaired,
)
from llmorch.plan.scanning import Extent

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_VOIDS = 100
"""Thoughts that end without having begun, after which a reply is over: each has it read anew."""

MAX_BEGINNING = 20
"""More characters than the longest of what marks begin with."""
_STRING = re.compile(r"\\.|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_CALL = re.compile(r"\w\(")
_GIVEN = re.compile(r"[=:][ \t]*[\w.]+\($")
"""A call that an id is given to."""
_FENCED = "```"
"""A thought in a fence, among those that are open."""
_QUOTES = ("``", '""', "''", "“”", "\u2018\u2019", "«»", "「」")


def closes(code: str, at: int = 0, quote: str = "") -> int | None:
    """Where in a line of code a thought ends, outside of its strings; ``quote`` is open at its end."""
    if not MAYBE.search(code, at):
        return None
    code = code[: code.rfind(quote)] if quote else code
    code = _STRING.sub(lambda found: " " * len(found.group()), code)
    for maybe in MAYBE.finditer(code, at):
        found = MARK.match(code, maybe.start())
        if found and found.lastgroup in ("open", "close"):
            return maybe.start() if found.lastgroup == "close" else None
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
        """The name of the last tag whose pair held a thought."""
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
        """Whether a mark of any kind stands at this place."""
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

    def heading(self, line: str) -> tuple[int, int] | None:
        """The place of a heading at which a line begins after which things are different, as with ``next``."""
        gap, self._gap = self._gap, not line.strip()
        bracketed = self._open[-1:] and self._open[-1].startswith("[")
        if self.over or (self.inside and not (bracketed or self.perhaps)):
            return None
        if bracketed and (found := LABEL.match(line)):
            self._open.pop()
            return found.span()
        if self.headed and (found := PLAN.match(line)) and (self._reading == "plan" or not found["answer"]):
            self.headed = False
            self._open.clear()
            self._void()
            rest = line[found.end() :].strip()
            # What is said of the plan belongs to it.
            return (0, found.end() if not rest or forms.beginning(rest) is not None else 0)
        if self._reading == "text" or self.inside:
            return None
        if self.called:
            found = ANOTHER_TURN.match(line)
            if found and (gap or not found["comment"]):
                self.ended = True
                return found.span()
        elif not self.headed:
            self.headed = THINKING.match(line) is not None
        return None

    def next(self, line: str, at: int, until: int | None = None) -> tuple[int, int] | None:
        """Go on to the next mark in this line, from ``at`` on, after which things are different; its place."""
        until = len(line) if until is None else until
        while (
            not self.over
            and (maybe := MAYBE.search(line, at, until + MAX_BEGINNING))
            and maybe.start() < until
        ):
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
        text, kind = mark.group().lower(), mark.lastgroup
        if kind == "tag":
            return self._passes_tag(mark)
        if kind == "fence":
            return self._passes_fence(mark["language"])
        kin = family(text)
        if self.ended and not (kind == "close" and kin == "channel"):
            return False
        if text == "<|end|>" and kind == "end" and self._open[-1:] == ["channel"]:
            kind = "close"
            kin = "channel"
        if self._open and kind not in ("open", "close"):
            return False
        if kind == "open":
            if not text.endswith("/>") and not (kin == "channel" and kin in self._open):
                self._open.append(kin)
                self.met = True
        elif kind == "close":
            if kin in self._open:
                while self._open.pop() != kin:
                    pass
            elif self._open:
                return False
            else:
                self._void()
        elif kind == "end" or (kind == "assistant" and self.begun):
            self.ended = True
            self._may_go_on = text == "<|end|>"  # before another channel of the same reply, too
        return True

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
        return not is_plain(mark["name"] or "")

    def _passes_tag(self, mark: re.Match[str]) -> bool:
        if not self._is_thought(mark):
            return False
        name, closes = tag(mark)
        if closes:
            while self._open.pop() != name:
                pass
            self.met, self.tag = True, name
        elif not self._open or self._open[-1] == name:
            self._open.append(name)
        else:
            return False
        return True

    def _passes_fence(self, language: str) -> bool:
        """Take a fence: it holds a thought if its language is called one."""
        if self._open[-1:] == [_FENCED] and not language:
            self._open.pop()
        elif self._open[-1:] == [_FENCED] or (
            not self._open and not self.ended and NAMES_A_THOUGHT.fullmatch(language)
        ):
            self._open.append(_FENCED)
            self.met = True
        else:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a reply says once its thoughts are left out."""

    text: str
    thoughts: bool = False
    """Whether there were any."""
    ended: bool = False
    """Whether it came to an end token."""


def spoken(text: str) -> Spoken:
    """A whole reply without its thoughts, and without what comes after its end.

    What stands in the brackets of a call is left as it is, strings and all.
    """
    if not MAYBE.search(text) or not MARK.search(text):
        return Spoken(text)
    thoughts, dropped = _dropped(text, Thoughts())
    if not dropped:
        return Spoken(text)
    ends = [0, *(end for _, end in dropped)]
    starts = [*(start for start, _ in dropped), len(text)]
    kept = "".join(text[end:start] for end, start in zip(ends, starts, strict=True))
    return Spoken(kept.strip(), thoughts.met, thoughts.ended)


def blanked(text: str, reading: Reading = "plan") -> str:
    """A reply whose thoughts are blank, so that all else keeps its line and column."""
    if not MAYBE.search(text) and all(not line or forms.BEGINS.match(line) for line in text.split("\n")):
        return text  # as most plans are
    pieces, at = [], 0
    for start, end in _dropped(text, Thoughts(reading, unpaired(text)))[1]:
        last = text.rfind("\n", start, end) + 1
        pieces += [text[at:start], "\n" * text.count("\n", start, end), " " * (end - (last or start))]
        at = end
    return "".join([*pieces, text[at:]])


def _dropped(text: str, thoughts: Thoughts) -> tuple[Thoughts, Sequence[tuple[int, int]]]:
    """What is no part of a reply, as places in its text."""
    dropped: list[tuple[int, int]] = []
    since = 0  # where the thought that is open began
    lines = text.split("\n")
    row, at, first = 0, 0, 0  # a line, a place in it, and the place of its beginning in the text
    headed = -1  # the last line that was looked at for a heading
    found: re.Match[str] | None = None
    searched = -1  # the line in which the next call was last looked for
    fresh = True  # whether a statement could begin here
    unclosed = -1  # the last line of which calls are not looked for: their brackets are not closed
    while row < len(lines) and not thoughts.over:
        line = lines[row]
        voids, inside, ended = thoughts.voids, thoughts.inside, thoughts.ended
        mark = None
        if headed < row and not at:
            headed, mark = row, thoughts.heading(line)
        is_code = mark is None and row > unclosed and not inside and not ended
        if is_code and (searched != row or (found and found.start() < at)):
            found, searched = _CALL.search(line, at), row
        call = found if is_code else None
        mark = mark or thoughts.next(line, at, call.start() if call else None)
        if mark is None:
            thoughts.begun = thoughts.begun or (not inside and bool(line[at:].strip()))
            if call:
                if fresh and not thoughts.called and _is_statement(line, at, call.end()):
                    thoughts.called_for()
                fresh = False
                end = _after_call(lines, row, call.end() - 1)
                if end is None:
                    unclosed, at = len(lines), call.end()
                elif end == (row, -1):
                    unclosed, at = row, call.end()
                else:
                    first += sum(len(passed) + 1 for passed in lines[row : end[0]])
                    row, at = end
            else:
                first += len(line) + 1
                row, at, fresh = row + 1, 0, True
            continue
        (start, at), fresh = mark, True
        if thoughts.voids != voids:
            dropped = [(0, first + at)]
        elif not inside and thoughts.inside:
            since = first + start
        elif inside and not thoughts.inside:
            dropped.append((since, first + at))
        elif not inside:
            dropped.append((first + start, len(text) if thoughts.ended else first + at))
    if thoughts.inside:
        dropped.append((since, len(text)))
    return thoughts, dropped


def _is_statement(line: str, at: int, end: int) -> bool:
    """Whether the call that is named down to ``end`` is one to be made."""
    return _GIVEN.search(line, at, end) is not None or forms.beginning(line[at:]) is not None


def _after_call(lines: Sequence[str], row: int, at: int) -> tuple[int, int] | None:
    """The line and the place in it after a call whose bracket opens here, or at a thought's end amid it.

    ``None`` if it is never closed; the place is -1 if a string in this very line isn't.
    """
    extent = Extent()
    first = row
    try:
        while row < len(lines):
            amid = extent.quote
            end = extent.follow(lines[row], 1, lambda *_: True, at)
            if not amid and (mark := closes(lines[row][:end], at, extent.quote)) is not None:
                return row, mark
            if extent.broken:
                return (first, -1) if row == first else None
            if not extent.goes_on(lines[row][:end]):
                return row, end
            row, at = row + 1, 0
    except PlanTooLarge:
        pass
    return None
