"""A reply while it arrives: what the chunks of a stream come to, within what was asked for.

A field of another type than the protocol's is as if it weren't there, and
a reply that is larger than one of so many tokens can be is ``TooMuch``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmorch.models.events import TooMuch
from llmorch.models.model import ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator

_MUTE_A_TOKEN = 20
"""Chunks without text, or characters of tool calls, for each token that a reply may have."""
_A_CALL = 4
"""Tokens that a tool call takes at least."""
_CHARACTERS_A_TOKEN = 128
"""The longest token there is in a vocabulary."""
_SHORT = 1 << 16
"""Characters that any reply may have: some endpoints ignore the limit of tokens."""
_BYTES, _BYTES_A_TOKEN = 4 << 20, 1 << 14
"""What a reply may be in bytes, and more for each token: a chunk of one token may hold a lot beside it."""
_MOST_TOKENS = 10**9
"""A figure beyond it is none."""


class Reported(Exception):
    """An error that an endpoint reports amid its reply, in its words."""


@dataclass(slots=True)
class _Call:
    """A tool call while it arrives."""

    id: str = ""
    name: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)


class ReplyReader:
    """Puts a reply to a request of so many tokens together from its chunks."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._left_mute = max_tokens * _MUTE_A_TOKEN
        self._left_bytes = _BYTES + max_tokens * _BYTES_A_TOKEN
        self._left_text = max(_SHORT, max_tokens * _CHARACTERS_A_TOKEN)
        self._calls: dict[int, _Call] = {}
        self._by_id: dict[str, int] = {}
        self._refusal: list[str] = []
        self.heard = False
        """Whether any chunk came."""
        self.reason: str | None = None
        """Why the reply ended."""
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.length = 0
        """The reply's characters."""

    def count(self, size: int) -> None:
        """Account for bytes that arrived."""
        self._left_bytes -= size
        if self._left_bytes < 0:
            raise TooMuch(f"has more bytes than {self._max_tokens:,} tokens can have")

    def take(self, chunk: dict[str, Any]) -> Iterator[str]:
        """Account for a chunk; its pieces of text."""
        if error := chunk.get("error"):
            raise Reported(_text(error.get("message") if isinstance(error, dict) else error) or "an error")
        self.heard = True
        self._mute(1)
        usage = _dict(chunk.get("usage"))
        self.input_tokens = _tokens(usage.get("prompt_tokens"), self.input_tokens)
        self.output_tokens = _tokens(usage.get("completion_tokens"), self.output_tokens)
        # The chunk with the usage has no choice, and some endpoints send others without.
        for at, choice in enumerate(_dicts(chunk.get("choices"))):
            self._mute(1 if at else 0)
            if reason := choice.get("finish_reason"):
                self.reason = _text(reason) or "stop"
            delta = _dict(choice.get("delta"))
            if refusal := _text(delta.get("refusal")):
                self._mute(len(refusal))
                self._refusal.append(refusal)
            for call in _dicts(delta.get("tool_calls")):
                self._extend(call)
            if text := _text(delta.get("content")):
                self._left_mute += 1
                self._left_text -= len(text)
                if self._left_text < 0:
                    raise TooMuch(f"has more text than {self._max_tokens:,} tokens can have")
                self.length += len(text)
                yield text

    @property
    def refusal(self) -> str:
        """The model's words where it refuses."""
        return "".join(self._refusal)

    def calls(self) -> list[ToolCall]:
        """The tool calls, now that they are whole."""
        return [
            ToolCall(call.id or f"call_{at}", "".join(call.name), "".join(call.arguments))
            for at, call in self._calls.items()
        ]

    def _extend(self, delta: dict[str, Any]) -> None:
        """Add a piece of a tool call to those that have begun."""
        function = _dict(delta.get("function"))
        id_, name, arguments = (
            _text(said) for said in (delta.get("id"), function.get("name"), function.get("arguments"))
        )
        at = self._which(delta.get("index"), id_)
        call = self._calls[at]
        self._mute(1 + len(name) + len(arguments) + (0 if call.id else len(id_)))
        if id_ and not call.id:
            call.id = id_
            self._by_id[id_] = at
        call.name.append(name)
        call.arguments.append(arguments)

    def _which(self, index: object, id_: str) -> int:
        """Which of the calls a piece belongs to; a new one begins here."""
        # Some endpoints give every call the index 0, or none: another id is another call.
        calls = self._calls
        at = index if isinstance(index, int) else len(calls) - 1
        if id_ and at in calls and calls[at].id != id_:
            at = self._by_id.get(id_, max(calls) + 1)
        elif not id_ and at in calls:
            at = at if isinstance(index, int) else max(calls)
        at = max(at, 0)
        if at not in calls:
            self._mute(_A_CALL * _MUTE_A_TOKEN)
            calls[at] = _Call()
        return at

    def _mute(self, amount: int) -> None:
        self._left_mute -= amount
        if self._left_mute < 0:
            raise TooMuch("goes on and on without a word")


def says_something(chunk: dict[str, Any]) -> bool:
    """Whether a chunk is part of a reply, thoughts that nobody sees among them, and no mere sign of life."""
    if _dict(chunk.get("usage")):
        return True
    for choice in _dicts(chunk.get("choices")):
        delta = _dict(choice.get("delta"))
        if choice.get("finish_reason") or any(said for key, said in delta.items() if key != "role"):
            return True
    return False


def _text(said: object) -> str:
    return said if isinstance(said, str) else ""


def _dict(said: object) -> dict[str, Any]:
    return said if isinstance(said, dict) else {}


def _dicts(said: object) -> list[dict[str, Any]]:
    return [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []


def _tokens(said: object, known: int | None) -> int | None:
    """A figure of tokens, if it is one."""
    good = isinstance(said, int) and not isinstance(said, bool) and 0 <= said <= _MOST_TOKENS
    return said if good else known  # type: ignore[return-value]
