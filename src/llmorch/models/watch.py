"""A watch over a download: a connection that brings too little in time is cut.

A socket's timeout begins anew with every byte, so a server that drips, or that goes on and on with
what comes before an answer, would be waited for without end.
"""

from __future__ import annotations

import http.client
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from functools import partial
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from socket import socket

LEAST = 1 << 18
"""Bytes that must arrive within a watch's seconds."""
_MOST = 1 << 16
"""Bytes that are read of an answer by who doesn't say how many: of a redirection, its page."""


class Watch:
    """Downloads, each from a connection that is cut unless ``LEAST`` bytes arrive in so many seconds."""

    def __init__(self, seconds: float, timeout: float) -> None:
        self.ended = False
        """Whether a connection was cut."""
        self._seconds = seconds
        self._timeout = timeout
        self._deadline = 0.0
        self._arrived = 0
        self._sockets: list[socket] = []

    def arrived(self, size: int) -> None:
        """Account for bytes that arrived."""
        self._arrived += size
        if self._arrived >= LEAST:
            self._begin()

    @contextmanager
    def opened(self, request: urllib.request.Request) -> Iterator[Any]:
        """The answer to a request, after redirections. What goes wrong is an ``OSError`` or ``HTTPException``."""
        self._begin()
        over = threading.Event()
        watching = threading.Thread(target=self._watch, args=(over,), daemon=True)
        watching.start()
        try:
            opener = urllib.request.build_opener(_Http(self), _Https(self))
            with opener.open(request, timeout=self._timeout) as response:
                yield response
        finally:
            over.set()
            watching.join()
            for connection in self._sockets:
                connection.close()
            self._sockets.clear()

    def over(self, connection: socket) -> None:
        """Watch over a connection, too."""
        self._sockets.append(connection.dup())  # TLS takes the one that it is given

    def _begin(self) -> None:
        self._arrived = 0
        self._deadline = time.monotonic() + self._seconds

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(min(0.5, self._seconds)):
            if time.monotonic() > self._deadline:
                self.ended = True
                for connection in list(self._sockets):
                    with suppress(OSError):
                        connection.shutdown(SHUT_RDWR)


class _Answer(http.client.HTTPResponse):
    def read(self, amt: int | None = None) -> bytes:
        return super().read(_MOST if amt is None else amt)


class _Connection(http.client.HTTPConnection):
    response_class = _Answer
    watch: Watch

    def connect(self) -> None:
        super().connect()
        self.watch.over(self.sock)


class _SecureConnection(http.client.HTTPSConnection, _Connection):
    """In this order: what connects before TLS begins is ``_Connection``."""


def _made(kind: type[_Connection], watch: Watch, host: str, **options: Any) -> _Connection:
    connection = kind(host, **options)
    connection.watch = watch
    return connection


class _Http(urllib.request.HTTPHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_made, _Connection, self._watch), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_made, _SecureConnection, self._watch), req)
