"""Argument expressions to values, on the tree, once every result they use is there.

Nothing a model wrote is executed: each node is computed here, within bounds on size, and
what a result contains is never read as a reference.
"""

from __future__ import annotations

import io
import json
import sys
import types
import weakref
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from llmorch.calls import (
    Binary,
    Builtin,
    Compare,
    Constant,
    DictOf,
    Field,
    Junction,
    ListOf,
    Negated,
    Reference,
    Slice,
    Subscript,
    Template,
    references,
)
from llmorch.declare.text import interrupted, kind_name, message_of, quoted, shortened
from llmorch.errors import EvaluationError
from llmorch.plan.arrays import numbers_in, shape
from llmorch.plan.budget import ITEM, Budget, Uncounted
from llmorch.plan.operators import built_in, compared, negated, operated

if TYPE_CHECKING:
    from llmorch.calls import CallId, Expression
    from llmorch.declare.parameters import Parameter

_DATA = (types.SimpleNamespace, types.MappingProxyType)
_INTERPRETER = frozenset(
    id(kind)
    for kind in (
        *(*vars(types).values(), type, property, staticmethod, classmethod, super, io.IOBase.__base__),
        *weakref.ProxyTypes,
    )
    if isinstance(kind, type) and kind not in _DATA
)
"""What the interpreter is made of: not even its plain fields are data, for they lead to the whole program.

These are identities, since classes of somebody's may have a say in how they are compared.
"""
_MACHINERY = frozenset(
    {
        "_thread",
        "threading",
        "_queue",
        "queue",
        "_contextvars",
        "contextvars",
        "concurrent",
        "_asyncio",
        "asyncio",
    }
    | {"_socket", "socket", "_ssl", "ssl", "select", "selectors", "_ctypes", "ctypes", "tempfile", "logging"}
    | {
        "_functools",
        "functools",
        "_operator",
        "operator",
        "itertools",
        "gc",
        "inspect",
        "importlib",
        "zipimport",
    }
    | {"_frozen_importlib", "_frozen_importlib_external", "_multiprocessing", "multiprocessing", "mmap"}
)
"""Modules of Python's whose objects are no data either: locks, threads, loops, sockets, loggers, loaders."""
_OTHERS = {("os", "_Environ"), ("os", "_wrap_close"), ("subprocess", "Popen"), ("posix", "ScandirIterator")}
_ABOVE = type.__dict__["__mro__"].__get__
_HOME = type.__dict__["__module__"].__get__
_NAME = type.__dict__["__name__"].__get__
_NAMES = type.__dict__["__dict__"].__get__
_BUILT_IN = type(list.__len__)
_PLAIN = frozenset(map(id, (str, int, float, list, dict, tuple, bool)))
_TEXTS = frozenset({str, bytes, bytearray})
_SLICED = _TEXTS | {list, tuple}
_NO_TRUTH = (
    "an array is neither true nor false as a whole; compare its elements in one chain, as in 0 < s1 < 10, "
    "or one number of it, as in max(s1) > 2"
)


def evaluate(expression: Expression, results: Mapping[CallId, Any], budget: Budget | None = None) -> Any:
    """The value of an argument, given the results that it uses.

    Raises ``EvaluationError`` with a message of one line when it has none, or takes more than is left of the
    budget; it is ``Uncounted`` where that one is of what others wait for. Without a budget it has one of its own.
    """
    if type(expression) is Constant:  # the two that most arguments are
        return expression.value
    if type(expression) is Reference:
        return results[expression.id]
    try:
        return _value(expression, results, budget or Budget(apart=True))
    except EvaluationError:
        raise
    except KeyError as error:
        raise EvaluationError(f"there is no {message_of(error) or 'such key'} in the result") from None
    except RecursionError:
        raise EvaluationError("the expression is nested too deeply") from None
    except BaseException as error:  # a result's own operators may raise anything
        if interrupted(error):
            raise
        message = message_of(error)
        if "ambiguous" in message:  # what it advises to do instead, a plan can't
            raise EvaluationError(_NO_TRUTH) from None
        raise EvaluationError(f"{kind_name(error)}: {message}") from None


