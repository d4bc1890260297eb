"""What is offered to plans: functions by name, from whatever a person hands over.

Decides what an object stands for: itself, the methods of an object whose class is ``@stateful``, a
plain callable, or the model; and how an object is named among the things that calls touch.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial, partialmethod
from pathlib import PurePath
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard, TypeVar, overload

from llmorch.declare import callables
from llmorch.declare.decorator import Carrier, batch_of, single_of
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
from llmorch.declare.options import read_option, refuse_braces
from llmorch.declare.parameters import Parameter
from llmorch.declare.resources import shortage
from llmorch.declare.text import brief
from llmorch.errors import FunctionError

if TYPE_CHECKING:
    from llmorch.declare.functions import Kind
    from llmorch.declare.resources import Supply

C = TypeVar("C", bound=type[Any])

_EFFECTS = "__llmorch_stateful__"
_ARGUMENT = re.compile(r"\{(\w+)\}")
_OBJECT = re.compile(r"\{self(?:\.(\w+))?\}")


class _ClassEffects(NamedTuple):
    """What a method reads and writes if it doesn't say: patterns that may hold ``{self}``."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]


@overload
def stateful(declared: C, /) -> C: ...
@overload
def stateful(*, reads: Sequence[str] = (), writes: Sequence[str] = ()) -> Callable[[C], C]: ...
def stateful(
    declared: C | None = None, /, *, reads: Sequence[str] = (), writes: Sequence[str] = ()
) -> C | Callable[[C], C]:
    """Say of a class that its objects have a state, which their methods read and write.

    An object, or single bound methods of it, can then be offered to an ``Orchestrator``.
    Calls of one object's methods keep the plan's order, those of two objects run together.
    A method that touches less, or something else, says so: ``@function(reads=["{self}"])``
    only reads, ``@function(effects="none")`` needs nothing that changes. ``{self}`` stands
    for a name of the object's own, and ``{self.number}`` for its attribute, as it is when
    the object is offered.

    ``reads`` and ``writes`` are what every other method touches; where neither is given, it
    writes ``"{self}*"``, the object and all its parts. Subclasses inherit it. Raises
    ``FunctionError`` for a declaration that can't be.
    """

    def declare(target: C) -> C:
        if not isinstance(target, type):
            raise FunctionError(f"{brief(target)}: only a class can be stateful")
        name = target.__name__
        said = _ClassEffects(read_option(name, "reads", reads), read_option(name, "writes", writes))
        refuse_braces(name, said.reads, said.writes, ["self"])
        if not said.reads and not said.writes:
            said = _ClassEffects((), ("{self}*",))
        try:
            setattr(target, _EFFECTS, said)
        except (AttributeError, TypeError):
            raise FunctionError(f"{name}: only a class written with class can be stateful") from None
        return target

    return declare if declared is None else declare(declared)


def is_stateful(declared: object) -> TypeGuard[type[Any]]:
    """Whether this is itself a class with ``@stateful``."""
    return isinstance(declared, type) and isinstance(getattr(declared, _EFFECTS, None), _ClassEffects)


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
    target = declared.call if isinstance(item, Carrier) else item
    if not callable(target):
        return declared
    if (owner := callables.owner_of(target)) is not None:
        return _bound(target, owner, declared)
    if declared.call is target:
        return declared
    # A decorator above ours copied the declaration: what it made is what is called.
    made = _of_form(declared, target)
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
        partial_method = callables.partialmethod_of(item.__func__)
        inner = None if partial_method is None else _left_on(partial_method.func)
        if partial_method is not None and inner is not None:
            inner = _narrowed(item, inner, (None, *partial_method.args), partial_method.keywords)
        return _bound(item, item.__self__, inner)
    if isinstance(item, type) or inspect.isroutine(item) or not callable(item):
        return None
    said = _left_on(inspect.getattr_static(type(item), "__call__", None))
    return None if said is None else _bound(item.__call__, item, said)


def _narrowed(
    target: Callable[..., Any], declared: Function, args: Sequence[Any], keywords: Mapping[str, Any]
) -> Function:
    """What is declared of a function, for a form of it in which some arguments are bound."""
    bound = dict(zip(declared.by_name, args, strict=False)) | dict(keywords)
    reads = _with_arguments(declared.reads, bound, declared.name)
    writes = _with_arguments(declared.writes, bound, declared.name)
    return _of_form(declared, target, batch=None, reads=reads, writes=writes)


def _of_form(declared: Function, target: Callable[..., Any], **changed: Any) -> Function:
    """What is declared of a function, for a form of it with parameters of its own."""
    parameters = interface_of(target, declared.name, asks_model=declared.asks_model)["parameters"]
    return replace(declared, call=target, parameters=parameters, **changed)


