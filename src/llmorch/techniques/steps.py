"""Reads what models write in turns: thoughts, actions, answers. Tolerant, never trusting.

Statements are found by the parser and markers only outside them, so that a text in quotes
may hold anything. Every line is looked at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from llmorch.errors import PlanError
from llmorch.plan import Parser
from llmorch.plan.forms import ANOTHER_TURN, beginning
from llmorch.plan.replies import ReplyScanner
from llmorch.plan.spoken import blanked

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from llmorch.calls import FunctionCall

Wanted: TypeAlias = "FunctionCall | PlanError"
"""A call that a model wrote, not checked yet, or why what it wrote is none."""

_HEAD = r"[ \t>•-]*(?:\#{1,6}[ \t]*)?"
_ANSWER = re.compile(
    rf"{_HEAD}(?P<opened>[*_`]*)(?:(?:the|my)[ \t]+)?(?:final[ \t]+)?answer(?P<closed>[*_]*)[ \t]*[:\uff1a]"
    r"|[ \t]*(?:\#{1,6}[ \t]*|\*\*)(?:final[ \t]+)?answer[*]*[ \t]*$"
    r"|[ \t]*(?P<tag><(?:final_?)?answer>)",
    re.IGNORECASE,
)
_ANSWERED = re.compile(r"</(?:final_?)?answer>", re.IGNORECASE)
_FINISH = re.compile(r"[ \t]*(?:action[ \t]*:[ \t]*)?finish[ \t]*[\[(]", re.IGNORECASE)
_ACTION = re.compile(
    rf"{_HEAD}(?:[*_`]*(?:next[ \t]+)?action[*_]*[ \t]*\d{{0,3}}[*_]*[ \t]*[:\uff1a][ \t]*[*_]*"
    r"|[*_]*action[ \t]*\d{0,3}[*_]*[ \t]*$|<action>|\[action\])",
    re.IGNORECASE,
)
_REPLAN = re.compile(r"[ \t]*(?:action[ \t]*:[ \t]*)?replan\b[ \t]*[:(]?[ \t]*", re.IGNORECASE)
_THOUGHT = re.compile(r"[ \t]*\**thought\**[ \t]*:", re.IGNORECASE)
_NEXT = re.compile(r"[ \t]*\**(?:observation\**[ \t]*:|thought\**[ \t]*:|result of [^\n]*:)", re.IGNORECASE)
_FENCE = re.compile(r"[ \t]*(?:`{3,}|~{3,})[ \t]*(?:[\w+#.-]*(?![\w(.])[ \t]*)?")
_FENCED = re.compile(r"```[ \t]*(?:\n)?(?P<inner>[^`]+?)\n?[ \t]*```|`(?P<ticked>[^`\n]+)`")
"""An answer that is all in a fence, of no language, or in backticks."""
_ITS_ID = re.compile(r"(?:\d+[.:)][ \t]*[`*]*)?(?:[A-Za-z]\w*[ \t]*[=:][ \t]*)?(?=\w+\()")
_NO_ID = "this_call"
"""The id that a call is read under: none that a model would write inside one."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one turn came to: calls to make, or an answer, or what to plan again."""

    calls: tuple[Wanted, ...] = ()
    answer: str | None = None
    replan: str | None = None


def read_step(text: str, functions: Container[str] = ()) -> Step:
    """One thought's action or answer; neither if the text has none of them.

    A marker that is a function's name is that function, where one is offered.
    """
    turn = _Turn(text)
    lines = turn.lines
    for at, line in enumerate(lines):
        if _ends(line, functions):
            return Step(answer=_answer(turn.since(at)))
        if found := _ACTION.match(line):
            calls, _ = _scan(turn, at, functions, found.end())
            return Step(calls=calls[:1])
    calls, _ = _scan(turn, 0, functions)
    return Step(calls=tuple(call for call in calls if not isinstance(call, PlanError))[:1])


def read_batch(text: str, functions: Container[str] = ()) -> Step:
    """The calls of one turn, or the answer."""
    calls, answer = _scan(_Turn(text), 0, functions)
    if answer is not None and not any(not isinstance(call, PlanError) for call in calls):
        return Step(answer=answer)
    return Step(calls=calls)


def read_verdict(text: str) -> Step:
    """A joiner's verdict: the answer, or what is still missing; a bare text is an answer too."""
    turn = _Turn(text)
    for at, line in enumerate(turn.lines):
        if _ends(line, ()):
            return Step(answer=_answer(turn.since(at)))
        if found := _REPLAN.match(line):
            rest = "\n".join([line[found.end() :], *turn.lines[at + 1 :]])
            return Step(replan=rest.strip().rstrip(")").strip())
    bare = text.strip()
    return Step() if not bare or _THOUGHT.match(bare) else Step(answer=bare)