def argument(
    parameter: Parameter,
    expression: Expression,
    results: Mapping[CallId, Any],
    budget: Budget | None = None,
) -> Any:
    """The value in the parameter's type; what was written as a string may be its text.

    Raises ``EvaluationError``, or ``ValueError`` where it doesn't fit, with a message of one line.
    """
    if budget is None:
        budget = Budget(apart=True)
    value = expression.value if type(expression) is Constant else evaluate(expression, results, budget)
    if parameter.is_sure_of(value):
        return value
    try:
        return accepted(parameter, value, budget)
    except ValueError as error:
        text = as_text(value, budget) if parameter.is_text else evaluate(_worded(expression), results, budget)
        with suppress(ValueError):
            return parameter.accept(text)
        sources = dict.fromkeys(reference.id for reference in references(expression))
        came = f" (from {', '.join(sources)}, a {kind_name(value)})" if sources else ""
        raise ValueError(f"{error}{came}") from None


def accepted(parameter: Parameter, value: Any, budget: Budget) -> Any:
    """A value in the parameter's type. Raises ``ValueError`` where it doesn't fit, and ``EvaluationError``."""
    if parameter.is_sure_of(value):
        return value
    if parameter.runs_code and not budget.apart:
        raise Uncounted(f"the type of {parameter.name} runs code of its own")
    budget.weigh_check(value)
    return parameter.accept(value)


def _worded(expression: Expression) -> Expression:
    """The same argument, with every string in it kept a string.

    ``"{s1}"`` passes a result as it is; where a function takes only text there, its
    text is what was meant.
    """
    match expression:
        case Template(parts):
            return Template(("", *parts))
        case ListOf(items):
            return ListOf(tuple(_worded(item) for item in items))
        case DictOf(pairs):
            return DictOf(tuple((key, _worded(value)) for key, value in pairs))
        case _:
            return expression


def as_text(value: object, budget: Budget | None = None) -> str:
    """A value as it stands inside a string: text as it is, the rest as JSON if it can be.

    Raises ``EvaluationError`` for what has no text, or too much of it.
    """
    if type(value) is str:
        return value
    try:
        (budget or Budget(apart=True)).weigh_text(value)
        if isinstance(value, Mapping | list | tuple):
            with suppress(TypeError, ValueError):
                return json.dumps(value, ensure_ascii=False)
        return str.__str__(str(value))
    except EvaluationError:
        raise
    except BaseException as error:  # a value's own __str__ may raise anything
        if interrupted(error):
            raise
        raise EvaluationError(f"a {kind_name(value)} has no text: {message_of(error)}") from None


def _template(parts: tuple[str | Expression, ...], results: Mapping[CallId, Any], budget: Budget) -> Any:
    if len(parts) == 1 and not isinstance(parts[0], str):
        return _value(parts[0], results, budget)
    pieces = [
        part if type(part) is str else as_text(_value(part, results, budget), budget)  # type: ignore[arg-type]
        for part in parts
    ]
    budget.charge(sum(map(len, pieces)))
    return "".join(pieces)


def _value(node: Expression | Slice, results: Mapping[CallId, Any], budget: Budget) -> Any:
    if type(node) is Constant:
        return node.value
    if type(node) is Reference:
        return results[node.id]
    match node:
        case Template(parts):
            return _template(parts, results, budget)
        case ListOf(items):
            return [_value(item, results, budget) for item in items]
        case Binary(sign, left, right):
            return operated(sign, _value(left, results, budget), _value(right, results, budget), budget)
        case DictOf(pairs):
            return {_key(key, results, budget): _value(value, results, budget) for key, value in pairs}
        case Negated(sign, operand):
            return negated(sign, _value(operand, results, budget), budget)
        case Compare(first, rest):
            values = [_value(operand, results, budget) for operand in (first, *(one for _, one in rest))]
            return compared(values, [sign for sign, _ in rest], budget)
        case Junction(sign, operands):
            for operand in operands:
                value = _value(operand, results, budget)
                budget.counted(value)
                if bool(value) == (sign == "or"):
                    break
            return value
        case Subscript(value, key):
            return _part(_value(value, results, budget), _key(key, results, budget), budget)
        case Slice(start, stop):
            return slice(
                None if start is None else _value(start, results, budget),
                None if stop is None else _value(stop, results, budget),
            )
        case Field(value, name):
            return _field(_value(value, results, budget), name, budget)
        case Builtin(name, arguments):
            given = [_value(argument, results, budget) for argument in arguments]
            if name == "str" and len(given) == 1:
                return as_text(given[0], budget)
            return built_in(name, given, budget)


