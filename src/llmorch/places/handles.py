"""Large results that stay out of this process: kept in their files, and handed on by reference.

Decides what is kept so, and what of an argument crosses instead of its value. Whoever needs
the value here opens it, once; from then on it is a value like any other. This module must
import quickly, and must not know who uses a result, nor for how long.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from llmorch.errors import CallError
from llmorch.places.anonymous import most_files
from llmorch.places.failure import described, kinds_of, known_kinds, shortened
from llmorch.places.shown import Shown
from llmorch.places.wire import read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.calls import CallId, Expression
    from llmorch.declare.parameters import Parameter
    from llmorch.places.anonymous import File
    from llmorch.places.wire import Message, Parcel

LARGE = 1024 * 1024
"""A result of more bytes than this is kept in its file."""
MAX_SHOWN = 200
"""Characters in which a value is described."""

_held: WeakSet[Held] = WeakSet()
"""Those that keep a file open."""


class Held:
    """The handle of a result that is in a file. ``kinds`` are its class and those above it, by name."""

    __slots__ = (
        "__weakref__",
        "_failure",
        "_file",
        "_lock",
        "_sizes",
        "_value",
        "function",
        "kinds",
        "text",
        "what",
        "why",
    )

    def __init__(self, message: Message, function: str) -> None:
        assert message.file is not None
        kinds, what, _ = message.about
        self.kinds = known_kinds(kinds)
        self.what = str(what)
        self.text: str | None = None
        self.why = ""
        self.function = function
        self._lock = Lock()  # it may be asked for on several threads at once
        self._file: File | None = message.file
        self._sizes = message.sizes
        self._value: Any = None
        self._failure: tuple[str, str] | None = None
        _held.add(self)

    @property
    def closed(self) -> bool:
        """Whether its value is in its file and not here."""
        return self._file is not None

    @property
    def here(self) -> bool:
        """Whether its value is an object of this process."""
        return self._file is None

    def open(self) -> Any:
        """The value, which is read if it isn't here yet. Raises ``CallError`` if it can't be."""
        with self._lock:
            file = self.let_go()
            if file is not None:
                try:
                    self._value = read(file, self._sizes)
                except Exception as error:
                    text, detail = described(error)
                    self._failure = f"{self.function} returned what can't be read here: {text}", detail
            if self._failure is not None:
                text, detail = self._failure
                raise CallError(text, detail=detail)  # another one each time: its frames lead here
            return self._value

    def close(self) -> None:
        """Free its file: nobody opens it any more."""
        with self._lock:
            self.let_go()

    def let_go(self) -> File | None:
        """Its file, which ends with the last reference to it: that takes long for much memory."""
        file, self._file = self._file, None
        _held.discard(self)
        return file

    @property
    def reference(self) -> tuple[File, Sequence[int]] | None:
        """Its file and what is where in it, while it is closed."""
        file = self._file
        return None if file is None else (file, self._sizes)


def kept(message: Message, function: str) -> Any:
    """A large result as it arrived, by reference as long as few enough files are open."""
    text = message.about[2]
    held = Held(message, function)
    if len(_held) > most_files():
        return held.open() if text is None else Shown(held.open(), *text)
    if text is not None:
        held.text, held.why = text
    return held


def opened(value: Any) -> Any:
    """The value itself, whether or not it is held. Raises ``CallError`` if it can't be opened."""
    return value.open() if isinstance(value, Held) else value


class Later:
    """An argument that is made of held results: worked out in the process that is called.

    With ``as_it_is`` nothing has to be computed or checked: results are put into lists and
    dictionaries at most.
    """

    __slots__ = ("as_it_is", "expression", "parameter", "results")

    def __init__(
        self, parameter: Parameter, expression: Expression, results: Mapping[CallId, Any], as_it_is: bool
    ) -> None:
        self.parameter = parameter
        self.expression = expression
        self.results = results
        self.as_it_is = as_it_is

    def sent(self) -> Any:
        """What crosses for it: held results where a ``Later`` would only pass them on."""
        if not self.as_it_is:
            return self
        from llmorch.plan.evaluate import evaluate

        return evaluate(self.expression, self.results)

    def value(self) -> Any:
        """The argument, by what its results are here. Raises as ``argument`` does, and ``CallError``."""
        from llmorch.plan.arguments import argument

        here = {id_: opened(result) for id_, result in self.results.items()}
        return argument(self.parameter, self.expression, here)


class Enclosing:
    """Takes the held results in one message out of it, and notes the files that go with it."""

    def __init__(self) -> None:
        self.files: list[File] = []
        self._places: dict[int, int] = {}

    @property
    def reducers(self) -> Mapping[type, Callable[[Any], tuple[Any, ...]]]:
        """How such values are pickled."""
        return {Held: self._reduced}

    def _reduced(self, held: Held) -> tuple[Any, ...]:
        reference = held.reference
        if reference is None:
            return _itself, (held.open(),)
        file, sizes = reference
        if id(file) not in self._places:
            self._places[id(file)] = len(self.files)
            self.files.append(file)
        return _handed, (self._places[id(file)], tuple(sizes))


def _itself(value: Any) -> Any:
    return value


_enclosed: list[File] = []
_read: dict[int, Any] = {}


def received(message: Message) -> Any:
    """A message's value, with what was handed on in it; in the process that is called.

    Raises whatever rebuilding it raises.
    """
    _enclosed[:], message.enclosed = message.enclosed, []
    try:
        return message.value()
    finally:
        _enclosed.clear()
        _read.clear()


def _handed(place: int, sizes: Sequence[int]) -> Any:
    if place not in _read:  # one object, wherever it is used
        _read[place] = read(_enclosed[place], sizes)
    return _read[place]


def is_large(parcel: Parcel) -> bool:
    """Whether a result is kept in its file."""
    return parcel.size > LARGE


def label(parcel: Parcel, kind: int, value: object, text: Sequence[Any] | None = None) -> None:
    """Tell with a large result what it is, so that nobody has to open it to know.

    ``text`` is what a model is shown in its place, and why there is none, where the function says so.
    """
    if is_large(parcel):
        parcel.label(kind, (kinds_of(value), _described(value, parcel.size), text))


def _described(value: Any, size: int) -> str:
    name = type(value).__name__
    try:
        dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
        if isinstance(shape, tuple):
            name += f" {'' if dtype is None else f'{dtype} '}{shape}"
        elif isinstance(value, str):
            name += f" of {len(value):,} characters"
        elif isinstance(value, list | tuple | dict | set | frozenset):
            name += f" of {len(value):,} items"
    except Exception:  # a value's own attributes may raise anything
        pass
    return f"{shortened(name, MAX_SHOWN)}, {size / 1e6:,.3g} MB"
