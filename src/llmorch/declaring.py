"""What a declaration is made of: a callable's signature and docstring, and what is said beside them.

Each part is read or checked here, and refused with a ``FunctionError`` that says what to
write instead. This module must not know what a function is once it is declared.
"""

from __future__ import annotations

import inspect
import math
import re
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmorch.errors import FunctionError
from llmorch.parameters import Parameter
from llmorch.resources import amount_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_BRACES = re.compile(r"\{(\w+)(\.\w+)?\}")
MAX_RETRIES = 100
"""A bound on attempts; the time they may take ends most calls long before it."""


@dataclass(frozen=True)
class Written:
    """What a callable says of itself in its signature and docstring."""

    description: str
    parameters: tuple[Parameter, ...]
    returns: Any
    returns_description: str


def written(call: Callable[..., Any], name: str) -> Written:
    """Read a callable's signature and docstring (Google, NumPy or reST)."""
    import docstring_parser

    doc = docstring_parser.parse(inspect.getdoc(call) or "")
    described = {parameter.arg_name: parameter.description or "" for parameter in doc.params}
    hints, signature = _annotations(call, name)
    return Written(
        description="\n\n".join(part for part in (doc.short_description, doc.long_description) if part),
        parameters=tuple(_parameter(name, item, hints, described) for item in signature.parameters.values()),
        returns=_returned(call, hints),
        returns_description=(doc.returns.description or "") if doc.returns else "",
    )


def _annotations(call: Callable[..., Any], name: str) -> tuple[dict[str, Any], inspect.Signature]:
    try:
        signature = inspect.signature(call)
        target = call if inspect.isroutine(call) or isinstance(call, type) else type(call).__call__
        hints = typing.get_type_hints(getattr(target, "func", target), include_extras=True)
    except (NameError, TypeError, ValueError) as error:
        raise FunctionError(f"{name}: its signature can't be read: {error}") from None
    return hints, signature


def _returned(call: Callable[..., Any], hints: dict[str, Any]) -> Any:
    """The annotation of a call's result; a generator's is what it returns at its end."""
    annotation = hints.get("return", Any)
    if not inspect.isgeneratorfunction(call):
        return annotation
    yields_sends_returns = typing.get_args(annotation)
    return yields_sends_returns[2] if len(yields_sends_returns) == 3 else Any


def _parameter(
    function_name: str, item: inspect.Parameter, hints: dict[str, Any], described: dict[str, str]
) -> Parameter:
    if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD, item.POSITIONAL_ONLY):
        raise FunctionError(
            f"{function_name}: parameter {item.name} takes no name; a plan passes every argument by its name"
        )
    required = item.default is item.empty
    return Parameter(
        name=item.name,
        annotation=hints.get(item.name, Any),
        required=required,
        default=None if required else item.default,
        description=described.get(item.name, ""),
    )


def patterns(name: str, which: str, said: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """The patterns of what is read or written: names of things with parameters in braces and a star at the end.

    ``known`` are the parameters' names; of the object, ``self``, there may be an attribute.
    """
    if isinstance(said, str) or not all(isinstance(item, str) and item for item in said):
        raise FunctionError(f'{name}: {which} is a list of names, as in ["file:{{path}}"]')
    for pattern in said:
        plain = _BRACES.sub(lambda found: "" if _is_known(found, known) else found.group(), pattern)
        if "{" in plain or "}" in plain:
            raise FunctionError(
                f"{name}: {which}: braces in {pattern!r} hold a parameter's name: {', '.join(sorted(known))}"
            )
        if "*" in plain.removesuffix("*"):
            raise FunctionError(f"{name}: {which}: * can stand only at the end of {pattern!r}")
    return tuple(said)


MIN_MEMORY = 1024**2


def memory_of(name: str, said: object) -> int | None:
    """A size in bytes: a number of them, or a text such as ``"2GiB"`` or ``"500MB"``."""
    if said is None:
        return None
    try:
        size = amount_of(said)
    except ValueError:
        size = 0
    if size < MIN_MEMORY:
        raise FunctionError(
            f'{name}: memory is a size of at least 1 MiB, as in "2GiB" or "500MB", not {said!r}'
        )
    return size


def _is_known(found: re.Match[str], known: Collection[str]) -> bool:
    name, attribute = found.groups()
    return name in known and (attribute is None or name == "self")


def retries_of(name: str, said: object) -> int:
    """How often a failed call is made again."""
    if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= MAX_RETRIES:
        raise FunctionError(f"{name}: retries is a whole number from 0 to {MAX_RETRIES}, not {said!r}")
    return said


def retry_on_of(name: str, said: object, retries: int) -> tuple[type[BaseException], ...]:
    """The exceptions after which a call is made again; any ``Exception`` where nothing is said."""
    if said is None:
        return (Exception,)
    kinds = tuple(said) if isinstance(said, Sequence) else (said,)
    if not kinds or not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        raise FunctionError(
            f"{name}: retry_on takes classes of exceptions, as in (ConnectionError, TimeoutError), not {said!r}"
        )
    if not retries:
        raise FunctionError(f"{name}: retry_on does nothing without retries; write retries=3")
    return kinds


def show_of(name: str, said: object) -> Callable[[Any], str] | None:
    """What makes a result's text for a model."""
    if said is None:
        return None
    example = "as in show=lambda rows: f'{len(rows)} rows'"
    if not callable(said) or inspect.iscoroutinefunction(said) or inspect.isgeneratorfunction(said):
        raise FunctionError(
            f"{name}: show is a plain function that makes a text of a result, {example}, not {said!r}"
        )
    try:
        signature = inspect.signature(said)
    except (TypeError, ValueError):  # of a function in C, which may have none
        return said
    try:
        signature.bind(None)
    except TypeError:
        raise FunctionError(
            f"{name}: show takes one argument, the result, {example}; not {signature}"
        ) from None
    return said


def backoff_of(name: str, said: object) -> float:
    """The first pause in seconds."""
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said < math.inf:
        raise FunctionError(f"{name}: backoff is a number of seconds, 0 or more, not {said!r}")
    return said
