"""What a model reads of a function in a prompt: its signature, and all of it on one line.

Decides how much: ``MOST`` characters, unless the function's docstring is longer. No default is
an object's address, nor a secret.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from llmorch.declare.defaults import NoLiteral, is_literal, literal_default
from llmorch.declare.parameters import well_known
from llmorch.declare.schema_text import DETAILS, SchemaText, default_text, literal_text, merged
from llmorch.declare.text import shortened
from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmorch.declare.parameters import Parameter
    from llmorch.declare.schema_text import Detail

MOST = 500
"""Characters of one function in a prompt."""


class PromptText(NamedTuple):
    """A function as a model reads it."""

    signature: str
    """``search(query: str, k: int = 500) -> str``."""
    line: str
    """The signature, what the function does, and what its parameters and its result are."""


def prompt_text(
    name: str,
    description: str,
    parameters: Sequence[Parameter],
    returns: Any,
    returns_description: str,
    documented: int,
) -> PromptText:
    """What a model reads of one function; ``documented`` are the characters that its author wrote of it."""
    description = " ".join(description.split())
    returned = f" Returns {returns_description}" if returns_description else ""
    most = MOST if documented <= MOST else documented + MOST
    properties, definitions = merged({item.name: _schema(item) for item in parameters})
    signature = ""
    for detail in DETAILS:
        words = SchemaText(definitions, detail)
        texts = []
        for item in parameters:
            plain = type_name(item.annotation, detail) if item.is_well_known else ""
            kind = item.text or plain or words.type(properties[item.name])
            texts.append(f"{item.name}: {kind}{_default(item, detail)}")
        result = "" if returns is Any else f" -> {returned_text(returns, detail)}"
        signature = f"{name}({', '.join(texts)}){result}"
        line = f"- {signature}: {description}{_descriptions(parameters, detail)}{returned}"
        if len(line) <= most:
            return PromptText(signature, line)
    if len(signature) > most - 4:  # the least: the names of what must be passed
        names = [item.name for item in parameters if item.required]
        more = ["..."] if len(names) < len(parameters) else []
        signature = f"{name}({', '.join([*names, *more])})"
    room = most - len(signature) - len(returned) - 4
    said = shortened(description, room) if room >= 40 else ""
    return PromptText(signature, shortened(f"- {signature}: {said}{returned}", max(most, len(signature) + 2)))


def _descriptions(parameters: Sequence[Parameter], detail: Detail) -> str:
    whole = detail is DETAILS[0]
    said = [
        f"{item.name}: {item.description if whole else shortened(item.description, detail.description)}"
        for item in parameters
        if item.description and (whole or detail.description)
    ]
    return f" ({'; '.join(said)})" if said else ""


def _schema(parameter: Parameter) -> dict[str, Any]:
    """The schema of a type that is more than Python's own, without what stands with the other descriptions."""
    if parameter.is_well_known or parameter.text:
        return {}
    try:
        schema = parameter.full_schema
    except FunctionError:  # of a function that nobody has declared
        return {}
    return {key: said for key, said in schema.items() if key != "description"}


def _default(parameter: Parameter, detail: Detail) -> str:
    if parameter.required:
        return ""
    try:
        found = literal_default(parameter.name, parameter.default)
    except NoLiteral:
        return " = ..."
    plain = parameter.is_well_known and is_literal(parameter.default)
    text = repr(parameter.default) if plain else literal_text(found)
    # All of a plain one, as long as there is room for it.
    return f" = {text if plain and detail is DETAILS[0] else default_text(text, detail)}"


def type_name(annotation: Any, detail: Detail) -> str:
    """A type of Python's own as a model reads it."""
    if annotation is Any:
        return "any"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return "None" if annotation is types.NoneType else annotation.__name__
    text = str(annotation).replace("typing.", "")
    choices = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal and len(choices) > detail.choices:
        return f"Literal[{', '.join(map(repr, choices[: detail.choices]))}, ...]"
    return text


def returned_text(annotation: Any, detail: Detail, level: int = 0) -> str:
    """The type of a result as a model reads it: with its fields, since a plan may use one of them."""
    if well_known(annotation):
        return type_name(types.NoneType if annotation is None else annotation, detail)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated or origin is typing.Final:
        return returned_text(args[0], detail, level)
    if origin is typing.Literal:
        values = (item.value if isinstance(item, enum.Enum) else item for item in args[: detail.choices])
        return " | ".join(map(literal_text, values))
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(returned_text(item, detail, level) for item in args))
    if fields := _fields(origin or annotation):
        if level >= min(2, detail.levels):
            return _name(origin or annotation)
        inner = [f'"{name}": {returned_text(kind, detail, level + 1)}' for name, kind in fields.items()]
        more = ["..."] if len(inner) > detail.choices else []
        return f"{{{', '.join([*inner[: detail.choices], *more])}}}"
    if args and isinstance(origin, type):
        inner = [
            "..." if item is ... else returned_text(item, detail, level + 1)
            for item in args
            if not isinstance(item, list)
        ]
        return f"{_name(origin)}[{', '.join(inner)}]" if inner else _name(origin)
    return _name(annotation)


def _name(annotation: Any) -> str:
    """What a type is called; never how Python shows an object."""
    if isinstance(annotation, typing.TypeVar):
        return "any"
    name = getattr(annotation, "__name__", None)
    return name if isinstance(name, str) and name.isidentifier() else "any"


def _fields(kind: Any) -> dict[str, Any]:
    """The fields of a class that is made of fields, with their types, as far as these are known."""
    if not isinstance(kind, type):
        return {}
    found = getattr(kind, "model_fields", None)
    if isinstance(found, dict) and found:
        computed = getattr(kind, "model_computed_fields", {})
        types_ = {name: info.annotation for name, info in found.items()}
        return types_ | {name: info.return_type for name, info in computed.items()}
    names: Iterable[str] = ()
    if dataclasses.is_dataclass(kind):
        names = [item.name for item in dataclasses.fields(kind)]
    elif issubclass(kind, tuple):
        names = getattr(kind, "_fields", ())
    elif hasattr(kind, "__total__") and hasattr(kind, "__required_keys__"):
        names = kind.__annotations__
    hints: dict[str, Any] = {}
    with suppress(Exception):  # text of which a name isn't known here
        hints = typing.get_type_hints(kind) if names else {}
    return {name: hints.get(name, Any) for name in names}
