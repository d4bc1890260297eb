"""Results that nobody here has opened: kept as bytes, large ones in their files, and handed on by reference.

A value that isn't plain data is rebuilt by its class, which may run any code, and so is opened only by
who needs it here, once; from then on it is a value like any other. Decides what is kept so, and what of an
argument crosses instead of its value. It must import quickly.
"""

from __future__ import annotations

import pickle
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from llmorch.declare.text import interrupted
from llmorch.errors import CallError, shortage
from llmorch.places.anonymous import most_files
from llmorch.places.failure import UnknownHereError, described, known_kinds
from llmorch.places.shown import Shown
from llmorch.places.wire import INLINE, BrokenError, plain, segments_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.calls import CallId, Expression
    from llmorch.declare.functions import Function
    from llmorch.declare.parameters import Parameter
    from llmorch.places.anonymous import File
    from llmorch.places.wire import Message, Reducers
    from llmorch.plan.budget import Budget

LARGE = 1024 * 1024
"""A result of more bytes than this is kept in its file."""

_in_files: WeakSet[Unopened] = WeakSet()
"""Those whose file is open."""


class _Bytes(NamedTuple):
    """Where the bytes of a value are: in memory, or in a file, where ``sizes`` says what is where."""

    stream: Any = b""
    buffers: Sequence[Any] = ()
    file: File | None = None
    sizes: Sequence[int] = ()

    def value(self) -> Any:
        """The value that they are; raises whatever rebuilding it raises."""
        if self.file is None:
            return pickle.loads(self.stream, buffers=self.buffers)
        *buffers, stream = segments_of(self.file, self.sizes)
        return pickle.loads(stream, buffers=buffers)


def _rebuild(held: _Bytes, came: list[Any]) -> None:
    """Add the value, or how rebuilding it failed as a line and a traceback."""
    try:
        value = held.value()
    except BaseException as error:
        if interrupted(error):
            raise
        came += described(error)
    else:
        came.append(value)


class Unopened:
    """The handle of a result that isn't opened until somebody here needs it.

    ``about`` is what its process says of it. It may take as long as its ``function`` to open it.
    """

    __slots__ = (
        "__weakref__",
        "_failure",
        "_function",
        "_held",
        "_lock",
        "_numbers",
        "_timeout",
        "_value",
        "kinds",
        "text",
        "what",
        "why",
    )

    def __init__(self, about: Any, function: Function) -> None:
        try:
            kinds, what, text, numbers = about
            self.kinds = known_kinds(kinds)
            """Its class and those above it, by name."""
            self.what = str(what)
            self.text: str | None = None
            self.why = ""
            if text:
                self.text, self.why = text
            self._numbers = tuple(map(str, numbers))
            """The classes of this process that it refers to."""
        except Exception:
            raise BrokenError from None
        self._function = function.name
        self._timeout = function.timeout
        self._held: _Bytes | None = None
        """Its bytes until it is open: whoever hands it on doesn't wait for who opens it."""
        self._lock = Lock()  # it may be asked for on several threads at once
        self._value: Any = None
        self._failure: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return f"<not opened yet: {self.what}>" if self._held is not None else f"<opened: {self.what}>"

    def in_memory(self, stream: Any, buffers: Sequence[Any]) -> Unopened:
        """The same, and these are its bytes."""
        self._held = _Bytes(stream, buffers)
        return self

    def in_file(self, file: File, sizes: Sequence[int]) -> Unopened:
        """The same, and its bytes are in a file; in memory where enough files are open."""
        if len(_in_files) >= most_files():
            *buffers, stream = segments_of(file, sizes)
            return self.in_memory(stream, buffers)
        self._held = _Bytes(file=file, sizes=sizes)
        _in_files.add(self)
        return self

    @property
    def here(self) -> bool:
        """Whether its value is an object of this process, or nobody can open it."""
        return self._held is None

    @property
    def is_large(self) -> bool:
        """Whether it is in a file."""
        held = self._held
        return held is not None and held.file is not None

    def open(self) -> Any:
        """The value, which is rebuilt if it isn't here yet. Raises ``CallError`` if it can't be."""
        with self._lock:
            held = self._held
            if held is not None:
                self._open_in_time(held)
                self._let_go()
            if self._failure is not None:
                text, detail = self._failure
                raise CallError(text, detail=detail)  # another one each time: its frames lead here
            return self._value

    def _open_in_time(self, held: _Bytes) -> None:
        """Rebuild it; on a thread, which is left behind if it hangs, where its function has a timeout."""
        came: list[Any] = []
        if self._timeout is None:
            _rebuild(held, came)
        else:
            thread = Thread(target=_rebuild, args=(held, came), daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                came += (shortage(error) or str(error)), ""
            else:
                thread.join(self._timeout)
        if len(came) == 1:
            self._value = came[0]
        elif came:
            self._fail(*came)
        else:
            self._fail(f"it took longer than the timeout of {self._timeout or 0:g} s")

    def _fail(self, why: str, detail: str = "") -> None:
        self._failure = _unreadable(self._function, why), detail

    def close(self) -> None:
        """Free what it holds: nobody opens it any more."""
        if self._held is not None:
            self._fail("it was freed after its last use")
            self._let_go()

    def _let_go(self) -> None:
        """Free its bytes; a file ends with the last reference to it: that takes long for much memory."""
        self._held = None
        _in_files.discard(self)

    def handed(self, files: list[File]) -> tuple[Any, ...]:
        """How it is pickled for another worker process: by its bytes, and ``files`` learns of its file."""
        held = self._held
        if held is None:
            return _itself, (self.open(),)
        classes = _classes(self._numbers)
        if held.file is None:
            large = len(held.stream) > INLINE
            stream = pickle.PickleBuffer(held.stream) if large else bytes(held.stream)
            return _rebuilt, (classes, self._function, stream, *map(pickle.PickleBuffer, held.buffers))
        if held.file not in files:
            files.append(held.file)
        return _read, (classes, self._function, files.index(held.file), tuple(held.sizes))

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.open(),)


