"""Text to calls, statement by statement, while the text still arrives.

Three ways to write a statement are read: ``s1 = search(query="Texas")``, the paper's
``s1: search(query="Texas")``, and LLMCompiler's ``1. search("Texas")`` with ``$1`` for
its result. This module decides where a statement ends and which ids are known; the tree
of an argument is built in ``expressions``. Nothing here runs what it reads.
"""

from __future__ import annotations

import ast
import re
from itertools import islice
from typing import TYPE_CHECKING

from llmorch.calls import FunctionCall, Plan
from llmorch.errors import (
    DuplicateId,
    EmptyPlan,
    InvalidArgument,
    InvalidSyntax,
    PlanError,
    PlanTooLarge,
    UndefinedId,
)
from llmorch.plan.expressions import to_expression
from llmorch.plan.fragments import Stems
from llmorch.plan.replies import ReplyLines
from llmorch.plan.scanning import Extent
from llmorch.plan.source import Source
from llmorch.plan.statements import FORM, as_meant, id_and_call, is_call, python, without_dollars
from llmorch.plan.thoughts import closes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmorch.calls import CallId, Expression, Position

MAX_STATEMENT = 100_000
"""Characters in one statement."""
MAX_SHOWN = 100
"""Characters of what a reply without a plan says."""
MAX_CALLS = 20_000
"""Calls in one plan."""

