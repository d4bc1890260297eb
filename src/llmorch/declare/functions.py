"""What a function is: its name, kind, parameters and schema, and how one is declared.

Decides what may be said of a function together; what a single option takes, ``options`` says.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MethodType
from typing import TYPE_CHECKING, Any

from llmorch.declare.callables import is_async, is_async_generator, is_generator, name_of, owner_of
from llmorch.declare.interfaces import interface_of, is_own_iterator
from llmorch.declare.options import (
    KEPT,
    Effects,
    Kind,
    read_option,
    refuse_braces,
    refuse_name,
    refuse_unknown_options,
)
from llmorch.declare.parameters import Parameter
from llmorch.declare.resources import CPU, GPU_MEMORY, amount_text
from llmorch.declare.text import brief
from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Unpack

    from llmorch.declare.options import Options
    from llmorch.declare.prompt_text import PromptText
    from llmorch.declare.resources import Rate

__all__ = [
    "DECLARATION",
    "SELF",
    "Function",
    "Kind",
    "declaration_of",
    "refuse_self",
    "refuse_unknown",
    "refuse_unsafe_retries",
]

SELF = "self"
DECLARATION = "__llmorch_function__"
BATCH_SIZE = 64
"""Calls in one batch where the author doesn't say how many."""


@dataclass(frozen=True)
class Batch:
    """What makes several calls of a function as one: ``call``, by its only ``parameter``.

    At most ``size`` calls go together. ``of_object`` says that it takes the object first.
    """

    call: Callable[..., Any]
    parameter: str
    size: int = BATCH_SIZE
    of_object: bool = False

    def bound(self, owner: object) -> Batch:
        """The form of a method, for its object."""
        return replace(self, call=MethodType(self.call, owner), of_object=False) if self.of_object else self


