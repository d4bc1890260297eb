"""The program of a worker process: it answers one message after the other.

Decides how a function runs there, and what is put back afterwards. It must import in
milliseconds, so it knows nothing of asyncio, of declarations or of who asks.
"""

from __future__ import annotations

import importlib
import io
import os
import pickle
import socket
import sys
from contextlib import contextmanager, nullcontext, suppress
from operator import attrgetter
from time import monotonic
from typing import TYPE_CHECKING, Any

from llmorch.declare import role
from llmorch.declare.text import message_of
from llmorch.places.codes import digest
from llmorch.places.failure import UnknownHereError, described, raised
from llmorch.places.family import adopt
from llmorch.places.handles import HandedError, received
from llmorch.places.leftovers import Before
from llmorch.places.portable import called
from llmorch.places.returned import each_returned, returned, unsendable
from llmorch.places.shown import shown
from llmorch.places.wire import Inbox, Parcel, pack, prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmorch.places.wire import Message

# What is asked: to be where the program is, to remember a function unless there is other code than
# the program's, to call one, to import modules, to set variables.
SURROUNDINGS, REMEMBER, CALL, LOAD, SET = range(1, 6)
# What is answered, with the number of what was asked: ready for the first question, done, where other code
# is, a result that is plain data, a large one with what it is, the function's exception as text, that it took
# longer than it may, and why the question could not be answered at all: for an argument that has no value, for
# arguments with something handed on that refers to what isn't here, for anything else; a result that is taken
# apart, and those of a batch, each by itself.
READY, DONE, OTHER, RETURNED, LARGE, RAISED, LATE, UNFIT, UNREAD, REFUSED, CLOSED, EACH = range(11, 23)

ANSWERS = {
    SURROUNDINGS: {DONE, REFUSED},
    REMEMBER: {DONE, OTHER, REFUSED},
    CALL: {RETURNED, LARGE, CLOSED, EACH, RAISED, LATE, UNFIT, UNREAD, REFUSED},
    LOAD: {DONE, REFUSED},
    SET: {DONE, REFUSED},
}
"""What may be answered to each question."""

_SIGKILL = 9
_RESERVED = 2
LAST = 64
"""Added to an answer by a process that may take no other call: it is to be replaced."""


def main(descriptor: int, parent: int, cpus: tuple[int, ...]) -> None:
    """Answer what comes over the socket ``descriptor`` until nobody asks any more.

    ``parent`` is the process that started this one, with which it ends; ``cpus`` are those to
    run on, or none for any.
    """
    adopt(end_with=_SIGKILL)  # whatever a function is doing
    if os.getppid() != parent:
        os._exit(1)
    _run_on(cpus)
    connection = prepared(socket.socket(fileno=descriptor))
    connection.set_inheritable(False)
    # A function may fork; the end of this process must show even if its child lives on.
    os.register_at_fork(after_in_child=connection.close)
    role.only_calls = True
    sys.stdout = _output(1)
    sys.stderr = _output(2)
    program = _Program()
    inbox = Inbox(connection)
    try:
        _send(pack(READY, os.getpid()), connection)
        while True:
            message = inbox.receive()
            if message is not None:
                _send(program.answer(message), connection)
                message = None  # a large value must not live on while we wait
    except (EOFError, ConnectionError):
        connection.detach()  # stays open until the process has really ended


def _run_on(cpus: tuple[int, ...]) -> None:
    """Keep every thread of this process to these CPUs, those of libraries too."""
    if not cpus or sys.platform != "linux":
        return
    for thread in os.listdir("/proc/self/task"):  # noqa: PTH208 - pathlib isn't needed for anything else
        with suppress(OSError):  # it has ended, or a container allows less than it shows
            os.sched_setaffinity(int(thread), cpus)


