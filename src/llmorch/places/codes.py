"""The code behind a value, compared across processes.

Decides which functions are in a value that is called, and when two of them are of the same
code: line numbers and names of files don't count. It must import quickly.
"""

from __future__ import annotations

import functools
import marshal
import sys
import types
from binascii import crc32
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEPTH = 5


def functions_in(value: Any, depth: int = _DEPTH) -> Iterator[types.FunctionType]:
    """The functions in a function, a method, a property, a partial or a wrapper, those wrapped included."""
    if depth < 0:
        return
    if isinstance(value, types.FunctionType):
        yield value
        inner = list(_contents(value))
    elif isinstance(value, staticmethod | classmethod | types.MethodType):
        inner = [value.__func__]
    elif isinstance(value, property):
        inner = [value.fget, value.fset, value.fdel]
    elif isinstance(value, functools.cached_property | functools.partial):
        inner = [value.func]
    elif isinstance(value, functools._lru_cache_wrapper):
        inner = [value.__wrapped__]
    else:
        return
    for one in inner:
        yield from functions_in(one, depth - 1)


def _contents(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # nothing is in it yet
            continue
    if "__wrapped__" in function.__dict__:
        yield function.__wrapped__  # type: ignore[attr-defined]


def found_at(module: str, path: str) -> Any:
    """What is in a variable of a module that is imported; None where nothing is."""
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def digest(value: Any) -> int:
    """A number for the code of a value."""
    found = 0
    for function in functions_in(value):
        found = _digest(function.__code__, found)
    return found


def _digest(code: types.CodeType, found: int) -> int:
    shape = (code.co_argcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    found = crc32(repr((shape, names)).encode(), crc32(code.co_code, found))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found = _digest(constant, found)
        else:
            found = crc32(marshal.dumps(constant, 1), found)
    return found


def sets(value: Any, name: str) -> bool:
    """Whether a function in a value sets a global variable of this name."""
    return any(_sets(function.__code__, name) for function in functions_in(value))


def _sets(code: types.CodeType, name: str) -> bool:
    from dis import get_instructions

    return name in code.co_names and any(
        one.opname == "STORE_GLOBAL" and one.argval == name for one in get_instructions(code)
    )


def names_in(code: types.CodeType) -> set[str]:
    """The names of globals, attributes and modules in a code, that of functions in it included."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= names_in(constant)
    return found
