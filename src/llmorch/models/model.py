"""The port to a language model: what an adapter is asked, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import getattr_static
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from llmorch.requests import Message, ModelRequest, Role, Tool, ToolCall
from llmorch.values import short

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from llmorch.declare.functions import Kind

__all__ = ["Finished", "Message", "Model", "ModelRequest", "Piece", "Role", "Text", "Tool", "ToolCall"]


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the reply, as it arrives."""

    __repr__ = short

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a reply: why it ended and what it cost, in tokens.

    ``reason`` is ``"stop"`` when the model ended by itself and ``"length"`` when the
    limit of tokens cut it off. ``notes`` say what the adapter had to do otherwise than asked.
    """

    __repr__ = short

    reason: Literal["stop", "length"]
    input_tokens: int
    output_tokens: int
    notes: tuple[str, ...] = ()


Piece: TypeAlias = Text | ToolCall | Finished
"""What a reply arrives in."""


class Model(Protocol):
    """A language model.

    An implementation promises five things, and ``llmorch.testing.models`` holds anybody's
    implementation to them:

    * ``stream`` yields any number of ``Text`` and ``ToolCall`` and then one ``Finished``;
    * whatever goes wrong is a ``ModelError`` with a message of one line, ``ToolsRefused``
      where it is only that this model takes no tools;
    * closing the iterator early stops the generation, not only the reading;
    * ``close`` may be called twice and from any event loop, and leaves no process behind; who
      is being answered meanwhile gets all of the reply or a ``ModelError``, and isn't left waiting;
    * many event loops, of many threads, may ask at once, and each gets the reply to its own
      request; what a forked process asks is answered, or is a ``ModelError``, and neither it nor
      its end disturbs what its parent has.
    """

    @property
    def name(self) -> str:
        """What a person calls this model: ``local``, ``openai:gpt-4.1``."""

    @property
    def kind(self) -> Kind:
        """``compute`` if it occupies this machine's processors while it runs."""

    @property
    def constrains(self) -> bool:
        """Whether replies can be constrained by a GBNF grammar."""

    @property
    def calls_tools(self) -> bool:
        """Whether the model may be offered ``tools``, and reply with ``ToolCall``."""

    def stream(self, request: ModelRequest) -> AsyncIterator[Piece]:
        """Reply to ``request``, piece by piece."""

    async def close(self) -> None:
        """End what the adapter started; a later ``stream`` starts it again."""


def is_model(said: object) -> bool:
    """Whether it has all that a ``Model`` has, itself or by its ``__getattr__``; else nothing of it is asked for."""
    names = ("name", "kind", "constrains", "calls_tools", "stream", "close")
    return not isinstance(said, type) and all(
        getattr_static(said, name, None) is not None or getattr(said, name, None) is not None
        for name in names
    )


@runtime_checkable
class ReadsAhead(Protocol):
    """A model that can read the beginning of a prompt before all of it is known.

    That spares what an idle model would do later, and changes no reply.
    """

    async def read_ahead(self, request: ModelRequest) -> None:
        """Read a request that another one will begin like. May be cancelled."""
