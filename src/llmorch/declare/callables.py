"""What a callable is, of whatever form: its name, what calling it gives, and what its author wrote of it.

A callable is taken apart as Python calls it: a partial holds some of the arguments, a method
its object. What it *wraps* is something else, and says nothing of how it is called: a plain
wrapper of an async function is a plain function.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from functools import partial, partialmethod
from types import (
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    WrapperDescriptorType,
)
from typing import Any

_DESCRIPTORS = (MethodDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType)
_MANAGERS = ("contextmanager.<locals>.helper", "asynccontextmanager.<locals>.helper")
_BY_FIRST_ARGUMENT = "singledispatch"
OBJECT_NAMES = ("self", "cls")
_CLASS_DOCSTRINGS = frozenset(
    inspect.cleandoc(kind.__doc__ or "")
    for kind in (partial, partialmethod, FunctionType, MethodType, object, type)
)
"""What classes say of themselves, which a wrapper of their objects may have copied."""
_DEPTH = 32


def attribute(owner: object, name: str) -> Any:
    """What an object itself holds under a name, whatever its class or its ``__getattr__`` would answer."""
    return getattr(owner, "__dict__", {}).get(name)


def partialmethod_of(target: object) -> partialmethod[Any] | None:
    """The ``partialmethod`` behind the function that a class gives for one."""
    if not isinstance(target, FunctionType):
        return None
    found = target.__dict__.get("__partialmethod__", target.__dict__.get("_partialmethod"))
    return found if isinstance(found, partialmethod) else None


def innermost(target: object) -> Any:
    """What is called in the end: a function, a class, or an object with ``__call__``; not what it wraps."""
    while True:
        if isinstance(target, partial | partialmethod):
            target = target.func
        elif isinstance(target, MethodType | staticmethod | classmethod):
            target = target.__func__
        elif (method := partialmethod_of(target)) is not None:
            target = method.func
        else:
            return target


def code_of(target: object) -> Any:
    """What runs when it is called: of an object with ``__call__``, that function."""
    found = innermost(target)
    for _ in range(8):  # a ``__call__`` may be such an object itself
        if inspect.isroutine(found) or isinstance(found, type):
            break
        above = inspect.getattr_static(type(found), "__call__", None)
        if above is None or above is found:
            break
        found = innermost(above)
    return found


def owner_of(target: object) -> object | None:
    """The object whose method is called in the end, if it is one's."""
    while isinstance(target, partial):
        target = target.func
    return target.__self__ if isinstance(target, MethodType) else None


