"""Server-sent events: the bytes of a stream become JSON objects, within bounds.

An endpoint may send what it likes. What is no event is ``Unreadable``, a larger one than any reply
needs is ``TooMuch``, and no more is kept meanwhile than one event.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 1 << 20
"""Bytes of one event. The longest replies come in one, from endpoints that don't stream."""

_DONE = b"[DONE]"


class Unreadable(Exception):
    """What arrived is not what an endpoint sends: why, in a few words."""


class TooMuch(Exception):
    """A reply is more than was asked for: how, as what is said of "the reply"."""


class Events:
    """Reads events from bytes, however they are cut into pieces."""

    def __init__(self) -> None:
        self.done = False
        """Whether the stream has said that nothing follows."""
        self._line = bytearray()
        """The beginning of a line."""
        self._data: list[bytes] = []
        """The lines of data of the event that has begun."""
        self._size = 0
        self._returned = False
        """Whether the last byte was a carriage return, of which a line feed would be a part."""

    def feed(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """The events that end with this piece."""
        for line in self._lines(piece):
            self._size += len(line) + 1
            if self._size > LARGEST:
                raise TooMuch(f"has an event of more than {LARGEST:,} bytes")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line:
                data, self._data, self._size = b"\n".join(self._data), [], 0
                if data.startswith(_DONE):
                    self.done = True
                    return
                if data:
                    yield event_in(data)

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        """The lines that end with this piece, without their ends."""
        if self._returned and piece.startswith(b"\n"):
            piece = piece[1:]
        if not piece:
            return
        self._returned = piece.endswith(b"\r")
        *ended, rest = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in ended:
            yield bytes(self._line) + line
            self._line.clear()
        self._line += rest
        if self._size + len(self._line) > LARGEST:
            raise TooMuch(f"has an event of more than {LARGEST:,} bytes")


def event_in(data: bytes) -> dict[str, Any]:
    """The object that these bytes are as JSON. Raises ``Unreadable``."""
    try:
        found = json.loads(data.decode())
    except RecursionError:
        raise Unreadable("an event that is nested too deeply") from None
    except ValueError as error:  # no JSON, no UTF-8, or a number with more digits than Python reads
        raise Unreadable(str(error)) from None
    if not isinstance(found, dict):
        raise Unreadable(f"an event that is no object but of type {type(found).__name__}")
    return found
