"""What calls touch beside their arguments: the things that they read and write, by name.

Two calls conflict when one writes what the other reads or writes; such calls keep the
plan's order. A name that depends on a result isn't known before that result is there:
until then it stands for everything that it could be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmorch.calls import references
from llmorch.declare.defaults import MADE
from llmorch.declare.text import interrupted
from llmorch.plan import evaluate
from llmorch.plan.budget import Budget
from llmorch.plan.evaluate import accepted, as_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function


@dataclass(frozen=True, slots=True)
class Name:
    """One thing, or with ``below`` everything whose name begins like it."""

    text: str
    below: bool = False

    def meets(self, other: Name) -> bool:
        """Whether both may stand for the same thing."""
        return (
            self.text == other.text
            or (self.below and other.text.startswith(self.text))
            or (other.below and self.text.startswith(other.text))
        )


@dataclass(frozen=True, slots=True)
class Touch:
    """What one call reads and writes; ``barrier`` if nobody knows."""

    reads: tuple[Name, ...] = ()
    writes: tuple[Name, ...] = ()
    barrier: bool = False

    @property
    def changes(self) -> bool:
        """Whether the call may leave anything different."""
        return self.barrier or bool(self.writes)

    def conflicts(self, other: Touch) -> bool:
        """Whether the order of the two calls matters. Calls that only read share."""
        if self.barrier or other.barrier:
            return True
        return _meet(self.writes, (*other.reads, *other.writes)) or _meet(other.writes, self.reads)

    def spoils(self, other: Touch) -> bool:
        """Whether a later call would find something else than it should if this one had not been made."""
        if self.barrier:
            return other.barrier or bool(other.reads or other.writes)
        return (other.barrier and self.changes) or _meet(self.writes, (*other.reads, *other.writes))


NOTHING = Touch()


def touches(function: Function, call: FunctionCall, results: Mapping[CallId, Any] | None = None) -> Touch:
    """What a checked call touches, as far as its arguments are known.

    ``results`` are those of earlier calls. Where no effects are said, nothing is touched.
    """
    if function.effects == "unknown":
        return Touch(barrier=True)
    if not function.reads and not function.writes:
        return NOTHING
    values: dict[str, str] = {}
    patterns = (*function.reads, *function.writes)
    for parameter in function.parameters:
        if not any(f"{{{parameter.name}}}" in pattern for pattern in patterns):
            continue  # a large result need not be opened for it
        expression = call.args.get(parameter.name)
        needed = () if expression is None else references(expression)
        if any(reference.id not in (results or ()) for reference in needed):
            continue
        # What has no value fails its call; until then it could be anything.
        try:
            value = parameter.default
            if value is MADE and expression is None:
                continue
            if expression is not None:  # as the function gets it: "3" and 3.0 may be 3 to it
                budget = Budget()
                value = accepted(parameter, evaluate(expression, results or {}, budget), budget)
            values[parameter.name] = _text(value)
        except BaseException as error:  # classes of somebody's may raise anything where their type is checked
            if interrupted(error):
                raise
    reads, writes = (
        tuple(_name(pattern, values) for pattern in said) for said in (function.reads, function.writes)
    )
    return Touch(reads, writes)


def named_by(function: Function, call: FunctionCall) -> list[CallId]:
    """The calls whose results decide what a call touches."""
    patterns = (*function.reads, *function.writes)
    return [
        reference.id
        for name, expression in call.args.items()
        if any(f"{{{name}}}" in pattern for pattern in patterns)
        for reference in references(expression)
    ]


def _text(value: object) -> str:
    """1.0 and 1 are the same thing to whoever looks it up."""
    return str(int(value)) if type(value) is float and value.is_integer() else as_text(value, Budget())


def _name(pattern: str, values: Mapping[str, str]) -> Name:
    """A pattern's name: up to the first argument that isn't known yet, and all that begins so."""
    below = pattern.endswith("*")
    text, rest = "", pattern.removesuffix("*")
    while "{" in rest:
        before, _, rest = rest.partition("{")
        argument, _, rest = rest.partition("}")
        if argument not in values:
            return Name(text + before, below=True)
        text += before + values[argument]
    return Name(text + rest, below)


def _meet(some: Iterable[Name], others: Collection[Name]) -> bool:
    return any(one.meets(other) for one in some for other in others)
