"""What this package's own functions are given: each check returns it, or refuses it at once.

What is refused is a ``WrongArgument`` of one line, which names the argument, what is expected, and what came.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from llmorch.declare.functions import Function
from llmorch.declare.text import brief
from llmorch.errors import WrongArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 1e12
"""Seconds that may be asked for: 30,000 years, which every clock can count."""


def refuse(name: str, expected: str, said: object) -> NoReturn:
    """Raise ``WrongArgument``."""
    raise WrongArgument(f"{name} is {expected}, not {brief(said)}")


def truth(name: str, said: object) -> bool:
    """``True`` or ``False``."""
    return said if isinstance(said, bool) else refuse(name, "True or False", said)


def text(name: str, said: object, expected: str = "a text, and not empty") -> str:
    """A text that isn't blank and can be written down."""
    if not isinstance(said, str) or not said.strip():
        refuse(name, expected, said)
    try:
        said.encode()
    except UnicodeEncodeError:  # half a character
        refuse(name, expected, said)
    return said


def choice(name: str, said: object, choices: Sequence[str]) -> Any:
    """One of several texts."""
    return said if isinstance(said, str) and said in choices else refuse(name, _listed(choices), said)


def whole(name: str, said: object, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``."""
    good = isinstance(said, int) and not isinstance(said, bool) and least <= said <= most
    return said if good else refuse(name, f"a whole number from {least} to {most}", said)  # type: ignore[return-value]


def number(name: str, said: object, *, most: float = math.inf) -> float:
    """A number that is not negative, below ``most``."""
    good = isinstance(said, int | float) and not isinstance(said, bool) and 0 <= said < most
    return said if good else refuse(name, "a number, 0 or more", said)  # type: ignore[return-value]


def positive(name: str, said: object, of: str = "", *, most: float = math.inf) -> float:
    """A number above 0 and below ``most``; ``of`` what it is."""
    good = isinstance(said, int | float) and not isinstance(said, bool) and 0 < said < most
    return said if good else refuse(name, f"a positive number{of}", said)  # type: ignore[return-value]


def called(name: str, said: Any, expected: str) -> Any:
    """Something that can be called, or ``None``."""
    return said if said is None or callable(said) else refuse(name, expected, said)


def texts(name: str, said: object) -> Any:
    """Any number of texts, in whatever holds them."""
    if not isinstance(said, Collection) or isinstance(said, str | bytes | bytearray):
        refuse(name, "a list of texts", said)
    for one in said:
        if not isinstance(one, str):
            refuse(name, "a list of texts", said)
    return said


def variables(name: str, said: object) -> Any:
    """Names of variables of the environment, in a list or whatever else holds them."""
    expected = 'a list of names of environment variables, as in ["PATH", "HOME"]'
    if not isinstance(said, Collection) or isinstance(said, str | bytes | bytearray | Mapping):
        refuse(name, expected, said)
    for one in said:
        if not isinstance(one, str) or not one.isprintable() or one.strip() != one or not one or "=" in one:
            refuse(name, expected, said)
    return said


def seconds_by_name(name: str, said: object) -> Any:
    """Seconds by name."""
    if not isinstance(said, Mapping):
        refuse(name, 'a dictionary of seconds by name, as in {"search": 1.5}', said)
    for of, amount in said.items():
        number(f"{name}[{brief(of)}]", amount, most=LONGEST)
    return said


def functions_by_name(name: str, said: object) -> Any:
    """Functions by name."""
    good = isinstance(said, Mapping) and all(isinstance(one, Function) for one in said.values())
    return (
        said
        if good
        else refuse(name, "a dictionary of Function by name, such as Orchestrator.functions", said)
    )


def _listed(choices: Sequence[str]) -> str:
    return " or ".join(f'"{one}"' for one in choices)
