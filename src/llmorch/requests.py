"""What a model is asked: values that techniques make and adapters read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function as a model with native tool calls is offered it; ``schema`` is JSON schema."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A native tool call as the model wrote it: ``arguments`` is JSON text, not checked yet."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    An assistant's turn may hold ``calls``; a turn of role ``tool`` has the result of the
    call whose id is ``answers``.
    """

    role: Role
    text: str
    calls: tuple[ToolCall, ...] = ()
    answers: str | None = None


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is asked: a conversation and how its reply is bounded.

    ``grammar`` (GBNF) constrains the reply where the adapter's ``constrains`` is true
    and is ignored elsewhere. ``cached`` counts the messages at the beginning that stay
    the same from query to query, so that an adapter may keep what it computed for them.
    ``stop`` are texts at which the reply ends, itself left out. ``tools`` are offered
    where the adapter's ``calls_tools`` is true.
    """

    messages: tuple[Message, ...]
    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int = 0
    grammar: str | None = None
    cached: int = 0
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()


@dataclass
class Usage:
    """What was asked of a model so far; ``seconds`` is the time spent waiting for it."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
