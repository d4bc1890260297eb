"""What the core knows of one call, and of calls that ran before the plan was revised.

``Earlier`` decides which of those the new plan still makes, ``Unwanted`` which it must not
make. Neither knows what becomes of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from llmorch.calls import Plan
from llmorch.errors import IllegalEvent
from llmorch.plan import render_call, render_without_id, with_ids
from llmorch.relations import NOTHING, in_one_form
from llmorch.schedule.room import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.relations import Touch

Status = Literal["planned", "submitted", "running", "completed", "failed", "skipped", "unused", "cancelled"]
Attempt = tuple["CallId", int]
"""One attempt to make a call: its id, and which attempt it is."""

NOWHERE = Place()
OPEN: frozenset[Status] = frozenset(("planned", "submitted", "running"))
"""How a call stands that hasn't come to an end."""
_MAY_BECOME: Mapping[Status, tuple[Status, ...]] = {
    "planned": ("submitted", "completed", "failed", "skipped", "unused", "cancelled"),
    "submitted": ("running", "unused", "cancelled"),
    "running": ("completed", "failed", "cancelled"),
}
"""What may come of a call. One that is complete at once is made by another, one that fails at once is refused."""
_ENDINGS: tuple[Status, ...] = ("failed", "running", "completed")
"""How an attempt may stand that a new plan can take over, the most useful last."""


@dataclass(slots=True, eq=False)
class Shared:
    """The place of calls that were dispatched as one: it is theirs until the last of them has ended."""

    running: int


@dataclass(slots=True)
class Planning:
    """A time in which a local model worked on the plan, and the processor that it was given, if any was idle."""

    began: float
    processors: tuple[int, ...]
    ended: float | None = None


@dataclass(slots=True)
class CallState:
    """What the core knows of one call; times are the driver's, in seconds.

    ``skipped`` is a call that can't run because one it depends on failed, ``unused`` one
    whose result nobody wants. ``inputs`` are the attempts whose results it uses.
    """

    call: FunctionCall
    attempt: int = 1
    inputs: tuple[Attempt, ...] = ()
    status: Status = "planned"
    place: Place = NOWHERE
    known: float | None = None
    """When it was in the plan."""
    submitted: float | None = None
    dispatched: float | None = None
    completed: float | None = None
    error: str | None = None
    touch: Touch = NOTHING
    """What it touches, as far as that was known when the plan was revised."""
    same_as: CallId | None = None
    """The call whose result is its own: it isn't made itself."""
    shared: Shared | None = field(default=None, repr=False, compare=False)
    """What it has in common with the calls that are made as one with it."""

    def become(self, status: Status, at: float | None = None, error: str | None = None) -> None:
        """Change how the call stands, at a time where it has one: nothing else does.

        Raises ``IllegalEvent`` for what it can't become.
        """
        if status not in _MAY_BECOME.get(self.status, ()):
            raise IllegalEvent(f"{self.call.id} can't be {status}: its state is {self}")
        if status == "running":
            self.dispatched = at
        elif status == "submitted":
            self.submitted = at
        else:
            self.completed, self.error = at, error
            if status == "unused":
                self.submitted = None
        self.status = status

    def leave(self) -> bool:
        """Take note that it runs no more; whether its place is free then."""
        if self.shared is None:
            return True
        self.shared.running -= 1
        return not self.shared.running

    @property
    def processor(self) -> int | None:
        """The processor it runs on, or the first of several; ``None`` for an inout call."""
        return self.place.processors[0] if self.place.processors else None

    @property
    def key(self) -> Attempt:
        """What tells this attempt from every other."""
        return self.call.id, self.attempt


class Earlier:
    """The calls of plans before a revision that were started, until the new plan is known.

    Two attempts have the same story when they call the same function with the same
    arguments and inputs of the same stories; ids are no part of it, nor are the order of
    named arguments and defaults that are written out.
    """

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = functions
        self._states: dict[Attempt, CallState] = {}
        self._stories: dict[tuple[str, tuple[int, ...]], int] = {}
        self._told: dict[Attempt, int] = {}
        """The story of every attempt that was ever taken."""
        self._was: dict[CallId, Attempt] = {}
        """Which attempt a call of the new plan was before."""

    def add(self, states: Iterable[CallState]) -> None:
        """Take the calls of the plan that is void now, in its order."""
        for state in states:
            # One that was refused, its effect being made already, may use what never ended.
            if state.status in _ENDINGS and self._told.keys() >= set(state.inputs):
                self._states[state.key] = state
                inputs = tuple(self._told[attempt] for attempt in state.inputs)
                self._told[state.key] = self._story(state.call, inputs)
        self._was.clear()

    def find(self, attempt: Attempt) -> CallState | None:
        """The state of an attempt, if the new plan doesn't make it yet."""
        return self._states.get(attempt)

    def kept(self, call: CallId) -> bool:
        """Whether a call of the new plan was made before."""
        return call in self._was

    def match(self, call: FunctionCall) -> CallState | None:
        """An attempt of the same story: of the same id if there is one, else the most useful.

        What the call uses must be kept itself. A failure is only that of the same id: under
        another one the call is meant to be tried again.
        """
        if not self._states or any(used not in self._was for used in call.uses):
            return None
        story = self._story(call, tuple(self._told[self._was[used]] for used in call.uses))
        alike = [
            state
            for key, state in self._states.items()
            if self._told[key] == story
            and state.same_as is None
            and (state.status != "failed" or state.call.id == call.id)
        ]
        return max(
            alike,
            key=lambda state: (state.call.id == call.id, _ENDINGS.index(state.status)),
            default=None,
        )

    def share(self, call: CallId, same_as: CallId) -> None:
        """Know that a call of the new plan is the same as another one of it."""
        if same_as in self._was:
            self._was[call] = self._was[same_as]

    def keep(self, state: CallState, call: FunctionCall) -> None:
        """Hand an attempt over to the new plan, where ``call`` is it."""
        del self._states[state.key]
        self._was[call.id] = state.key

    def drop(self) -> list[CallState]:
        """Forget everything that the new plan doesn't make; return it."""
        left, self._states = list(self._states.values()), {}
        return left

    def __iter__(self) -> Iterator[CallState]:
        return iter(self._states.values())

    def _story(self, call: FunctionCall, inputs: tuple[int, ...]) -> int:
        (nameless,) = with_ids(Plan((call,)), {used: f"s{at}" for at, used in enumerate(call.uses)})
        text = render_without_id(in_one_form(nameless, self._functions[call.function]))
        return self._stories.setdefault((text, inputs), len(self._stories))


class Unwanted:
    """The calls that the caller has cancelled: no later plan makes one of them again, under any id."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = functions
        self._ids: dict[str, CallId] = {}
        self._known: set[CallId] = set()
        """The ids of plans before a revision: a call of one of these that is alike is another call."""

    def add(self, call: FunctionCall) -> None:
        """Take a call that was cancelled."""
        self._ids[self._text(call)] = call.id

    def revised(self, calls: Iterable[CallId]) -> None:
        """Note the calls of the plan that is void now."""
        self._known.update(calls)

    def __contains__(self, call: FunctionCall) -> bool:
        was = self._ids.get(self._text(call)) if self._ids else None
        return was is not None and (was == call.id or call.id not in self._known)

    def _text(self, call: FunctionCall) -> str:
        return render_without_id(in_one_form(call, self._functions[call.function]))


def written(call: FunctionCall, function: Function) -> str:
    """A call in one form, however its arguments are ordered, and without those that are the default."""
    return render_call(in_one_form(call, function))