def read_answer(text: str) -> str:
    """What a text says after "Answer:"; all of it, if it doesn't say that."""
    turn = _Turn(text)
    ends = (at for at, line in enumerate(turn.lines) if _ends(line, ()))
    return next((_answer(turn.since(at)) for at in ends), text.strip())


class _Turn:
    """The lines of a turn with thoughts blank, and as they were written, as an answer may hold anything."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self.lines = blanked(text, "turn").split("\n")

    def since(self, at: int) -> list[str]:
        """The lines from an answer's first on; what stands before it there is blank."""
        line = self.lines[at]
        begin = len(line) - len(line.lstrip())
        return [line[:begin] + self._lines[at][begin:], *self._lines[at + 1 :]]


def _ends(line: str, functions: Container[str]) -> bool:
    """Whether an answer begins in this line."""
    if _FINISH.match(line):
        return "finish" not in functions and "Finish" not in functions
    return _ANSWER.match(line) is not None


def _answer(lines: list[str]) -> str:
    """The answer that begins in the first of these lines."""
    found = _ANSWER.match(lines[0])
    kept = [lines[0]]
    begun = bool(lines[0][found.end() if found else 0 :].strip())
    for line in lines[1:]:
        if _NEXT.match(line) and not line.lstrip(" \t*").lower().startswith("result of"):
            break
        if begun and not kept[-1].strip(" \t-=") and (turn := ANOTHER_TURN.match(line)) and turn["asks"]:
            kept.pop()
            break  # what a model runs on into
        kept.append(line)
        begun = begun or bool(line.strip())
    text = "\n".join(kept)
    if finish := _FINISH.match(text):
        inner = text[finish.end() :].strip().removesuffix(")").removesuffix("]")
        return re.sub(r"^answer\s*=\s*", "", inner).strip().strip("\"'")
    text = text[found.end() if found else 0 :].strip()
    if found and found["tag"]:
        text = _ANSWERED.split(text, maxsplit=1)[0].strip()
    bold = (found["opened"] or "") if found and not found["closed"] else ""
    return _undecorated(text, bold)


def _undecorated(text: str, bold: str) -> str:
    """An answer without what sets it off; ``bold`` is what its label began with."""
    # The other end of a label in bold: right after it, or after all of the answer.
    if text.startswith("**") and text.count("**") == 1:
        bold = "**"
    text = text.removeprefix(bold).strip() if text.startswith(bold) else text.removesuffix(bold).strip()
    if text.endswith(("\n```", "\n~~~")) and text.count(text[-3:]) % 2:
        text = text[:-4].strip()  # a fence that was opened above
    if fenced := _FENCED.fullmatch(text):
        text = (fenced["inner"] or fenced["ticked"]).strip()
    inner = text[2:-2]
    return inner.strip() if inner and text == f"**{inner}**" and "**" not in inner else text


def _scan(
    turn: _Turn, first: int, functions: Container[str], begin_at: int = 0
) -> tuple[tuple[Wanted, ...], str | None]:
    """Every call up to an answer or to what the model imagines comes next, and that answer.

    Each statement is read by itself: one that can't be read spoils no other. Prose is passed
    over; where there is nothing else, its first line is told as an error.
    """
    lines = [turn.lines[first][begin_at:], *turn.lines[first + 1 :]]
    found: list[Wanted] = []
    prose: list[str] = []
    parser: Parser | None = None  # of the statement that goes on
    answer = None
    for at, line in enumerate(lines):
        if parser is None:
            if fence := _FENCE.match(line):
                line = line[fence.end() :]  # noqa: PLW2901
            if not line.strip() or (line.lstrip().startswith("#") and not _ends(line, functions)):
                continue
            if _ends(line, functions):
                answer = _answer(turn.since(first + at))
                break
            if _NEXT.match(line) and (found or not _THOUGHT.match(line)):
                break
            begin = beginning(line)
            if begin is None:
                prose.append(line)
                continue
            parser, line = _parser(), _with_id(line[begin:])  # noqa: PLW2901 - its label is no part of it
        if wanted := _wanted(parser.feed, f"{line}\n"):
            found += wanted
            parser = None
    if parser is not None:  # an open bracket or quote to the end: the parser says which
        found += _wanted(parser.finish)
    if prose and not found and answer is None:
        parser = _parser()
        found += _wanted(parser.feed, f"{_with_id(prose[0])}\n") or _wanted(parser.finish)
    return tuple(found), answer


def _parser() -> Parser:
    return Parser(references=False, reply=ReplyScanner())


def _with_id(line: str) -> str:
    """A statement's first line with an id of ours, whichever it has."""
    its_id = _ITS_ID.match(line)
    return f"{_NO_ID} = {line[its_id.end() if its_id else 0 :].strip().rstrip('*')}"


def _wanted(read: Callable[..., list[FunctionCall]], *text: str) -> list[Wanted]:
    """The call that a parser has found, or what is wrong with it; nothing while it isn't complete."""
    try:
        return [*read(*text)]
    except PlanError as error:
        return [error]