@dataclass(frozen=True)
class Function:
    """A function that a plan may call, with what was said of it: ``@function`` explains each option.

    ``declared`` tells whether somebody said its kind, or whether it was assumed. ``shortage``
    says why no call of it can be made here, where that is so. ``batch`` makes calls that are
    ready together as one. Raises ``FunctionError`` for what can't be.
    """

    name: str
    call: Callable[..., Any] = field(repr=False, compare=False)
    kind: Kind = "inout"
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    returns: Any = Any
    returns_description: str = ""
    timeout: float | None = None
    memory: int | None = None
    declared: bool = True
    asks_model: bool = False
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    effects: Effects | None = None
    retries: int = 0
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    backoff: float = 0.5
    idempotent: bool = False
    resources: Mapping[str, int] = field(default_factory=dict, hash=False)
    max_concurrency: int | None = None
    rate: Rate | None = None
    shortage: str = ""
    batch: Batch | None = field(default=None, repr=False, compare=False)
    show: Callable[[Any], str] | None = field(default=None, repr=False, compare=False)
    untrusted: bool | None = None
    trusted: tuple[str, ...] = ()
    documented: int = field(default=0, repr=False, compare=False)
    """Characters of its docstring: in a prompt it may take more room than others then."""
    elapsed: float = field(default=0.0, repr=False, compare=False)
    """Seconds of its timeout that a call has used before the function is called: to work out its arguments."""

    def __post_init__(self) -> None:
        refuse_name(self.name)
        if not callable(self.call):
            raise FunctionError(f"{self.name}: a {type(self.call).__name__} can't be called")
        if not isinstance(self.parameters, tuple) or not all(
            isinstance(item, Parameter) for item in self.parameters
        ):
            raise FunctionError(f"{self.name}: parameters is a tuple of them, not {brief(self.parameters)}")
        for option in KEPT:
            said = getattr(self, option)
            if said is not getattr(Function, option, None):
                object.__setattr__(self, option, read_option(self.name, option, said))

    @property
    def time_left(self) -> float | None:
        """Seconds of its timeout that a call of it has."""
        return None if self.timeout is None else self.timeout - self.elapsed

    @cached_property
    def is_async(self) -> bool:
        """Whether calling the function gives a coroutine: it says so itself, whatever it wraps."""
        return is_async(self.call)

    @cached_property
    def on_loop(self) -> bool:
        """Whether it waits on the event loop, where it can be stopped: a coroutine, or an async generator."""
        return self.is_async or is_async_generator(self.call)

    @cached_property
    def in_process(self) -> bool:
        """Whether an inout function runs in a process, since a thread can't be stopped or bounded."""
        bounded = self.timeout is not None or self.memory is not None
        return bounded and self.kind == "inout" and not self.on_loop and not self.asks_model

    @property
    def pure(self) -> bool:
        """Whether somebody said that a call is nothing but its result.

        Such a call is made once for all that are the same, and not at all where nothing
        uses its result.
        """
        return self.effects == "none"

    @property
    def changes(self) -> bool:
        """Whether somebody said that a call may leave anything different."""
        return bool(self.writes) or self.effects == "unknown"

    @property
    def undeclared(self) -> bool:
        """Whether nobody said what a call reads, writes or leaves different."""
        return self.effects is None and not self.reads and not self.writes

    @property
    def only_looks(self) -> bool:
        """Whether somebody said that a call changes nothing: it may begin before the whole plan is known."""
        return self.pure or (bool(self.reads) and not self.changes)

    @property
    def repeatable(self) -> bool:
        """Whether a call that has ended well may be made again."""
        return self.idempotent or self.only_looks

    @property
    def retryable(self) -> bool:
        """Whether a call that failed, or that a model writes anew, may be made again."""
        return self.idempotent or not self.changes

    @property
    def once_for_all(self) -> str:
        """Why a call that has ended well is not made again, where it isn't."""
        if self.repeatable:
            return ""
        if self.changes:
            return "has effects and is not declared idempotent"
        return "is declared neither pure nor idempotent"

    @cached_property
    def keeps_iterator(self) -> bool:
        """Whether it says that it returns an iterator of a class of its author's, which is passed on as it is."""
        return is_own_iterator(self.returns)

    @cached_property
    def converses(self) -> bool:
        """Whether the function makes something of the model's replies, and takes its prompts apart."""
        return is_generator(self.call) or is_generator(inspect.unwrap(self.call))

    @cached_property
    def together(self) -> Function:
        """The batch form as a function of one argument, the list of calls."""
        assert self.batch is not None
        return replace(self, call=self.batch.call)

    @property
    def is_batch(self) -> bool:
        """Whether this is the batch form of a function."""
        return self.batch is not None and self.call is self.batch.call

    @cached_property
    def by_name(self) -> dict[str, Parameter]:
        """The parameters by their names."""
        return {parameter.name: parameter for parameter in self.parameters}

    @cached_property
    def filled(self) -> tuple[Parameter, ...]:
        """The parameters whose defaults Python would not fill in itself: a ``Field`` has them."""
        return tuple(parameter for parameter in self.parameters if parameter.field is not None)

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Names of the parameters without a default."""
        return tuple(parameter.name for parameter in self.parameters if parameter.required)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the function's arguments, one object."""
        from llmorch.declare.schema_text import trimmed

        own = {item.name: item.schema for item in self.parameters}
        properties, definitions = trimmed(own, self._own_length)
        return {
            "type": "object",
            "properties": properties,
            "required": [*self.required],
            "additionalProperties": False,
            **({"$defs": definitions} if definitions else {}),
        }

    @cached_property
    def prompt_text(self) -> PromptText:
        """What a model reads of the function in a prompt."""
        from llmorch.declare.prompt_text import prompt_text

        return prompt_text(
            self.name,
            self.description,
            self.parameters,
            self.returns,
            self.returns_description,
            self._own_length,
        )

    @property
    def _own_length(self) -> int:
        """Characters that its author wrote of it."""
        return max(self.documented, len(self.description))

    @property
    def signature(self) -> str:
        """The function as a model reads it: ``search(query: str, k: int = 500) -> str``."""
        return self.prompt_text.signature


