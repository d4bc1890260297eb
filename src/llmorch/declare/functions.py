"""What a function is: its name, kind, parameters and schema, and how one is declared.

This module must not know how a function is called or where: it turns a Python callable
into a declaration, and holds the parts of it to one another.
"""

from __future__ import annotations

import inspect
import keyword
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from llmorch.declare.callables import (
    is_async,
    is_async_generator,
    is_generator,
    name_of,
    owner_of,
)
from llmorch.declare.parameters import Parameter, schema_of
from llmorch.declare.parts import (
    Effects,
    backoff_of,
    effects_of,
    is_own_iterator,
    memory_of,
    patterns,
    retries_of,
    retry_on_of,
    show_of,
    written,
)
from llmorch.declare.resources import CPU, GPU_MEMORY, limit_of, rate_of, resources_of, shown
from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.declare.batch import Batch
    from llmorch.declare.resources import Amount, Rate
    from llmorch.declare.told import Told

Kind = Literal["inout", "compute"]
P = ParamSpec("P")
R = TypeVar("R")

SELF = "self"
DECLARATION = "__llmorch_function__"


@dataclass(frozen=True)
class Function:
    """A function that a plan may call.

    ``kind`` is ``inout`` (waits on input and output) or ``compute`` (occupies a
    processor until it ends). A call is stopped after ``timeout`` seconds, or when it takes
    ``memory`` bytes. ``declared`` tells whether somebody said so, or whether it
    was assumed. ``asks_model`` marks a function that returns a prompt, to which the
    run's model replies: the reply is the call's result. A generator yields prompts and
    receives the replies, and what it returns is the call's result. ``reads`` and
    ``writes`` are patterns of the names of things that a call touches, such as
    ``file:{path}``; ``effects`` is ``"unknown"`` where nobody can say, and ``"none"`` where
    somebody said that there are none: then a call is nothing but its result. Where nothing
    is said, it may run beside other calls and is otherwise made exactly as it is written.
    A call that fails with one of ``retry_on`` is made up
    to ``retries`` times more, the first time after about ``backoff`` seconds; ``idempotent``
    says that doing so is harmless whatever it writes.
    ``resources`` are what a call takes while it runs, by name; ``max_concurrency`` and
    ``rate`` limit how many run and begin at once. ``shortage`` says why no call of it can
    be made here, where that is so. ``batch`` makes calls that are ready together as one.
    ``show`` makes the text that a model sees in the place of a result.
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
    documented: int = field(default=0, repr=False, compare=False)
    """Characters of its docstring: in a prompt it may take more room than others then."""

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
        return schema_of(self.parameters, max(self.documented, len(self.description)))

    @cached_property
    def told(self) -> Told:
        """What a model is told of the function."""
        from llmorch.declare.told import Told

        return Told(
            self.name,
            self.description,
            self.parameters,
            self.returns,
            self.returns_description,
            max(self.documented, len(self.description)),
        )

    @cached_property
    def signature(self) -> str:
        """The function as a model reads it: ``search(query: str, k: int = 500) -> str``."""
        return self.told.signature


def declaration_of(
    call: Callable[..., Any],
    *,
    kind: Kind | None = None,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    memory: str | int | None = None,
    asks_model: bool = False,
    pure: bool = False,
    reads: Sequence[str] = (),
    writes: Sequence[str] = (),
    effects: Effects | None = None,
    retries: int = 0,
    retry_on: type[BaseException] | Sequence[type[BaseException]] | None = None,
    backoff: float = 0.5,
    idempotent: bool = False,
    resources: Mapping[str, Amount] | None = None,
    max_concurrency: int | None = None,
    rate: str | None = None,
    show: Callable[[Any], str] | None = None,
) -> Function:
    """Read a callable's signature and docstring into a ``Function``."""
    call = call.__func__ if isinstance(call, staticmethod) else call
    name = name_of(call) if name is None else name
    refuse_name(name)
    if kind not in (None, "inout", "compute"):
        raise FunctionError(f'{name}: kind is "inout" or "compute", not {kind!r}')
    if timeout is not None and not timeout > 0:
        raise FunctionError(f"{name}: timeout is a positive number of seconds, not {timeout!r}")
    taken = resources_of(name, resources)
    if CPU in taken or GPU_MEMORY in taken:
        kind = _kind_for(taken, name, kind, asks_model=asks_model)
    said = written(call, name, asks_model=asks_model)
    known = {parameter.name for parameter in said.parameters}
    if owner_of(call) is not None:
        known.add(SELF)
    declared = Function(
        name=name,
        call=call,
        kind=kind or "inout",
        description=said.description if description is None else description,
        parameters=said.parameters,
        returns=said.returns,
        returns_description=said.returns_description,
        timeout=timeout,
        memory=memory_of(name, memory),
        declared=kind is not None,
        asks_model=asks_model,
        reads=patterns(name, "reads", reads, known),
        writes=patterns(name, "writes", writes, known),
        effects=effects_of(name, effects, pure=pure, named=bool(reads or writes)),
        retries=retries_of(name, retries),
        retry_on=retry_on_of(name, retry_on, retries),
        backoff=backoff_of(name, backoff),
        idempotent=idempotent,
        resources=taken,
        max_concurrency=limit_of(name, max_concurrency),
        rate=rate_of(name, rate),
        show=show_of(name, show),
        documented=said.documented,
    )
    if not isinstance(idempotent, bool):
        raise FunctionError(f"{name}: idempotent is True or False, not {idempotent!r}")
    refuse_unsafe_retries(declared)
    if memory is not None and (asks_model or (declared.on_loop and kind != "compute")):
        raise FunctionError(
            f"{name}: memory bounds a process, and this function has none of its own; "
            'declare kind="compute" to give it one'
        )
    if asks_model and (declared.on_loop or kind is not None):
        raise FunctionError(
            f"{name}: a function with asks_model=True is a plain def that returns or yields prompts; "
            "its kind is the model's"
        )
    return declared


def _kind_for(taken: Mapping[str, int], name: str, kind: Kind | None, *, asks_model: bool) -> Kind:
    """Processors and a GPU are given to a process, which only compute calls have."""
    which = CPU if CPU in taken else GPU_MEMORY
    if asks_model:
        raise FunctionError(
            f"{name}: a function with asks_model=True runs where the model does: leave {which} out"
        )
    if kind == "inout":
        raise FunctionError(
            f'{name}: an inout call has no process to give {shown(which, taken[which])} to; declare kind="compute"'
        )
    return "compute"


def refuse_name(name: str) -> None:
    """Raise ``FunctionError`` for a name that no plan can call."""
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise FunctionError(
            f"{name}: a function needs a plain name to be called by in a plan; give one by name="
        )
    if name == SELF:
        raise FunctionError("self: this name stands for the model itself; give another by name=")


def refuse_unsafe_retries(declared: Function) -> None:
    """Raise ``FunctionError`` where making a failed call again could do harm."""
    if declared.retries and not declared.retryable:
        effect = "what it writes" if declared.writes else "what nobody knows"
        raise FunctionError(
            f"{declared.name}: a retry may do {effect} twice; leave retries out, or declare idempotent=True "
            "if a second time does no harm"
        )