def is_async(target: object) -> bool:
    """Whether calling it gives a coroutine, which runs on an event loop."""
    code = code_of(target)
    if inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(code):
        return True
    return bool(getattr(getattr(code, "__code__", None), "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE)


def is_generator(target: object) -> bool:
    """Whether calling it gives a generator, which yields one value after the other."""
    return is_async_generator(target) or (
        inspect.isgeneratorfunction(code_of(target)) and not is_async(target)
    )


def is_async_generator(target: object) -> bool:
    """Whether calling it gives an asynchronous generator."""
    return inspect.isasyncgenfunction(code_of(target))


def name_of(target: object) -> str:
    """The name that its author gave it; of an object that has none, its class's."""
    if isinstance(target, property):
        return str(getattr(target.fget, "__name__", "property"))
    for named in (target, innermost(target)):
        name = None if partialmethod_of(named) is not None else getattr(named, "__name__", None)
        if isinstance(name, str):
            return name
    return type(innermost(target)).__name__


def docstring(target: object) -> str:
    """What its author wrote of it; nothing of what Python or a library wrote of its class."""
    target = innermost(target)
    if isinstance(target, type):
        return _of_class(target) or _of_function(target.__dict__.get("__init__"))
    if inspect.isroutine(target):
        said = inspect.getdoc(target) or ""
        if not (said and _is_its_class(said, target)):
            return said
    elif isinstance(own := attribute(target, "__doc__"), str):
        return inspect.cleandoc(own)
    elif not is_pythons(type(target)):
        return _of_function(code_of(target)) or _of_class(type(target))
    wrapped = attribute(target, "__wrapped__")
    return "" if wrapped is None else docstring(wrapped)


def _is_its_class(said: str, target: object) -> bool:
    """Whether a wrapper's docstring was copied from an object that has none but its class's."""
    if said in _CLASS_DOCSTRINGS:
        return True
    for _ in range(_DEPTH):
        target = target.func if isinstance(target, partial) else attribute(target, "__wrapped__")
        if said == inspect.cleandoc(type(target).__doc__ or ""):
            return True
        if not isinstance(target, partial | FunctionType):
            break
    return False


def _of_function(found: object) -> str:
    # Only its own: Python has something to say of every __init__ and __call__.
    said = found.__doc__ if isinstance(found, FunctionType) else None
    return inspect.cleandoc(said) if isinstance(said, str) else ""


def _of_class(found: type) -> str:
    """A class's own docstring, or that of a class above it that its author wrote."""
    for one in found.__mro__:
        if is_pythons(one) or one.__module__.partition(".")[0] == "pydantic":
            continue
        said = one.__dict__.get("__doc__")
        made = dataclasses.is_dataclass(one) or issubclass(one, tuple)
        if isinstance(said, str) and not (made and said.startswith(f"{one.__name__}(")):
            return inspect.cleandoc(said)
    return ""


def is_pythons(found: type) -> bool:
    """Whether a class is Python's own or of its standard library."""
    return found.__module__.partition(".")[0] in sys.stdlib_module_names and found.__module__ != "__main__"


def without_object(target: object, depth: int = 0) -> str | None:
    """The dotted name of a method that was taken from its class, and so lacks its object."""
    if isinstance(target, partial):
        bound = target.args or any(name in target.keywords for name in OBJECT_NAMES)
        return None if bound else without_object(target.func, depth)
    if isinstance(target, MethodType):
        return None
    if (method := partialmethod_of(target)) is not None:
        return str(getattr(method.func, "__qualname__", name_of(method)))
    function, wrapped, code = target, attribute(target, "__wrapped__"), code_of(target)
    # Whether a wrapper takes more than it names itself; one in C always does.
    takes_more = not isinstance(code, FunctionType) or bool(code.__code__.co_flags & inspect.CO_VARKEYWORDS)
    if wrapped is not None and takes_more and depth < _DEPTH:
        # It is given what the wrapped one takes, and so lacks what that lacks.
        found = without_object(wrapped, depth + 1)
        if found is not None or isinstance(wrapped, partial | MethodType):
            return found
        function = target if isinstance(target, FunctionType) else wrapped
    return _dotted(target, function) if isinstance(function, FunctionType) else None


def _dotted(target: object, function: FunctionType) -> str | None:
    """The dotted name of a function that stands in a class and is called as it is found there."""
    path = function.__qualname__.split(".")
    if len(path) < 2 or path[-2] == "<locals>":
        return None
    around, dotted, code = class_around(function), ".".join(path[-2:]), function.__code__
    if isinstance(around, type) and around.__dict__.get(path[-1]) is target:
        return dotted
    return dotted if code.co_argcount and code.co_varnames[0] in OBJECT_NAMES else None


def class_around(function: object) -> Any:
    """What a function stands in, as its module has it under that name."""
    found: Any = sys.modules.get(getattr(function, "__module__", None) or "")
    for part in str(getattr(function, "__qualname__", "")).split(".")[:-1]:
        found = getattr(found, part, None)
    return found


def unfit(target: object) -> str:
    """Why a callable of this form can't be offered, and what to write instead; empty where it can."""
    if isinstance(target, property):
        return "a property is no function; offer a method that returns it"
    if isinstance(target, _DESCRIPTORS):
        return refusal_without_object(f"{target.__objclass__.__name__}.{target.__name__}")
    if isinstance(target, classmethod | partialmethod):
        return "it belongs to a class that is not made yet; offer it of an object, as in account.deposit"
    if not callable(target):
        return f'a {type(target).__name__} can\'t be called; each option has its name, as in @function(kind="compute")'
    code = getattr(innermost(target), "__code__", None)
    path, file = (code.co_qualname, code.co_filename) if type(code) is CodeType else ("", "")
    if path in _MANAGERS and file.endswith("contextlib.py"):
        return "it gives a context manager; offer a function that enters it and returns what is wanted"
    if path.startswith(_BY_FIRST_ARGUMENT) and file.endswith("functools.py"):
        return (
            "singledispatch takes its first argument without a name, and a plan passes every argument by its "
            "name; offer a function that calls it"
        )
    return ""


def refusal_without_object(dotted: str) -> str:
    """What to do about a method that lacks its object."""
    owner, _, method = dotted.rpartition(".")
    return (
        f"{dotted} is a method without its object; offer one of an object, as in {owner.lower()}.{method}, "
        f"or a function that takes what it needs"
    )
