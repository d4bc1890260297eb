"""The prompts of calls inside a plan, such as ``self``'s: how the model is asked, and what counts as a reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.errors import ModelError
from llmorch.requests import Message, ModelRequest

if TYPE_CHECKING:
    from llmorch.requests import Usage
    from llmorch.runtime.conversation import Conversing

ANSWER_TOKENS = 384
"""The longest reply to a prompt inside a plan, such as ``self``'s."""

_ANSWERING = Message("system", "Do what the prompt asks, from what it gives. Answer exactly and briefly.")


def prompting(prompt: str) -> ModelRequest:
    """The request that a prompt inside a plan is."""
    return ModelRequest((_ANSWERING, Message("user", prompt)), max_tokens=ANSWER_TOKENS)


async def replied(conversing: Conversing, prompt: str, notes: dict[str, str], asker: Usage) -> str:
    """The reply to a prompt inside a plan; ``notes`` learns of one that was cut off, ``asker`` what it cost.

    Raises ``ModelError`` for a reply with nothing in it.
    """
    reply = await conversing.ask(prompting(prompt), asker)
    text = reply.text.strip()
    shown = " ".join(prompt.split())[:60]
    if not text:
        raise ModelError(f"{conversing.model.name} replied with nothing to {shown!r}")
    if reply.reason == "length":
        notes[prompt] = f"the reply to {shown!r} was cut off after {ANSWER_TOKENS} tokens"
    return text
