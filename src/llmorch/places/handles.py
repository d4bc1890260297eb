"""Large results that stay out of this process: kept in their files, and handed on by reference.

Decides what is kept so, and what of an argument crosses instead of its value. Whoever needs
the value here opens it, once; from then on it is a value like any other. It must import quickly.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from llmorch.declare.text import interrupted, is_a, kind_name
from llmorch.errors import CallError, without_middle
from llmorch.places.anonymous import most_files
from llmorch.places.failure import described, kinds_of, known_kinds
from llmorch.places.shown import Shown
from llmorch.places.wire import BrokenError, pack, read

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmorch.calls import CallId, Expression
    from llmorch.declare.parameters import Parameter
    from llmorch.places.anonymous import File
    from llmorch.places.wire import Message, Parcel, Reducers
    from llmorch.plan.budget import Budget

LARGE = 1024 * 1024
"""A result of more bytes than this is kept in its file."""
MAX_DESCRIPTION = 200
"""Characters in which a value is described."""

_in_files: WeakSet[InFile] = WeakSet()
"""Those whose file is open."""


class InFile:
    """The handle of a result that is in a file. ``kinds`` are its class and those above it, by name."""

    __slots__ = (
        "__weakref__",
        "_failure",
        "_function",
        "_lock",
        "_value",
        "file",
        "kinds",
        "sizes",
        "text",
        "what",
        "why",
    )

    def __init__(self, message: Message, function: str) -> None:
        try:
            kinds, what, text = message.about
            self.kinds = known_kinds(kinds)
        except Exception:
            raise BrokenError from None
        self.what = str(what)
        self.text: str | None = None
        self.why = ""
        if text:
            self.text, self.why = text
        self._function = function
        self._lock = Lock()  # it may be asked for on several threads at once
        self.file: File | None = message.file
        """Where the value is until somebody opens it here, and ``sizes`` is what is where in it."""
        self.sizes = message.sizes
        self._value: Any = None
        self._failure: tuple[str, str] | None = None
        _in_files.add(self)

    @property
    def here(self) -> bool:
        """Whether its value is an object of this process."""
        return self.file is None

    def open(self) -> Any:
        """The value, which is read if it isn't here yet. Raises ``CallError`` if it can't be."""
        with self._lock:
            file = self._let_go()
            if file is not None:
                try:
                    self._value = read(file, self.sizes)
                except BaseException as error:
                    if interrupted(error):
                        raise
                    text, detail = described(error)
                    self._failure = f"{self._function} returned what can't be read here: {text}", detail
            if self._failure is not None:
                text, detail = self._failure
                raise CallError(text, detail=detail)  # another one each time: its frames lead here
            return self._value

    def close(self) -> None:
        """Free its file: nobody opens it any more."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> File | None:
        """Its file, which ends with the last reference to it: that takes long for much memory."""
        file, self.file = self.file, None
        _in_files.discard(self)
        return file


def kept(message: Message, function: str) -> Any:
    """A large result as it arrived, by reference as long as few enough files are open."""
    if not message.sizes:
        raise BrokenError
    if message.file is None:
        raise CallError(
            f"{function} returned a large result that can't be received here: too many open files "
            "(ulimit -n says how many there may be)"
        )
    handle = InFile(message, function)
    if len(_in_files) <= most_files():
        return handle
    text = message.about[2]
    return Shown(handle.open(), *text) if text else handle.open()


def opened(value: Any) -> Any:
    """The value itself, whether or not it is in a file. Raises ``CallError`` if it can't be opened."""
    return value.open() if type(value) is InFile else value


class Later:
    """An argument that is made of results in files: worked out in the process that is called.

    With ``as_it_is`` nothing has to be computed or checked: results are put into lists and
    dictionaries at most, and ``put`` is what comes of that. The ``budget`` is that of all arguments of the call.
    """

    __slots__ = ("as_it_is", "budget", "expression", "parameter", "put", "results")

    def __init__(
        self,
        parameter: Parameter,
        expression: Expression,
        results: Mapping[CallId, Any],
        budget: Budget,
        *,
        as_it_is: bool,
        put: Any = None,
    ) -> None:
        self.parameter = parameter
        self.expression = expression
        self.results = results
        self.budget = budget
        self.as_it_is = as_it_is
        self.put = put

    def sent(self) -> Any:
        """What crosses for it: results in files where a ``Later`` would only pass them on."""
        return self.put if self.as_it_is else self

    def value(self) -> Any:
        """The argument, by what its results are here. Raises as ``argument`` does, and ``CallError``."""
        from llmorch.plan.evaluate import argument

        here = {id_: opened(result) for id_, result in self.results.items()}
        return argument(self.parameter, self.expression, here, self.budget)


class Enclosing:
    """Takes the results in files out of one message, and notes the files that go with it."""

    def __init__(self) -> None:
        self.files: list[File] = []

    @property
    def reducers(self) -> Reducers:
        """How such values are pickled; not kept, or the files would wait for the garbage collector."""
        return {InFile: self._reduced}

    def _reduced(self, handle: InFile) -> tuple[Any, ...]:
        file = handle.file
        if file is None:
            return _itself, (handle.open(),)
        if file not in self.files:
            self.files.append(file)
        return _handed, (self.files.index(file), tuple(handle.sizes))


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


def _handed(index: int, sizes: Sequence[int]) -> Any:
    if index not in _read:  # one object, wherever it is used
        _read[index] = read(_enclosed[index], sizes)
    return _read[index]


def returned(result: Any, kind: int, large: int) -> Parcel:
    """A result as a message of this kind, or of another one for a ``large`` result.

    That tells what the result is, with the text for a model, so that nobody has to open it to know.
    """
    value, *text = result if type(result) is Shown else (result,)
    parcel = pack(kind, value, worker=True)
    if parcel.size > LARGE:
        parcel.label(large, (kinds_of(value), _described(value, parcel.size), text))
    elif text:
        parcel = pack(kind, result, worker=True)
    parcel.write()
    return parcel


def _described(value: Any, size: int) -> str:
    name = kind_name(value)
    try:
        dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
        if type(shape) is tuple:
            name += f" {'' if dtype is None else f'{dtype} '}{shape}"
        elif is_a(value, str):
            name += f" of {len(value):,} characters"
        elif is_a(value, (list, tuple, dict, set, frozenset)):
            name += f" of {len(value):,} items"
    except BaseException:  # a value's own attributes may raise anything
        pass
    return f"{without_middle(name, MAX_DESCRIPTION)}, {size / 1e6:,.3g} MB"
