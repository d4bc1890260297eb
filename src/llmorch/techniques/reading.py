"""Reads what models write in turns: thoughts, actions, answers. Tolerant, never trusting."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmorch.errors import PlanError
from llmorch.plan import Parser

if TYPE_CHECKING:
    from llmorch.techniques.turns import Wanted

_ANSWER = re.compile(r"^\s*\**(?:final\s+)?answer\**\s*:\s*\**", re.IGNORECASE | re.MULTILINE)
_FINISH = re.compile(
    r"^\s*(?:action\s*:\s*)?finish\s*[\[(]\s*(?:answer\s*=\s*)?(.*?)[\])]?\s*\Z",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_ACTION = re.compile(r"^\s*\**action\**\s*:\s*\**", re.IGNORECASE | re.MULTILINE)
_REPLAN = re.compile(r"^\s*(?:action\s*:\s*)?replan\b\s*[:(]?\s*", re.IGNORECASE | re.MULTILINE)
_NEXT = re.compile(r"^\s*(?:observation|thought|result of)\b", re.IGNORECASE | re.MULTILINE)
_LABEL = re.compile(r"\s*(?:\d+[.)]\s+|[-*]\s+)?(?:s\d+\s*[=:]\s*)?")


@dataclass(frozen=True, slots=True)
class Step:
    """What one turn came to: calls to make, or an answer, or what to plan again."""

    calls: tuple[Wanted, ...] = ()
    answer: str | None = None
    replan: str | None = None


def read_step(text: str) -> Step:
    """One thought's action or answer; neither if the text has none of them."""
    action, answer = _ACTION.search(text), _ended(text)
    if answer is not None and (action is None or answer.start <= action.start()):
        return Step(answer=answer.text)
    if action is None:
        return Step()
    rest = text[action.end() :]
    following = _NEXT.search(rest)
    return Step(calls=_calls(rest[: following.start()] if following else rest)[:1])


def read_batch(text: str) -> Step:
    """The calls of one turn, or the answer."""
    answer = _ended(text)
    before = text if answer is None else text[: answer.start]
    following = _NEXT.search(before)
    calls = _calls(before[: following.start()] if following else before)
    if answer is not None and not any(not isinstance(call, PlanError) for call in calls):
        return Step(answer=answer.text)
    return Step(calls=calls)


def read_verdict(text: str) -> Step:
    """A joiner's verdict: the answer, or what is still missing."""
    answer, again = _ended(text), _REPLAN.search(text)
    if again is not None and (answer is None or again.start() < answer.start):
        return Step(replan=text[again.end() :].strip().rstrip(")").strip())
    return Step(answer=answer.text) if answer is not None else Step()


@dataclass(frozen=True, slots=True)
class _Ending:
    start: int
    text: str


def _ended(text: str) -> _Ending | None:
    """The answer that a text ends with, if it does."""
    if found := _ANSWER.search(text):
        following = _NEXT.search(text, found.end())
        return _Ending(found.start(), text[found.end() : following.start() if following else None].strip())
    if found := _FINISH.search(text):
        return _Ending(found.start(), found.group(1).strip().strip("\"'"))
    return None


def _calls(text: str) -> tuple[Wanted, ...]:
    """Every call in a text, each statement by itself: one that can't be read spoils no other."""
    found: list[Wanted] = []
    pending = ""
    for line in text.strip().split("\n"):
        if not pending and (not line.strip() or line.strip().startswith(("```", "#"))):
            continue
        bare = line if pending else line[_matched(line) :]
        pending = f"{pending}\n{bare}" if pending else bare
        parser = Parser()
        try:
            read = parser.feed(f"s1 = {pending}\n")
            if not read:
                continue  # an open bracket or quote: the statement goes on
        except PlanError as error:
            found.append(error)
        else:
            found += read
        pending = ""
    if pending:  # an open bracket or quote to the end: the parser says which
        parser = Parser()
        try:
            parser.feed(f"s1 = {pending}")
            found += parser.finish()
        except PlanError as error:
            found.append(error)
    return tuple(found)


def _matched(line: str) -> int:
    """How much of a line is a bullet, a number or an id before the call."""
    match = _LABEL.match(line)
    return match.end() if match else 0
