"""Text to calls, statement by statement, while the text still arrives.

Three ways to write a statement are read: ``s1 = search(query="Texas")``, the paper's
``s1: search(query="Texas")``, and LLMCompiler's ``1. search("Texas")`` with ``$1`` for
its result. This module decides where a statement ends and which ids are known; the tree
of an argument is built in ``expressions``. Nothing here runs what it reads.
"""

from __future__ import annotations

import ast
import re
import warnings
from itertools import islice
from typing import TYPE_CHECKING

from llmorch.calls import FunctionCall, Plan
from llmorch.errors import DuplicateId, EmptyPlan, InvalidSyntax, PlanTooLarge, UndefinedId
from llmorch.plan.expressions import BUILTINS, ID, to_expression
from llmorch.plan.fragments import Stems
from llmorch.plan.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmorch.calls import CallId, Expression, Position

MAX_STATEMENT = 100_000
"""Characters in one statement."""
MAX_CALLS = 20_000
"""Calls in one plan."""
MAX_BRACKETS = 40
"""Brackets open at once."""

FORM = 'write one call a line, as in: s1 = function(name="argument")'

_FENCE = re.compile(r"\s*```\w*\s*$")
_NUMBERED = re.compile(r"\s*(\d{1,6})[.:)]\s*(?=[A-Za-z_])")
_DOLLAR = re.compile(r"\$(?:\{(\d{1,6})\}|(\d{1,6}))")
_END_MARK = re.compile(r"join(\(\s*\))?(\s*<END_OF_PLAN>)?")
"""LLMCompiler's last line."""
_MARK = re.compile(r"[\"'#()\[\]{}]")
_WARNED_OF = re.compile(r"\\|\d[jJxX.]?(?:and|else|for|if|in|is|not|or)")
_STRING_END = {quote: re.compile(rf"(?:[^\\]|\\.)*?{quote}", re.DOTALL) for quote in ('"""', "'''", '"', "'")}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")


def parse(text: str) -> Plan:
    """Read a whole plan.

    Raises ``PlanError`` with line, column and hint at the first statement that is not one.
    """
    parser = Parser()
    calls = parser.feed(text)
    calls += parser.finish()
    return Plan(tuple(calls))


class Parser:
    """Reads a plan as its text arrives, whatever the pieces.

    ``feed`` hands on each call as soon as the line that ends its statement is complete.
    After an error the parser takes nothing more. ``earlier`` are ids of calls that were
    made before this text: it may use them, and define none of them again. Without
    ``references`` braces in a string are text: a turn's calls have all values written out.
    With ``numbers`` a call may stand without an id, and has that of its place, ``s2`` for
    the second, or the next one that is free.
    """

    def __init__(
        self, earlier: Iterable[CallId] = (), *, references: bool = True, numbers: bool = False
    ) -> None:
        self._references = references
        self._numbers = numbers
        self._known: dict[CallId, int] = dict.fromkeys(earlier, 0)
        self._earlier = len(self._known)
        self._braced: dict[str, tuple[Position, str]] = {}
        self._stems = Stems(self._known)
        self._noted = 0
        """How many of the names in braces ``_stems`` has seen."""
        self._partial = ""
        self._line = 0
        self._statement: list[str] = []
        self._size = 0
        self._depth = 0
        self._quote = ""

    @property
    def ids(self) -> tuple[CallId, ...]:
        """The ids that can be used so far, in order."""
        return tuple(self._known)

    def feed(self, text: str) -> list[FunctionCall]:
        """Take the next piece of the text; return the calls that it completed."""
        *complete, self._partial = (self._partial + text).split("\n")
        calls: list[FunctionCall] = []
        for line in complete:
            calls += self._take(line)
        self._bound(len(self._partial), self._line + 1)
        return calls

    def finish(self) -> list[FunctionCall]:
        """End the text; return the calls of the last line.

        Raises ``EmptyPlan`` when no statement was found in the whole text.
        """
        partial, self._partial = self._partial, ""
        calls = self._take(partial) if partial else []
        if self._statement:
            # An open bracket or quote: Python's own parser says which.
            calls += self._end_statement()
        if len(self._known) == self._earlier:
            raise EmptyPlan("the plan has no call", hint=FORM)
        return calls

    def _bound(self, more: int, line: int) -> None:
        if self._size + more > MAX_STATEMENT:
            raise PlanTooLarge(
                f"a statement is longer than {MAX_STATEMENT:,} characters",
                line=line - len(self._statement),
                hint="pass long texts by id, as results of earlier calls",
            )

    def _take(self, line: str) -> list[FunctionCall]:
        line = line.removesuffix("\r")
        self._line += 1
        self._bound(len(line), self._line)
        if not self._statement and (not line.strip() or _FENCE.match(line) or line.lstrip().startswith("#")):
            return []
        if control := _CONTROL.search(line):
            raise InvalidSyntax(
                f"the control character {control.group()!r} can't stand in a plan",
                line=self._line,
                column=control.start() + 1,
                text=line,
                hint="inside a string, write it as an escape",
            )
        self._statement.append(line)
        self._size += len(line) + 1
        self._scan(line)
        if self._depth > 0 or self._quote or line.endswith("\\"):
            return []
        return self._end_statement()

    def _scan(self, line: str) -> None:
        """Follow brackets and quotes through one line."""
        at = 0
        while True:
            if self._quote:
                end = _STRING_END[self._quote].match(line, at)
                if end is None:
                    if len(self._quote) == 1 and not line.endswith("\\"):
                        self._quote = ""  # an unfinished string: the statement ends here, as an error
                        self._depth = 0
                    return
                at, self._quote = end.end(), ""
            found = _MARK.search(line, at)
            if found is None:
                return
            mark, at = found.group(), found.end()
            if mark == "#":
                return
            if mark in "\"'":
                self._quote = mark * 3 if line.startswith(mark * 3, found.start()) else mark
                at = found.start() + len(self._quote)
            elif mark in "([{":
                self._depth += 1
                if self._depth > MAX_BRACKETS:
                    raise PlanTooLarge(
                        f"more than {MAX_BRACKETS} brackets are open",
                        line=self._line,
                        column=found.start() + 1,
                        text=line,
                        hint="give parts of it a line and an id of their own",
                    )
            else:
                self._depth = max(0, self._depth - 1)

    def _end_statement(self) -> list[FunctionCall]:
        first = self._line - len(self._statement) + 1
        text = "\n".join(self._statement)
        self._statement, self._size, self._depth, self._quote = [], 0, 0, ""
        return self._read(text, first)

    def _read(self, text: str, line: int) -> list[FunctionCall]:
        id_, code = None, text
        if numbered := _NUMBERED.match(text):
            id_ = f"s{numbered.group(1)}"
            # Spaces keep every column where it was.
            code = " " * numbered.end() + text[numbered.end() :]
            if _END_MARK.fullmatch(code.strip()):
                return []  # it names no function; a function that is called join has arguments
            code = _outside_strings(code)
        indent = len(code) - len(code.lstrip())
        source = Source(
            text=text, line=line, indent=indent, numbered=id_ is not None, literal=not self._references
        )
        statements = _python(code[indent:], source)
        calls = []
        for statement in statements:
            if id_ is None and self._numbers and _is_call(statement):
                id_ = self._free()
            calls.append(self._call(statement, id_, source))
            id_ = None
        return calls

    def _free(self) -> CallId:
        """The id of the next call's place, or of the first place after it whose id isn't taken."""
        place = len(self._known) + 1
        while f"s{place}" in self._known:
            place += 1
        return f"s{place}"

    def _call(self, statement: ast.stmt, id_: CallId | None, source: Source) -> FunctionCall:
        target, value = _split(statement, id_, source)
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


