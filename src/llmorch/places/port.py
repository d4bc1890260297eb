"""The port to the places where calls run: a job in, an end out for each of its calls, and a way to cancel.

Decides nothing: it says what every place promises, whether that is a thread, the event loop, a
worker process or another machine. ``llmorch.testing.places`` holds an implementation to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from llmorch.declare.text import kind_name
from llmorch.values import sized, value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.errors import CallError
    from llmorch.requests import Usage


@runtime_checkable
class Handle(Protocol):
    """A value, wherever it is: here, in a file of shared memory, on another machine.

    Only its own kind of place knows more of it. ``text`` is what a model sees instead of
    the value where its function says so, and ``why`` is why there is no such text although it does.
    """

    text: str | None
    why: str

    @property
    def here(self) -> bool:
        """Whether the value is an object of this process: to open it costs nothing."""

    @property
    def what(self) -> str:
        """What it is, in a few words, without opening it."""

    def open(self) -> Any:
        """The value. It is fetched once, and is here from then on. Raises ``CallError``."""

    def close(self) -> None:
        """Free what it holds elsewhere: nobody opens it any more. May take long, and be called on any thread."""


@dataclass(slots=True)
class Here:
    """The handle of an object of this process. Its own text names the type: nobody asked for the value's."""

    value: Any
    text: str | None = None
    why: str = ""
    here: ClassVar[bool] = True

    @property
    def what(self) -> str:
        """The type's name."""
        return kind_name(self.value)

    def __repr__(self) -> str:
        return f"Here({sized(self.value)})"

    def open(self) -> Any:
        """The object."""
        return self.value

    def close(self) -> None:
        """Free nothing: all of it is here."""


@value(eq=False)
class Job:
    """Calls of one function that are made in one place: one call, or several as one by its batch form.

    ``inputs`` are the results that the arguments use, by id: the place evaluates arguments where
    those values are. ``processors`` are the numbers of those that the job occupies, none for calls that
    wait, and ``device`` is the number of its GPU.
    """

    function: Function
    calls: tuple[FunctionCall, ...]
    inputs: Mapping[CallId, Handle]
    processors: tuple[int, ...] = ()
    device: int | None = None


@value(eq=False)
class End:
    """What a call came to: a value, or the error of which it failed; and what it asked of a model."""

    value: Handle | None = None
    error: CallError | None = None
    usage: Usage | None = field(default=None, kw_only=True)


class Work(Protocol):
    """A job that was begun."""

    def cancel(self) -> bool:
        """Stop the work, not only the waiting; false where that can't be done (a thread). May be called twice."""


class Place(Protocol):
    """Where calls run.

    An implementation promises:

    * ``begin`` returns at once, and is called on a running event loop, of any thread. ``ended`` is
      called once, later, on that loop, with one ``End`` for each call of the job, in order: an
      exception of a function is a ``CallError`` there, and never raised.
    * ``ended`` comes when nothing of the job runs any more, also of one that was cancelled: then within
      30 seconds, after which nobody waits for it. Where
      ``Work.cancel`` returned false it comes when the work is over by itself, on any thread, even after
      the loop has ended.
    * A call past the ``timeout`` of its function is stopped, and ends with a ``CallError``.
    * Jobs that are begun run beside each other: how many there may be isn't the place's to decide,
      and two never have the same processor, but for one that is cancelled and hasn't ended.
    * ``close`` stops what runs and leaves nothing behind; it may be called twice, from any event loop. A job
      that is begun after it fails.
    """

    def begin(self, job: Job, ended: Callable[[Sequence[End]], None]) -> Work:
        """Start a job."""

    async def close(self) -> None:
        """Stop what runs, and give back what is held."""