def _classes(numbers: Sequence[str]) -> list[type]:
    """Those of this process's classes that there still are."""
    if not numbers:
        return []
    from llmorch.places.classes import numbered

    found = []
    for number in numbers:
        try:
            found.append(numbered(number))
        except UnknownHereError:  # whoever reads the value will say so
            continue
    return found


def _unreadable(function: str, why: str) -> str:
    return f"{function} returned what can't be read here: {why}"


def large(message: Message, function: Function) -> Unopened:
    """A large result as it arrived."""
    if not message.sizes:
        raise BrokenError
    if message.file is None:
        raise CallError(
            f"{function.name} returned a large result that can't be received here: too many open files "
            "(ulimit -n says how many there may be)"
        )
    return Unopened(message.about, function).in_file(message.file, message.sizes)


def closed(parts: Any, function: Function) -> Any:
    """A result as it was taken apart; one that is plain data, and not large, is opened at once."""
    try:
        is_plain, *about, stream, buffers = parts
        if not is_plain or len(stream) > LARGE:
            return Unopened(about, function).in_memory(stream, buffers)
        _, _, text, _ = about
        value = plain(stream, buffers)
        return Shown(value, *text) if text else value
    except (TypeError, ValueError):
        raise BrokenError from None


def opened(value: Any) -> Any:
    """The value itself, whether or not anybody has opened it. Raises ``CallError`` if it can't be."""
    return value.open() if type(value) is Unopened else value


class Later:
    """An argument that is made of unopened results: worked out in the process that is called.

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
        """What crosses for it: unopened results where a ``Later`` would only pass them on."""
        return self.put if self.as_it_is else self

    def value(self) -> Any:
        """The argument, by what its results are here. Raises as ``argument`` does, and ``CallError``."""
        from llmorch.plan.evaluate import argument

        here = {id_: opened(result) for id_, result in self.results.items()}
        return argument(self.parameter, self.expression, here, self.budget)


def each_later(
    args: Mapping[str, Any], become: Callable[[str, Later], Any], *, batch: bool
) -> dict[str, Any]:
    """Arguments with what each ``Later`` among them becomes, given its name; of a batch form, those of its calls."""
    if batch:
        return {
            name: [each_later(call, become, batch=False) for call in calls] for name, calls in args.items()
        }
    return {name: become(name, value) if type(value) is Later else value for name, value in args.items()}


class Enclosing:
    """Takes the unopened results out of one message, and notes the files that go with it."""

    def __init__(self) -> None:
        self.files: list[File] = []

    @property
    def reducers(self) -> Reducers:
        """How such values are pickled; not kept, or the files would wait for the garbage collector."""
        return {Unopened: lambda handle: handle.handed(self.files)}


def _itself(value: Any) -> Any:
    return value


class HandedError(Exception):
    """A result that was handed on can't be read where it is needed."""

    def __init__(self, text: str, detail: str) -> None:
        super().__init__(text)
        self.detail = detail


_enclosed: list[File] = []


def received(message: Message) -> Any:
    """A message's value, with what was handed on in it; in the process that is called.

    Raises whatever rebuilding it raises, ``HandedError`` for what was handed on.
    """
    _enclosed[:], message.enclosed = message.enclosed, []
    try:
        return message.value()
    finally:
        _enclosed.clear()


def _read(classes: Sequence[type], function: str, index: int, sizes: Sequence[int]) -> Any:
    *buffers, stream = segments_of(_enclosed[index], sizes)
    return _rebuilt(classes, function, stream, *buffers)


def _rebuilt(classes: Sequence[type], function: str, stream: bytes | memoryview, *buffers: Any) -> Any:
    """A result that was handed on; the ``classes`` that it refers to by number are there by now."""
    try:
        return pickle.loads(stream, buffers=buffers)
    except UnknownHereError:
        raise
    except BaseException as error:
        text, detail = described(error)
        raise HandedError(_unreadable(function, text), detail) from None