def _is_call(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)


def _split(statement: ast.stmt, id_: CallId | None, source: Source) -> tuple[CallId, ast.Call]:
    """A statement's id and call."""
    target: ast.expr | None
    value: ast.expr | None
    match statement:
        case ast.Assign(targets=[target], value=value):
            pass
        case ast.AnnAssign(target=target, annotation=value, value=None):
            pass
        case ast.Expr(value=value) if id_ is not None:
            target = None
        case _:
            raise source.error(
                InvalidSyntax, "this is not a call with an id", source.position(statement), hint=FORM
            )
    if isinstance(target, ast.Name):
        id_ = target.id
    if id_ is None or (target is not None and not isinstance(target, ast.Name)) or not ID.fullmatch(id_):
        raise source.error(
            InvalidSyntax,
            "a call's id is a plain name such as s1",
            source.position(target or statement),
            hint=FORM,
        )
    if id_ in BUILTINS or id_ == "self":
        raise source.error(
            InvalidSyntax, f"{id_} has a meaning already; use an id such as s1", source.position(statement)
        )
    if not isinstance(value, ast.Call):
        raise source.error(
            InvalidSyntax,
            f"{id_} is given something that is not a function call",
            source.position(value or statement),
            hint=f"{FORM}; an expression can stand only inside an argument",
        )
    return id_, value


def _python(code: str, source: Source) -> list[ast.stmt]:
    try:
        if not _WARNED_OF.search(code):
            return ast.parse(code).body
        with warnings.catch_warnings():
            # What a model writes, such as "\d" in a string, is not worth a warning to the user.
            warnings.simplefilter("ignore")
            return ast.parse(code).body
    except SyntaxError as error:
        line = source.line + max(1, error.lineno or 1) - 1
        column = max(1, error.offset or 1) + (source.indent if (error.lineno or 1) == 1 else 0)
        reason = str(error.msg).split(". Perhaps")[0]
        raise source.error(
            InvalidSyntax, f"this is not a call: {reason}", (line, column), hint=FORM
        ) from None
    except (RecursionError, MemoryError):
        pass  # what is nested without brackets: a chain of operators
    except ValueError as error:
        raise source.error(InvalidSyntax, str(error), (source.line, 1), hint=FORM) from None
    raise source.error(PlanTooLarge, "an expression is nested too deeply", (source.line, 1)) from None


def _outside_strings(code: str) -> str:
    """LLMCompiler's ``$1`` as ``s1``, where it is not inside a string."""
    pieces, at = [], 0
    for found in re.finditer(r"\"\"\"|'''|[\"']", code):
        if found.start() < at:
            continue
        pieces.append(_DOLLAR.sub(_as_id, code[at : found.start()]))
        end = _STRING_END[found.group()].match(code, found.end())
        at = end.end() if end else len(code)
        pieces.append(code[found.start() : at])
    pieces.append(_DOLLAR.sub(_as_id, code[at:]))
    return "".join(pieces)


def _as_id(match: re.Match[str]) -> str:
    return f"s{match.group(1) or match.group(2)}"
