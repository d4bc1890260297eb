"""What a function refers to by name: variables and functions of the program's modules.

Decides how far it is followed: through functions and classes of the program's own modules and the
main module, never into installed packages or the standard library, of which only what is named
directly counts. What a name leads to by way of ``getattr`` or of an object isn't seen.
"""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmorch.places.codes import found_at, functions_in, names_in
from llmorch.places.variables import MAIN

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST = 500
"""Names, and functions, that are followed for one function."""
_FEW = 64
"""Items of a container that are looked at for functions."""
_BY_STATEMENT = 1 << 9
"""The flag of a class that was made by a class statement."""
_INSTALLED = ("site-packages", "dist-packages")


class _Missing:
    def __reduce__(self) -> str:
        raise TypeError("nothing is there")


_ATOMS = (type(None), bool, int, float, str, bytes)
_CODE = (types.FunctionType, staticmethod, classmethod, property)
MISSING = _Missing()
"""The value of a name that isn't there."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a module, or of a class in one."""

    module: str
    path: str
    space: Mapping[str, Any] = field(repr=False)
    name: str

    @property
    def value(self) -> Any:
        """What is there now."""
        return self.space.get(self.name, MISSING)


class Referred:
    """The variables that a function refers to, and those in which it finds code, with what is there.

    A function that can be imported by this ``reference`` is in a variable itself.
    """

    def __init__(self, target: Any, reference: tuple[str, str] | None = None) -> None:
        self.data: list[Variable] = []
        self.along: list[Variable] = []
        """Variables of a namespace that is no module's, which go by value with the function."""
        self.code: list[tuple[Variable, Any]] = []
        self.is_all = True
        """Whether there is nothing else in what goes by value: no closure, say, and no object."""
        self._seen: set[Any] = set()
        if reference is None:
            self._follow(target)
        else:
            self._named(*reference)

    def _new(self, *key: Any) -> bool:
        if key in self._seen or len(self._seen) > 4 * _MOST:
            return False
        self._seen.add(key)
        return True

    def _named(self, module: str, path: str) -> None:
        above, dot, name = path.rpartition(".")
        owner = found_at(module, above) if above else sys.modules[module]
        self._look_at(module, above + dot, vars(owner), name, set())

    def _follow(self, value: Any) -> None:
        """Look at the code of a value, whether or not it is in a variable."""
        if isinstance(value, type):
            self._class(value)
            return
        for function in functions_in(value):
            is_own = _is_own(function.__module__) or not _is_module(function.__globals__)
            if is_own and self._new(function):
                self._function(function)
        if not isinstance(value, _CODE):
            self._class(type(getattr(value, "__self__", value)))
            self.is_all = False

    def _function(self, function: types.FunctionType) -> None:
        home, path = function.__module__, function.__qualname__
        if home != MAIN and found_at(home, path) is function:  # it goes by name, from a closure say
            self._named(home, path)
        space = function.__globals__
        module = space.get("__name__")
        if module == MAIN:
            defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
            self.is_all &= not function.__closure__ and all(isinstance(one, _ATOMS) for one in defaults)
        elif "<locals>" in function.__qualname__:  # it takes its variables along
            self.is_all = False
        package = space.get("__package__") or ""
        names = names_in(function.__code__)
        for name in sorted(names):
            if name in space:
                self._look_at(module, "", space, name, names)
                continue
            for imported in (name, f"{package}.{name}"):  # inside the function
                if (found := sys.modules.get(imported)) is not None:
                    self._module(found, names)

    def _module(self, module: types.ModuleType, names: set[str]) -> None:
        if not isinstance(module, types.ModuleType) or _is_standard(module.__name__):
            return
        space = vars(module)
        for name in sorted(names & space.keys()):
            self._look_at(module.__name__, "", space, name, names)

    def _look_at(self, module: Any, above: str, space: Mapping[str, Any], name: str, names: set[str]) -> None:
        value = space[name]
        if isinstance(value, types.ModuleType):
            if self._new(value, frozenset(names)):
                self._module(value, names)
            return
        if name.startswith("__") or name == "_abc_impl":
            return
        if not above and not _is_module(space):  # made by exec, say: nobody can find it there
            if self._new("space", id(space), name) and not isinstance(value, types.BuiltinFunctionType):
                self.is_all = False
                self.along.append(Variable("", name, space, name))
                self._follow(value)
            return
        if not self._new(module, above, name):
            return
        variable = Variable(module, f"{above}{name}", space, name)
        if isinstance(value, type) or next(functions_in(value), None) is not None:
            if len(self.code) < _MOST:
                self.code.append((variable, value))
            self._follow(value)
            return
        if len(self.data) < _MOST:
            self.data.append(variable)
        self._contents(value)

    def _contents(self, value: Any) -> None:
        items = value.values() if isinstance(value, dict) else value
        if isinstance(value, dict | list | tuple | set | frozenset) and len(value) <= _FEW:
            for item in list(items):
                if callable(item):
                    self._follow(item)
        else:
            self._class(type(value))

    def _class(self, cls: type) -> None:
        for one in cls.__mro__:
            if "[" in one.__qualname__:  # a model with its parameters: the one without is above it
                continue
            is_found = found_at(one.__module__, one.__qualname__) is one
            # One that isn't found is of a namespace that is no module's.
            is_nowhere = one.__flags__ & _BY_STATEMENT and "<locals>" not in one.__qualname__
            is_own = _is_own(one.__module__) or (not is_found and is_nowhere)
            if not is_own or not self._new(one):
                continue
            settable = is_found and not hasattr(one, "_member_map_")  # the members of an enumeration stay
            self.is_all &= is_found
            for name, value in list(vars(one).items()):
                if settable and not isinstance(value, types.MemberDescriptorType):
                    self._look_at(one.__module__, f"{one.__qualname__}.", vars(one), name, set())
                elif not is_found and not name.startswith("__"):
                    self.along.append(Variable("", f"{one.__qualname__}.{name}", vars(one), name))
                if next(functions_in(value), None) is not None:
                    self._follow(value)


def _is_module(space: Mapping[str, Any]) -> bool:
    """Whether variables are those of a module that can be found by its name."""
    name = space.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    return module is not None and vars(module) is space


def _is_standard(module: str) -> bool:
    top = module.partition(".")[0]
    return top != MAIN and (top in sys.stdlib_module_names or top == "llmorch")


def _is_own(module: Any) -> bool:
    """Whether a module is of the program's own code: not installed, not Python's, not ours."""
    if module == MAIN:
        return True
    if not isinstance(module, str) or _is_standard(module):
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and not any(part in file for part in _INSTALLED)
