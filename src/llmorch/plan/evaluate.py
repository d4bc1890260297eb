"""Argument expressions to values, on the tree, once every result they use is there.

Nothing a model wrote is executed: each node is computed here, within bounds on size, and
what a result contains is never read as a reference.
"""

from __future__ import annotations

import io
import json
import types
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
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
from llmorch.declare.text import interrupted, is_a, kind_name, message_of, quoted, shortened
from llmorch.errors import EvaluationError
from llmorch.plan.operators import bound, built_in, compared, operated

if TYPE_CHECKING:
    from llmorch.calls import CallId, Expression
    from llmorch.declare.parameters import Parameter

MAX_ITEMS = 1_000_000
"""Items in a value that is written as text."""
MAX_ELEMENTS = 1_000
"""Elements of an array that are written as text: of one with more NumPy, the largest, writes the ends."""

_DATA = (types.SimpleNamespace, types.MappingProxyType)
_INTERPRETER = (
    *(kind for kind in vars(types).values() if isinstance(kind, type) and kind not in _DATA),
    *(type, property, staticmethod, classmethod, super, io.IOBase),
)
"""What the interpreter is made of: not even its plain fields are data, for they lead to the whole program."""
_NO_TRUTH = (
    "an array is neither true nor false as a whole; compare its elements in one chain, as in 0 < s1 < 10, "
    "or one number of it, as in max(s1) > 2"
)


def evaluate(expression: Expression, results: Mapping[CallId, Any]) -> Any:
    """The value of an argument, given the results that it uses.

    Raises ``EvaluationError`` with a message of one line when it has none.
    """
    match expression:  # the two that most arguments are
        case Constant(value):
            return value
        case Reference(id_):
            return results[id_]
    try:
        return _value(expression, results)
    except EvaluationError:
        raise
    except KeyError as error:
        raise EvaluationError(f"there is no {_message(error) or 'such key'} in the result") from None
    except RecursionError:
        raise EvaluationError("the expression is nested too deeply") from None
    except BaseException as error:  # a result's own operators may raise anything
        if interrupted(error):
            raise
        message = _message(error)
        if "ambiguous" in message:  # what it advises to do instead, a plan can't
            raise EvaluationError(_NO_TRUTH) from None
        raise EvaluationError(f"{kind_name(error)}: {message}") from None


def _message(error: BaseException) -> str:
    return message_of(error)


def argument(parameter: Parameter, expression: Expression, results: Mapping[CallId, Any]) -> Any:
    """The value in the parameter's type; what was written as a string may be its text.

    Raises ``EvaluationError``, or ``ValueError`` where it doesn't fit, with a message of one line.
    """
    value = evaluate(expression, results)
    try:
        return parameter.accept(value)
    except ValueError as error:
        text = as_text(value) if parameter.is_text else evaluate(_worded(expression), results)
        with suppress(ValueError):
            return parameter.accept(text)
        sources = dict.fromkeys(reference.id for reference in references(expression))
        came = f" (from {', '.join(sources)}, a {kind_name(value)})" if sources else ""
        raise ValueError(f"{error}{came}") from None


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


def as_text(value: object) -> str:
    """A value as it stands inside a string: text as it is, the rest as JSON if it can be.

    Raises ``EvaluationError`` for what has no text, or too much of it.
    """
    if is_a(value, str):
        return value if type(value) is str else str.__str__(value)
    try:
        _bound_items(value)
        if isinstance(value, Mapping | list | tuple):
            with suppress(TypeError, ValueError):
                return json.dumps(value, ensure_ascii=False)
        return str.__str__(str(value))
    except EvaluationError:
        raise
    except BaseException as error:  # a value's own __str__ may raise anything
        if interrupted(error):
            raise
        raise EvaluationError(f"a {kind_name(value)} has no text: {_message(error)}") from None


def _bound_items(value: object) -> None:
    """Repeated lists are small in memory and endless as text: count before writing."""
    left, length, stack = MAX_ITEMS, 0, [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            stack.extend(item.values())
        elif isinstance(item, list | tuple | deque | set | frozenset):
            stack.extend(item)
        elif is_dataclass(item) and not isinstance(item, type):
            stack.extend(getattr(item, one.name) for one in fields(item))
        elif isinstance(item, str):
            length += len(item)
            bound(length)
        elif not isinstance(item, int | float | None) and hasattr(type(item), "size"):
            size = getattr(item, "size", 0)
            left -= min(size, MAX_ELEMENTS) if isinstance(size, int) else 0
        left -= 1
        if left < 0 or len(stack) > MAX_ITEMS:
            raise EvaluationError(f"a value of more than {MAX_ITEMS:,} items can't be written as text")


def _template(parts: tuple[str | Expression, ...], results: Mapping[CallId, Any]) -> Any:
    if len(parts) == 1 and not isinstance(parts[0], str):
        return evaluate(parts[0], results)
    pieces = [part if isinstance(part, str) else as_text(evaluate(part, results)) for part in parts]
    bound(sum(len(piece) for piece in pieces))
    return "".join(pieces)


def _value(node: Expression | Slice, results: Mapping[CallId, Any]) -> Any:
    match node:
        case Constant(value):
            return value
        case Reference(id_):
            return results[id_]
        case Template(parts):
            return _template(parts, results)
        case ListOf(items):
            return [_value(item, results) for item in items]
        case DictOf(pairs):
            return {_value(key, results): _value(value, results) for key, value in pairs}
        case Negated(sign, operand):
            value = _value(operand, results)
            return not value if sign == "not" else -value if sign == "-" else +value
        case Binary(sign, left, right):
            return operated(sign, _value(left, results), _value(right, results))
        case Compare(first, rest):
            values = [_value(first, results), *(_value(operand, results) for _, operand in rest)]
            return compared(values, [sign for sign, _ in rest])
        case Junction(sign, operands):
            for operand in operands:
                value = _value(operand, results)
                if bool(value) == (sign == "or"):
                    break
            return value
        case Subscript(value, key):
            return _value(value, results)[_value(key, results)]
        case Slice(start, stop):
            return slice(
                None if start is None else _value(start, results),
                None if stop is None else _value(stop, results),
            )
        case Field(value, name):
            return _field(_value(value, results), name)
        case Builtin(name, arguments):
            given = [_value(argument, results) for argument in arguments]
            return as_text(*given) if name == "str" else built_in(name, given)


def _field(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        if name not in value:
            raise EvaluationError(f"there is no {quoted(name)} in the result; it has {_some(value)}")
        return value[name]
    found = None
    if not name.startswith("_") and not isinstance(value, _INTERPRETER):
        found = getattr(value, name, None)
    if found is None or callable(found) or isinstance(found, _INTERPRETER):
        # A method is behaviour, and a plan reads values only; and no way leads to the program from them.
        raise EvaluationError(f"a {kind_name(value)} has no field {shortened(name, 60)}")
    return found


def _some(value: Mapping[Any, Any]) -> str:
    names = [quoted(key, 60) for key in islice(value, 8)]
    return ", ".join(names) + (", ..." if len(value) > len(names) else "") if names else "no keys"
