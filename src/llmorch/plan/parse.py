"""Text to calls, statement by statement, while the text still arrives.

Three ways to write a statement are read: ``s1 = search(query="Texas")``, the paper's
``s1: search(query="Texas")``, and LLMCompiler's ``1. search("Texas")`` with ``$1`` for
its result. This module decides which ids are known; where a statement stands is ``scanner``'s to say, and the tree
of an argument is built in ``expressions``. Nothing here runs what it reads.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from llmorch.arguments import refuse
from llmorch.calls import FunctionCall, Plan
from llmorch.errors import DuplicateId, EmptyPlan, InvalidArgument, InvalidSyntax, PlanError, PlanTooLarge
from llmorch.plan.expressions import BUILTINS, ID, Arguments
from llmorch.plan.fragments import BracedNames
from llmorch.plan.replies import ReplyScanner
from llmorch.plan.scanner import FORM, STRING_END, Scanner, Statement
from llmorch.plan.tree import statements

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from llmorch.calls import CallId, Expression, Position

MAX_SNIPPET = 100
"""Characters of what a reply without a plan says."""
MAX_CALLS = 20_000
"""Calls in one plan."""
MAX_BRACES = 8_000
"""Opening braces in a statement with f-strings: up to 3.11 Python looks for each from the string's beginning on."""

_NUMBERED = re.compile(r"\s*(\d{1,6})[.:)]\s*(?=[A-Za-z_])")
_END_MARK = re.compile(r"join(\(\s*\))?(\s*<END_OF_PLAN>)?")
"""LLMCompiler's last line."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
_DOLLAR = re.compile(r"\$(?:\{(\d{1,6})\}|(\d{1,6}))")
_BRACED = re.compile(r"\{(\w{1,64})")
_F_STRING = re.compile(r"[fF][rR]?[\"']")
_WARNED_OF = re.compile(r"[0-9][jJxX.]?(?:and|else|for|if|in|is|not|or)")


def parse(text: str) -> Plan:
    """Read a whole plan.

    Raises ``PlanError`` with line, column and hint at the first statement that is not one.
    """
    if not isinstance(text, str):
        refuse("text", "the text of a plan", text)
    parser = Parser()
    return Plan((*parser.feed(text), *parser.finish()))


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
    voids = parser.voids
    last = parser.finish()
    return [*calls, *last] if parser.voids == voids else last


class Parser:
    """Reads a plan as its text arrives, whatever the pieces.

    ``feed`` hands on each call as soon as the line that ends its statement is complete.
    ``earlier`` are ids of calls that were made before this text, and ``above`` calls of lines that
    it goes on from: it may use them, and define none of them again. Without
    ``references`` braces in a string are text: a turn's calls have all values written out.
    With ``numbers`` a call may stand without an id, and has that of its index, ``s2`` for
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
        self._partial: list[str] = []
        """The pieces of the line that is not complete yet."""
        self._partial_size = 0
        self.voids = 0
        """How often all that was read turned out to be thought: none of its calls counts."""
        self._begin()

    def _begin(self) -> None:
        self._known: dict[CallId, int] = dict(self._before)
        self._fences: dict[str, int] = {}
        """Where in a reply each statement stands."""
        self._braced = BracedNames(self._known)

    def feed(self, text: str) -> list[FunctionCall]:
        """Take the next piece of the text; return the calls that it completed."""
        first, *lines = text.split("\n")
        self._partial.append(first)
        self._partial_size += len(first)
        calls: list[FunctionCall] = []
        for following in lines:
            line = "".join(self._partial)
            self._partial, self._partial_size = [following], len(following)
            voids = self.voids
            found = self._calls(self._scanner.line(line))
            if self.voids != voids:
                calls.clear()
            calls += found
        self._scanner.bound(self._partial_size, self._scanner.number + 1)
        return calls

    def finish(self) -> list[FunctionCall]:
        """End the text; return the calls of the last line.

        Raises ``EmptyPlan`` when no statement was found in the whole text.
        """
        partial = "".join(self._partial)
        self._partial, self._partial_size = [], 0
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
        snippet = line.strip() if len(line.strip()) <= MAX_SNIPPET else f"{line.strip()[:MAX_SNIPPET]} ..."
        says = f"the reply has no call; it says: {snippet}"
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
            code = _without_dollars(code)
        indent = len(code) - len(code.lstrip())
        if indent:
            statement = replace(statement, indent=indent, numbered=id_ is not None)
        calls = []
        for node in self._meant(_python(code[indent:], statement), statement):
            if id_ is None and self._numbers and _is_call(node):
                id_ = self._free()
            calls.append(self._call(node, id_, statement))
            id_ = None
        return calls

    def _meant(self, nodes: list[ast.stmt], statement: Statement) -> list[ast.stmt]:
        """What of a reply's statement the plan is to make."""
        if self._reply is None:
            return nodes
        fence = statement.fence
        seen = self._fences.setdefault(statement.text.strip(), fence)
        if seen != fence and (fence <= 0 or not any(map(_is_call, nodes))):
            return []  # it is mentioned again, or written again in a fence
        functions = self._reply.functions
        return [meant for node in nodes if (meant := _as_meant(node, self._known, functions))]

    def _free(self) -> CallId:
        """The id of the next call's index, or of the first index after it whose id isn't taken."""
        index = len(self._known) + 1
        while f"s{index}" in self._known:
            index += 1
        return f"s{index}"

    def _call(self, node: ast.stmt, id_: CallId | None, source: Statement) -> FunctionCall:
        target, value = _id_and_call(node, id_, source)
        position = source.position(node)
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
        read = Arguments(source, self._known, target, self._braced, references=self._references).read
        positional = tuple(read(argument) for argument in value.args)
        positions: dict[str | int, Position] = dict(enumerate(map(source.position, value.args)))
        args: dict[str, Expression] = {}
        for keyword in value.keywords:
            if keyword.arg is None:
                message = "** can't be used; name every argument"
                raise source.error(InvalidSyntax, message, keyword.value, hint=FORM)
            if keyword.arg in args:
                message = f"keyword argument repeated: {keyword.arg}"
                raise source.error(InvalidArgument, message, keyword, hint="name every argument once")
            positions[keyword.arg] = source.position(keyword.value)
            args[keyword.arg] = read(keyword.value)
        self._braced.define(target, position[0])
        self._known[target] = position[0]
        return FunctionCall(
            target, value.func.id, args, positional, position, text=source.text, positions=positions
        )