_FENCE = re.compile(r"\s*```\w*\s*$")
_NUMBERED = re.compile(r"\s*(\d{1,6})[.:)]\s*(?=[A-Za-z_])")
_END_MARK = re.compile(r"join(\(\s*\))?(\s*<END_OF_PLAN>)?")
"""LLMCompiler's last line."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")


def parse(text: str) -> Plan:
    """Read a whole plan.

    Raises ``PlanError`` with line, column and hint at the first statement that is not one.
    """
    parser = Parser()
    calls = parser.feed(text)
    calls += parser.finish()
    return Plan(tuple(calls))


def calls_in(
    reply: str, functions: Iterable[str], earlier: Iterable[CallId] = (), *, thoughts: bool = False
) -> list[FunctionCall]:
    """The calls of the plan in a whole reply, from which thoughts may have been left out.

    ``functions`` are the names of those offered. Raises ``PlanError``.
    """
    said = ReplyLines(functions)
    said.thoughts.met = thoughts
    parser = Parser(earlier, reply=said)
    calls = parser.feed(f"{reply}\n")
    return calls + parser.finish()


class Parser:
    """Reads a plan as its text arrives, whatever the pieces.

    ``feed`` hands on each call as soon as the line that ends its statement is complete.
    After an error the parser takes nothing more. ``earlier`` are ids of calls that were
    made before this text: it may use them, and define none of them again. Without
    ``references`` braces in a string are text: a turn's calls have all values written out.
    With ``numbers`` a call may stand without an id, and has that of its place, ``s2`` for
    the second, or the next one that is free. The text may be a ``reply``, with more around
    the plan; without one, every line must be the plan's.
    """

    def __init__(
        self,
        earlier: Iterable[CallId] = (),
        *,
        references: bool = True,
        numbers: bool = False,
        reply: ReplyLines | None = None,
    ) -> None:
        self._references = references
        self._numbers = numbers
        self._reply = reply
        self._earlier = tuple(earlier)
        self._partial = ""
        self._line = 0
        self.voids = 0
        """How often all that was read turned out to be thought: none of its calls counts."""
        self._thoughts_voids = 0
        self._begin()

    def _begin(self) -> None:
        self._known: dict[CallId, int] = dict.fromkeys(self._earlier, 0)
        self._places: dict[str, int] = {}
        """Where in a reply each statement stands."""
        self._braced: dict[str, tuple[Position, str]] = {}
        self._stems = Stems(self._known)
        self._noted = 0
        """How many of the names in braces ``_stems`` has seen."""
        self._statement: list[str] = []
        self._size = 0
        self._extent = Extent()

    @property
    def ids(self) -> tuple[CallId, ...]:
        """The ids that can be used so far, in order."""
        return tuple(self._known)

    def feed(self, text: str) -> list[FunctionCall]:
        """Take the next piece of the text; return the calls that it completed."""
        *complete, self._partial = (self._partial + text).split("\n")
        calls: list[FunctionCall] = []
        for line in complete:
            voids = self.voids
            found = self._take(line)
            calls = calls + found if self.voids == voids else found
        self._bound(len(self._partial), self._line + 1)
        return calls

    def finish(self) -> list[FunctionCall]:
        """End the text; return the calls of the last line.

        Raises ``EmptyPlan`` when no statement was found in the whole text.
        """
        partial, self._partial = self._partial, ""
        calls = self._take(partial, last=True) if partial else []
        if self._statement:
            # An open bracket or quote: Python's own parser says which.
            calls += self._end_statement()
        if self._reply is not None:
            for number, line in self._reply.unread():
                self._line = number - 1
                calls += self._take(line)
            if self._statement:
                calls += self._end_statement()
        if len(self._known) == len(set(self._earlier)):
            raise self._none()
        if self._reply is not None and (lost := self._reply.lost(self._known)):
            raise lost
        return calls

    def _none(self) -> PlanError:
        """Why there is no call at all."""
        reply = self._reply
        if reply is None:
            return EmptyPlan("the plan has no call", hint=FORM)
        if reply.said is None or reply.thoughts.inside:
            return reply.empty()
        number, line = reply.said
        shown = line.strip() if len(line.strip()) <= MAX_SHOWN else f"{line.strip()[:MAX_SHOWN]} ..."
        says = f"the reply has no call; it says: {shown}"
        try:  # what is wrong with it, as with any line of a plan
            self._line = number
            self._take_code(line)
            self._end_statement()
        except PlanError as error:
            return type(error)(
                f"{error.message}; {says}", line=error.line, column=error.column, text=line, hint=error.hint
            )
        return EmptyPlan(says, line=number, text=line, hint=FORM)

    def _bound(self, more: int, line: int) -> None:
        if self._size + more > MAX_STATEMENT:
            raise PlanTooLarge(
                f"a statement is longer than {MAX_STATEMENT:,} characters",
                line=line - len(self._statement),
                hint="pass long texts by id, as results of earlier calls",
            )

    def _take(self, line: str, *, last: bool = False) -> list[FunctionCall]:
        line = line.removesuffix("\r")
        self._line += 1
        self._bound(len(line), self._line)
        if self._reply is not None:
            return self._take_said(line, self._reply, last=last)
        if not self._statement and (not line.strip() or _FENCE.match(line) or line.lstrip().startswith("#")):
            return []
        return self._take_code(line)[0]

    def _take_said(self, line: str, reply: ReplyLines, *, last: bool) -> list[FunctionCall]:
        """The calls in a line of a reply."""
        calls: list[FunctionCall] = []
        amid, begin = bool(self._extent.quote), 0
        if self._statement:
            code = reply.continued(line, in_string=amid)
        else:
            code = reply.last_line(line, self._line) if last else reply.line(line, self._line)
        while True:
            if reply.thoughts.voids != self._thoughts_voids:
                self._thoughts_voids = reply.thoughts.voids
                self.voids += 1
                self._begin()
                calls = []
            if not code:
                return calls
            found, end = self._take_code(code, begin)
            calls += found
            if self._statement:
                mark = None if amid else closes(code, 0, self._extent.quote)
                if mark is None:
                    return calls
                end = mark
            elif end == len(code):
                return calls
            code, amid, begin = reply.line(line, self._line, end), False, end

    def _take_code(self, line: str, begin: int = 0) -> tuple[list[FunctionCall], int]:
        """The calls of a statement that ends in this line, and where in it; it is blank down to ``begin``."""
        reply = self._reply
        end = self._extent.follow(line, self._line, reply.ends if reply else None, begin)
        if not line.isprintable() and (control := _CONTROL.search(line, begin, end)):
            raise InvalidSyntax(
                f"the control character {control.group()!r} can't stand in a plan",
                line=self._line,
                column=control.start() + 1,
                text=line,
                hint="inside a string, write it as an escape",
            )
        self._statement.append(line[:end])
        self._size += end + 1
        if self._extent.goes_on(line[:end]):
            return [], end
        if reply is not None:
            reply.last = self._line
        return self._end_statement(), end

    def _end_statement(self) -> list[FunctionCall]:
        first = self._line - len(self._statement) + 1
        text = "\n".join(self._statement)
        self._statement, self._size = [], 0
        if self._extent.broken or self._extent.quote or self._extent.depth:
            self._extent = Extent()
        return self._read(text, first)

    def _read(self, text: str, line: int) -> list[FunctionCall]:
        id_, code = None, text
        if numbered := _NUMBERED.match(text):
            id_ = f"s{numbered.group(1)}"
            # Spaces keep every column where it was.
            code = " " * numbered.end() + text[numbered.end() :]
            if _END_MARK.fullmatch(code.strip()):
                return []  # it names no function; a function that is called join has arguments
            code = without_dollars(code)
        indent = len(code) - len(code.lstrip())
        source = Source(
            text=text, line=line, indent=indent, numbered=id_ is not None, literal=not self._references
        )
        calls = []
        for statement in self._meant(python(code[indent:], source), text):
            if id_ is None and self._numbers and is_call(statement):
                id_ = self._free()
            calls.append(self._call(statement, id_, source))
            id_ = None
        return calls

    def _meant(self, statements: list[ast.stmt], text: str) -> list[ast.stmt]:
        """What of a reply's statements the plan is to make."""
        reply = self._reply
        if reply is None:
            return statements
        place = reply.place
        seen = self._places.setdefault(text.strip(), place)
        if seen != place and (place <= 0 or not any(map(is_call, statements))):
            return []  # it is told of again, or written again in a fence
        return [
            meant for statement in statements if (meant := as_meant(statement, self._known, reply.functions))
        ]

    def _free(self) -> CallId:
        """The id of the next call's place, or of the first place after it whose id isn't taken."""
        place = len(self._known) + 1
        while f"s{place}" in self._known:
            place += 1
        return f"s{place}"

    def _call(self, statement: ast.stmt, id_: CallId | None, source: Source) -> FunctionCall:
        target, value = id_and_call(statement, id_, source)
        position = source.position(statement)
        if target in self._known:
            raise source.error(
                DuplicateId,
                f"{target} is defined twice, first "
                + (f"on line {line}" if (line := self._known[target]) else "in an earlier plan"),
                position,
                hint=f"give this call an id of its own, such as {self._free()}",
            )
        if len(self._known) >= MAX_CALLS:
            raise source.error(PlanTooLarge, f"a plan has at most {MAX_CALLS:,} calls", position)
        if not isinstance(value.func, ast.Name):
            raise source.error(
                InvalidSyntax,
                "only a function's plain name can be called",
                source.position(value.func),
                hint=FORM,
            )
        known = frozenset((target,))
        args: dict[str, Expression] = {}
        positions: dict[str | int, Position] = {}
        positional = []
        for place, argument in enumerate(value.args):
            positions[place] = source.position(argument)
            positional.append(to_expression(argument, source, self._known, known, self._braced))
        for keyword in value.keywords:
            if keyword.arg is None:
                raise source.error(
                    InvalidSyntax,
                    "** can't be used; name every argument",
                    source.position(keyword.value),
                    hint=FORM,
                )
            if keyword.arg in args:
                raise source.error(
                    InvalidArgument,
                    f"keyword argument repeated: {keyword.arg}",
                    source.position(keyword),
                    hint="name every argument once",
                )
            positions[keyword.arg] = source.position(keyword.value)
            args[keyword.arg] = to_expression(keyword.value, source, self._known, known, self._braced)
        if target in self._braced:
            used, text = self._braced[target]
            raise UndefinedId(
                f"{target} is used before it is defined on line {position[0]}",
                line=used[0],
                column=used[1],
                text=text,
                hint="a call can use only the results of calls above it; change the order of the lines",
            )
        self._refuse_alike(target)
        self._known[target] = position[0]
        return FunctionCall(
            target, value.func.id, args, tuple(positional), position, text=source.text, positions=positions
        )

    def _refuse_alike(self, target: CallId) -> None:
        """Refuse ``{page3}`` in a string, which is no call, where others are ``page1`` and ``page2``."""
        name = self._stems.undefined(target, islice(self._braced, self._noted, None))
        self._noted = len(self._braced)
        if name is not None:
            (line, column), text = self._braced[name]
            hint = "a call can use only the results of calls above it"
            raise UndefinedId(f"{name} is not defined", line=line, column=column, text=text, hint=hint)
