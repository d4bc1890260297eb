"""The forms of a reply's lines: what a statement, a label, a fence and the like look like.

Decides what a line could be by itself. It must not know what came before it.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLANK = r"[ \t\u00a0\u3000\u200b\ufeff]"
_ID = r"[A-Za-z_]\w{0,63}"
_NAME = rf"{_ID}(?:\.{_ID}){{0,9}}"
_TYPE = r"(?:str|int|float|bool|list|dict|tuple|set|bytes|object|None|Any|List|Dict|Tuple|Set|Optional|Union)"
_LABELS = (
    r"(?!(?:Action|Answer|Call|Code|Final|Finally|First|Last|Next|Output|Plan|Solution|Step|Task|Then)\b)"
)
_THINKING = (
    r"(?!(?:thoughts?|thinking|reason(?:s|ing)?|reflections?|observations?|user|human|query|question|functions"
    r"|system|assistant)\b)"
)
"""Labels of what is no plan."""
BEGINS = re.compile(
    rf"""
    {_ID}[ \t]*:?=                                              # s1 = ...
    |{_ID}[ \t]*:[ \t]*{_TYPE}\b[\w\[\], .|]{{0,60}}=         # s1: str = ...
    |(?i:{_THINKING}){_LABELS}{_ID}[ \t]*:[ \t]*(?:await[ \t]+)?{_NAME}\(      # s1: search(
    |\d{{1,6}}[.:)][ \t]*[`*]{{0,3}}{_NAME}\((?!e?s\)[ \t]*[\w:])  # 1. search(
    |(?:await[ \t]+|return[ \t]+)?{_NAME}\((?!e?s\)[ \t]*[\w:])  # search(, but not "step(s):"
    |return[ \t]+{_ID}[\w.\[\]"']{{0,80}}[ \t]*;?[ \t]*(?:\#|$)
    |return[ \t]+f["']
    # What else was meant as one:
    |=[ \t]*{_NAME}\(
    |\([ \t]*{_ID}[ \t]*=[^=]
    |[A-Za-z]{{1,12}}\d{{1,6}}(?:
        [ \t]+{_NAME}\(
        |[ \t]*(?:->|<-|=>|[-→←⇒:=])[ \t]*(?:{_NAME}\(|\((?:\w+=|["']))
        |[ \t]*[,.\[:][^=\n`]{{0,40}}=
    )
    |s\d{{1,6}}[ \t]*[:.,]?[ \t]*$
    """,
    re.VERBOSE,
)
"""What a line begins with that is a statement of a plan, right or wrong."""
BLOCK = re.compile(r"(?:for[ \t]+\w+[ \t]+in|while|if|async|def|class|try|else)\b")
"""What a line of code begins with that would make calls depend on each other as a plan can't say it."""
CONDITION = re.compile(r"[=<>.(\[]|\bs\d")
SIGNATURE = re.compile(rf"(?:{_ID}[ \t]*:[ \t]*)?{_NAME}\((?P<parameters>[^()]*)\)[ \t]*->[ \t]*[\w\[]")
"""A function told of with what it returns, perhaps with its types: a call has none."""
TYPED = re.compile(r"\w[ \t]{0,9}:")
TOLD = re.compile(rf"{_NAME}\([^()\"'=\d{{}}\[\]]*\)[`*]{{0,3}}[ \t]*(?:[^\W\d_]|[:\uff1a\u2013\u2014-])")
"""A call of mere words, and what is said of it."""
MEANING = re.compile(rf"(?P<id>{_ID})[ \t]*=[ \t]*(?P<word>[^\W\d_]+)[ \t]+[^\W\d_][^=(\[{{\"]*$")
"""What an id stands for, in words."""
CODE = re.compile(r"=|\w\(")
ON_ITS_FENCE = re.compile(
    rf"[ \t]*(?:{_ID}[ \t]*[=:][ \t]*(?:await[ \t]+)?{_NAME}\(|\d{{1,6}}[.:)][ \t]*{_NAME}\(|{_NAME}\()"
)
"""A statement on the line of a fence, where an attribute may stand too."""
LABEL = re.compile(
    rf"""
    {_BLANK}+
    |>{{1,3}}
    |[-*+\u2013\u2014][ \t]+|[•‣·][ \t]*|(?!◁)[\u2190-\u2bff\U0001f300-\U0001faff]\ufe0f?[ \t]*
    |\(?\d{{1,3}}[.):][*]{{0,3}}[ \t]*|\d\ufe0f?\u20e3[ \t]*|\d{{1,4}}[ \t]*\|[ \t]*
    |\(?[a-zA-Z]\)[ \t]+|[ivxIVX]{{1,4}}[.)][ \t]+
    |\*{{1,3}}|__|`{{1,2}}(?!`)
    |\[[ xX✓]\][ \t]+
    |In[ ]?\[\d{{0,4}}\]:[ \t]*
    |</?[A-Za-z][\w:.-]{{0,40}}(?:\s[^<>]{{0,300}})?>|<!--|-->
    |(?i:{_THINKING}
        (?:[^\W\d_]{{1,20}}[ \t]?\#?\d{{1,3}}|step|call|action|task|plan|code|first|then|next|last|final(?:ly)?|answer
           |solution|output)
        [*_]{{0,3}}[ \t]*[.:\uff1a)\u2013-][*_]{{0,3}}[ \t]*)
    """,
    re.VERBOSE,
)
"""One of the bullets, numbers, quotation marks, tags and labels that may stand before a statement."""
FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*(?P<info>\{?\.?(?P<language>[\w+#.:/-]*)\}?)")
NO_PLAN = frozenset((
    "bash", "console", "csv", "html", "json", "jsonc", "jsonl", "log", "markdown", "md", "out", "output", "plaintext",
    "result", "results", "sh", "shell", "sql", "stderr", "stdin", "stdout", "text", "tool_output", "tool_response",
    "txt", "xml", "yaml", "yml", "zsh",
))  # fmt: skip
"""Languages of fences that hold something else, once there is a plan."""
AFTER = re.compile(
    r"""[ \t]*(?:
    (?P<tick>`)
    |(?P<bold>\*{1,3}|__)(?![\w(])
    |(?P<mark></?[A-Za-z][\w:.-]{0,40}(?:\s[^<>]{0,300})?/?>|[<\[◁a])
    |(?P<comment>\#)
    |(?:[\u2014\u2013→⇒]|->|=>|--|//)[ \t]*[^\W\d_]+,?[ \t]+[^\W\d_]
    |(?:[→⇒]|->|=>)[ \t]*(?![^\n]*\w\()[^\s=]                 # -> 3
    |(?<=[ \t])\([^\W\d_][^()=\"\[\]{}]*\)[.;]?[ \t]*$        # (adds them)
    |\.[ \t]*$
    )""",
    re.VERBOSE,
)
"""What may come after a statement, in its line."""
MENTIONED = re.compile(rf"(?<![\w.])(?P<id>{_ID})[ \t]*=[ \t]*(?:await[ \t]+)?(?P<name>{_ID})\(")
"""A call with an id, wherever it stands."""
QUOTED = re.compile(r"[ \t]*(?:>[ ]?){1,3}")
PROMPTED = re.compile(r"[ \t]*\.\.\.[ ]?")
SPACE = re.compile(rf"{_BLANK}*")
DECORATED = re.compile(r"[ \t]*\d+[.:)][ \t]*([`*]+)")
NUMBER_TICKED = re.compile(r"\d+[.:)][ \t]*[*]*`")
BARE = re.compile(r"s\d{1,6}[ \t]*[:.,]?[ \t]*$")
"""An id alone."""
RULE = re.compile(r"[-=*_`~.>#|\s]+|<!-+|[][{}(),\s]+")
"""A line, a heading's underline, brackets of what stands around, and the like."""
GARBAGE = re.compile(r"[\x00-/:-@\[-`{-\x7f]+")
"""A line without a letter, a digit or a sign of any script: no prose."""
CUT = re.compile(rf"(?:(?P<number>\d{{1,6}})[.:)]?|(?P<id>{_ID})[ \t]{{0,9}}:)?[ \t]{{0,9}}(?P<name>{_ID})?")
"""The beginning of a statement that was cut off."""


def labels(line: str) -> Iterator[int]:
    """Where a line may begin: at its first character, and after each bullet or label."""
    at = 0
    yield at
    while label := LABEL.match(line, at):
        at = label.end()
        yield at


def beginning(line: str) -> int | None:
    """Where in a line a statement begins, after bullets and labels; ``None`` if none does."""
    return next((at for at in labels(line) if BEGINS.match(line, at)), None)


def fence_at_end(line: str, start: int, end: int) -> re.Match[str] | None:
    """The fence that the text between two places of a line ends with."""
    for mark in ("```", "~~~"):
        at = line.rfind(mark, start, end)
        fence = FENCE.match(line, len(line[:at].rstrip(mark[0]))) if at >= 0 else None
        if fence and not line[fence.end() : end].strip():
            return fence
    return None


def is_block(text: str) -> bool:
    """Whether Python would read a line, which begins like one, as the head of a block."""
    head = text.split("#", maxsplit=1)[0].strip()
    if not head.endswith(":") or (head.startswith("if") and not CONDITION.search(head)):
        return False
    try:
        ast.parse(f"if 1: pass\n{head} pass" if head.startswith("else") else f"{head} pass")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return head.startswith(("try", "async"))
    return True
