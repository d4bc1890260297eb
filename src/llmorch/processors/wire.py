"""How a value crosses to another process of this machine.

Decides what travels in the message itself and what in an anonymous file whose
descriptor goes with it: the receiver maps that file, so an array arrives without being
copied, and it can be written to. Such a file has no name, so a crash leaves nothing
behind. This module must not know what the messages mean, and must import quickly.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Sequence

INLINE = 64 * 1024
"""What is larger than this, in bytes, goes into a file."""
MAPPED = 1024 * 1024
"""Files smaller than this are read: a copy costs less than mapping them."""
MAPS = 128
"""Before Python 3.13 a mapped file keeps a descriptor open, so only so many stay mapped."""

_HEAD = struct.Struct("<BBII")  # kind, whether the stream is in the file, segments, stream's length
_ALIGN = 64
_ROOM = 16 * 1024
_FD_ROOM = socket.CMSG_SPACE(struct.calcsize("i"))
_BUFFER = 4 * INLINE
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_maps: WeakSet[mmap.mmap] = WeakSet()


def prepared(connection: socket.socket) -> socket.socket:
    """Give a socket room for a whole small message; some platforms start with 8 KiB."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    return connection


class _File:
    """A descriptor of an anonymous file, closed when nobody refers to it any more.

    The end of a file's use is not in one place: a cancelled call forgets it while a
    thread still writes to it.
    """

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


def _anonymous_file() -> _File:
    try:
        return _File(os.memfd_create("llmorch"))
    except (AttributeError, OSError):  # not Linux, or a sandbox that forbids it
        from tempfile import TemporaryFile

        with TemporaryFile() as file:
            return _File(os.dup(file.fileno()))


def _places(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Where segments of these sizes begin in a file, and where the last one ends."""
    starts = []
    end = 0
    for size in sizes:
        start = -(-end // _ALIGN) * _ALIGN
        starts.append(start)
        end = start + size
    return starts, end


class Parcel:
    """A value on its way out: a message and perhaps a file."""

    __slots__ = ("_file", "_message", "_segments", "size")

    def __init__(self, kind: int, stream: bytes, segments: list[Any]) -> None:
        in_file = len(stream) > INLINE
        if in_file:
            segments = [*segments, stream]
            stream = b""
        if segments:
            sizes = [len(segment) for segment in segments]
            head = _HEAD.pack(kind, in_file, len(sizes), len(stream))
            self._message = head + struct.pack(f"<{len(sizes)}Q", *sizes) + stream
            self.size = sum(sizes)
        else:
            self._message = _HEAD.pack(kind, False, 0, len(stream)) + stream
            self.size = 0
        self._segments = segments
        self._file: _File | None = None

    def mark(self, bit: int) -> None:
        """Add a bit to the kind."""
        self._message = bytes([self._message[0] | bit]) + self._message[1:]

    def write(self) -> None:
        """Write the file, which takes long for much data and may be done on any thread."""
        if not self._segments or self._file is not None:
            return
        file = _anonymous_file()
        starts, end = _places([len(segment) for segment in self._segments])
        os.ftruncate(file.descriptor, end)
        for start, segment in zip(starts, self._segments, strict=True):
            view = memoryview(segment)
            done = 0
            while done < len(view):
                done += os.pwrite(file.descriptor, view[done:], start + done)
        self._file = file
        self._segments = []

    def send(self, connection: socket.socket) -> bytes:
        """Send the message and return what of it the socket had no room for."""
        self.write()
        if self._file is None:
            return self._message[connection.send(self._message) :]
        sent = socket.send_fds(connection, [self._message], [self._file.descriptor])
        return self._message[sent:]


def pack(kind: int, value: object, *, worker: bool = False) -> Parcel:
    """Pickle a value, by cloudpickle where pickle can't; ``worker`` says on which side.

    Raises whatever pickling it raises.
    """
    segments: list[Any] = []

    def in_stream(buffer: pickle.PickleBuffer) -> bool:
        try:
            view = buffer.raw()
        except BufferError:
            return True
        if view.nbytes <= INLINE:
            return True
        segments.append(view)
        return False

    try:
        stream = pickle.dumps(value, 5, buffer_callback=in_stream)
        # A class of the main program pickles by reference, but it isn't there elsewhere.
        by_reference = b"__main__" not in stream
    except Exception:
        by_reference = False
    if not by_reference:
        from llmorch.processors.by_value import dumps

        segments.clear()
        stream = dumps(value, worker=worker, buffer_callback=in_stream)
    return Parcel(kind, stream, segments)


class Message:
    """A message that has arrived; its value is put together when asked for."""

    __slots__ = ("_file", "_in_file", "_sizes", "_stream", "kind")

    def __init__(
        self, kind: int, stream: memoryview, sizes: Sequence[int], in_file: int, file: _File | None
    ) -> None:
        self.kind = kind
        self._stream = stream
        self._sizes = sizes
        self._in_file = in_file
        self._file = file

    def value(self) -> Any:
        """The value, once; raises whatever rebuilding it raises."""
        if not self._sizes:
            return pickle.loads(self._stream)
        file, self._file = self._file, None
        if file is None:
            raise EOFError("a message arrived without its file")
        starts, end = _places(self._sizes)
        memory = memoryview(_mapped(file.descriptor, end))
        del file  # what is mapped stays
        segments = [memory[start : start + size] for start, size in zip(starts, self._sizes, strict=True)]
        stream = segments.pop() if self._in_file else self._stream
        return pickle.loads(stream, buffers=segments)


def _mapped(descriptor: int, size: int) -> mmap.mmap | bytearray:
    """A file's bytes, private to this process."""
    if size >= MAPPED:
        if sys.version_info >= (3, 13):
            return mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY, trackfd=False)
        if len(_maps) < MAPS:
            memory = mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY)
            _maps.add(memory)
            return memory
    copy = bytearray(size)
    view = memoryview(copy)
    done = 0
    while done < size:
        read = os.preadv(descriptor, [view[done:]], done)
        if not read:
            raise EOFError("a message's file is too short")
        done += read
    return copy


class Inbox:
    """Puts messages together from what a stream socket delivers, one at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""
        self._file: _File | None = None

    def receive(self) -> Message | None:
        """The next message, or None if it isn't all here yet.

        Raises ``EOFError`` when the other side is gone.
        """
        try:
            received, ancillary, _, _ = self._connection.recvmsg(_ROOM, _FD_ROOM, _CLOEXEC)
        except BlockingIOError:
            return None
        except ConnectionError:
            raise EOFError from None
        if not received:
            raise EOFError
        if ancillary:
            self._file = _File(struct.unpack_from("i", ancillary[0][2])[0])
        if self._received:
            received = self._received + received
        if len(received) >= _HEAD.size:
            kind, in_file, count, length = _HEAD.unpack_from(received)
            start = _HEAD.size + 8 * count
            if len(received) == start + length:
                sizes = struct.unpack_from(f"<{count}Q", received, _HEAD.size) if count else ()
                message = Message(kind, memoryview(received)[start:], sizes, in_file, self._file)
                self._received = b""
                self._file = None
                return message
        self._received = received
        return None
