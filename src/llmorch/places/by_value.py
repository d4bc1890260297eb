"""Pickling what can't be imported on the other side: classes and functions of scripts.

Decides what goes by value and what comes back by name. A function of the main program
runs over there in the main module of that process, which stands for the program's: functions
that are sent one by one share their variables there as they do here. A class that a worker got
from its parent goes back as a reference to the parent's own class, and a function
that comes from a worker finds the program's own variables.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import io
import operator
import sys
import types
import typing
import weakref
from collections import ChainMap
from typing import TYPE_CHECKING, Any

import cloudpickle
from cloudpickle import cloudpickle as inner

from llmorch.places import classes
from llmorch.places.codes import found_at
from llmorch.places.failure import UnknownHereError
from llmorch.places.members import reduced
from llmorch.places.variables import MAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pickle import PickleBuffer

    Has = Callable[[str, Any], bool]
    """Whether the other side has a variable of the main program as it is, by its path and its value."""

_made_here: weakref.WeakSet[type] = weakref.WeakSet()
"""Classes that a worker made and has sent to its parent."""
_named: weakref.WeakSet[types.FunctionType] = weakref.WeakSet()
"""Functions that the main program of the parent has under their names."""


def dumps(
    value: object,
    *,
    worker: bool = False,
    buffer_callback: Callable[[PickleBuffer], Any] | None = None,
    reducers: Mapping[type, Callable[[Any], tuple[Any, ...]]] | None = None,
    has: Has | None = None,
    home: str | None = None,
    bare: bool = False,
    numbers: list[str] | None = None,
) -> bytes:
    """The value as bytes; ``worker`` says on which side this is, ``reducers`` how some classes are pickled.

    What the other side ``has`` of the main program's variables is left out. Functions of the module
    ``home`` go by value although they could be imported; ``bare`` ones go without their annotations,
    which few read over there. ``numbers`` learns those of the other side's classes that it refers to.
    """
    file = io.BytesIO()
    pickler = _Pickler(file, buffer_callback, reducers or {})
    pickler.is_worker, pickler.home, pickler.is_bare = worker, home, bare
    pickler.has = has or _has_nothing
    pickler.numbers = [] if numbers is None else numbers
    pickler.dump(value)
    return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    is_worker: bool
    home: str | None
    is_bare: bool
    has: Has
    numbers: list[str]

    def __init__(self, file: io.BytesIO, buffer_callback: Any, reducers: Mapping[type, Any]) -> None:
        # Read by what follows.
        self.dispatch_table = ChainMap(dict(reducers), _REDUCERS, cloudpickle.Pickler.dispatch_table)
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)
        self._aliases: set[int] = set()

    def reducer_override(self, obj: Any) -> Any:
        if obj is dataclasses.MISSING:  # compared by identity over there
            return getattr, (dataclasses, "MISSING")
        if isinstance(obj, type):
            return self._class_reduced(obj)
        if isinstance(obj, enum.Enum):
            return reduced(obj)
        if isinstance(obj, types.FunctionType):
            if self._is_home(obj) or not inner._should_pickle_by_reference(obj):
                return self._function_reduced(obj)
            return NotImplemented
        if isinstance(obj, functools._lru_cache_wrapper) and self._is_home(obj.__wrapped__):
            return _cached, (obj.__wrapped__, obj.cache_parameters())
        kind = f"{type(obj).__module__}.{type(obj).__name__}"
        if kind == "llmorch.declare.functions.Function":
            return type(None), ()  # what ``@function`` noted on a function is of no use over there
        if kind in classes.ALIASES and not _importable(obj, obj.__name__):
            if id(obj) in self._aliases:  # it is in itself
                return str, (obj.__name__,)
            self._aliases.add(id(obj))
            return classes.alias_reduced(obj)
        if kind == classes.VALIDATING:
            return classes.validating_reduced(obj)
        return super().reducer_override(obj)

    def _is_home(self, function: Any) -> bool:
        return self.home is not None and getattr(function, "__globals__", {}).get("__name__") == self.home

    def _class_reduced(self, cls: type) -> Any:
        if (parameters := classes.parameters_of(cls)) is not None:
            return operator.getitem, parameters
        if inner._should_pickle_by_reference(cls) or cls in inner._BUILTIN_TYPE_NAMES:
            return super().reducer_override(cls)
        if self.is_worker:
            number = inner._DYNAMIC_CLASS_TRACKER_BY_CLASS.get(cls)
            if number is not None and cls not in _made_here:
                self.numbers.append(number)
                return classes.numbered, (number,)
            _made_here.add(cls)
        path = cls.__qualname__
        keep = not self.is_worker and cls.__module__ == MAIN and found_at(MAIN, path) is cls

        def has(name: str, value: Any) -> bool:
            return keep and self.has(f"{path}.{name}", value)

        return classes.reduced(cls, inner._should_pickle_by_reference, has, keep=keep)

    def _function_reduced(self, function: types.FunctionType) -> Any:
        if self.is_worker and function in _named:
            return _own_function, (function.__qualname__,)
        make, made, (attributes, state), *rest = self._dynamic_function_reduce(function)
        if self.is_bare:
            state["__annotations__"] = {}
        module = function.__globals__.get("__name__")
        home = sys.modules.get(module) if isinstance(module, str) else None
        is_main = module == MAIN
        is_nowhere = home is None or vars(home) is not function.__globals__
        if is_nowhere or not (is_main or self._is_home(function)):
            return make, made, (attributes, state), *rest
        code, begun, _, _, closure = made
        variables = state["__globals__"]
        state["__globals__"] = {}
        if is_main:
            variables = {
                name: value for name, value in (begun | variables).items() if not self.has(name, value)
            }
        else:  # its plain data is sent by itself
            variables = {name: value for name, value in variables.items() if isinstance(value, _CODE)}
        # Beside a function of a module, and one that comes from a worker, there is what it refers to.
        sets = is_main and not self.is_worker
        named = sets and found_at(MAIN, function.__qualname__) is function
        parts = (attributes, state, variables, sets, named)
        return _function, (module, code, closure), parts, None, None, _filled


_CODE = type | types.FunctionType | types.ModuleType


def _function(module: str, code: Any, closure: Any) -> types.FunctionType:
    __import__(module)
    return types.FunctionType(code, vars(sys.modules[module]), None, None, closure)


def _own_function(path: str) -> Any:
    """The function of this main program behind a copy of it."""
    try:
        return operator.attrgetter(path)(sys.modules[MAIN])
    except AttributeError:
        raise UnknownHereError(f"the main program has no {path}") from None


def _filled(
    function: types.FunctionType, parts: tuple[Any, dict[str, Any], dict[str, Any], bool, bool]
) -> None:
    attributes, state, variables, sets, named = parts
    if named:
        _named.add(function)
    home = function.__globals__
    for name, value in variables.items():
        if sets or name not in home:
            home[name] = value
    inner._function_setstate(function, (attributes, state))


def _has_nothing(*_: object) -> bool:
    return False


def _importable(value: Any, name: str) -> bool:
    """Whether the other side finds a value by its name in its module."""
    return inner._lookup_module_and_qualname(value, name=name) is not None


def _cached_reduced(cached: Any) -> Any:
    """``functools.cache`` and ``lru_cache``; what it holds stays."""
    if _importable(cached, getattr(cached, "__qualname__", "")):
        return cached.__qualname__
    return _cached, (cached.__wrapped__, cached.cache_parameters())


def _cached(wrapped: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(wrapped)


def _property_reduced(cached: functools.cached_property[Any]) -> Any:
    """Which has a lock up to Python 3.11."""
    return functools.cached_property, (cached.func,), {"attrname": cached.attrname}


def _new_type_reduced(made: Any) -> Any:
    if _importable(made, made.__qualname__):
        return made.__qualname__
    return typing.NewType, (made.__name__, made.__supertype__), {"__module__": made.__module__}


def _parameter_reduced(parameter: Any) -> Any:
    if _importable(parameter, parameter.__name__):
        return parameter.__name__
    return type(parameter), (parameter.__name__,)


def _weak_reduced(mapping: Any) -> Any:
    """As ``functools.singledispatch`` has one."""
    return type(mapping), (dict(mapping),)


def _file_reduced(file: io.TextIOWrapper) -> Any:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is file:
            return getattr, (sys, name)
    raise TypeError("cannot pickle an open file: pass its path, or its text")


def _code_reduced(code: types.CodeType) -> Any:
    """The code with the name of its file, so that a traceback from over there says where it is."""
    make, parts = inner._code_reduce(code)
    return make, tuple(code.co_filename if part == "<dynamic-code>" else part for part in parts)


_REDUCERS: dict[type, Callable[[Any], Any]] = {
    types.CodeType: _code_reduced,
    functools.cached_property: _property_reduced,
    functools._lru_cache_wrapper: _cached_reduced,
    typing.NewType: _new_type_reduced,
    typing.ParamSpec: _parameter_reduced,
    typing.TypeVarTuple: _parameter_reduced,
    weakref.WeakKeyDictionary: _weak_reduced,
    weakref.WeakValueDictionary: _weak_reduced,
    io.TextIOWrapper: _file_reduced,
}
