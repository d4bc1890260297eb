"""What a model writes besides its reply: thoughts in tags, and tokens that end or frame a turn.

Decides what is a thought, whatever is in it, and where a reply ends. It must not know what
the reply is: a plan, a call in a turn, an answer. Everything is looked at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmorch.errors import PlanTooLarge
from llmorch.plan.scanning import Extent

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_VOIDS = 100
"""Thoughts that end without having begun, after which a reply is over: each has it read anew."""

_THOUGHT = (
    r"(?:\w{1,20}[:_-])?(?:think(?:ing)?|thoughts?(?:[_-]process)?|reason(?:ing)?|reflect(?:ion|ing)?"
    r"|scratch[_-]?pad|analysis|chain[_-]of[_-]thoughts?|cot|(?:inner_?)?monologue|deliberation)"
)
_OPEN = (
    rf"<{_THOUGHT}(?:\s[^<>]{{0,300}}|/)?>",
    r"\[think(?:ing)?\]",
    rf"◁{_THOUGHT}▷",
    rf"<[|\uff5c](?:start_|begin_of_|begin_)?{_THOUGHT}(?:_start|_begin)?[|\uff5c]>",
    r"<\|channel\|>\s?(?!final\b)\w{1,40}[^<>]{0,200}(?:<\|constrain\|>[^<>]{0,40})?<\|message\|>",
    r"<\|channel>thought\b",
    r"<unused94>(?:thought\b)?",
    r"<\|inner_prefix\|>",
)
_CLOSE = (
    rf"</{_THOUGHT}\s{{0,20}}>",
    r"\[/think(?:ing)?\]",
    rf"◁/{_THOUGHT}▷",
    rf"<[|\uff5c](?:/|end_of_|end_){_THOUGHT}[|\uff5c]>|<[|\uff5c]{_THOUGHT}_end[|\uff5c]>",
    r"<\|channel\|>\s?final\b[^<>]{0,200}(?:<\|constrain\|>[^<>]{0,40})?<\|message\|>",
    r"<\|end\|>(?=<\|start\|>assistant)",
    r"assistantfinal",  # what is left of harmony's tokens where they were not shown
    r"<channel\|>",
    r"<unused95>",
    r"<\|inner_suffix\|>",
)
_END = (
    r"<[|\uff5c](?:im_end|eot_id|eom_id|eo[tsd]|end|return|call|end_?of_?\w{1,20}|end▁of▁\w{1,20}"
    r"|end_(?:response|action|text)|user|system|tool|tool_response|observation|stop)[|\uff5c]>",
    r"<\|(?:im_start|start)\|>(?!assistant)|<\|start_header_id\|>(?!assistant)|<start_of_turn>(?!model)",
    r"<(?:eo[ts]|end_?of_?\w{1,20}|turn\|)>",
    # These could be somebody's markup where more follows in their line.
    r"(?:</s>|<(?:end|stop)>|(?-i:\[(?:END(?:_OF_\w{1,20})?|EO[ST]|DONE|STOP|/?INST)\]))(?=[ \t\r]*(?:$|[\n<\[`]))",
)
_ASSISTANT = (
    r"<\|(?:im_start|start)\|>assistant",
    r"<\|start_header_id\|>assistant<\|end_header_id\|>",
    r"<start_of_turn>model",
    r"<[|\uff5c]assistant[|\uff5c]>",
)
_FRAME = (
    r"<s>|<bos>",
    r"<[|\uff5c][\w▁/-]{1,40}[|\uff5c]>",
)
_MARKER = re.compile(
    "|".join(
        f"(?P<{kind}>{'|'.join(forms)})"
        for kind, forms in (
            ("close", _CLOSE),
            ("open", _OPEN),
            ("end", _END),
            ("assistant", _ASSISTANT),
            ("frame", _FRAME),
        )
    ),
    re.IGNORECASE,
)
_MAYBE = re.compile(r"[<\[◁]|assistantfinal")
_FAMILY = re.compile(r"think|thought|reason|reflect|scratch|analysis|chain|cot|monologue|deliberation|inner")
_STRING = re.compile(r"\\.|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_CALL = re.compile(r"\w\(")
_QUOTES = ("``", '""', "''", "“”", "\u2018\u2019", "«»", "「」")


def is_mark(line: str, at: int) -> bool:
    """Whether a mark of any kind stands at this place."""
    return _MARKER.match(line, at) is not None


def closes(code: str, at: int = 0, quote: str = "") -> int | None:
    """Where in a line of code a thought ends, outside of its strings; ``quote`` is open at its end."""
    if not _MAYBE.search(code, at):
        return None
    code = code[: code.rfind(quote)] if quote else code
    code = _STRING.sub(lambda found: " " * len(found.group()), code)
    for maybe in _MAYBE.finditer(code, at):
        found = _MARKER.match(code, maybe.start())
        if found and found.lastgroup in ("open", "close"):
            return maybe.start() if found.lastgroup == "close" else None
    return None


class Thoughts:
    """Follows a reply's text, line by line, through thoughts to its end."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._may_go_on = False
        self._line, self._counted, self._quotes, self._last_quote = "", 0, 0, -1
        self.ended = False
        """Whether an end token was met: what comes after it is not the reply's."""
        self.begun = False
        """Whether there was anything of the reply itself; whoever reads it says so."""
        self.met = False
        """Whether there was a thought."""
        self.voids = 0
        """How often a thought ended that had not begun: all before its end was thought."""

    @property
    def inside(self) -> bool:
        """Whether the text is amid a thought."""
        return bool(self._open)

    @property
    def over(self) -> bool:
        """Whether nothing that may come can be the reply's."""
        return self.ended and not self._may_go_on

    def next(self, line: str, at: int, until: int | None = None) -> tuple[int, int] | None:
        """Go on to the next mark in this line, from ``at`` on, after which things are different; its place."""
        until = len(line) if until is None else until
        while not self.over and (maybe := _MAYBE.search(line, at)) and maybe.start() < until:
            at = maybe.start()
            found = _MARKER.match(line, at)
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
        family = _family(text)
        if self.ended and not (kind == "close" and family == "channel"):
            return False
        if text == "<|end|>" and kind == "end" and self._open[-1:] == ["channel"]:
            kind = "close"
            family = "channel"
        if self._open and kind not in ("open", "close"):
            return False
        if kind == "open":
            if not text.endswith("/>") and not (family == "channel" and family in self._open):
                self._open.append(family)
                self.met = True
        elif kind == "close":
            if family in self._open:
                while self._open.pop() != family:
                    pass
            elif self._open:
                return False
            else:
                self.voids += 1
                self.ended = self.voids == MAX_VOIDS
                self.begun = self._may_go_on = False
                self.met = True
        elif kind == "end" or (kind == "assistant" and self.begun):
            self.ended = True
            self._may_go_on = text == "<|end|>"  # before another channel of the same reply, too
        return True


