"""What can be said of a function beside what it says itself: each option, and the values that it takes.

Whatever is no such value is refused with a ``FunctionError`` that says what to write. Here
each option is looked at by itself; what they mean together, a ``Function`` decides.
"""

from __future__ import annotations

import inspect
import keyword
import math
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from llmorch.declare.callables import is_async, is_generator
from llmorch.declare.resources import MAX_AMOUNT, amount_of, rate_of, resource_name
from llmorch.declare.text import brief
from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmorch.declare.resources import Amount

Kind = Literal["inout", "compute"]
Effects = Literal["unknown", "none"]

MAX_RETRIES = 100
"""A bound on attempts; the time they may take ends most calls long before it."""
MIN_MEMORY = 1024**2
_BRACES = re.compile(r"\{(\w+)(\.\w+)?\}")


class Options(TypedDict, total=False):
    """What ``@function`` takes; what is left out, or ``None``, is not said. It explains each."""

    kind: Kind | None
    name: str | None
    description: str | None
    timeout: float | None
    memory: str | int | None
    asks_model: bool
    pure: bool
    reads: Sequence[str]
    writes: Sequence[str]
    effects: Effects | None
    retries: int
    retry_on: type[BaseException] | Sequence[type[BaseException]] | None
    backoff: float
    idempotent: bool
    resources: Mapping[str, Amount] | None
    max_concurrency: int | None
    rate: str | None
    show: Callable[[Any], str] | None
    untrusted: bool | None
    trusted: Sequence[str]


def read_option(name: str, option: str, said: object) -> Any:
    """What an option of a function says, as it is kept. Raises ``FunctionError``."""
    read, expected = _OPTIONS[option]
    try:
        return read(said)
    except FunctionError as error:  # which says more
        raise FunctionError(f"{name}: {option} {error}") from None
    except Exception:  # a value's own methods may raise anything
        raise FunctionError(f"{name}: {option} {expected}, not {brief(said)}") from None


def refuse_unknown_options(name: str, options: Collection[str]) -> None:
    """Raise ``FunctionError`` for an option that there isn't."""
    for option in options:
        if option not in _OPTIONS:
            raise FunctionError(f"{name}: there is no option {option}; there are {', '.join(_OPTIONS)}")


def refuse_name(name: object) -> None:
    """Raise ``FunctionError`` for a name that no plan can call."""
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name[0] == "_":
        plain = isinstance(name, str) and name.isprintable() and name.strip()
        raise FunctionError(
            f"{name if plain else brief(name)}: a function needs a plain name to be called by in a plan; "
            "give one by name="
        )


def refuse_braces(name: str, reads: Collection[str], writes: Collection[str], known: Collection[str]) -> None:
    """Raise ``FunctionError`` for a pattern of what is read or written that can't be filled in.

    ``known`` are the names of parameters; of the object, ``self``, there may be an attribute.
    """

    def unknown(found: re.Match[str]) -> str:
        parameter, attribute = found.groups()
        return "" if parameter in known and (attribute is None or parameter == "self") else found.group()

    for pattern in (*reads, *writes):
        which = "reads" if pattern in reads else "writes"
        plain = _BRACES.sub(unknown, pattern)
        if "{" in plain or "}" in plain:
            raise FunctionError(
                f"{name}: {which}: braces in {pattern!r} hold a parameter's name: {', '.join(sorted(known))}"
            )
        if "*" in plain.removesuffix("*"):
            raise FunctionError(f"{name}: {which}: * can stand only at the end of {pattern!r}")


def _valid(said: Any, valid: bool) -> Any:
    if not valid:
        raise ValueError
    return said


def _text(said: Any) -> str:
    _valid(said, isinstance(said, str)).encode()  # what can't be sent to a model is no text
    return str(said)


def _truth(said: Any) -> bool:
    return bool(_valid(said, isinstance(said, bool)))


def _choice(*choices: str) -> Callable[[Any], Any]:
    return lambda said: _valid(said, isinstance(said, str) and said in choices)


