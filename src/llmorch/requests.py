"""What a model is asked: values that techniques make and adapters read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is asked: a conversation and how its reply is bounded.

    ``grammar`` (GBNF) constrains the reply where the adapter's ``constrains`` is true
    and is ignored elsewhere. ``cached`` counts the messages at the beginning that stay
    the same from query to query, so that an adapter may keep what it computed for them.
    """

    messages: tuple[Message, ...]
    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int = 0
    grammar: str | None = None
    cached: int = 0