def _python(code: str, source: Statement) -> list[ast.stmt]:
    """The statements in a text, as Python reads them. Raises ``PlanError``."""
    if len(code) > MAX_BRACES and code.count("{") > MAX_BRACES and _F_STRING.search(code):
        message = f"a statement with an f-string has more than {MAX_BRACES:,} braces"
        raise source.error(PlanTooLarge, message, (source.line, 1), hint="write it without the f")
    try:
        if "\\" not in code and not _WARNED_OF.search(code):
            return statements(code)
        with warnings.catch_warnings():
            # What a model writes, such as "\d" in a string, is not worth a warning to the user.
            warnings.simplefilter("ignore")
            return statements(code)
    except SyntaxError as error:
        row, column = max(1, error.lineno or 1), max(1, error.offset or 1)
        position = source.line + row - 1, column + (source.indent if row == 1 else 0)
        reason = str(error.msg).split(". Perhaps")[0]
        raise source.error(InvalidSyntax, f"this is not a call: {reason}", position, hint=FORM) from None
    except (RecursionError, MemoryError):  # what is nested without brackets: a chain of operators
        message = "an expression is nested too deeply"
        raise source.error(PlanTooLarge, message, (source.line, 1)) from None
    except ValueError as error:
        raise source.error(InvalidSyntax, str(error), (source.line, 1), hint=FORM) from None


def _is_call(statement: ast.stmt) -> bool:
    """Whether a statement is a call without an id."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)


def _id_and_call(statement: ast.stmt, id_: CallId | None, source: Statement) -> tuple[CallId, ast.Call]:
    """A statement's id and call; ``id_`` is its own where it brings none. Raises ``InvalidSyntax``."""
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
            raise source.error(InvalidSyntax, "this is not a call with an id", statement, hint=FORM)
    if isinstance(target, ast.Name):
        id_ = target.id
    if id_ is None or (target is not None and not isinstance(target, ast.Name)) or not ID.fullmatch(id_):
        message = "a call's id is a plain name such as s1"
        raise source.error(InvalidSyntax, message, target or statement, hint=FORM)
    if id_ in BUILTINS or id_ == "self":
        message = f"{id_} has a meaning already; use an id such as s1"
        raise source.error(InvalidSyntax, message, statement)
    if not isinstance(value, ast.Call):
        message = f"{id_} is given something that is not a function call"
        hint = f"{FORM}; an expression can stand only inside an argument"
        raise source.error(InvalidSyntax, message, value or statement, hint=hint)
    return id_, value


def _as_meant(statement: ast.stmt, known: dict[CallId, int], offered: Container[str]) -> ast.stmt | None:
    """A statement of a model's habit as one of the plan: an awaited call, a returned one.

    ``None`` for one that only shows the last result, as ``print(s3)`` does where nothing of
    that name is offered, or ``return s3``: the last result is the answer anyway.
    """
    if type(statement) is ast.Assign and type(statement.value) is ast.Call:
        return statement  # as most are
    match statement:
        case ast.AnnAssign(target=target, value=ast.expr() as value):  # with a type of Python's
            return _as_meant(ast.copy_location(ast.Assign([target], value), statement), known, offered)
        case ast.Assign(value=ast.Await(value=call)) | ast.Expr(value=ast.Await(value=call)):
            statement.value = call
        case ast.AnnAssign(annotation=ast.Await(value=call)):
            statement.annotation = call
        case ast.Return(value=ast.Call(func=ast.Name(id=name)) as call) if name not in BUILTINS:
            return ast.copy_location(ast.Expr(call), statement)
        case ast.Return(value=ast.expr() as returned) if _only_last((returned,), known):
            return None
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=parts)) if (
            "print" not in offered and _only_last(parts, known)
        ):
            return None
    return statement


def _only_last(parts: Iterable[ast.expr], known: dict[CallId, int]) -> bool:
    """Whether expressions hold the last result, and call nothing but builtins."""
    names: set[str] = set()
    for node in (node for part in parts for node in ast.walk(part)):
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in BUILTINS):
            return False
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.update(name for name in _BRACED.findall(node.value) if name in known)
    return bool(known) and next(reversed(known)) in names and names <= {*known, *BUILTINS}


def _without_dollars(code: str) -> str:
    """LLMCompiler's ``$1`` as ``s1``, where it is not inside a string."""
    pieces, at = [], 0
    for found in re.finditer(r"\"\"\"|'''|[\"']", code):
        if found.start() < at:
            continue
        pieces.append(_DOLLAR.sub(r"s\1\2", code[at : found.start()]))
        end = STRING_END[found.group()].match(code, found.end())
        at = end.end() if end else len(code)
        pieces.append(code[found.start() : at])
    return "".join([*pieces, _DOLLAR.sub(r"s\1\2", code[at:])])