def _is_number(said: Any, kinds: Any) -> bool:
    return isinstance(said, kinds) and not isinstance(said, bool)


def _whole(least: int, most: int) -> Callable[[Any], Any]:
    return lambda said: _valid(said, _is_number(said, int) and least <= said <= most)


def _seconds(said: Any) -> Any:
    return _valid(said, _is_number(said, int | float) and 0 <= float(said) < math.inf)


def _timeout(said: Any) -> Any:
    return _valid(said, _seconds(said) > 0)


def _memory(said: Any) -> int:
    size = amount_of(said)
    return int(_valid(size, size >= MIN_MEMORY))


def _patterns(said: Any) -> tuple[str, ...]:
    several = isinstance(said, Collection) and not isinstance(said, str | bytes | Mapping)
    return tuple(_valid(said, several and all(isinstance(item, str) and item for item in said)))


def _names(said: Any) -> tuple[str, ...]:
    names = _patterns(said)
    return tuple(dict.fromkeys(_valid(names, all(name.isidentifier() for name in names))))


def _exceptions(said: Any) -> tuple[type[BaseException], ...]:
    kinds = tuple(said) if isinstance(said, Collection) and not isinstance(said, type) else (said,)
    valid = all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)
    return tuple(_valid(kinds, bool(kinds) and valid))


def _resources(said: Any) -> dict[str, int]:
    _valid(said, isinstance(said, Mapping))
    taken = {}
    for resource, amount in said.items():
        try:
            taken[resource_name(resource)] = amount_of(amount)
        except ValueError as error:
            raise FunctionError(f"names {brief(resource)}: {error}") from None
        if not taken[resource]:
            raise FunctionError(f"names {resource}: a call that takes no {resource} doesn't name it")
    return taken


def _show(said: Any) -> Any:
    _valid(said, callable(said) and not is_async(said) and not is_generator(said))
    try:
        signature = inspect.signature(said)
    except (TypeError, ValueError):  # of a function in C, which may have none
        return said
    try:
        signature.bind(None)
    except TypeError:
        raise FunctionError(f"takes one argument, the result; not {signature}") from None
    return said


_OPTIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "kind": (_choice("inout", "compute"), 'is "inout" or "compute"'),
    "name": (_text, "is a text"),
    "description": (_text, "is a text"),
    "timeout": (_timeout, "is a positive number of seconds"),
    "memory": (_memory, 'is a size of at least 1 MiB, as in "2GiB" or "500MB"'),
    "asks_model": (_truth, "is True or False"),
    "pure": (_truth, "is True or False"),
    "reads": (_patterns, 'is a list of names, as in ["file:{path}"]'),
    "writes": (_patterns, 'is a list of names, as in ["file:{path}"]'),
    "effects": (_choice("unknown", "none"), 'is "unknown", "none" or left out'),
    "retries": (_whole(0, MAX_RETRIES), f"is a whole number from 0 to {MAX_RETRIES}"),
    "retry_on": (_exceptions, "takes classes of exceptions, as in (ConnectionError, TimeoutError)"),
    "backoff": (_seconds, "is a number of seconds, 0 or more"),
    "idempotent": (_truth, "is True or False"),
    "resources": (_resources, 'is a dictionary, as in {"gpu_memory": "6GiB", "camera": 1}'),
    "max_concurrency": (_whole(1, MAX_AMOUNT), "is a whole number, 1 or more"),
    "rate": (rate_of, 'is written as "10/s", "100/min" or "1000/h"'),
    "show": (
        _show,
        "is a plain function that makes a text of a result, as in show=lambda rows: f'{len(rows)} rows'",
    ),
    "untrusted": (_truth, "is True or False"),
    "trusted": (_names, 'is a list of parameters, as in ["to"]'),
}

KEPT = tuple(option for option in _OPTIONS if option not in ("name", "pure"))
"""The options that a ``Function`` keeps under their own names."""
