"""The decorators ``@function`` and ``@search.batch``: what they take, and where they leave what was said.

A batch form is one call instead of several of a function.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from llmorch.declare.callables import OBJECT_NAMES, name_of
from llmorch.declare.functions import BATCH_SIZE, DECLARATION, Batch, declaration_of
from llmorch.declare.text import brief
from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from llmorch.declare.functions import Function
    from llmorch.declare.options import Options

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
F = TypeVar("F", bound="Callable[..., Any]")

_FORM = "__llmorch_batch_of__"


class Carrier:
    """Stands for a bound method, a built-in, or an object with slots, and carries what was said of it."""

    def __init__(self, target: Callable[..., Any]) -> None:
        update_wrapper(self, target)
        self.__wrapped__ = target

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<offered: {self.__wrapped__!r}>"


class BatchDecorator:
    """What ``search.batch`` is: a decorator that declares the batch form of ``search``."""

    def __init__(self, single: Callable[..., Any], declared: Function) -> None:
        self.declared: Batch | None = None
        self._name = declared.name
        self._asks_model = declared.asks_model
        self._of_object = _takes_object(single)

    @overload
    def __call__(self, form: F, /) -> F: ...
    @overload
    def __call__(self, /, *, size: int = BATCH_SIZE) -> Callable[[F], F]: ...
    def __call__(self, form: F | None = None, /, *, size: int = BATCH_SIZE) -> F | Callable[[F], F]:
        """Declare the batch form, which itself stays as it is.

        It takes a list of mappings, one for each call, of all parameters to their values,
        and returns a list of as many results in the same order; instead of a result
        there may be an exception, of which that call alone fails. At most ``size`` calls
        go together. Raises ``FunctionError`` for a form that can't be.
        """

        def declare(target: F) -> F:
            inner: Any = target.__func__ if isinstance(target, staticmethod | classmethod) else target
            self.declared = self._read(inner, size)
            setattr(inner, _FORM, self._name)
            return target

        return declare if form is None else declare(form)

    def _read(self, form: Callable[..., Any], size: int) -> Batch:
        of = f"{self._name}: its batch form"
        if self._asks_model:
            raise FunctionError(f"{self._name}: a function that asks the model has no batch form")
        if self.declared is not None:
            raise FunctionError(f"{of} is declared already: {name_of(self.declared.call)}")
        if isinstance(size, bool) or not isinstance(size, int) or size < 2:
            raise FunctionError(
                f"{of} takes a whole number of calls, 2 or more, as its size, not {brief(size)}"
            )
        if not inspect.isfunction(form):
            raise FunctionError(f"{of} is a function written with def, not a {type(form).__name__}")
        of = f"{of}, {name_of(form)},"
        if inspect.isgeneratorfunction(form) or inspect.isasyncgenfunction(form):
            raise FunctionError(f"{of} can't be a generator; return a list")
        parameters = list(inspect.signature(form).parameters.values())
        mine = parameters[1:] if self._of_object else parameters
        if (self._of_object and (not parameters or parameters[0].name not in OBJECT_NAMES)) or len(mine) != 1:
            takes = "self and one parameter" if self._of_object else "one parameter"
            names = ", ".join(parameter.name for parameter in parameters) or "none"
            raise FunctionError(f"{of} takes {takes}, the list of calls, not {names}")
        only = mine[0]
        if only.kind not in (only.POSITIONAL_OR_KEYWORD, only.KEYWORD_ONLY):
            raise FunctionError(f"{of} takes one parameter that has a name, not {only}")
        return Batch(form, only.name, size, self._of_object)

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        # A function that is sent to another process by value takes its attributes along.
        return type(None), ()


class DeclaredFunction(Protocol[P, R_co]):
    """A function that is offered to plans: itself, and what declares its batch form."""

    __name__: str
    __qualname__: str

    @property
    def batch(self) -> BatchDecorator: ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    @overload
    def __get__(self, owner: None, kind: type, /) -> DeclaredFunction[P, R_co]: ...
    @overload
    def __get__(
        self: DeclaredFunction[Concatenate[Any, Q], R_co], owner: object, kind: type | None = None, /
    ) -> DeclaredFunction[Q, R_co]: ...


def batch_of(target: object) -> Batch | None:
    """The batch form that was declared for a function, or for what a decorator made of it."""
    batching = getattr(target, "batch", None)
    return batching.declared if isinstance(batching, BatchDecorator) else None


def single_of(target: object) -> str | None:
    """The name of the function whose batch form this is."""
    name = getattr(target, _FORM, None)
    return name if isinstance(name, str) else None


def _takes_object(single: Callable[..., Any]) -> bool:
    """Whether a function is written in the body of a class, and takes its object or its class first."""
    if not inspect.isfunction(single):  # what is bound, or no function, has its object
        return False
    code = inspect.unwrap(single).__code__
    return bool(code.co_argcount) and code.co_varnames[0] in OBJECT_NAMES


@overload
def function(target: Callable[P, R], /) -> DeclaredFunction[P, R]: ...
@overload
def function(**options: Unpack[Options]) -> Callable[[Callable[P, R]], DeclaredFunction[P, R]]: ...
def function(target: Callable[..., Any] | None = None, /, **options: Unpack[Options]) -> Any:
    """Offer a Python function to plans; the function itself stays as it is.

    ``kind`` is ``"inout"`` or ``"compute"``; without it a function is inout, and the
    run says so when a synchronous one turns out to spend its time on the CPU.
    ``timeout``, in seconds, stops a call that takes longer, and ``memory="2GiB"`` one whose
    process holds that much more than before it: private or shared, what it has mapped, but not what was
    only written to a file in memory (a memfd, ``/dev/shm``). A synchronous inout function with either
    runs in a process, where it can be stopped, and not on a thread. ``asks_model=True`` makes the function's
    result a prompt for the run's model, and the model's reply the call's result; written
    as a generator, the function yields prompts, receives the replies, and returns the result.

    ``pure=True`` (or ``effects="none"``) says that a call is nothing but its result. Only such
    calls are made once for all that are the same, and left out where nothing uses them. Where
    nothing is said, a call may run beside others, and is otherwise made exactly as it is
    written: once the whole plan is known, and never again once it has ended well.

    ``reads=["file:{path}"]`` and ``writes=["account:{id}"]`` name what a call touches beside
    its result, with its arguments filled in and a trailing ``*`` for everything below. Calls
    of which one writes what the other touches keep the plan's order; all others run
    together. ``effects="unknown"`` keeps the order against every other call. Pure calls, and
    those that only read, begin while a model still writes the plan.

    ``retries=3`` makes a call that failed up to three times more, if it failed with one of
    ``retry_on`` (by default any ``Exception``; running out of ``timeout``, which each attempt
    has to itself, is a ``TimeoutError``). The first pause is about ``backoff`` seconds, each
    further one twice as long. A call that changes something is made again only with
    ``idempotent=True``: done twice, it leaves what it leaves when done once.

    ``resources={"cpu": 2, "gpu_memory": "6GiB", "camera": 1}`` is what a call takes while it
    runs; it starts once all of that is free. ``cpu`` and ``gpu_memory`` make it a compute
    function. At most ``max_concurrency`` calls of it run at once, and at most as many begin
    as ``rate`` says (``"10/s"``, ``"100/min"``, ``"1000/h"``), in all runs of this process.

    ``show=lambda rows: f"{len(rows)} rows"`` makes the text that a model sees instead of a
    result; other functions get the result itself. Without it, a model sees what is short as it
    is, and of what is long its type, size, beginning and end.

    ``untrusted=True`` says that what it returns comes from outside, such as a web page or a mail, and so
    does all that is made of it in the plan. Arguments that are ``trusted=["to"]`` may not come from
    there. By a technique with a plan, nothing that a model writes after it has read what comes from outside makes a
    call with effects that it didn't plan from the query alone; ``Orchestrator(influence=...)`` says otherwise, or the
    same for techniques in turns. To that end whatever is not ``untrusted=False`` counts as from outside.

    ``@search.batch`` declares a function that makes several calls of ``search`` as one.

    The schema comes from the signature and the docstring (Google, NumPy or reST).
    Raises ``FunctionError`` for a function that can't be offered.
    """

    def declare(target: Any) -> Any:
        if isinstance(target, staticmethod | classmethod):  # in the body of a class
            declare(target.__func__)
            return target
        declared = declaration_of(target, **options)
        try:
            setattr(target, DECLARATION, declared)
        except (AttributeError, TypeError):
            target = Carrier(target)
            setattr(target, DECLARATION, declared)
        if not isinstance(target, type) and isinstance(getattr(target, "batch", None), BatchDecorator | None):
            with suppress(AttributeError):  # of an object that has a property of that name
                target.batch = BatchDecorator(target, declared)
        return target

    return declare if target is None else declare(target)
