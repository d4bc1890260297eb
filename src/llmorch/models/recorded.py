"""A model whose replies are read from a file, where another model's were recorded.

This module decides which recorded exchange answers a request.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from llmorch.arguments import refuse
from llmorch.errors import ModelError
from llmorch.machine import file_bytes
from llmorch.models.model import Finished, Message, Model, ModelRequest, Piece, Text, ToolCall, is_model

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator

    from llmorch.declare.functions import Kind

MOST_READ = 256_000_000
"""Bytes of a file of recorded replies."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file's content: what the model is, and the replies by the digests of their requests."""

    head: dict[str, Any]
    exact: dict[str, list[Piece]] = field(default_factory=dict)
    loose: dict[str, list[Piece]] = field(default_factory=dict)

    def add(self, line: dict[str, Any]) -> None:
        finished = Finished(line["reason"], line["input_tokens"], line["output_tokens"])
        calls = [ToolCall(*call) for call in line.get("calls", ())]
        reply: list[Piece] = [*map(Text, line["chunks"]), *calls, finished]
        self.exact[line["exact"]] = self.loose[line["loose"]] = reply


class RecordedModel:
    """Plays a file of exchanges; with ``record``, what it lacks is asked of that model and appended.

    A request is answered by the last exchange with the same messages (and the same seed,
    where it wants chance) or, where there is none, with the same messages but for the
    numbers in them: measured times differ from run to run. With ``record`` only the same
    will do. An exchange may be used any number of times.

    Several threads, event loops and processes may play a file and record to it at once: each
    exchange is appended whole. What another process recorded meanwhile is asked for again.

    The file has one JSON object a line: first what the model is, then each exchange. Of a
    request it keeps two digests and the beginning of its last message, not its text: that
    is long, and may not be ours to keep.
    """

    def __init__(self, path: str | Path, record: Model | None = None) -> None:
        if not isinstance(path, str | Path) or not str(path) or "\0" in str(path):
            refuse("path", "the path of a file", path)
        if record is not None and not is_model(record):
            refuse("record", "a Model", record)
        self._path = Path(path)
        self._record = record
        # At most one. No lock, which a fork could leave locked: a dict keeps the first that is put there.
        self._kept: dict[Path, _Kept] = {}

    @property
    def name(self) -> str:
        return self._record.name if self._record else str(self._read().head["model"])

    @property
    def kind(self) -> Kind:
        return self._record.kind if self._record else cast("Kind", self._read().head["kind"])

    @property
    def constrains(self) -> bool:
        return self._record.constrains if self._record else bool(self._read().head["constrains"])

    @property
    def calls_tools(self) -> bool:
        return self._record.calls_tools if self._record else bool(self._read().head["calls_tools"])

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Reply to ``request``, piece by piece."""
        if self._record is None or self._known(request):
            for piece in self._reply(request):
                yield piece
            return
        reply: list[Piece] = []
        try:
            async with aclosing(cast("AsyncGenerator[Piece, None]", self._record.stream(request))) as pieces:
                async for piece in pieces:
                    reply.append(piece)
                    yield piece
        except GeneratorExit:  # a caller that has what it wants; a replay must serve it as well
            self._append(request, reply)
            raise
        self._append(request, reply)

    async def close(self) -> None:
        """Close the model that is being recorded."""
        if self._record is not None:
            await self._record.close()

    def _known(self, request: ModelRequest) -> bool:
        """Whether the file has an exchange with this very request; there may be no file yet."""
        begun = self._path.exists() and self._path.stat().st_size
        return bool(begun) and _exact(request) in self._read().exact

    def _reply(self, request: ModelRequest) -> list[Piece]:
        kept = self._read()
        reply = kept.exact.get(_exact(request)) or kept.loose.get(_loose(request))
        if reply is None:
            raise ModelError(
                f"{self._path} has no reply to the request {_asked(request, 80)!r}: "
                "record it with RecordedModel(path, record=another_model)"
            )
        return reply

    def _append(self, request: ModelRequest, reply: list[Piece]) -> None:
        chunks = [piece.text for piece in reply if isinstance(piece, Text)]
        calls = [[piece.id, piece.name, piece.arguments] for piece in reply if isinstance(piece, ToolCall)]
        ended = [piece for piece in reply if isinstance(piece, Finished)]
        finished = ended[-1] if ended else Finished("length", 0, 0)
        if not chunks and finished.reason != "stop":
            return
        exchange = {
            "exact": _exact(request),
            "loose": _loose(request),
            "asked": _asked(request, 60),
            "chunks": chunks,
            "calls": calls,
            "reason": finished.reason,
            "input_tokens": finished.input_tokens,
            "output_tokens": finished.output_tokens,
        }
        head = {
            "model": self.name,
            "kind": self.kind,
            "constrains": self.constrains,
            "calls_tools": self.calls_tools,
        }
        try:
            with self._path.open("ab") as file, _locked(file, fcntl.LOCK_EX):
                lines = [exchange] if file.seek(0, os.SEEK_END) else [head, exchange]
                file.write("".join(json.dumps(line) + "\n" for line in lines).encode())
                file.flush()
        except OSError as error:
            raise ModelError(f"can't record to {self._path}: {error.strerror}") from error
        self._read().add(exchange)

    def _text(self) -> str:
        if not self._path.is_file():  # no pipe or device can be locked and read again
            return file_bytes(self._path, MOST_READ).decode()
        with self._path.open("rb") as file, _locked(file, fcntl.LOCK_SH):
            return file_bytes(self._path, MOST_READ).decode()

    def _read(self) -> _Kept:
        """What the file holds; reads it the first time."""
        if self._path in self._kept:
            return self._kept[self._path]
        try:
            text = self._text()
            # Not splitlines: a reply may hold other line separators than this one.
            first, *rest = text.rstrip("\n").split("\n")
            head = json.loads(first)
            kept = _Kept({name: head[name] for name in ("model", "kind", "constrains")})
            kept.head["calls_tools"] = head.get("calls_tools", False)
            for line in rest:
                kept.add(json.loads(line))
        except OSError as error:
            raise ModelError(f"can't read the recorded replies {self._path}: {error.strerror}") from error
        except (ValueError, TypeError, LookupError) as error:
            raise ModelError(f"{self._path} is not a file of recorded replies ({error})") from error
        return self._kept.setdefault(self._path, kept)


@contextmanager
def _locked(file: IO[bytes], how: int) -> Iterator[None]:
    """Hold the lock of a file, for a moment, against threads and processes alike."""
    fcntl.flock(file, how)
    try:
        yield
    finally:  # said, and not left to the end of the file: a fork may have a copy of it
        fcntl.flock(file, fcntl.LOCK_UN)


def _asked(request: ModelRequest, length: int) -> str:
    """The beginning of a request's last message, for people to read."""
    return " ".join(request.messages[-1].text.split())[:length] if request.messages else ""


def _turn(message: Message) -> list[Any]:
    turn: list[Any] = [message.role, message.text]
    if message.calls or message.answers is not None:
        turn += [[[call.id, call.name, call.arguments] for call in message.calls], message.answers]
    return turn


def _exact(request: ModelRequest) -> str:
    return _digest(request, map(_turn, request.messages))


def _loose(request: ModelRequest) -> str:
    return _digest(request, (_NUMBER.sub("0", json.dumps(_turn(message))) for message in request.messages))


def _digest(request: ModelRequest, turns: Iterable[object]) -> str:
    """A digest of the turns, and of what else a reply depends on where it is left to chance."""
    chance = [["temperature", request.temperature, request.seed]] if request.temperature else []
    return hashlib.sha256(json.dumps([*chance, *turns]).encode()).hexdigest()[:32]
