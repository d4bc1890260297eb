"""How a value crosses to another process of this machine.

Decides what travels in the message itself and what in an anonymous file whose
descriptor goes with it: the receiver maps that file, so an array arrives without being
copied, and it can be written to. A message may enclose other messages' files: what they
hold crosses without being touched. A question has a number that nobody can guess, and its answer
has the same. Of an answer only plain data is read here: no code runs, whoever wrote it. It must import quickly.
"""

from __future__ import annotations

import copyreg
import io
import os
import pickle
import socket
import struct
from collections import ChainMap
from typing import TYPE_CHECKING, Any, NamedTuple

from llmorch.places.anonymous import FILES, File, anonymous_file, mapped, write
from llmorch.places.members import reduced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.places.by_value import Has

    Reducers = Mapping[type, Callable[[Any], tuple[Any, ...]]]
    """How values of some classes are pickled in one message."""


INLINE = 64 * 1024
"""What is larger than this, in bytes, goes into a file."""

# The number, the kind, whether the stream is in the file, how many segments, the length of the rest.
_HEAD = struct.Struct("<QBBII")
_MOST = 64 * 1024 * 1024
"""Bytes of a message itself, beside its file: more aren't sent."""
_ALIGN = 64
_ROOM = 16 * 1024
_FD_ROOM = socket.CMSG_SPACE((FILES + 1) * struct.calcsize("i"))
_BUFFER = 4 * INLINE
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_CUT = int(socket.MSG_CTRUNC)


class BrokenError(Exception):
    """What arrived is no message, or answers nothing that was asked."""


