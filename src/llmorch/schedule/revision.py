"""What a revision of the plan keeps apart: what began before it, and what may not be made after it.

``Earlier`` decides which attempts the new plan still makes, ``Unwanted`` which calls it must
not make, ``Void`` which it may not make again. None of them knows what becomes of the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmorch.calls import Plan
from llmorch.plan import render_call, render_without_id, with_ids
from llmorch.relations import in_one_form

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from llmorch.calls import CallId, FunctionCall
    from llmorch.declare.functions import Function
    from llmorch.records import Status
    from llmorch.relations import Touch
    from llmorch.schedule.state import Attempt, CallState

_USEFUL: tuple[Status, ...] = ("failed", "running", "completed")
"""How an attempt may stand that a new plan can take over, the most useful last."""


class Earlier:
    """The attempts of plans before a revision, until the new plan is known.

    Two attempts have the same story when they call the same function with the same
    arguments and inputs of the same stories; ids are no part of it, nor are the order of
    named arguments and defaults that are written out.
    """

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = functions
        self._states: dict[Attempt, CallState] = {}
        self._stories: dict[tuple[str, tuple[int, ...]], int] = {}
        self._story_of: dict[Attempt, int] = {}
        """The story of every attempt that was ever taken."""
        self._was: dict[CallId, Attempt] = {}
        """Which attempt a call of the new plan was before."""

    def add(self, states: Iterable[CallState]) -> None:
        """Take the calls of the plan that is void now, in its order."""
        for state in states:
            # One that was refused, its effect being made already, may use what never ended.
            if state.status in _USEFUL and self._story_of.keys() >= set(state.inputs):
                self._states[state.key] = state
                inputs = tuple(self._story_of[attempt] for attempt in state.inputs)
                self._story_of[state.key] = self._story(state.call, inputs)
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
        story = self._story(call, tuple(self._story_of[self._was[used]] for used in call.uses))
        alike = [
            state
            for key, state in self._states.items()
            if self._story_of[key] == story
            and state.same_as is None
            and (state.status != "failed" or state.call.id == call.id)
        ]
        return max(
            alike,
            key=lambda state: (state.call.id == call.id, _USEFUL.index(state.status)),
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


class Void:
    """The calls of plans that are void, by their text: what they touched, and which may not be made again."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = functions
        self._unrepeatable: dict[str, CallState] = {}
        self._touches: dict[tuple[str, Sequence[Attempt]], Touch] = {}

    def add(self, state: CallState, named_by: Sequence[Attempt]) -> None:
        """Take a call; ``named_by`` are the attempts whose results decide what it touches."""
        function = self._functions[state.call.function]
        text = self._text(state.call)
        self._touches[text, named_by] = state.touch
        again = function.retryable if state.status == "failed" else function.repeatable
        if state.dispatched is not None and not again:
            self._unrepeatable[text] = state

    def unrepeatable(self, call: FunctionCall) -> CallState | None:
        """The attempt after which this call may not be made again, if there was one."""
        return self._unrepeatable.get(self._text(call)) if self._unrepeatable else None

    def touch(self, call: FunctionCall, named_by: Sequence[Attempt]) -> Touch | None:
        """What a call touches, as far as was known of results."""
        return self._touches.get((self._text(call), named_by)) if self._touches else None

    def _text(self, call: FunctionCall) -> str:
        return render_call(in_one_form(call, self._functions[call.function]))
