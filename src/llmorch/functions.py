"""What a function is: its name, kind, parameters and schema, and how one is declared.

This module must not know how a function is called or where: it turns a Python callable
into a declaration, and holds the parts of it to one another.
"""

from __future__ import annotations

import inspect
import keyword
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from llmorch.batches import attach
from llmorch.declaring import backoff_of, memory_of, patterns, retries_of, retry_on_of, show_of, written
from llmorch.errors import FunctionError
from llmorch.parameters import Parameter, schema_of, type_name
from llmorch.resources import CPU, GPU_MEMORY, limit_of, rate_of, resources_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.batches import Batch, Declared
    from llmorch.resources import Amount, Rate

Kind = Literal["inout", "compute"]
Effects = Literal["unknown", "none"]
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
    somebody said that there are none. A call that fails with one of ``retry_on`` is made up
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

    @cached_property
    def is_async(self) -> bool:
        """Whether calling the function gives a coroutine."""
        call = self.call if inspect.isroutine(self.call) else getattr(self.call, "__call__", self.call)  # noqa: B004
        return inspect.iscoroutinefunction(inspect.unwrap(call))

    @cached_property
    def in_process(self) -> bool:
        """Whether an inout function runs in a process, since a thread can't be stopped or bounded."""
        bounded = self.timeout is not None or self.memory is not None
        return bounded and self.kind == "inout" and not self.is_async and not self.asks_model

    @property
    def changes(self) -> bool:
        """Whether a call may leave anything different, by all that was declared."""
        return bool(self.writes) or self.effects == "unknown"

    @property
    def acts(self) -> bool:
        """Whether a call may be made for what it does: it changes something, or returns nothing."""
        return self.changes or self.returns in (None, type(None))

    @property
    def pure(self) -> bool:
        """Whether a call is nothing but its result, by all that was declared."""
        return not (self.acts or self.reads)

    @property
    def repeatable(self) -> bool:
        """Whether a call may be made again, by all that was declared."""
        return self.idempotent or not self.changes

    @cached_property
    def converses(self) -> bool:
        """Whether the function makes something of the model's replies, and takes its prompts apart."""
        return inspect.isgeneratorfunction(inspect.unwrap(self.call))

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
    def required(self) -> tuple[str, ...]:
        """Names of the parameters without a default."""
        return tuple(parameter.name for parameter in self.parameters if parameter.required)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the function's arguments, one object."""
        return schema_of(self.parameters)

    @cached_property
    def signature(self) -> str:
        """The function as a model reads it: ``search(query: str, k: int = 500) -> str``."""
        shown = []
        for parameter in self.parameters:
            text = f"{parameter.name}: {type_name(parameter.annotation)}"
            shown.append(text if parameter.required else f"{text} = {parameter.default!r}")
        result = "" if self.returns is Any else f" -> {type_name(self.returns)}"
        return f"{self.name}({', '.join(shown)}){result}"


