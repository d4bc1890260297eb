"""What a plan is made of: calls, references to their results, argument expressions.

Values only: frozen, comparable, and unaware of any result. Where a node stood in the
text is kept for error messages and takes no part in comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

from llmorch.arguments import refuse, text
from llmorch.values import short

if TYPE_CHECKING:
    from collections.abc import Iterator

CallId: TypeAlias = str
"""The id of a call, such as ``s3``; it stands for the call's result."""

Position: TypeAlias = tuple[int, int]
"""Line and column, both from 1."""

Operator = Literal["+", "-", "*", "/", "//", "%", "**"]
Comparison = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in"]


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, string, boolean or ``None``."""

    value: str | int | float | bool | None

    def __eq__(self, other: object) -> bool:
        # 1, 1.0 and True are equal in Python, and different arguments here.
        return (
            isinstance(other, Constant)
            and type(self.value) is type(other.value)
            and repr(self.value) == repr(other.value)
        )

    def __hash__(self) -> int:
        return hash((type(self.value), repr(self.value)))


@dataclass(frozen=True, slots=True)
class Reference:
    """The result of an earlier call."""

    id: CallId
    position: Position = field(default=(1, 1), compare=False)


@dataclass(frozen=True, slots=True)
class Template:
    """A string with results in it: text and expressions in turn, as in ``"a {s1} b"``."""

    parts: tuple[str | Expression, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of expressions."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class DictOf:
    """A dictionary of expressions, keys and values in order."""

    items: tuple[tuple[Expression, Expression], ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """``-x``, ``+x`` or ``not x``."""

    operator: Literal["-", "+", "not"]
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic on two expressions."""

    operator: Operator
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Compare:
    """A chain of comparisons, as in ``0 < s1 < 10``."""

    first: Expression
    rest: tuple[tuple[Comparison, Expression], ...]


@dataclass(frozen=True, slots=True)
class Junction:
    """``a and b`` or ``a or b``."""

    operator: Literal["and", "or"]
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Subscript:
    """``value[key]``."""

    value: Expression
    key: Expression | Slice


@dataclass(frozen=True, slots=True)
class Slice:
    """``start:stop`` inside a subscript."""

    start: Expression | None
    stop: Expression | None


@dataclass(frozen=True, slots=True)
class Field:
    """``value.name``: a key of a mapping, or a public attribute that holds a value."""

    value: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Builtin:
    """One of the pure built-ins, applied: ``len(s1)``."""

    name: str
    arguments: tuple[Expression, ...]


Expression: TypeAlias = (
    Constant
    | Reference
    | Template
    | ListOf
    | DictOf
    | Negated
    | Binary
    | Compare
    | Junction
    | Subscript
    | Field
    | Builtin
)


def parts_of(expression: Expression | Slice) -> tuple[Expression | Slice, ...]:
    """The expressions directly inside another, from left to right."""
    match expression:
        case Constant() | Reference():
            return ()
        case Template(parts):
            return tuple(part for part in parts if not isinstance(part, str))
        case ListOf(items):
            return items
        case DictOf(pairs):
            return tuple(part for pair in pairs for part in pair)
        case Negated(_, operand):
            return (operand,)
        case Binary(_, left, right):
            return (left, right)
        case Compare(first, rest):
            return (first, *(operand for _, operand in rest))
        case Junction(_, operands):
            return operands
        case Subscript(value, key):
            return (value, key)
        case Slice(start, stop):
            return tuple(part for part in (start, stop) if part is not None)
        case Field(value, _):
            return (value,)
        case Builtin(_, arguments):
            return arguments


def references(expression: Expression) -> Iterator[Reference]:
    """Every reference inside an expression, from left to right."""
    if isinstance(expression, Constant):
        return
    stack: list[Expression | Slice] = [expression]
    while stack:
        node = stack.pop()
        if isinstance(node, Reference):
            yield node
        else:
            stack.extend(reversed(parts_of(node)))


@dataclass(frozen=True)
class FunctionCall:
    """One line of a plan: ``id = function(name=argument, ...)``.

    ``positional`` holds arguments written without a name, as the paper's examples have
    them; checking a plan against its functions gives them their names.
    """

    __repr__ = short

    id: CallId
    function: str
    args: Mapping[str, Expression]
    positional: tuple[Expression, ...] = ()
    position: Position = field(default=(1, 1), compare=False)
    text: str = field(default="", compare=False, repr=False)
    """The statement as written, for error messages."""
    positions: Mapping[str | int, Position] = field(default_factory=dict, compare=False, repr=False)
    """Where each argument's value stands, by name or by position."""
    influenced: bool = field(default=False, compare=False, repr=False)
    """Whether a model wrote it after it had read what came from outside."""

    @cached_property
    def is_whole(self) -> bool:
        """True. Raises ``WrongArgument`` for parts that are of no kind that a call has; looked at once."""
        text("id of a call", self.id)
        text("function of a call", self.function)
        if not isinstance(self.args, Mapping):
            refuse("args of a call", "expressions by name", self.args)
        if not isinstance(self.positional, tuple):
            refuse("positional of a call", "a tuple of expressions", self.positional)
        for argument in (*self.args.values(), *self.positional):
            if not isinstance(argument, Expression):
                refuse("an argument of a call", "an expression, such as Constant(1)", argument)
        return True

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """Every use of an earlier call's result, in the order of the text."""
        expressions = (*self.positional, *self.args.values())
        return tuple(reference for expression in expressions for reference in references(expression))

    @cached_property
    def uses(self) -> tuple[CallId, ...]:
        """Ids of the calls whose results this call needs, each once."""
        if not self.args and not self.positional:
            return ()
        return tuple(dict.fromkeys(reference.id for reference in self.references))


@dataclass(frozen=True)
class Plan:
    """A function call sequence; the last call's result is the answer."""

    __repr__ = short

    calls: tuple[FunctionCall, ...]

    def __post_init__(self) -> None:
        """Raise ``WrongArgument`` for what somebody made by hand, and no plan can hold."""
        if not isinstance(self.calls, list | tuple):
            refuse("calls", "a tuple of FunctionCall", self.calls)
        object.__setattr__(self, "calls", tuple(self.calls))
        for call in self.calls:
            if not (isinstance(call, FunctionCall) and call.is_whole):
                refuse("each of calls", "a FunctionCall", call)

    def __len__(self) -> int:
        return len(self.calls)

    def __iter__(self) -> Iterator[FunctionCall]:
        return iter(self.calls)

    @cached_property
    def by_id(self) -> dict[CallId, FunctionCall]:
        """The calls by their ids."""
        return {call.id: call for call in self.calls}

    @property
    def answer(self) -> CallId:
        """The id of the call whose result answers the query."""
        return self.calls[-1].id

    def __getitem__(self, call: CallId) -> FunctionCall:
        return self.by_id[call]