def prepared(connection: socket.socket) -> socket.socket:
    """Give a socket room for a whole small message; some platforms start with 8 KiB."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    return connection


def _starts(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Where segments of these sizes begin in a file, and where the last one ends."""
    starts, end = [], 0
    for size in sizes:
        start = -(-end // _ALIGN) * _ALIGN
        starts.append(start)
        end = start + size
    return starts, end


class Parcel:
    """A value on its way out: a message and perhaps files. ``enclosed`` are files that go with it as they are."""

    __slots__ = ("_file", "_in_file", "_segments", "_sizes", "_text", "enclosed", "kind", "number")

    def __init__(self, kind: int, stream: bytes = b"", segments: Sequence[Any] = ()) -> None:
        self.kind = kind
        self.number = 0
        self.enclosed: Sequence[File] = ()
        self._segments = list(segments)
        self._sizes = list(map(len, segments))
        self._in_file = False
        self._text = stream
        self._file: File | None = None
        if len(stream) > INLINE:
            self._put_in_file()

    def _put_in_file(self) -> None:
        self._segments.append(self._text)
        self._sizes.append(len(self._text))
        self._in_file, self._text = True, b""

    @property
    def size(self) -> int:
        """Bytes of what goes into a file of its own."""
        return sum(self._sizes)

    def label(self, kind: int, about: object) -> None:
        """Put all of the value into the file, and something about it into the message."""
        if not self._in_file:
            self._put_in_file()
        self.kind = kind
        self._text = pickle.dumps(about, 5)

    def write(self) -> None:
        """Write the file, which takes long for much data and may be done on any thread."""
        if not self._segments or self._file is not None:
            return
        file = anonymous_file()
        starts, end = _starts(self._sizes)
        write(file, end, zip(starts, self._segments, strict=True))
        self._file, self._segments = file, []

    def send(self, connection: socket.socket) -> bytes:
        """Send the message and return what of it the socket had no room for."""
        self.write()
        sizes = struct.pack(f"<{len(self._sizes)}Q", *self._sizes)
        head = _HEAD.pack(self.number, self.kind, self._in_file, len(self._sizes), len(self._text))
        message = head + sizes + self._text
        files = [file.descriptor for file in (self._file, *self.enclosed) if file is not None]
        sent = socket.send_fds(connection, [message], files) if files else connection.send(message)
        return message[sent:]


class Pickled(NamedTuple):
    """A value as bytes, with the buffers that are too large for them."""

    stream: bytes
    buffers: list[pickle.PickleBuffer]
    is_plain: bool
    """Whether it is nothing but None, numbers, texts, bytes and Python's containers: to read it runs no code."""

    @property
    def size(self) -> int:
        """All of its bytes."""
        return len(self.stream) + sum(buffer.raw().nbytes for buffer in self.buffers)


def pickled(
    value: object,
    *,
    worker: bool = False,
    reducers: Reducers | None = None,
    has: Has | None = None,
    classes: list[str] | None = None,
) -> Pickled:
    """Pickle a value, by cloudpickle where pickle can't; ``worker`` says on which side.

    ``classes`` learns the numbers of the other side's classes that it refers to. Raises whatever pickling it raises.
    """
    buffers: list[pickle.PickleBuffer] = []

    def in_stream(buffer: pickle.PickleBuffer) -> bool:
        try:
            view = buffer.raw()
        except BufferError:
            return True
        if view.nbytes <= INLINE:
            return True
        buffers.append(buffer)
        return False

    file = io.BytesIO()
    pickler = _Pickler(file, 5, buffer_callback=in_stream)
    try:
        if reducers is not None:
            pickler.dispatch_table = ChainMap[Any, Any](dict(reducers), copyreg.dispatch_table)
        pickler.dump(value)
        stream = file.getvalue()
        # A class of the main program pickles by reference, but it isn't there elsewhere.
        is_whole = pickler.is_plain or b"__main__" not in stream
    except Exception:
        is_whole = False
    if is_whole:
        return Pickled(stream, buffers, pickler.is_plain)
    from llmorch.places.by_value import dumps

    buffers.clear()
    stream = dumps(
        value, worker=worker, buffer_callback=in_stream, reducers=reducers, has=has, numbers=classes
    )
    return Pickled(stream, buffers, is_plain=False)


def pack(
    kind: int,
    value: object,
    *,
    worker: bool = False,
    reducers: Reducers | None = None,
    has: Has | None = None,
) -> Parcel:
    """A value as a message, pickled as ``pickled`` does."""
    return parcel_of(kind, pickled(value, worker=worker, reducers=reducers, has=has))


def parcel_of(kind: int, made: Pickled) -> Parcel:
    """What was pickled as a message."""
    return Parcel(kind, made.stream, [buffer.raw() for buffer in made.buffers])


class _Pickler(pickle.Pickler):
    is_plain = True

    def reducer_override(self, obj: Any) -> Any:
        """Called for all but numbers, texts and Python's own containers."""
        self.is_plain = False
        return reduced(obj)


class _PlainUnpickler(pickle.Unpickler):
    """Reads plain data and runs no code: whatever would need a class or a function is broken."""

    def find_class(self, module: str, name: str) -> Any:
        raise BrokenError

    def persistent_load(self, number: Any) -> Any:
        raise BrokenError


def plain(stream: bytes | memoryview, buffers: Sequence[Any] = ()) -> Any:
    """Plain data that was pickled. Raises ``BrokenError`` for anything else."""
    try:
        return _PlainUnpickler(io.BytesIO(stream), buffers=buffers).load()
    except Exception:
        raise BrokenError from None


class Message:
    """A message that has arrived; its value is put together when asked for."""

    __slots__ = ("_in_file", "_text", "enclosed", "file", "kind", "number", "sizes")

    def __init__(
        self,
        number: int,
        kind: int,
        text: memoryview,
        sizes: Sequence[int],
        in_file: int,
        files: Sequence[File],
    ) -> None:
        self.number = number
        self.kind = kind
        self.sizes = sizes
        self._text = text
        self._in_file = in_file
        self.file = files[0] if sizes and files else None
        self.enclosed = files[bool(sizes) :]

    @property
    def about(self) -> Any:
        """What the sender said about a value that is all in the file. Raises ``BrokenError``."""
        return plain(self._text)

    def parts(self, *kinds: type) -> Any:
        """A value that isn't a function's but the other side's own: a tuple of such parts. Raises ``BrokenError``."""
        value = self.plain()
        if type(value) is not tuple or [type(part) for part in value] != list(kinds):
            raise BrokenError
        return value

    def value(self) -> Any:
        """The value, once, of whoever may run code here; raises whatever rebuilding it raises."""
        stream, buffers = self._pieces()
        return pickle.loads(stream, buffers=buffers)

    def plain(self) -> Any:
        """The value, once, if it is plain data. Raises ``BrokenError``."""
        return plain(self._text) if not self.sizes else plain(*self._pieces())

    def _pieces(self) -> tuple[memoryview, Sequence[Any]]:
        if not self.sizes:
            return self._text, ()
        if self.file is None:
            raise EOFError("a message arrived without its file")
        segments = segments_of(self.file, self.sizes)
        self.file = None  # what is mapped stays
        return (segments.pop() if self._in_file else self._text), segments


def segments_of(file: File, sizes: Sequence[int]) -> list[memoryview]:
    """What is in a file of segments; of a value that is all in it the last one is the stream."""
    starts, end = _starts(sizes)
    memory = memoryview(mapped(file.descriptor, end))
    return [memory[start : start + size] for start, size in zip(starts, sizes, strict=True)]


class Inbox:
    """Puts messages together from what a stream socket delivers, one at a time.

    A message that hasn't the ``number`` of what was asked is broken, but for one with the number
    ``before``: what was asked before had an answer too many, which is dropped. Where the number is None,
    any will do.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.number: int | None = None
        self.before: int | None = None
        self.dropped = False
        """Whether an answer too many came."""
        self._connection = connection
        self._received = bytearray()
        self._files: list[File] = []

    def receive(self) -> Message | None:
        """The next message, or None if it isn't all here yet.

        Raises ``EOFError`` when the other side is gone, and ``BrokenError``.
        """
        received: bytes | bytearray
        try:
            received, ancillary, flags, _ = self._connection.recvmsg(_ROOM, _FD_ROOM, _CLOEXEC)
        except BlockingIOError:
            return None
        except ConnectionError:
            raise EOFError from None
        if not received:
            raise EOFError
        for _, _, descriptors in ancillary:
            self._files += [File(number) for (number,) in struct.iter_unpack("i", descriptors)]
        if flags & _CUT:  # no more files can be opened: which of them came nobody knows
            self._files.clear()
        if self._received:
            self._received += received
            received = self._received
        while len(received) >= _HEAD.size:
            number, kind, whole, count, length = _HEAD.unpack_from(received)
            start = _HEAD.size + 8 * count
            end = start + length
            late = self.number is not None and number != self.number
            if (late and number != self.before) or whole > 1 or end > _MOST:
                raise BrokenError
            if late and len(received) >= end:
                del self._files[: bool(count)]
                self.dropped, self._received = True, bytearray()
                received = received[end:]
                continue
            if len(received) > end:
                raise BrokenError
            if len(received) == end:
                sizes = struct.unpack_from(f"<{count}Q", received, _HEAD.size) if count else ()
                text = memoryview(received)[start:]
                message = Message(number, kind, text, sizes, whole, self._files)
                if message.file is not None and os.fstat(message.file.descriptor).st_size < _starts(sizes)[1]:
                    raise BrokenError
                self._received, self._files = bytearray(), []
                return message
            break
        if not self._received:
            self._received = bytearray(received)
        return None

    @property
    def is_between(self) -> bool:
        """Whether no message has arrived in part."""
        return not self._received
