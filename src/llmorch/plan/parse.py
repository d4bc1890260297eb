"""Text to calls, statement by statement, while the text still arrives.

Three ways to write a statement are read: ``s1 = search(query="Texas")``, the paper's
``s1: search(query="Texas")``, and LLMCompiler's ``1. search("Texas")`` with ``$1`` for
its result. This module decides which ids are known; where a statement stands is ``scanner``'s to say, and the tree
of an argument is built in ``expressions``. Nothing here runs what it reads.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from llmorch.arguments import refuse
from llmorch.calls import FunctionCall, Plan
from llmorch.errors import (
    DuplicateId,
    EmptyPlan,
    InvalidArgument,
    InvalidSyntax,
    PlanError,
    PlanTooLarge,
)
from llmorch.plan.expressions import to_expression
from llmorch.plan.fragments import BracedNames
from llmorch.plan.replies import ReplyScanner
from llmorch.plan.scanner import Scanner, Statement
from llmorch.plan.source import Names, Source
from llmorch.plan.statements import FORM, as_meant, id_and_call, is_call, python, without_dollars

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmorch.calls import CallId, Expression, Position

MAX_SHOWN = 100
"""Characters of what a reply without a plan says."""
MAX_CALLS = 20_000
"""Calls in one plan."""

_NUMBERED = re.compile(r"\s*(\d{1,6})[.:)]\s*(?=[A-Za-z_])")
_END_MARK = re.compile(r"join(\(\s*\))?(\s*<END_OF_PLAN>)?")
"""LLMCompiler's last line."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")


def parse(text: str) -> Plan:
    """Read a whole plan.

    Raises ``PlanError`` with line, column and hint at the first statement that is not one.
    """
    if not isinstance(text, str):
        refuse("text", "the text of a plan", text)
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
    scanner = ReplyScanner(functions)
    scanner.thoughts.met = thoughts
    parser = Parser(earlier, reply=scanner)
    calls = parser.feed(f"{reply}\n")
    return calls + parser.finish()


class Parser:
    """Reads a plan as its text arrives, whatever the pieces.

    ``feed`` hands on each call as soon as the line that ends its statement is complete.
    ``earlier`` are ids of calls that were made before this text, and ``above`` calls of lines that
    it goes on from: it may use them, and define none of them again. Without
    ``references`` braces in a string are text: a turn's calls have all values written out.
    With ``numbers`` a call may stand without an id, and has that of its place, ``s2`` for
    the second, or the next one that is free. The text may be a ``reply``, with more around
    the plan; without one, every line must be the plan's.
    """

    def __init__(
        self,
        earlier: Iterable[CallId] = (),
        *,
        above: Iterable[FunctionCall] = (),
        references: bool = True,
        numbers: bool = False,
        reply: ReplyScanner | None = None,
    ) -> None:
        self._references = references
        self._numbers = numbers
        self._reply = reply
        self._scanner = reply or Scanner()
        self._before = dict.fromkeys(earlier, 0) | {call.id: call.position[0] for call in above}
        self._partial = ""
        self.voids = 0
        """How often all that was read turned out to be thought: none of its calls counts."""
        self._begin()

    def _begin(self) -> None:
        self._known: dict[CallId, int] = dict(self._before)
        self._places: dict[str, int] = {}
        """Where in a reply each statement stands."""
        self._braced = BracedNames(self._known)

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
            found = self._calls(self._scanner.line(line))
            calls = calls + found if self.voids == voids else found
        self._scanner.bound(len(self._partial), self._scanner.number + 1)
        return calls

    def finish(self) -> list[FunctionCall]:
        """End the text; return the calls of the last line.

        Raises ``EmptyPlan`` when no statement was found in the whole text.
        """
        partial, self._partial = self._partial, ""
        calls = self._calls(self._scanner.end(partial))
        if len(self._known) == len(self._before):
            raise self._none()
        if self._reply is not None and (lost := self._reply.lost(self._known)):
            raise lost
        return calls

    def _calls(self, statements: list[Statement]) -> list[FunctionCall]:
        if self._reply is not None and self._reply.thoughts.voids != self.voids:
            self.voids = self._reply.thoughts.voids
            self._begin()
        return [call for statement in statements for call in self._read(statement)]

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
            self._read(Statement(line, number))
        except PlanError as error:
            return type(error)(
                f"{error.message}; {says}", line=error.line, column=error.column, text=line, hint=error.hint
            )
        return EmptyPlan(says, line=number, text=line, hint=FORM)

    def _read(self, statement: Statement) -> list[FunctionCall]:
        text, line = statement.text, statement.line
        if control := _CONTROL.search(text):
            begun = text.rfind("\n", 0, control.start()) + 1
            raise InvalidSyntax(
                f"the control character {control.group()!r} can't stand in a plan",
                line=line + text.count("\n", 0, begun),
                column=control.start() - begun + 1,
                text=text[begun:].split("\n", 1)[0],
                hint="inside a string, write it as an escape",
            )
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
        for node in self._meant(python(code[indent:], source), statement):
            if id_ is None and self._numbers and is_call(node):
                id_ = self._free()
            calls.append(self._call(node, id_, source))
            id_ = None
        return calls

    def _meant(self, nodes: list[ast.stmt], statement: Statement) -> list[ast.stmt]:
        """What of a reply's statement the plan is to make."""
        if self._reply is None:
            return nodes
        place = statement.place
        seen = self._places.setdefault(statement.text.strip(), place)
        if seen != place and (place <= 0 or not any(map(is_call, nodes))):
            return []  # it is told of again, or written again in a fence
        functions = self._reply.functions
        return [meant for node in nodes if (meant := as_meant(node, self._known, functions))]

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
            line = self._known[target]
            first = f"on line {line}" if line else "in an earlier plan"
            hint = f"give this call an id of its own, such as {self._free()}"
            raise source.error(DuplicateId, f"{target} is defined twice, first {first}", position, hint=hint)
        if len(self._known) >= MAX_CALLS:
            raise source.error(PlanTooLarge, f"a plan has at most {MAX_CALLS:,} calls", position)
        if not isinstance(value.func, ast.Name):
            message = "only a function's plain name can be called"
            raise source.error(InvalidSyntax, message, value.func, hint=FORM)
        names = Names(source, self._known, (target,))
        args: dict[str, Expression] = {}
        positions: dict[str | int, Position] = {}
        positional = []
        for place, argument in enumerate(value.args):
            positions[place] = source.position(argument)
            positional.append(to_expression(argument, names, self._braced))
        for keyword in value.keywords:
            if keyword.arg is None:
                message = "** can't be used; name every argument"
                raise source.error(InvalidSyntax, message, keyword.value, hint=FORM)
            if keyword.arg in args:
                message = f"keyword argument repeated: {keyword.arg}"
                raise source.error(InvalidArgument, message, keyword, hint="name every argument once")
            positions[keyword.arg] = source.position(keyword.value)
            args[keyword.arg] = to_expression(keyword.value, names, self._braced)
        self._braced.define(target, position[0])
        self._known[target] = position[0]
        return FunctionCall(
            target, value.func.id, args, tuple(positional), position, text=source.text, positions=positions
        )
