"""Arguments from JSON, as native tool calls bring them: literals, never references."""

from __future__ import annotations

import json
from typing import Any

from llmorch.calls import Constant, DictOf, Expression, FunctionCall, ListOf
from llmorch.errors import InvalidArgument

MAX_TEXT = 100_000
"""Characters of one call's arguments."""
MAX_DEPTH = 40
"""Values inside values."""


def call_from_json(id_: str, function: str, arguments: str) -> FunctionCall:
    """A call with the arguments of a JSON object; an empty text is an empty object.

    Raises ``InvalidArgument`` for a text that isn't one.
    """
    if len(arguments) > MAX_TEXT:
        raise _invalid(f"the arguments are longer than {MAX_TEXT:,} characters", "pass less text")
    try:
        given = json.loads(arguments or "{}", parse_constant=_not_json)
    except RecursionError:
        raise _invalid("the arguments are nested too deeply", "pass simpler values") from None
    except ValueError as error:
        raise _invalid(f"the arguments are not JSON: {error}", "write one JSON object") from None
    if not isinstance(given, dict):
        raise _invalid("the arguments are not an object", 'write one JSON object, as in {"name": "value"}')
    args = {name: literal(value) for name, value in given.items()}
    return FunctionCall(id_, function, args)


def literal(value: Any, depth: int = 0) -> Expression:
    """What JSON can hold, as an expression. Raises ``InvalidArgument`` for what is nested too deeply."""
    if depth > MAX_DEPTH:
        raise _invalid("the arguments are nested too deeply", "pass simpler values")
    match value:
        case list():
            return ListOf(tuple(literal(item, depth + 1) for item in value))
        case dict():
            return DictOf(tuple((Constant(name), literal(item, depth + 1)) for name, item in value.items()))
        case _:
            return Constant(value)


def _not_json(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def _invalid(message: str, hint: str) -> InvalidArgument:
    return InvalidArgument(message, hint=hint)
