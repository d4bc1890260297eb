"""How OpenAI-compatible endpoints word turns, and what their chunks bring."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llmorch.requests import Message, ToolCall

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk
    from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall

_LONE = re.compile("[\\ud800-\\udfff]")


def worded(message: Message) -> dict[str, Any]:
    """A turn as the protocol has it."""
    # Without half characters: a file's name may have some, and a model's reply.
    worded: dict[str, Any] = {"role": message.role, "content": _LONE.sub("\ufffd", message.text)}
    if message.answers is not None:
        worded["tool_call_id"] = message.answers
    if message.calls:
        worded["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.calls
        ]
    return worded


def extend(calls: dict[int, ToolCall], delta: ChoiceDeltaToolCall) -> None:
    """Add a piece of a tool call to those that have begun."""
    # Some endpoints give every call the index 0, or none: another id is another call.
    at = len(calls) - 1 if delta.index is None else delta.index
    if delta.id and at in calls and calls[at].id != delta.id:
        at = next((known for known, call in calls.items() if call.id == delta.id), len(calls))
    elif not delta.id and at in calls:
        at = max(calls) if delta.index is None else at
    at = max(at, 0)
    begun = calls.get(at) or ToolCall("", "", "")
    function = delta.function
    calls[at] = ToolCall(
        begun.id or delta.id or f"call_{at}",
        begun.name + ((function and function.name) or ""),
        begun.arguments + ((function and function.arguments) or ""),
    )


def says_something(chunk: ChatCompletionChunk) -> bool:
    """Whether a chunk is part of a reply, thoughts that nobody is shown among them, and no mere sign of life."""
    return chunk.usage is not None or any(
        choice.delta.content
        or choice.finish_reason
        or choice.delta.tool_calls
        or choice.delta.refusal
        or any((choice.delta.model_extra or {}).values())
        for choice in chunk.choices or ()
    )
