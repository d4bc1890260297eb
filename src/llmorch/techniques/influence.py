"""Who may decide an effect: what a model wrote after it had read what comes from outside.

A plan that is written from the query alone can't have been written by a web page. Whatever the model
writes later may be: it is written *under influence*. Of that, a call with effects is made only where the
plan from the query had it, or somebody allows it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from llmorch.calls import FunctionCall, references
from llmorch.errors import EvaluationError, Influenced
from llmorch.plan import error_in, evaluate, render_without_id
from llmorch.plan.budget import Budget
from llmorch.plan.origins import Origins, untrusted_argument
from llmorch.values import short

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence

    from llmorch.calls import CallId
    from llmorch.declare.functions import Function
    from llmorch.records import Status

Rule: TypeAlias = Literal["refuse", "ask", "allow"]
"""What becomes of a call with effects that a model wrote under influence."""

MAX_TOLD = 200
"""Characters of a call in what is said of it."""
MAX_NOTES = 20
"""Calls of one run of which something is said; of the others, how many they are."""
_OVER = ("failed", "skipped", "unused")
_TOLD = ("completed", "failed")


@dataclass(frozen=True)
class Proposal:
    """A call with effects that a model wants made, after it has read what comes from outside.

    ``arguments`` are the values by parameter that the plan gives; what is made of other calls' results is
    only in ``written``, which has all arguments as the plan writes them. ``why`` says what was read.
    """

    __repr__ = short

    id: CallId
    function: str
    arguments: Mapping[str, Any]
    written: Mapping[str, str]
    why: str

    @classmethod
    def of(cls, call: FunctionCall, why: str) -> Proposal:
        """What is proposed with a call."""
        given = {}
        for name, argument in call.args.items():
            if next(references(argument), None) is None:
                with suppress(EvaluationError):  # then the call fails, if it is made
                    given[name] = evaluate(argument, {}, Budget())
        written = {
            name: render_without_id(FunctionCall("", "", {"": argument}))[2:-1]
            for name, argument in call.args.items()
        }
        return cls(call.id, call.function, given, written, why)


class Influence:
    """What the model of one run has read, and which of the calls that it wrote after that may be made.

    ``strict`` has functions of which nobody said what they touch count as ones with effects; ``told``
    says that the result tells of calls that nobody was asked about.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        rule: Rule = "refuse",
        *,
        strict: bool = False,
        told: bool = False,
    ) -> None:
        self.rule = rule
        self.read = ""
        """The call by which the first of what it has read came from outside; empty before."""
        self.refused: Mapping[CallId, str] = {}
        """The calls of the run as it is now that may not be made, and why."""
        self._noted: dict[str, None] = {}
        self._functions = functions
        self._trusting = any(item.trusted for item in functions.values())
        self._strict = strict
        self._told = told
        self._own: dict[CallId, FunctionCall] = {}
        """The calls that were run before it had read anything."""
        self._spent: dict[CallId, CallId] = {}
        """Those of them that were made, or for which another one was, and which was."""
        self._instead: dict[CallId, tuple[FunctionCall, CallId]] = {}
        """Calls that are made instead of one of these, and which."""
        self._over: set[CallId] = set()
        """The calls of the run that come to nothing any more."""

    @property
    def notes(self) -> list[str]:
        """What there is to say of calls that were refused, made without asking, or changed."""
        notes = list(self._noted)[:MAX_NOTES]
        left = len(self._noted) - len(notes)
        return [*notes, f"and {left} more such calls"] if left else notes

    def heard(self, calls: Iterable[tuple[FunctionCall, Status, bool]]) -> None:
        """Take note of what a technique is told: what it asks of the model from now on may hold it.

        ``calls`` are all of the run, in order, with how each stands, and whether it was begun.
        """
        self._over = set()
        origins = Origins()
        for call, status, begun in calls:
            _, own = self._instead.get(call.id, (call, call.id if self._planned(call) else ""))
            # It may have left something behind, or whoever cancelled it doesn't want it.
            if (begun and status != "failed") or status == "cancelled":
                self._spent[own] = call.id
            elif self._spent.get(own) == call.id:
                del self._spent[own]
            if status in _OVER:
                self._over.add(call.id)
                self._instead.pop(call.id, None)
            if not self.read:
                origins.take(call, untrusted=self._functions[call.function].untrusted is not False)
                if status in _TOLD and call.id in origins:
                    self.read = origins.told(call.id)

    def planned(self, calls: Iterable[FunctionCall]) -> tuple[FunctionCall, ...]:
        """Calls that are to be run, as ``marked``; the plan from the query alone is made of those that aren't."""
        if self.read:
            return self.marked(calls)
        calls = tuple(replace(call, influenced=False) if call.influenced else call for call in calls)
        self._own.update((call.id, call) for call in calls)
        return calls

    def unguarded(self, calls: Sequence[FunctionCall]) -> Sequence[FunctionCall]:
        """The first of these calls, up to one that isn't the model's to decide before all of the plan is known."""
        if not self.read or self.rule == "allow":
            return calls
        guarded = (at for at, call in enumerate(calls) if self._is_guarded(call))
        return calls[: next(guarded, len(calls))]

    def marked(self, calls: Iterable[FunctionCall]) -> tuple[FunctionCall, ...]:
        """Calls of which those are marked that were written under influence."""
        if not self.read:
            return tuple(calls)
        return tuple(call if self._planned(call) else replace(call, influenced=True) for call in calls)

    def undecided(
        self, calls: Collection[FunctionCall], ended: Collection[FunctionCall] = ()
    ) -> list[FunctionCall]:
        """Of the calls of a plan that is to be run, those that are not the model's to decide any more.

        They have effects, or arguments that have to be trusted, and what was planned from the query alone didn't
        have them. One of the same function, with the same trusted arguments, may be made instead of one that it had:
        as its repair, or if that one isn't made. ``ended`` are the calls of plans before this one.
        """
        if not self.read:
            return []
        new = [call for call in calls if not self._planned(call) and self._is_guarded(call)]
        known = {call.id: call for call in (*ended, *new)}
        self._instead = {id_: one for id_, one in self._instead.items() if known.get(id_) == one[0]}
        taken = self._spent | {own: id_ for id_, (_, own) in self._instead.items()}
        taken.update((call.id, call.id) for call in calls if self._planned(call))
        taken.update(
            (call.id, call.id) for call in ended if self._planned(call) and call.id not in self._over
        )
        roles = self._by(self._role)
        alike = self._by(self._alike)

        def repeated(call: FunctionCall) -> CallId | None:
            same = alike.get(self._alike(call)) if self._repeatable(call) else None
            return (_first(same, taken) or same[-1]) if same else None

        def free(call: FunctionCall) -> CallId | None:
            return _first(roles.get(self._role(call), []), taken)

        # Repairs come first, so that nothing else takes what they repair.
        for choose in (partial(self._repaired, taken=taken), repeated, free):
            for call in new:
                if call.id not in self._instead and (own := choose(call)) is not None:
                    self._instead[call.id] = call, own
                    taken[own] = call.id
        return [call for call in new if call.id not in self._instead]

    def from_outside(
        self, calls: Iterable[FunctionCall], ended: Iterable[FunctionCall] = ()
    ) -> dict[CallId, str]:
        """The calls with a trusted argument that comes from outside, and by which calls."""
        found: dict[CallId, str] = {}
        if not self._trusting:
            return found
        origins = Origins()
        for call in (*ended, *calls):
            function = self._functions[call.function]
            if wrong := untrusted_argument(call, function, origins):
                found[call.id] = (
                    f"{wrong[0]} of {call.function} may not come from outside, and does: {wrong[1]}"
                )
            influenced = call.influenced and self.rule != "allow"
            origins.take(call, untrusted=bool(function.untrusted) or influenced)
        return found

    def refuse(self, calls: Collection[FunctionCall], ended: Collection[FunctionCall] = ()) -> None:
        """Raise ``Influenced`` for the first call of a plan that is refused to the model."""
        for call in self.undecided(calls, ended) if self.rule == "refuse" else ():
            self.note(call, f"was not made: {self.why(call)}")
            hint = "leave it out: only what was planned from the query alone is made now"
            raise error_in(call, f"{call.function} can't be called now: {self.why(call)}", hint, Influenced)

    def why(self, call: FunctionCall) -> str:
        """Why a call is not the model's to decide."""
        what = "effects" if self._has_effects(call) else "arguments that have to be trusted"
        return (
            f"it has {what}, was written after {self.read} had been read, "
            "and is none that was planned before and is still to be made"
        )

    def note(self, call: FunctionCall, what: str) -> None:
        """Have the result say what became of a call."""
        self._noted[f"{render_without_id(call)[:MAX_TOLD]} {what}"] = None

    def allowed(self, call: FunctionCall) -> None:
        """Have the result say, once, that nobody was asked."""
        if self._told and not self._noted:
            self.note(
                call,
                f"was made, and may not be the only one: {self.why(call)}; confirm= asks for such calls, "
                'influence="refuse" makes none, influence="allow" makes them without this note',
            )

    def with_trusted(self, call: FunctionCall, before: FunctionCall) -> FunctionCall:
        """A call that is written instead of one of the same function keeps that one's trusted arguments."""
        if self.rule == "allow" or not self.read or call.function != before.function:
            return call
        trusted = self._functions[call.function].trusted
        others = {name: argument for name, argument in call.args.items() if name not in trusted}
        own = {name: argument for name, argument in before.args.items() if name in trusted}
        kept = replace(call, args=others | own)
        if self._role(kept) != self._role(call):
            names = " and ".join(trusted)
            self.note(
                kept, f"keeps {names} as planned: its repair was written after {self.read} had been read"
            )
        return kept

    def _planned(self, call: FunctionCall) -> bool:
        return self._own.get(call.id) == call

    def _repaired(self, call: FunctionCall, taken: Mapping[CallId, CallId]) -> CallId | None:
        """The planned call that this one repairs: another one may not be made for it, too."""
        own = self._own.get(call.id)
        if own is None or self._role(own) != self._role(call) or taken.get(own.id, call.id) != call.id:
            return None
        return own.id if own.id not in self._spent or self._repeatable(call) else None

    def _by(self, key: Callable[[FunctionCall], Hashable]) -> dict[Hashable, list[CallId]]:
        """The planned calls by what they share."""
        found: dict[Hashable, list[CallId]] = {}
        for call in reversed(self._own.values()):
            found.setdefault(key(call), []).append(call.id)
        return found

    def _repeatable(self, call: FunctionCall) -> bool:
        """Whether it may be made again after it has ended; whether it is, is the technique's to say."""
        return self._functions[call.function].repeatable

    def _alike(self, call: FunctionCall) -> Hashable:
        return call.function, call.positional, frozenset(call.args.items())

    def _role(self, call: FunctionCall) -> Hashable:
        """What a call that is made instead of this one has to share with it."""
        trusted = self._functions[call.function].trusted
        return call.function, *((name, call.args.get(name)) for name in trusted)

    def _is_guarded(self, call: FunctionCall) -> bool:
        return bool(self._functions[call.function].trusted) or self._has_effects(call)

    def _has_effects(self, call: FunctionCall) -> bool:
        function = self._functions[call.function]
        return function.changes or (self._strict and function.undeclared)


def _first(ids: list[CallId], taken: Collection[CallId]) -> CallId | None:
    """The first that isn't taken, of ids of which the last comes first; one that is taken is dropped, but the last."""
    while len(ids) > 1 and ids[-1] in taken:
        ids.pop()
    return ids[-1] if ids and ids[-1] not in taken else None