class _Output(io.FileIO):
    """An output that nobody may be reading any more, which is not the function's failure."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _output(descriptor: int) -> io.TextIOWrapper:
    # Line by line: the last lines of a function that is killed are those one looks for.
    raw = _Output(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True)


def _send(parcel: Parcel, connection: socket.socket) -> None:
    rest = parcel.send(connection)
    if rest:
        connection.sendall(rest)


class _Program:
    """The functions that a worker remembers, and the state to put back after a call."""

    def __init__(self) -> None:
        self._functions: dict[int, Callable[..., Any]] = {}
        self._before = Before()

    def answer(self, message: Message) -> Parcel:
        """Do what a message asks. Whatever happens in there becomes an answer."""
        parcel = self._answer(message)
        if message.kind != CALL:
            self._before.accept()
        if not self._before.put_back():
            parcel.kind |= LAST
        parcel.number = message.number
        return parcel

    def _answer(self, message: Message) -> Parcel:
        try:
            if message.kind == CALL:
                return self._call(message)
            if message.kind == REMEMBER:
                number, reference, checks = message.value()
                if not isinstance(reference, bytes):
                    loaded(reference)  # if that fails, this is why
                if other := [at for at, check in enumerate(checks) if not _is_same(*check)]:
                    return pack(OTHER, (other,))
                self._functions[number] = loaded(reference)
            elif message.kind == SET:
                for module, path, value in message.value():
                    _set(module, path, value)
            elif message.kind == LOAD:
                for module in message.value():
                    importlib.import_module(module)
            else:
                folder, variables, umask, path, depth, files, cpus = message.value()
                self._before.go(folder, variables, umask, depth)
                sys.path[:] = path
                _run_on(cpus)
                if files:
                    from llmorch.places.files import register

                    register(files)
            return Parcel(DONE)
        except BaseException as error:
            return pack(REFUSED, described(error))

    def _call(self, message: Message) -> Parcel:
        try:
            number, args, deferred, memory, timeout, show, batch, keeps = received(message)
        except UnknownHereError:
            return Parcel(UNREAD)
        except HandedError as error:
            return pack(REFUSED, (f"can't be called: {message_of(error)}", error.detail))
        except BaseException as error:
            text, detail = described(error)
            hint = "define what they use in a module that can be imported"
            text = f"can't be called: its arguments can't be read in a worker process: {text}; {hint}"
            return pack(REFUSED, (text, detail))
        for name in deferred:
            try:
                args[name] = args[name].value()
            except BaseException as error:
                return pack(UNFIT, (name, message_of(error)))
        began = monotonic()
        try:
            with nullcontext() if memory is None else _bounded(memory):
                result, failure = called(self._functions[number], args, batch=batch, keeps=keeps)
        except BaseException as error:
            result, failure = None, raised(error)
        if timeout is not None and monotonic() - began > timeout:  # nobody was there to stop it
            return Parcel(LATE)
        if failure is not None:
            return pack(RAISED, tuple(failure))
        count = len(next(iter(args.values()))) if batch else 1
        args = None
        if show is not None:
            result = shown(result, self._functions[show], batch=batch)
        try:
            if batch:
                return each_returned(result, count, RETURNED, CLOSED, EACH, RAISED, REFUSED)
            return returned(result, RETURNED, LARGE, CLOSED)
        except BaseException as error:
            return pack(REFUSED, unsendable(result, error))


@contextmanager
def _bounded(memory: int) -> Iterator[None]:
    """Let nobody reserve far more memory than a call may use: the keeper looks only now and then.

    Twice as much may be reserved, since what is reserved needn't be used.
    """
    import resource

    with open("/proc/self/statm") if sys.platform == "linux" else nullcontext() as file:  # noqa: PTH123
        resident = int(file.read().split()[5]) * resource.getpagesize() if file is not None else 0
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = resident + _RESERVED * memory
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def loaded(reference: tuple[str, str] | bytes) -> Callable[..., Any]:
    """A function by its module and its path there, or as it was pickled."""
    if isinstance(reference, bytes):
        return pickle.loads(reference)  # type: ignore[no-any-return]
    module, path = reference
    return attrgetter(path)(importlib.import_module(module))  # type: ignore[no-any-return]


def _is_same(module: str, path: str, expected: int) -> bool:
    """Whether the code in a variable is the program's, by its digest."""
    try:
        owner, name = _owner(module, path)
        return digest(vars(owner)[name]) == expected
    except ImportError:  # who imports it will hear of that
        return True
    except (LookupError, AttributeError):
        return False


def _owner(module: str, path: str) -> tuple[Any, str]:
    above, _, name = path.rpartition(".")
    if module == "__main__" and above:
        from llmorch.places.classes import kept

        return kept[above], name
    owner = importlib.import_module(module)
    return attrgetter(above)(owner) if above else owner, name


def _set(module: str, path: str, value: bytes) -> None:
    """Set a variable of a module, or of a class in one, if it isn't so already.

    Another object with the same content stays: others may refer to it.
    """
    owner, name = _owner(module, path)
    with suppress(Exception):
        if pickle.dumps(vars(owner)[name], 5) == value:
            return
    setattr(owner, name, pickle.loads(value))
