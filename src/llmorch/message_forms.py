"""Events and commands of the core as records, and back.

Every message has one form, made of its fields: one that is added or changed needs nothing
here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, get_args

from llmorch import calls
from llmorch.calls import FunctionCall
from llmorch.plan import render_call
from llmorch.records import Message, rounded
from llmorch.relations import effects
from llmorch.schedule import messages, room

if TYPE_CHECKING:
    from collections.abc import Hashable

    from llmorch.schedule import Command, Event

_KIND = "is"
"""Says, in an object, what it is the form of; an object without it is nothing's."""


def to_record(message: Event | Command, *, run: str, at: float) -> Message:
    """A message of a run as it is kept. Raises ``TypeError`` for what has no form."""
    data = {item.name: _form(getattr(message, item.name)) for item in fields(message)}
    return Message(type(message).__name__, run, rounded(at) or 0.0, data)


def from_record(record: Message) -> Event | Command:
    """The message of a record. Raises ``ValueError``, whose one line says what is wrong with it."""
    kind = _MESSAGES.get(record.name)
    if kind is None:
        raise ValueError(f"there is no message {record.name!r}: it was written by another version of llmorch")
    made: Event | Command = _made(kind, record.fields)
    return made


def _form(value: Any) -> Any:
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return value if isfinite(value) else {_KIND: "float", "text": str(value)}
        case tuple():
            return [_form(item) for item in value]
        case frozenset():
            return {_KIND: "set", "items": sorted(map(_form, value), key=json.dumps)}
        case Mapping():
            return {_KIND: "map", "items": [[_form(key), _form(item)] for key, item in value.items()]}
    if type(value) is not _KINDS.get(type(value).__name__):
        raise TypeError(f"a {type(value).__name__} in a message has no form")
    # What takes no part in a comparison, such as where a call stood in a text, isn't kept.
    form = {item.name: _form(getattr(value, item.name)) for item in fields(value) if item.compare}
    if isinstance(value, FunctionCall):
        form["text"] = render_call(
            value
        )  # for people: it may say what can't be read back, as a query's braces
    return {_KIND: type(value).__name__, **form}


def _value(form: Any) -> Any:
    if isinstance(form, list):
        return tuple(map(_value, form))
    if not isinstance(form, dict):
        return form
    kind = form.get(_KIND)
    match form:
        case {"is": "float", "text": str(text)}:
            return float(text)
        case {"is": "set", "items": list(items)}:
            return frozenset(map(_value, items))
        case {"is": "map", "items": list(items)}:
            return {_value(key): _value(item) for key, item in items}
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"there is no {kind!r} in messages: it was written by another version of llmorch")
    return _made(_KINDS[kind], {name: item for name, item in form.items() if name != _KIND})


def _made(kind: type[Any], form: Mapping[str, Any]) -> Any:
    known = {item.name for item in fields(kind)}
    if unknown := sorted(form.keys() - known):
        raise ValueError(f"{kind.__name__} has no {', '.join(unknown)}: it was written by another version")
    try:
        return kind(**{name: _value(item) for name, item in form.items()})
    except TypeError as error:
        raise ValueError(f"{kind.__name__} can't be read: {error}") from None


_MESSAGES: dict[Hashable, type[Any]] = {
    kind.__name__: kind for kind in (*get_args(messages.Event), *get_args(messages.Command))
}
_KINDS: dict[Hashable, type[Any]] = _MESSAGES | {
    name: kind
    for module in (calls, effects, room)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and is_dataclass(kind)
}
"""All that a message may be made of."""