def _key(node: Expression | Slice, results: Mapping[CallId, Any], budget: Budget) -> Any:
    """A key, of which a dictionary wants the hash: that of a tuple is made of all that is in it."""
    key = _value(node, results, budget)
    if type(key) not in (str, int):
        budget.counted(key)
        budget.weigh(key)
    return key


def _part(value: Any, key: Any, budget: Budget) -> Any:
    budget.counted(value)
    budget.counted_keys(value)
    kind = type(value)
    if type(key) is slice and kind in _SLICED:
        budget.charge((1 if kind in _TEXTS else ITEM) * len(range(len(value))[key]))
    found = value[key]
    if type(key) is slice and kind not in _SLICED and _is_copied(value, kind):
        budget.charge(ITEM * len(found))
    if budget.apart and type(key) not in (int, str, slice) and shape(value) is not None:
        budget.charge(numbers_in(found))  # of these an array makes a copy
    return found


def _is_copied(value: object, kind: type) -> bool:
    """Whether a slice of this copies what it has, as one of a list's subclass does, and Python counts it."""
    views = (range, memoryview)
    return kind not in views and type(getattr(kind, "__len__", None)) is _BUILT_IN and shape(value) is None


def _field(value: Any, name: str, budget: Budget) -> Any:
    closed = name.startswith("_") or _is_of_interpreter(value)
    found = None if closed else _stored(value, name)
    if found is None:
        budget.counted(value)
        budget.counted_keys(value)
    if found is None and isinstance(value, Mapping):
        if name not in value:
            raise EvaluationError(f"there is no {quoted(name)} in the result; it has {_some(value)}")
        found = value[name]
        if not callable(found) and not _is_of_interpreter(found):
            return found
    elif found is None and not closed:
        found = getattr(value, name, None)
    if found is None or callable(found) or _is_of_interpreter(found):
        # A method is behaviour, and a plan reads values only; and no way leads to the program from them.
        raise EvaluationError(f"a {kind_name(value)} has no field {shortened(name, 60)}")
    return found


def _is_of_interpreter(value: object) -> bool:
    kind = type(value)
    if id(kind) in _PLAIN:
        return False
    return any(map(_is_kind_of_interpreter, _ABOVE(kind)[:-1]))


def _is_kind_of_interpreter(kind: type) -> bool:
    if id(kind) in _INTERPRETER:
        return True
    home = _HOME(kind)
    if type(home) is not str:
        return False
    place = home.partition(".")[0]
    if place in _MACHINERY or home.startswith("_cython") or (home, _NAME(kind)) in _OTHERS:
        return True
    return place in sys.stdlib_module_names and "__next__" in _NAMES(kind)


def _stored(value: Any, name: str) -> Any:
    """What an object has under a name by itself, without a word of its class's; ``None`` where that can't be told."""
    kind = type(value)
    if type(kind) is not type:
        return None
    for above in kind.__mro__[:-1]:
        own = above.__dict__
        if name in own or "__getattribute__" in own:
            return None
        if type(own.get("__dict__")) not in (types.GetSetDescriptorType, types.NoneType):  # one of its own
            return None
    try:
        return object.__getattribute__(value, "__dict__").get(name)
    except AttributeError:
        return None


def _some(value: Mapping[Any, Any]) -> str:
    names = [quoted(key, 60) for key in islice(value, 8)]
    return ", ".join(names) + (", ..." if len(value) > len(names) else "") if names else "no keys"