def _bound(target: Callable[..., Any], owner: object, declared: Function | None) -> Function | None:
    """What is declared of a method, for its object: the declaration itself knows nothing of it."""
    stateful_class = is_stateful(type(owner))
    if declared is None:
        if not stateful_class:
            return None
        declared = declaration_of(target)
    by_class = stateful_class and not (declared.reads or declared.writes or declared.effects)
    reads, writes = getattr(type(owner), _EFFECTS) if by_class else (declared.reads, declared.writes)
    batch = None if declared.batch is None else declared.batch.bound(owner)
    bound = _of_form(declared, target, batch=batch, reads=reads, writes=writes)
    refuse_unknown(bound, with_object=True)
    refuse_unsafe_retries(bound)
    reads = _of_object(reads, owner, bound.name)
    writes = _of_object(writes, owner, bound.name)
    if by_class or (reads, writes) != (bound.reads, bound.writes):
        _refuse_copies(declared)
    return replace(bound, reads=reads, writes=writes)


def _of_object(said: Iterable[str], owner: object, name: str) -> tuple[str, ...]:
    """Patterns with the object they are about filled in. ``name`` is the method's, for errors."""

    def filled(found: re.Match[str]) -> str:
        attribute = found.group(1)
        if attribute is None:
            # The bracket ends it: no object's name is the beginning of another's.
            return f"{type(owner).__name__}({id(owner):x})"
        try:
            text = str(getattr(owner, attribute))
        except Exception as error:  # an attribute may be computed
            reason = f"{type(error).__name__}: {error}"
            raise FunctionError(f"{name}: {found.group()} can't be filled in: {reason}") from None
        if set(text) & set("{}*"):
            raise FunctionError(f"{name}: {found.group()} is {text!r}; a name has no braces and no *")
        return text

    return tuple(_OBJECT.sub(filled, pattern) for pattern in said)


def _with_arguments(said: Iterable[str], bound: Mapping[str, object], name: str) -> tuple[str, ...]:
    """Patterns with the arguments filled in that a form of a function has bound. ``name`` is the function's."""

    def filled(found: re.Match[str]) -> str:
        value = bound.get(found.group(1), found)
        if value is found:
            return found.group()
        if not isinstance(value, str | int | PurePath) or set(str(value)) & set("{}*"):
            raise FunctionError(
                f"{name}: {found.group()} of what it reads or writes is bound to a {type(value).__name__}; "
                "declare what this form of it touches by reads= and writes="
            )
        return str(value)

    return tuple(_ARGUMENT.sub(filled, pattern) for pattern in said)


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
    if not is_stateful(type(owner)):
        raise FunctionError(
            f"{type(owner).__name__}: decorate this class with @stateful to offer the methods of its objects"
        )
    functions = []
    names = [name for kind in reversed(type(owner).__mro__) for name in vars(kind)]
    for name in dict.fromkeys(names):
        if name.startswith("_") or not _is_method(inspect.getattr_static(type(owner), name, None)):
            continue
        method = getattr(owner, name)
        declared = None if single_of(method) is not None else declared_in(method)
        if declared is not None:
            # What is bound in part has the name of its function, which has its own.
            in_part = not isinstance(method, MethodType) or callables.partialmethod_of(method.__func__)
            functions.append(replace(declared, name=f"{prefix}{name if in_part else declared.name}"))
            refuse_self(functions[-1].name)
    return functions


def _is_method(found: object) -> bool:
    """Whether a class's attribute is a method of its objects: also one with arguments bound, or cached."""
    cached = hasattr(found, "cache_info") and isinstance(getattr(found, "__wrapped__", None), FunctionType)
    return isinstance(found, FunctionType | partialmethod) or cached


def declared_by(item: object) -> list[Function]:
    """Every function that is declared by this: itself, a decorated callable's, a stateful object's."""
    if isinstance(item, Function):
        return [item]
    if is_stateful(item):
        raise FunctionError(f"{item.__name__}: offer an object of this class, not the class itself")
    if is_stateful(type(item)):
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
            f"{brief(item)} is no function; to offer an object's methods, decorate its class with @stateful"
        )
    if (single := single_of(item)) is not None:
        raise FunctionError(f"{callables.name_of(item)} is the batch form of {single}: offer {single} alone")
    return declaration_of(item)


def fitted(functions: Mapping[str, Function], processors: int, supply: Supply) -> dict[str, Function]:
    """The functions, each with why no call of it can be made with what there is, where that is so."""
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
        untrusted=False,
    )


def _prompt(prompt: str) -> str:
    return prompt
