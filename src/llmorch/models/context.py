"""Prompts that are too long for a model's context: what is cut, so that the reply has room."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmorch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llmorch.models.model import ModelRequest

_TURN = 8  # tokens that a chat template puts around a message, rounded up
_TEMPLATE = 64  # and around all of them: Qwen's adds a system message where there is none
_LEAST = 64  # tokens of a message below which cutting it leaves nothing worth reading
_ROUNDS = 20


async def fit(request: ModelRequest, context: int, count: Callable[[str], Awaitable[int]]) -> ModelRequest:
    """The request, or one with the middle of its longest user message cut out, visibly.

    The prompt leaves room for ``max_tokens``, or for half the context if that is less. The
    constant messages at the beginning are the last to be cut.
    """
    messages = list(request.messages)
    room = context - min(request.max_tokens, context // 2) - _TEMPLATE - _TURN * len(messages)
    # A token is at least one byte, so most prompts are known to fit without being counted.
    if sum(len(message.text.encode()) for message in messages) <= room:
        return request
    tokens = [await count(message.text) for message in messages]
    excess = sum(tokens) - room
    if excess <= 0:
        return request
    users = [i for i, message in enumerate(messages) if message.role == "user"]
    varying = [i for i in users if i >= request.cached]
    longest = max(varying or users, key=tokens.__getitem__, default=None)
    if longest is not None:
        text, keep = messages[longest].text, tokens[longest] - excess
        share = keep / tokens[longest]
        for _ in range(_ROUNDS):
            if share * tokens[longest] < _LEAST:
                break
            shorter = cut(text, int(len(text) * share))
            if await count(shorter) <= keep:
                messages[longest] = replace(messages[longest], text=shorter)
                return replace(request, messages=tuple(messages))
            share *= 0.95  # what is left is denser than what was cut, and the mark needs tokens too
    raise ModelError(
        f"the prompt has {sum(tokens):,} tokens and the context {context:,}, of which the reply needs "
        f"{context - room:,}; offer fewer functions or ask for less"
    )


def cut(text: str, length: int) -> str:
    """``text`` without its middle, which a mark with its length stands for."""
    head = length // 2
    tail = length - head
    gone = len(text) - length
    return f"{text[:head]}\n[... {gone:,} characters cut ...]\n{text[len(text) - tail :]}"
