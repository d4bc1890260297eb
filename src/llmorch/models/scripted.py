"""A model that says what it was given to say: for tests and examples, ours and anybody's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmorch.arguments import LONGEST, choice, number, refuse, truth, whole
from llmorch.errors import ModelError
from llmorch.models.model import Finished, ModelRequest, Piece, Text, ToolCall

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from llmorch.declare.functions import Kind

Reply = str | Exception | ToolCall | Iterable[str | Exception | ToolCall]
"""A text, an exception to raise, a tool call, or the pieces in which a reply arrives, any of these."""


class ScriptedModel:
    """A model with prepared replies.

    ``replies`` holds one reply a request, or is a function from request to reply.
    ``delay`` is the seconds before each piece, ``chunk`` the characters in a piece, and
    ``requests`` has every request so far. ``calls_tools`` says that it may be offered tools.

    Several threads and event loops may ask at once: each reply is given once. A forked process
    goes on with a copy, so that parent and child each give the replies that were left.
    """

    name = "scripted"
    constrains = False

    def __init__(
        self,
        replies: Sequence[Reply] | Callable[[ModelRequest], Reply],
        *,
        delay: float = 0.0,
        kind: Kind = "inout",
        chunk: int = 12,
        calls_tools: bool = False,
    ) -> None:
        if not callable(replies) and (
            not isinstance(replies, Sequence) or isinstance(replies, str | bytes | bytearray)
        ):
            refuse("replies", "a list of replies, or a function from request to reply", replies)
        for reply in () if callable(replies) else replies:
            _check(reply)
        number("delay", delay, most=LONGEST)
        choice("kind", kind, ("inout", "compute"))
        whole("chunk", chunk, 1, 2**63)
        truth("calls_tools", calls_tools)
        self.requests: list[ModelRequest] = []
        self._replies = replies if callable(replies) else None
        # The next reply is the last: to take it from there is done at once, whatever threads there are.
        self._left: list[Reply] = [] if callable(replies) else [*replies][::-1]
        self._count = len(self._left)
        self._closed = 0
        self._delay = delay
        self._chunk = chunk
        self.kind = kind
        self.calls_tools = calls_tools

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Play the next reply, piece by piece."""
        self.requests.append(request)
        length, closed = 0, self._closed
        for piece in self._pieces(request):
            await asyncio.sleep(self._delay)
            if self._closed != closed:
                raise ModelError("scripted: was closed before the reply had ended; ask again")
            if isinstance(piece, Exception):
                raise piece
            length += len(piece.arguments if isinstance(piece, ToolCall) else piece)
            yield piece if isinstance(piece, ToolCall) else Text(piece)
        asked = sum(len(message.text) for message in request.messages)
        yield Finished("stop", asked // 4, length // 4)

    async def close(self) -> None:
        """End the replies that are being given."""
        self._closed += 1

    def _pieces(self, request: ModelRequest) -> Iterable[str | Exception | ToolCall]:
        if self._replies is not None:
            reply = self._replies(request)
            _check(reply)
        else:
            try:
                reply = self._left.pop()
            except IndexError:
                last = " ".join(request.messages[-1].text.split())[:80] if request.messages else ""
                raise ModelError(
                    f"scripted: no reply left: {self._count} were scripted "
                    f"and this is request {len(self.requests)}, {last!r}"
                ) from None
        if isinstance(reply, str):
            return [reply[i : i + self._chunk] for i in range(0, len(reply), self._chunk)]
        return [reply] if isinstance(reply, Exception | ToolCall) else reply


def _check(reply: Any) -> None:
    """Raise ``WrongArgument`` for what can't be replied."""
    several = isinstance(reply, list | tuple)
    if isinstance(reply, Iterable) and not (several or isinstance(reply, str | bytes | bytearray | Mapping)):
        return  # its pieces come while it is read
    for piece in reply if several else (reply,):
        if not isinstance(piece, str | Exception | ToolCall):
            refuse("a reply", "a text, an exception, a ToolCall, or a list of these", piece)
