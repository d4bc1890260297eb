"""The decorator ``@function``: what it takes, and where it leaves what was said.

This module must not know what a declaration says, nor what it is good for.
"""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from llmorch.declare.batch import attach
from llmorch.declare.functions import DECLARATION, declaration_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from llmorch.declare.batch import DeclaredFunction
    from llmorch.declare.options import Options

P = ParamSpec("P")
R = TypeVar("R")


class Carrier:
    """Stands for a bound method, a built-in, or an object with slots, and carries what was said of it."""

    def __init__(self, call: Callable[..., Any]) -> None:
        update_wrapper(self, call)
        self.__wrapped__ = call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<offered: {self.__wrapped__!r}>"


@overload
def function(call: Callable[P, R], /) -> DeclaredFunction[P, R]: ...
@overload
def function(**options: Unpack[Options]) -> Callable[[Callable[P, R]], DeclaredFunction[P, R]]: ...
def function(call: Callable[..., Any] | None = None, /, **options: Unpack[Options]) -> Any:
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
        if not isinstance(target, type):
            no_batch = "a function that asks the model has no batch form" if declared.asks_model else ""
            attach(target, declared.name, refused=no_batch)
        return target

    return declare if call is None else declare(call)
