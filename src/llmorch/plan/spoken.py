"""A whole reply without its thoughts: left out, or blank.

Decides nothing by itself: what is thought is ``thoughts``'s to say, and what is code ``replies``'s.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmorch.errors import PlanTooLarge
from llmorch.plan import forms
from llmorch.plan.forms import MARK, MAYBE, unpaired
from llmorch.plan.replies import ReplyScanner
from llmorch.plan.thoughts import Thoughts

if TYPE_CHECKING:
    from llmorch.plan.thoughts import Reading


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a reply says once its thoughts are left out."""

    text: str
    thoughts: bool = False
    """Whether there were any."""
    ended: bool = False
    """Whether it came to an end token."""


def spoken(text: str) -> Spoken:
    """A whole reply without its thoughts, and without what comes after its end; calls are left as they are."""
    if not MAYBE.search(text) or not MARK.search(text):
        return Spoken(text)
    scanner = _scanned(text, "text")
    if not scanner.dropped:
        return Spoken(text)
    kept, at = "", 0
    for start, end in scanner.dropped:
        kept, at = kept + text[at:start], len(text) if end is None else end
    return Spoken((kept + text[at:]).strip(), scanner.thoughts.met, scanner.thoughts.ended)


def blanked(text: str, reading: Reading = "plan") -> str:
    """A reply whose thoughts are blank, so that all else keeps its line and column."""
    if not MAYBE.search(text) and all(not line or forms.BEGINS.match(line) for line in text.split("\n")):
        return text  # as most plans are
    pieces, at = [], 0
    for start, end in _scanned(text, reading).dropped:
        end = len(text) if end is None else end  # noqa: PLW2901
        last = text.rfind("\n", start, end) + 1
        pieces += [text[at:start], "\n" * text.count("\n", start, end), " " * (end - (last or start))]
        at = end
    return "".join([*pieces, text[at:]])


class _WholeReply(ReplyScanner):
    """Goes through all of a reply; any call in it is code, whatever stands after its brackets.

    From the line ``unclosed`` on, no bracket that is opened is ever closed.
    """

    _whole = True

    def __init__(self, text: str, reading: Reading, unclosed: int | None = None) -> None:
        super().__init__(thoughts=Thoughts(reading, unpaired(text)))
        self._unclosed = unclosed
        self._given = (-1, -1)
        """The last line in which a call with an id was looked for, and its place there."""
        for line in text.split("\n"):
            with suppress(PlanTooLarge):
                self.line(line)
        if self.thoughts.inside:
            self.dropped.append((self._since, None))
        self.unended = self.number - len(self._open) + 1 if self._open else None
        """The line in which a statement began that has not ended."""

    def _ends(self, line: str, at: int) -> bool:
        return True

    def _begins(self, line: str, at: int, *, fresh: bool) -> int | None:
        if "(" not in line[at:] or (self._unclosed is not None and self.number >= self._unclosed):
            return None
        begins = super()._begins(line, at, fresh=fresh)
        if begins is not None:
            return begins
        if self._given[0] != self.number or 0 <= self._given[1] < at:
            found = forms.MENTIONED.search(line, at)
            self._given = (self.number, found.start() if found else -1)
        given = self._given[1]
        return given if given >= 0 and not MAYBE.search(line, at, given) else None


def _scanned(text: str, reading: Reading) -> ReplyScanner:
    scanner = _WholeReply(text, reading)
    return scanner if scanner.unended is None else _WholeReply(text, reading, scanner.unended)