@overload
def function(call: Callable[P, R], /) -> Declared[P, R]: ...
@overload
def function(
    *,
    kind: Kind | None = None,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    memory: str | int | None = None,
    asks_model: bool = False,
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
) -> Callable[[Callable[P, R]], Declared[P, R]]: ...
def function(
    call: Callable[..., Any] | None = None,
    /,
    *,
    kind: Kind | None = None,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    memory: str | int | None = None,
    asks_model: bool = False,
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
) -> Any:
    """Offer a Python function to plans; the function itself stays as it is.

    ``kind`` is ``"inout"`` or ``"compute"``; without it a function is inout, and the
    run says so when a synchronous one turns out to spend its time on the CPU.
    ``timeout``, in seconds, stops a call that takes longer, and ``memory="2GiB"`` one whose
    process holds that much more than before it. A synchronous inout function with either
    runs in a process, where it can be stopped, and not on a thread. ``asks_model=True`` makes the function's
    result a prompt for the run's model, and the model's reply the call's result; written
    as a generator, the function yields prompts, receives the replies, and returns the result.

    ``reads=["file:{path}"]`` and ``writes=["account:{id}"]`` name what a call touches beside
    its result, with its arguments filled in and a trailing ``*`` for everything below. Calls
    of which one writes what the other touches keep the plan's order; all others run
    together. Without a declaration a function is pure, unless it is a method of a
    ``stateful`` class (there, ``effects="none"`` says that it is); ``effects="unknown"``
    keeps the order against every other call. A call that may change something starts only
    once the whole plan is known.

    ``retries=3`` makes a call that failed up to three times more, if it failed with one of
    ``retry_on`` (by default any ``Exception``; running out of ``timeout``, which each attempt
    has to itself, is a ``TimeoutError``). The first pause is about ``backoff`` seconds, each
    further one twice as long. A call that may change something is made again only with
    ``idempotent=True``: done twice, it leaves what it leaves when done once.

    ``resources={"cpu": 2, "gpu_memory": "6GiB", "camera": 1}`` is what a call takes while it
    runs; it starts once all of that is free. ``cpu`` and ``gpu_memory`` make it a compute
    function. At most ``max_concurrency`` calls of it run at once, and at most as many begin
    as ``rate`` says (``"10/s"``, ``"100/min"``, ``"1000/h"``), in all runs of this process.

    ``show=lambda rows: f"{len(rows)} rows"`` makes the text that a model sees in the place of a
    result; other functions get the result itself. Without it, a model sees what is short as it
    is, and of what is long its type, size, beginning and end.

    ``@search.batch`` declares a function that makes several calls of ``search`` as one.

    The schema comes from the signature and the docstring (Google, NumPy or reST).
    Raises ``FunctionError`` for a function that can't be offered.
    """

    def declare(target: Callable[..., Any]) -> Any:
        declaration = declaration_of(
            target,
            kind=kind,
            name=name,
            description=description,
            timeout=timeout,
            memory=memory,
            asks_model=asks_model,
            reads=reads,
            writes=writes,
            effects=effects,
            retries=retries,
            retry_on=retry_on,
            backoff=backoff,
            idempotent=idempotent,
            resources=resources,
            max_concurrency=max_concurrency,
            rate=rate,
            show=show,
        )
        try:
            setattr(target, DECLARATION, declaration)
            attach(target, declaration.name, refused=_no_batch(declaration))
        except AttributeError:
            raise FunctionError(
                f"{declaration.name}: only functions written with def can be decorated"
            ) from None
        return target

    return declare if call is None else declare(call)


def declaration_of(
    call: Callable[..., Any],
    *,
    kind: Kind | None = None,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    memory: str | int | None = None,
    asks_model: bool = False,
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
    name = name or str(getattr(call, "__name__", type(call).__name__))
    refuse_name(name)
    if kind not in (None, "inout", "compute"):
        raise FunctionError(f'{name}: kind is "inout" or "compute", not {kind!r}')
    if timeout is not None and not timeout > 0:
        raise FunctionError(f"{name}: timeout is a positive number of seconds, not {timeout!r}")
    taken = resources_of(name, resources)
    if CPU in taken or GPU_MEMORY in taken:
        kind = _kind_for(taken, name, kind, asks_model=asks_model)
    said = written(call, name)
    known = {parameter.name for parameter in said.parameters}
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
        effects=effects,
        retries=retries_of(name, retries),
        retry_on=retry_on_of(name, retry_on, retries),
        backoff=backoff_of(name, backoff),
        idempotent=idempotent,
        resources=taken,
        max_concurrency=limit_of(name, max_concurrency),
        rate=rate_of(name, rate),
        show=show_of(name, show),
    )
    if effects not in (None, "unknown", "none"):
        raise FunctionError(f'{name}: effects is "unknown", "none" or left out, not {effects!r}')
    if effects is not None and (reads or writes):
        raise FunctionError(f"{name}: effects are either {effects} or said by reads and writes")
    if not isinstance(idempotent, bool):
        raise FunctionError(f"{name}: idempotent is True or False, not {idempotent!r}")
    refuse_unsafe_retries(declared)
    if inspect.isasyncgenfunction(call) or (inspect.isgeneratorfunction(call) and not asks_model):
        raise FunctionError(f"{name}: a generator can't be offered; return a list")
    if memory is not None and (asks_model or (declared.is_async and kind != "compute")):
        raise FunctionError(
            f"{name}: memory bounds a process, and this function has none of its own; "
            'declare kind="compute" to give it one'
        )
    if asks_model and (declared.is_async or kind is not None):
        raise FunctionError(
            f"{name}: a function with asks_model=True is a plain def that returns or yields prompts; "
            "its kind is the model's"
        )
    return declared


def _no_batch(declared: Function) -> str:
    """Why a function can't have a batch form, where it can't."""
    return "a function that asks the model has no batch form" if declared.asks_model else ""


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
    if declared.retries and not declared.repeatable:
        effect = "what it writes" if declared.writes else "what nobody knows"
        raise FunctionError(
            f"{declared.name}: a retry may do {effect} twice; leave retries out, or declare idempotent=True "
            "if a second time does no harm"
        )
