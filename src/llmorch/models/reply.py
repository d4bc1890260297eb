"""A reply while it arrives: what the chunks of a stream come to, within what was asked for.

A field of another type than the protocol's is as if it weren't there, and
a reply that is larger than one of so many tokens can be is ``TooMuch``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch.models.called import Calls
from llmorch.models.events import TooMuch
from llmorch.models.reasons import said_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from llmorch.models.model import ToolCall

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
_THOUGHTS = ("reasoning_content", "reasoning")
_SPOKEN = ("text", "output_text")
_HEAD = 32
"""Pieces of a text by which it is known whether it is one of calls."""
_THOUGHT = 1 << 20
"""Characters of thoughts that are kept, to be sent back."""
_THOUGHT_PIECES = 1 << 16
"""Chunks with thoughts that any reply may have beside those without a word."""
_MOST_TOKENS = 10**9
"""A figure beyond it is none."""


class Reported(Exception):
    """An error that an endpoint reports amid its reply, in its words."""


_GOOD = frozenset(
    ["stop", "tool_calls", "function_call", "end_turn", "eos", "eos_token", "stop_sequence", "complete"]
)
"""Ends of a reply that is whole."""
_CUT_OFF = frozenset(["length", "model_length", "max_tokens"])
_WITHHELD = frozenset(["content_filter", "safety", "recitation", "blocklist", "prohibited_content"])


class ReplyReader:
    """Puts a reply to a request of so many tokens together from its chunks; ``tools`` are the names that it offers."""

    def __init__(self, max_tokens: int, tools: Collection[str] = ()) -> None:
        self._max_tokens = max_tokens
        self._left_mute = max_tokens * _MUTE_A_TOKEN
        self._left_thoughts = _THOUGHT_PIECES
        self._left_bytes = _BYTES + max_tokens * _BYTES_A_TOKEN
        self._left_text = max(_SHORT, max_tokens * _CHARACTERS_A_TOKEN)
        self._calls = Calls(tools)
        self._held: list[str] | None = [] if tools else None
        """The text so far, where it may turn out to be calls."""
        self._thought: list[str] = []
        self._field = ""
        self._left_thought = _THOUGHT
        self.whole = False
        """Whether it doesn't come in pieces."""
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
        choices = _dicts(chunk.get("choices"))
        for told in (chunk, *choices):
            if error := told.get("error"):
                raise Reported(said_in(error) or "an error")
        self.heard = True
        self._mute(1)
        usage = _dict(chunk.get("usage"))
        for name in ("prompt_tokens", "input_tokens"):
            self.input_tokens = _tokens(usage.get(name), self.input_tokens)
        for name in ("completion_tokens", "output_tokens"):
            self.output_tokens = _tokens(usage.get(name), self.output_tokens)
        # The chunk with the usage has no choice, and some endpoints send others without.
        for at, choice in enumerate(choices):
            self._mute(1 if at else 0)
            if reason := choice.get("finish_reason"):
                self.reason = _text(reason).lower() or "stop"
            # An endpoint that doesn't stream sends the whole message.
            delta = _dict(choice.get("delta")) or (_dict(choice.get("message")) if self.whole else {})
            if refusal := _text(delta.get("refusal")):
                self._mute(len(refusal))
                self._refusal.append(refusal)
            for call in _dicts(delta.get("tool_calls")):
                self._extend(call)
            for name in _THOUGHTS:
                if thought := _text(delta.get(name)):
                    self._think(thought, name)
            if delta.get("content"):
                self._left_mute += 1
            elif self._left_thoughts and any(delta.get(name) for name in _THOUGHTS):
                self._left_mute += 1
                self._left_thoughts -= 1
            if text := _content(delta.get("content")):
                self._left_text -= len(text)
                if self._left_text < 0:
                    raise TooMuch(f"has more text than {self._max_tokens:,} tokens can have")
                self.length += len(text)
                yield from self._let(text)

    @property
    def refusal(self) -> str:
        """The model's words where it refuses."""
        return "".join(self._refusal)

    @property
    def thought(self) -> tuple[str, str]:
        """What it thought beside the text, and the name of the field that had it."""
        return "".join(self._thought), self._field

    @property
    def cut_off(self) -> bool:
        """Whether the limit of tokens ended it."""
        return self.reason in _CUT_OFF

    @property
    def withheld(self) -> bool:
        """Whether a filter ended it."""
        return self.reason in _WITHHELD

    @property
    def broken(self) -> str:
        """Why it ended, if that isn't how a reply ends."""
        reason = self.reason or ""
        return "" if reason in _GOOD or self.cut_off or self.withheld else reason

    def rest(self) -> str:
        """The text that was held back and is no call after all."""
        text = "".join(self._held or ())
        return "" if text and self._written() else text

    def calls(self) -> list[tuple[ToolCall, Any]]:
        """The tool calls, now that they are whole, each with what has to be sent back beside it."""
        return self._calls.whole() or [(call, None) for call in self._written()]

    def _written(self) -> list[ToolCall]:
        text = "".join(self._held or ())
        return self._calls.written(text) if text and not len(self._calls) else []

    def _let(self, text: str) -> Iterator[str]:
        """The text that is surely none of calls."""
        if self._held is None:
            yield text
            return
        self._held.append(text)
        if len(self._held) < _HEAD and not self._calls.perhaps_written("".join(self._held[:_HEAD])):
            text, self._held = "".join(self._held), None
            yield text

    def _think(self, thought: str, name: str) -> None:
        self._field = self._field or name
        if name == self._field and self._left_thought > 0:
            self._left_thought -= len(thought)
            self._thought.append(thought)

    def _extend(self, delta: dict[str, Any]) -> None:
        """Add a piece of a tool call to those that have begun."""
        begun = len(self._calls)
        self._mute(1 + self._calls.take(delta))
        if len(self._calls) > begun:
            self._mute(_A_CALL * _MUTE_A_TOKEN)

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


def _content(said: object) -> str:
    """The text of a delta's content, of which some endpoints make a list of parts: thoughts are no text."""
    if not isinstance(said, list):
        return _text(said)
    parts = (
        _text(one.get("text")) if isinstance(one, dict) and one.get("type", "text") in _SPOKEN else _text(one)
        for one in said
    )
    return "".join(parts)


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
