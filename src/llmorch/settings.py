"""What an orchestrator and its runs are told, refused at once where it can't be.

Decides what each setting may be, and says what to write instead: everything is a ``WrongArgument``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmorch.errors import WrongArgument
from llmorch.processors import Processors
from llmorch.schedule import POLICIES, policy_named
from llmorch.techniques import TECHNIQUES, Technique, parse_examples

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.declare.resources import Amount
    from llmorch.runtime.observers import Observer
    from llmorch.schedule import Policy

MOST_TIMES = 20
"""The most repairs of a plan, and the most attempts to recover."""


def processors_of(
    said: int | Processors | None, resources: Mapping[str, Amount | Sequence[Amount]] | None
) -> Processors:
    """What runs are made on: processors of their own, or those that are given."""
    if not isinstance(said, Processors):
        return Processors(said, resources=resources)
    if resources is not None:
        raise WrongArgument("resources are those of the Processors that are given: say them there")
    return said


def technique_of(said: str | Technique) -> Technique:
    """A technique by its name, or itself."""
    if isinstance(said, Technique):
        return said
    if not isinstance(said, str) or said not in TECHNIQUES:
        raise WrongArgument(f"there is no technique {said!r}; there are {', '.join(TECHNIQUES)}")
    return TECHNIQUES[said]


def policies_of(said: str | Callable[[], Policy]) -> Callable[[], Policy]:
    """What makes a policy for each run, by a name, or itself."""
    if callable(said):
        try:
            made = said()
        except Exception as error:
            raise WrongArgument(f"policy can't make a policy: {type(error).__name__}: {error}") from None
        if not callable(getattr(made, "pop", None)) or not isinstance(getattr(made, "name", None), str):
            raise WrongArgument(f"policy makes a {type(made).__name__}, which is no Policy")
        return said
    if hasattr(said, "pop"):
        raise WrongArgument(
            "policy is a name, or what makes a policy for each run: give the class, not an object"
        )
    if not isinstance(said, str) or said not in POLICIES:
        raise WrongArgument(f"there is no policy {said!r}; there are {', '.join(POLICIES)}")
    return partial(policy_named, said)


def times_of(name: str, said: int) -> int:
    """How often something may be tried again."""
    if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= MOST_TIMES:
        raise WrongArgument(f"{name} is a whole number from 0 to {MOST_TIMES}, not {said!r}")
    return said


def observer_of(said: Observer | None) -> Observer | None:
    """An observer that can be called."""
    if said is not None and not callable(said):
        raise WrongArgument(f"observer is a function of a message and a time, not {said!r}")
    return said


def priority_of(said: float) -> float:
    """How much a run weighs among others."""
    number = isinstance(said, int | float) and not isinstance(said, bool)
    if not (number and 0 < said < 1e9):
        raise WrongArgument(f"priority is a positive number, not {said!r}")
    return float(said)


def examples_in(said: str | Path) -> Any:
    """The examples in a file."""
    if not isinstance(said, str | Path):
        raise WrongArgument(f"examples is the path of a file, not {type(said).__name__}")
    path = Path(said)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongArgument(f"the examples {path} can't be read: {error}") from None
    return parse_examples(text, name=str(path))
