"""Arguments from JSON, as native tool calls bring them: literals, never references."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from llmorch.calls import Constant, DictOf, Expression, FunctionCall, ListOf
from llmorch.errors import InvalidArgument
from llmorch.plan.operators import MAX_BITS

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_TEXT = 100_000
"""Characters of one call's arguments."""
MAX_DEPTH = 40
"""Values inside values."""


def call_from_json(id_: str, function: str, arguments: str) -> FunctionCall:
    """A call with the arguments of a JSON object; an empty text is an empty object.

    Raises ``InvalidArgument`` for a text that isn't one.
    """
    if len(arguments) > MAX_TEXT:
        raise InvalidArgument(f"the arguments are longer than {MAX_TEXT:,} characters", hint="pass less text")
    try:
        given = _loaded(arguments or "{}")
    except RecursionError:
        raise InvalidArgument("the arguments are nested too deeply", hint="pass simpler values") from None
    except ValueError as error:
        raise InvalidArgument(f"the arguments are not JSON: {error}", hint="write one JSON object") from None
    if not isinstance(given, _Object):
        raise InvalidArgument(
            "the arguments are not an object", hint='write one JSON object, as in {"name": "value"}'
        )
    if given.repeated is not None:
        raise InvalidArgument(
            f"keyword argument repeated: {given.repeated[:100]}", hint="name every argument once"
        )
    return FunctionCall(id_, function, {name: _literal(value, 0) for name, value in given.items()})


def from_json(text: str) -> Expression:
    """What a JSON text holds.

    Raises ``ValueError`` or ``RecursionError`` for a text that isn't JSON, and
    ``InvalidArgument`` for what no argument can be.
    """
    return _literal(_loaded(text), 0)


class _Object(dict[str, Any]):
    """An object of JSON, which remembers that a name stood in it twice."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated: str | None = None
        if len(self) < len(pairs):
            counted = Counter(name for name, _ in pairs)
            self.repeated = next(name for name, times in counted.items() if times > 1)


def _loaded(text: str) -> Any:
    return json.loads(text, parse_constant=_not_json, object_pairs_hook=_Object)


def _literal(value: Any, depth: int) -> Expression:
    if depth > MAX_DEPTH:
        raise InvalidArgument("the arguments are nested too deeply", hint="pass simpler values")
    match value:
        case list():
            return ListOf(tuple(_literal(item, depth + 1) for item in value))
        case _Object():
            if value.repeated is not None:
                raise InvalidArgument(
                    f"key repeated: {value.repeated[:100]!r}", hint="write every key of an object once"
                )
            return DictOf(tuple((Constant(name), _literal(item, depth + 1)) for name, item in value.items()))
        case int() if value.bit_length() > MAX_BITS:
            hint = "write it as a text, or have a function return it"
            raise InvalidArgument(f"a number has more than {MAX_BITS} bits", hint=hint)
        case _:
            return Constant(value)


def _not_json(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")
