"""One statement's text to Python's tree, and that to an id and a call."""

from __future__ import annotations

import ast
import re
import warnings
from typing import TYPE_CHECKING

from llmorch.errors import InvalidSyntax, PlanTooLarge
from llmorch.plan.expressions import BUILTINS, ID
from llmorch.plan.scanner import STRING_END

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from llmorch.calls import CallId
    from llmorch.plan.source import Source

FORM = 'write one call a line, as in: s1 = function(name="argument")'

_DOLLAR = re.compile(r"\$(?:\{(\d{1,6})\}|(\d{1,6}))")
_BRACED = re.compile(r"\{(\w{1,64})")
_WARNED_OF = re.compile(r"[0-9][jJxX.]?(?:and|else|for|if|in|is|not|or)")


def python(code: str, source: Source) -> list[ast.stmt]:
    """The statements in a text, as Python reads them. Raises ``PlanError``."""
    try:
        if "\\" not in code and not _WARNED_OF.search(code):
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


def is_call(statement: ast.stmt) -> bool:
    """Whether a statement is a call without an id."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)


def id_and_call(statement: ast.stmt, id_: CallId | None, source: Source) -> tuple[CallId, ast.Call]:
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


def as_meant(statement: ast.stmt, known: dict[CallId, int], offered: Container[str]) -> ast.stmt | None:
    """A statement of a model's habit as one of the plan: an awaited call, a returned one.

    ``None`` for one that only shows the last result, as ``print(s3)`` does where nothing of
    that name is offered, or ``return s3``: the last result is the answer anyway.
    """
    if type(statement) is ast.Assign and type(statement.value) is ast.Call:
        return statement  # as most are
    match statement:
        case ast.AnnAssign(target=target, value=ast.expr() as value):  # with a type of Python's
            return as_meant(ast.copy_location(ast.Assign([target], value), statement), known, offered)
        case ast.Assign(value=ast.Await(value=call)):
            statement.value = call
        case ast.AnnAssign(annotation=ast.Await(value=call)):
            statement.annotation = call
        case ast.Expr(value=ast.Await(value=call)):
            statement.value = call
        case ast.Return(value=ast.Call(func=ast.Name(id=name)) as call) if name not in BUILTINS:
            return ast.copy_location(ast.Expr(call), statement)
        case ast.Return(value=ast.expr() as shown) if _only_last((shown,), known):
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


def without_dollars(code: str) -> str:
    """LLMCompiler's ``$1`` as ``s1``, where it is not inside a string."""
    pieces, at = [], 0
    for found in re.finditer(r"\"\"\"|'''|[\"']", code):
        if found.start() < at:
            continue
        pieces.append(_DOLLAR.sub(_as_id, code[at : found.start()]))
        end = STRING_END[found.group()].match(code, found.end())
        at = end.end() if end else len(code)
        pieces.append(code[found.start() : at])
    pieces.append(_DOLLAR.sub(_as_id, code[at:]))
    return "".join(pieces)


def _as_id(match: re.Match[str]) -> str:
    return f"s{match.group(1) or match.group(2)}"
