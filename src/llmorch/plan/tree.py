"""A text as Python's own tree, from any thread.

CPython up to 3.12 counts the depth of all trees that are built at once in one place: where a thread goes on
in the middle of another's tree, one of them ends with a SystemError, though nothing is wrong with its text
(github.com/python/cpython/issues/106905). Then it is built once more.
"""

from __future__ import annotations

import ast
from typing import Literal

_ATTEMPTS = 1_000
_OF_THREADS = "recursion depth mismatch"


def statements(code: str) -> list[ast.stmt]:
    """Those of a text. Raises what ``ast.parse`` raises."""
    made = _parsed(code, "exec")
    assert isinstance(made, ast.Module)
    return made.body


def expression(code: str) -> ast.expr:
    """The only one of a text. Raises what ``ast.parse`` raises."""
    made = _parsed(code, "eval")
    assert isinstance(made, ast.Expression)
    return made.body


def _parsed(code: str, mode: Literal["exec", "eval"]) -> ast.AST:
    for _ in range(_ATTEMPTS):
        try:
            return ast.parse(code, mode=mode)
        except SystemError as error:
            if _OF_THREADS not in str(error):
                raise
    return ast.parse(code, mode=mode)