def declaration_of(target: Callable[..., Any], **options: Unpack[Options]) -> Function:
    """Read a callable's signature and docstring, and what is said of it, into a ``Function``."""
    target = target.__func__ if isinstance(target, staticmethod) else target
    given: dict[str, Any] = {option: value for option, value in options.items() if value is not None}
    name = given.pop("name", name_of(target))
    refuse_name(name)
    refuse_self(name)
    refuse_unknown_options(name, options)
    said = {option: read_option(name, option, value) for option, value in given.items()}
    asks_model = said.get("asks_model", False)
    interface = interface_of(target, name, asks_model=asks_model)
    if said.pop("pure", False):
        if said.get("effects") == "unknown":
            raise FunctionError(f"{name}: it is either pure or its effects are unknown")
        if said.get("reads") or said.get("writes"):
            raise FunctionError(f"{name}: it is either pure or touches what reads and writes say")
        said["effects"] = "none"
    if "retry_on" in said and not said.get("retries"):
        raise FunctionError(f"{name}: retry_on does nothing without retries; write retries=3")
    said["declared"] = "kind" in said
    said = interface | _with_process(name, said)
    declared = Function(name, target, **said)
    if declared.effects is not None and (declared.reads or declared.writes):
        raise FunctionError(f"{name}: effects are either {declared.effects} or said by reads and writes")
    refuse_unknown(declared, with_object=owner_of(target) is not None)
    refuse_unsafe_retries(declared)
    on_loop_here = declared.on_loop and declared.kind != "compute"
    if declared.memory is not None and (asks_model or on_loop_here):
        raise FunctionError(
            f"{name}: memory bounds a process, and this function has none of its own; "
            'declare kind="compute" to give it one'
        )
    if asks_model and (declared.on_loop or declared.declared):
        raise FunctionError(
            f"{name}: a function with asks_model=True is a plain def that returns or yields prompts; "
            "its kind is the model's"
        )
    return declared


def refuse_self(name: str) -> None:
    """Raise ``FunctionError`` for the name under which a plan asks the model itself."""
    if name == SELF:
        raise FunctionError("self: this name stands for the model itself; give another by name=")


def refuse_unknown(declared: Function, *, with_object: bool = False) -> None:
    """Raise ``FunctionError`` for a pattern, or trusted, that names no parameter, nor the object of a method."""
    known = {parameter.name for parameter in declared.parameters} | ({SELF} if with_object else set())
    refuse_braces(declared.name, declared.reads, declared.writes, known)
    for name in declared.trusted:
        if name not in declared.by_name:
            listed = ", ".join(declared.by_name) or "none"
            raise FunctionError(f"{declared.name}: trusted names {name}, and its parameters are {listed}")


def refuse_unsafe_retries(declared: Function) -> None:
    """Raise ``FunctionError`` where making a failed call again could do harm."""
    if declared.retries and not declared.retryable:
        effect = "what it writes" if declared.writes else "what nobody knows"
        raise FunctionError(
            f"{declared.name}: a retry may do {effect} twice; leave retries out, or declare idempotent=True "
            "if a second time does no harm"
        )


def _with_process(name: str, said: dict[str, Any]) -> dict[str, Any]:
    """Processors and a GPU are given to a process, which only compute calls have."""
    taken = said.get("resources", {})
    which = next((resource for resource in (CPU, GPU_MEMORY) if resource in taken), None)
    if which is None:
        return said
    if said.get("asks_model"):
        raise FunctionError(
            f"{name}: a function with asks_model=True runs where the model does: leave {which} out"
        )
    if said.get("kind") == "inout":
        raise FunctionError(
            f"{name}: an inout call has no process to give {amount_text(which, taken[which])} to; "
            'declare kind="compute"'
        )
    return said | {"kind": "compute", "declared": True}
