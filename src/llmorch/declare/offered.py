"""What is offered to plans: functions by name, from whatever a person hands over.

Decides what an object stands for: itself, the methods of a stateful object, a plain
callable, or the model. It must not know how a declaration is read.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial, partialmethod
from types import MethodType
from typing import TYPE_CHECKING, Any

from llmorch.declare import callables, objects
from llmorch.declare.batch import batch_of, single_of
from llmorch.declare.decorator import Carrier
from llmorch.declare.functions import (
    DECLARATION,
    SELF,
    Function,
    declaration_of,
    refuse_self,
    refuse_unknown,
    refuse_unsafe_retries,
)
from llmorch.declare.interfaces import interface_of
from llmorch.declare.parameters import Parameter
from llmorch.declare.resources import shortage
from llmorch.declare.text import brief
from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmorch.declare.functions import Kind
    from llmorch.declare.resources import Supply


def declared_in(item: object) -> Function | None:
    """The declaration that ``@function`` left on an object, or ``@stateful`` on a method's class."""
    item = item.__func__ if isinstance(item, staticmethod) else item
    declared = None if isinstance(item, classmethod) else _left_on(item)
    if declared is None:
        return _undecorated(item)
    if (batch := batch_of(item)) is not None:
        declared = replace(declared, batch=batch)
        if declared.memory is not None and declared.kind == "inout" and declared.together.on_loop:
            raise FunctionError(
                f"{declared.name}: memory bounds a process, and its batch form is async and has none of its own; "
                'make it synchronous, or declare kind="compute"'
            )
    call = declared.call if isinstance(item, Carrier) else item
    if not callable(call):
        return declared
    if (owner := callables.owner_of(call)) is not None:
        return _bound(call, owner, declared)
    if declared.call is call:
        return declared
    # A decorator above ours copied the declaration: what it made is what is called.
    made = replace(declared, call=call, parameters=_parameters(call, declared))
    refuse_unknown(made, with_object=True)
    return made


def _left_on(item: object) -> Function | None:
    """What was declared of exactly this callable; of a method, of its function.

    A subclass does not take over what was said of its class, nor an object what was said of its own.
    """
    declared = callables.attribute(item, DECLARATION)
    if declared is None:
        declared = callables.attribute(getattr(item, "__func__", item), DECLARATION)
    return declared if isinstance(declared, Function) else None


def _undecorated(item: object) -> Function | None:
    """What is declared of a callable that nobody decorated: of its object's class, or of what it is made of."""
    if isinstance(item, partial):
        inner = declared_in(item.func)
        return None if inner is None else _narrowed(item, inner, item.args, item.keywords)
    if isinstance(item, MethodType):
        late = callables.bound_late(item.__func__)
        inner = None if late is None else _left_on(late.func)
        if late is not None and inner is not None:
            inner = _narrowed(item, inner, (None, *late.args), late.keywords)
        return _bound(item, item.__self__, inner)
    if isinstance(item, type) or inspect.isroutine(item) or not callable(item):
        return None
    said = _left_on(inspect.getattr_static(type(item), "__call__", None))
    return None if said is None else _bound(item.__call__, item, said)


def _narrowed(
    call: Callable[..., Any], declared: Function, args: Sequence[Any], keywords: Mapping[str, Any]
) -> Function:
    """What is declared of a function, for a form of it in which some arguments are bound."""
    names = [parameter.name for parameter in declared.parameters]
    bound = dict(zip(names, args, strict=False)) | dict(keywords)
    return replace(
        declared,
        call=call,
        batch=None,
        parameters=_parameters(call, declared),
        reads=objects.with_arguments(declared.reads, bound, declared.name),
        writes=objects.with_arguments(declared.writes, bound, declared.name),
    )


def _parameters(call: Callable[..., Any], declared: Function) -> tuple[Parameter, ...]:
    return interface_of(call, declared.name, asks_model=declared.asks_model).parameters


def _bound(call: Callable[..., Any], owner: object, declared: Function | None) -> Function | None:
    """What is declared of a method, for its object: the declaration itself knows nothing of it."""
    by_class = objects.class_effects(owner)
    if declared is None:
        if by_class is None:
            return None
        declared = declaration_of(call)
    batch = None if declared.batch is None else declared.batch.bound(owner)
    bound = replace(declared, call=call, batch=batch, parameters=_parameters(call, declared))
    if declared.reads or declared.writes or declared.effects:
        by_class = None
    if by_class is not None:
        bound = replace(bound, reads=by_class.reads, writes=by_class.writes)
    refuse_unknown(bound, with_object=True)
    refuse_unsafe_retries(bound)
    reads = objects.of_object(bound.reads, owner, bound.name)
    writes = objects.of_object(bound.writes, owner, bound.name)
    if by_class is not None or (reads, writes) != (bound.reads, bound.writes):
        _refuse_copies(declared)
    return replace(bound, reads=reads, writes=writes)


