"""An OpenAI-compatible endpoint on the loopback whose answers are chosen by what it is asked."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Answer:
    """One HTTP answer: lines of a stream, or a body with a status."""

    status: int = 200
    body: str = ""
    lines: list[str] = field(default_factory=list)
    kind: str = "text/event-stream"
    endless: bool = False
    """Whether to repeat the last line until the client hangs up."""
    pace: float = 0.0
    """Seconds after each line."""
    then: Literal["end", "silence", "reset"] = "end"
    """What follows the lines: the end, no byte more on an open connection, or its reset."""
    promised: int | None = None
    """The length that the headers announce, if any."""
    location: str = ""
    """Where a redirection leads."""
    late: bool = False
    """Whether nothing comes, not even the headers."""


def event(text: str | None = None, reason: str | None = None) -> str:
    """One line of a stream."""
    choice = {"index": 0, "delta": {"content": text} if text is not None else {}, "finish_reason": reason}
    return "data: " + json.dumps({"id": "1", "object": "chat.completion.chunk", "choices": [choice]})


def reply(*texts: str, reason: str = "stop", tokens: tuple[int, int] | None = (7, 3)) -> Answer:
    """A whole reply in pieces, and its usage."""
    lines = [event(text) for text in texts] + [event(reason=reason)]
    if tokens is not None:
        usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
        lines.append("data: " + json.dumps({"id": "1", "choices": [], "usage": usage}))
    return Answer(lines=[*lines, "data: [DONE]"])


def refusal(status: int, message: str) -> Answer:
    return Answer(status, json.dumps({"error": {"message": message}}), kind="application/json")


class Loopback:
    """What was asked of the endpoint, and what it answers."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], Answer] = lambda _: reply("hello", " there")
        self.asked: list[dict[str, Any]] = []
        self.hung_up = threading.Event()
        self.url = ""


@contextmanager
def serving(*, keeps: bool = False) -> Iterator[Loopback]:
    """The endpoint, served by threads that end with the block. ``keeps``: whole answers, on kept connections."""
    endpoint, closing = Loopback(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1" if keeps else "HTTP/1.0"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            endpoint.asked.append(
                {
                    **body,
                    "authorization": self.headers["Authorization"],
                    **({"title": title} if (title := self.headers["X-Title"]) else {}),
                    "path": self.path,
                }
            )
            answer = endpoint.answer(body)
            try:
                if not answer.late:
                    self._send(answer)
                if answer.then == "silence":
                    self.rfile.read(1)  # until the client hangs up
                    endpoint.hung_up.set()
                if answer.then == "reset":
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            except OSError:
                endpoint.hung_up.set()

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            if answer.location:
                self.send_header("Location", answer.location)
            if keeps:
                answer = Answer(body=answer.body + "".join(f"{line}\n\n" for line in answer.lines))
                answer.promised = len(answer.body.encode())
            if answer.promised is not None:
                self.send_header("Content-Length", str(answer.promised))
            self.end_headers()
            self.wfile.write(answer.body.encode())
            for line in answer.lines:
                self._line(line)
                time.sleep(answer.pace)
            while answer.endless and not closing.wait(0.01):
                self._line(answer.lines[-1])

        def _line(self, line: str) -> None:
            # Bytes that are no UTF-8 are written as lone surrogates in a line.
            self.wfile.write(line.encode(errors="surrogateescape") + b"\n\n")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 256  # more than a test opens at once

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # so that closing waits for them
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    endpoint.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield endpoint
    finally:
        endpoint.hung_up.set()
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
