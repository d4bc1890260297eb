"""A whole reply without what is thought in it: left out, or made blank.

Here a call is only what no mark of a thought stands in: whether it is one, ``replies`` says.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmorch.errors import PlanTooLarge
from llmorch.plan import forms
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
    scanner = _scanned(text, "text") if forms.MAYBE.search(text) and forms.MARK.search(text) else None
    if scanner is None or not scanner.dropped:
        return Spoken(text)
    kept, at = "", 0
    for start, end in scanner.dropped:
        kept, at = kept + text[at:start], end or len(text)
    return Spoken((kept + text[at:]).strip(), scanner.thoughts.met, scanner.thoughts.ended)


def blanked(text: str, reading: Reading = "plan") -> str:
    """A reply whose thoughts are blank, so that all else keeps its line and column."""
    if not forms.MAYBE.search(text) and all(
        not line or forms.BEGINS.match(line) for line in text.split("\n")
    ):
        return text  # as most plans are
    pieces, at = [], 0
    for start, end in _scanned(text, reading).dropped:
        *above, last = text[start : end or len(text)].split("\n")
        pieces += [text[at:start], "\n" * len(above), " " * len(last)]
        at = end or len(text)
    return "".join([*pieces, text[at:]])


class _WholeReply(ReplyScanner):
    """Goes through all of a reply; any call in it is code, whatever stands after its brackets.

    From the line ``unclosed`` on, no bracket that is opened is ever closed.
    """

    _whole = True

    def __init__(self, text: str, reading: Reading, unclosed: int | None = None) -> None:
        super().__init__(thoughts=Thoughts(reading, forms.unpaired(text)))
        self._unclosed = unclosed
        self._given = (-1, -1)
        """The last line in which a call with an id was looked for, and its position there."""
        for line in text.split("\n"):
            with suppress(PlanTooLarge):
                self.line(line)
        if self.thoughts.inside:
            self.dropped.append((self._since, None))
        self.unended = self.number - len(self._open) + 1 if self._open else None
        """The line in which a statement began that has not ended."""

    def _ends(self, line: str, at: int) -> bool:
        return True

    def _code_from(self, line: str, at: int) -> str:
        """The line as it is: only where code ends matters here."""
        self.thoughts.called_for()
        self._fenced_calls = self._fenced_calls or self._fence is not None
        self._prompted = self._continued is forms.PROMPTED
        return line

    def _text(self, line: str, end: int) -> str:
        """Nothing: no one reads these statements."""
        return ""

    def _begins(self, line: str, at: int, *, fresh: bool) -> int | None:
        if line.find("(", at) < 0 or (self._unclosed is not None and self.number >= self._unclosed):
            return None
        begins = super()._begins(line, at, fresh=fresh)
        if begins is not None:
            return begins
        if self._given[0] != self.number or 0 <= self._given[1] < at:
            found = forms.MENTIONED.search(line, at)
            self._given = (self.number, found.start() if found else -1)
        given = self._given[1]
        return given if given >= 0 and not forms.MAYBE.search(line, at, given) else None


def _scanned(text: str, reading: Reading) -> ReplyScanner:
    scanner = _WholeReply(text, reading)
    return scanner if scanner.unended is None else _WholeReply(text, reading, scanner.unended)