def _family(text: str) -> str:
    """What an opening and a closing mark have in common."""
    if "channel" in text or text.startswith(("assistantfinal", "<|end|>")):
        return "channel"
    if "unused" in text:
        return "unused"
    found = _FAMILY.search(text)
    return "think" if found is None or found.group() == "thought" else found.group()


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
    if not _MAYBE.search(text) or not _MARKER.search(text):
        return Spoken(text)
    thoughts, dropped = _dropped(text)
    if not dropped:
        return Spoken(text)
    ends = [0, *(end for _, end in dropped)]
    starts = [*(start for start, _ in dropped), len(text)]
    kept = "".join(text[end:start] for end, start in zip(ends, starts, strict=True))
    return Spoken(kept.strip(), thoughts.met, thoughts.ended)


def blanked(text: str) -> str:
    """A reply whose thoughts are blank, so that all else keeps its line and column."""
    if not _MAYBE.search(text) or not _MARKER.search(text):
        return text
    pieces, at = [], 0
    for start, end in _dropped(text)[1]:
        last = text.rfind("\n", start, end) + 1
        pieces += [text[at:start], "\n" * text.count("\n", start, end), " " * (end - (last or start))]
        at = end
    return "".join([*pieces, text[at:]])


def _dropped(text: str) -> tuple[Thoughts, Sequence[tuple[int, int]]]:
    """What is no part of a reply, as places in its text."""
    thoughts = Thoughts()
    dropped: list[tuple[int, int]] = []
    since = 0  # where the thought that is open began
    lines = text.split("\n")
    row, at, first = 0, 0, 0  # a line, a place in it, and the place of its beginning in the text
    found: re.Match[str] | None = None
    searched = -1  # the line in which the next call was last looked for
    unclosed = -1  # the last line of which calls are not looked for: their brackets are not closed
    while row < len(lines) and not thoughts.over:
        line = lines[row]
        voids, inside, ended = thoughts.voids, thoughts.inside, thoughts.ended
        is_code = row > unclosed and not inside and not ended
        if is_code and (searched != row or (found and found.start() < at)):
            found, searched = _CALL.search(line, at), row
        call = found if is_code else None
        mark = thoughts.next(line, at, call.start() if call else None)
        if mark is None:
            thoughts.begun = thoughts.begun or (not inside and bool(line[at:].strip()))
            if call:
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
                row, at = row + 1, 0
            continue
        start, at = mark
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