def _refuse_copies(declared: Function) -> None:
    """Refuse a method of which calls would be made on a copy of its object, so that what they change is lost."""
    if declared.kind == "compute":
        raise FunctionError(
            f"{declared.name}: a compute call works on a copy of its object, in another process, and what it "
            'changes there is lost; leave kind out, or say by effects="none" that it needs nothing that changes'
        )
    if declared.in_process or (declared.batch is not None and declared.together.in_process):
        limit = "timeout" if declared.timeout is not None else "memory"
        raise FunctionError(
            f"{declared.name}: with {limit}=, a synchronous method works on a copy of its object, in a process "
            f"that can be stopped, and what it changes there is lost; make it async, leave {limit} out, or say by "
            'effects="none" that it needs nothing that changes'
        )


def methods_of(owner: object, *, prefix: str = "") -> list[Function]:
    """The functions that an object of a ``@stateful`` class offers: its methods without an underscore.

    ``Orchestrator([account])`` offers the same; a ``prefix`` to their names tells those of
    two objects apart. Raises ``FunctionError`` for a method that can't be offered.
    """
    if not isinstance(prefix, str):
        raise FunctionError(f'prefix is a text, as in "first_", not {brief(prefix)}')
    if objects.class_effects(owner) is None:
        raise FunctionError(
            f"{type(owner).__name__}: decorate this class with @stateful to offer the methods of its objects"
        )
    functions = []
    for name, method in objects.public_methods(owner).items():
        declared = None if single_of(method) is not None else declared_in(method)
        if declared is not None:
            # What is bound in part has the name of its function, which has its own.
            in_part = not isinstance(method, MethodType) or callables.bound_late(method.__func__)
            functions.append(replace(declared, name=f"{prefix}{name if in_part else declared.name}"))
            refuse_self(functions[-1].name)
    return functions


def declared_by(item: object) -> list[Function]:
    """Every function that is declared by this: itself, a decorated callable's, a stateful object's."""
    if isinstance(item, Function):
        return [item]
    if objects.is_stateful(item):
        raise FunctionError(f"{item.__name__}: offer an object of this class, not the class itself")
    if objects.class_effects(item) is not None:
        return methods_of(item)
    declared = declared_in(item)
    return [] if declared is None else [declared]


def as_functions(offered: Iterable[object]) -> dict[str, Function]:
    """Functions by name, from declared functions, plain callables and stateful objects alike.

    Raises ``FunctionError`` when two have the same name.
    """
    functions: dict[str, Function] = {}
    if not isinstance(offered, Iterable) or isinstance(offered, str | bytes | bytearray | Mapping):
        raise FunctionError(f"functions are offered in a list, as in [search], not as {brief(offered)}")
    for item in offered:
        for declared in declared_by(item) or [_undeclared(item)]:
            if (dotted := callables.without_object(declared.call)) is not None:
                raise FunctionError(f"{declared.name}: {callables.refusal_without_object(dotted)}")
            if declared.name in functions:
                raise FunctionError(
                    f"two functions are called {declared.name}; give one another name by name=, "
                    "or an object's by methods_of(object, prefix=...)"
                )
            functions[declared.name] = declared
    return functions


def _undeclared(item: Any) -> Function:
    if not callable(item) and not isinstance(item, property | classmethod | partialmethod):
        raise FunctionError(
            f"a {type(item).__name__} is no function; to offer an object's methods, decorate its class "
            "with @stateful"
        )
    if (single := single_of(item)) is not None:
        raise FunctionError(f"{callables.name_of(item)} is the batch form of {single}: offer {single} alone")
    return declaration_of(item)


def fitted(functions: Mapping[str, Function], processors: int, supply: Supply) -> dict[str, Function]:
    """The functions, each told why no call of it can be made with what there is, where that is so."""
    return {
        name: replace(item, shortage=shortage(item.resources, processors, supply)) if item.resources else item
        for name, item in functions.items()
    }


def self_function(kind: Kind) -> Function:
    """The function ``self(prompt)``, which is always offered: it asks the model itself."""
    return Function(
        SELF,
        _prompt,
        kind,
        "Ask the language model itself, which reads text, compares, summarizes and writes.",
        (Parameter("prompt", str, description="What to do, with the results it needs, as in {s1}."),),
        str,
        effects="none",
        asks_model=True,
    )


def _prompt(prompt: str) -> str:
    return prompt
