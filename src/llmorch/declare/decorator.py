"""The decorator ``@function``: what it takes, and where it leaves what was said.

This module must not know what a declaration says, nor what it is good for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from llmorch.declare.batch import attach
from llmorch.declare.carried import carrier
from llmorch.declare.functions import DECLARATION, declaration_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.declare.batch import Declared
    from llmorch.declare.functions import Function, Kind
    from llmorch.declare.parts import Effects
    from llmorch.declare.resources import Amount

P = ParamSpec("P")
R = TypeVar("R")


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
) -> Any:
    """Offer a Python function to plans; the function itself stays as it is.

    ``kind`` is ``"inout"`` or ``"compute"``; without it a function is inout, and the
    run says so when a synchronous one turns out to spend its time on the CPU.
    ``timeout``, in seconds, stops a call that takes longer, and ``memory="2GiB"`` one whose
    process holds that much more than before it. A synchronous inout function with either
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

    ``show=lambda rows: f"{len(rows)} rows"`` makes the text that a model sees in the place of a
    result; other functions get the result itself. Without it, a model sees what is short as it
    is, and of what is long its type, size, beginning and end.

    ``@search.batch`` declares a function that makes several calls of ``search`` as one.

    The schema comes from the signature and the docstring (Google, NumPy or reST).
    Raises ``FunctionError`` for a function that can't be offered.
    """

    def declare(target: Callable[..., Any]) -> Any:
        if isinstance(target, staticmethod | classmethod):  # in the body of a class
            declare(target.__func__)
            return target
        declaration = declaration_of(
            target,
            kind=kind,
            name=name,
            description=description,
            timeout=timeout,
            memory=memory,
            asks_model=asks_model,
            pure=pure,
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
        carries = carrier(target, DECLARATION, declaration)
        if not isinstance(carries, type):
            attach(carries, declaration.name, refused=_no_batch(declaration))
        return carries

    return declare if call is None else declare(call)


def _no_batch(declared: Function) -> str:
    """Why a function can't have a batch form, where it can't."""
    return "a function that asks the model has no batch form" if declared.asks_model else ""
