"""Why processors were idle: what each idle stretch of a saved run waited for.

All that it knows is when each call was known, free to start, started and ended, as its record tells.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from llmorch.arguments import refuse
from llmorch.records import Run
from llmorch.values import short

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmorch.records import Call

Reason = Literal["plan", "result", "order", "limit", "start", "fewer", "nothing"]
"""What a processor can wait for."""
MODEL = "model"
_CPU = "cpu"
_EPSILON = 1e-6
"""Seconds; a saved time is as exact as that."""


@dataclass(frozen=True)
class Span:
    """A time, in seconds from the start of execution."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.ended - self.began


@dataclass(frozen=True)
class Cause(Span):
    """What a processor waited for during a part of a stretch.

    ``call`` is the call that came next and ``on`` the one that had to end first, or ended
    last; ``what`` is the limit or the resource that it had.
    """

    reason: Reason
    call: str | None = None
    on: str | None = None
    what: str | None = None


@dataclass(frozen=True)
class Stretch(Span):
    """A time in which a processor had no call; its causes follow one another without a gap."""

    processor: int
    causes: tuple[Cause, ...]


@dataclass(frozen=True)
class Explanation:
    """Every idle stretch of every processor, and the longest chain of calls that waited for one another."""

    __repr__ = short

    processors: int
    makespan: float
    stretches: tuple[Stretch, ...]
    chain: tuple[str, ...]
    chain_seconds: float
    work_seconds: float
    """The compute work divided by the processors: no run is shorter, either."""

    def idle(self, processor: int | None = None) -> float:
        """Idle seconds of one processor, or of all."""
        return sum(item.seconds for item in self.stretches if processor in (None, item.processor))

    @property
    def by_processor(self) -> dict[int, list[Stretch]]:
        """The stretches of each processor, in time."""
        found: dict[int, list[Stretch]] = {number: [] for number in range(self.processors)}
        for stretch in self.stretches:
            found[stretch.processor].append(stretch)
        return found

    @property
    def by_reason(self) -> dict[Reason, float]:
        """Idle seconds of all processors by what they waited for, the longest first."""
        found: defaultdict[Reason, float] = defaultdict(float)
        for stretch in self.stretches:
            for cause in stretch.causes:
                found[cause.reason] += cause.seconds
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def explain(run: Run) -> Explanation:
    """What each idle stretch of each processor waited for."""
    if not isinstance(run, Run):
        refuse("run", "a Run of llmorch.records, such as Result.record", run)
    calls = _made(run.calls)
    story = _Story(replace(run, calls=calls))
    stretches = [stretch for number in range(run.processors) for stretch in story.stretches(number)]
    chain, seconds = _longest_chain(call for call in calls if call.dispatched is not None)
    return Explanation(
        run.processors, story.end, tuple(stretches), chain, seconds, _work(calls) / run.processors
    )


def _work(calls: Iterable[Call]) -> float:
    """Seconds of processors; calls that were made as one had theirs together."""
    taken: defaultdict[str, float] = defaultdict(float)
    for call in calls:
        made_as = call.batch or call.id
        taken[made_as] = max(taken[made_as], call.seconds * len(call.processors))
    return sum(taken.values())


def _made(calls: tuple[Call, ...]) -> tuple[Call, ...]:
    """The calls without the copies: the one that was made stands for them."""
    made_for = {call.id: call.same_as for call in calls if call.same_as is not None}
    return tuple(
        replace(
            call,
            uses=tuple(made_for.get(id_, id_) for id_ in call.uses),
            after=tuple(made_for.get(id_, id_) for id_ in call.after or ()),
        )
        for call in calls
        if call.same_as is None
    )


class _Story:
    """One run, with what is asked of it again and again."""

    def __init__(self, run: Run) -> None:
        ran = [call for call in run.calls if call.dispatched is not None]
        self.end = max([run.makespan, *(call.completed or 0.0 for call in ran)])
        self._by_id = {call.id: call for call in run.calls}
        spans = [
            (item.began, self.end if item.ended is None else item.ended, item.processors)
            for item in run.planning
        ]
        self._model = [(began, ended) for began, ended, _ in spans]
        self._planning: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
        for began, ended, processors in spans:
            for number in processors:
                self._planning[number].append((began, ended))
        self._on: defaultdict[int, list[Call]] = defaultdict(list)
        for call in sorted(ran, key=_began):
            for number in call.processors:
                self._on[number].append(call)
        computing = [call for call in ran if call.processors]
        self._last_start = max(map(_began, computing), default=0.0)
        self._last = max(ran, key=self._ended, default=None)
        self._holders: defaultdict[str, list[Call]] = defaultdict(list)
        for call in sorted(ran, key=self._ended):
            for name in {*_names(call), *([_CPU] if call.processors else [])}:
                self._holders[name].append(call)
        self._ends = {name: [self._ended(call) for call in calls] for name, calls in self._holders.items()}

    def stretches(self, processor: int) -> Iterable[Stretch]:
        """The idle stretches of one processor, in time."""
        free = 0.0
        for call in self._on[processor]:
            if _began(call) - free > _EPSILON:
                yield self._stretch(processor, free, _began(call), call)
            free = max(free, self._ended(call))
        if self.end - free > _EPSILON:
            yield self._stretch(processor, free, self.end, None)

    def _stretch(self, processor: int, began: float, ended: float, next_call: Call | None) -> Stretch:
        if next_call is not None:
            causes = self._causes(next_call, began, ended)
        else:
            last = None if self._last is None else self._last.id
            fewer = min(self._last_start, ended)
            if fewer - began <= _EPSILON:
                fewer = began
            causes = [Cause(began, fewer, "fewer"), Cause(fewer, ended, "nothing", on=last)]
            causes = [cause for cause in causes if cause.seconds > 0]
        return Stretch(began, ended, processor, tuple(self._with_planning(processor, causes)))

    def _with_planning(self, processor: int, causes: list[Cause]) -> Iterable[Cause]:
        """The same, where the model worked on the plan on this very processor meanwhile."""
        for cause in causes:
            at = cause.began
            for began, ended in self._planning.get(processor, ()):
                first, last = max(at, began), min(cause.ended, ended)
                if last - first <= _EPSILON:
                    continue
                if first - at > _EPSILON:
                    yield replace(cause, began=at, ended=first)
                else:
                    first = at
                yield Cause(first, last, "plan", what=MODEL)
                at = last
            if cause.ended - at > _EPSILON or at == cause.began:
                yield replace(cause, began=at)

    def _causes(self, call: Call, began: float, ended: float) -> list[Cause]:
        """Why a call didn't start before ``ended``: from it back to what had to end first, and so on."""
        causes: list[Cause] = []
        at = ended

        def because(since: float, reason: Reason, **more: Any) -> None:
            nonlocal at
            since = max(since, began)
            if at - since > _EPSILON:
                causes.append(Cause(since, at, reason, **more))
                at = since

        seen: set[str] = set()
        while at > began and call.id not in seen:
            seen.add(call.id)
            known = min(at, call.known or 0.0)
            submitted = min(at, _began(call) if call.submitted is None else call.submitted)
            before = self._binding(call, submitted)
            ready = max(known, 0.0 if before is None else self._ended(before))
            for since, reason, more in self._lacking(call, submitted):
                because(since, reason, call=call.id, **more)
                if at <= began:
                    break
            # A call that may change something is free to start only once the whole plan is known.
            because(ready, "plan" if submitted - ready > _EPSILON else "start", call=call.id)
            if before is None or self._ended(before) <= known:
                because(began, "plan", call=call.id)
                break
            order: Reason = "result" if before.id in call.uses else "order"
            because(_began(before), order, call=call.id, on=before.id)
            call = before
        because(began, "start", call=call.id)
        return causes[::-1]

    def _binding(self, call: Call, by: float) -> Call | None:
        """Of the calls that it came after, the one that ended last."""
        before = [
            other
            for id_ in call.before
            if (other := self._by_id.get(id_)) is not None
            and other.dispatched is not None
            and other.completed is not None
            and other.completed <= by + _EPSILON
        ]
        return max(before, key=self._ended, default=None)

    def _lacking(self, call: Call, since: float) -> Iterable[tuple[float, Reason, dict[str, Any]]]:
        """What a call waited for that could have started, from the last moment back, and since when."""
        names = _names(call)
        until = _began(call)
        if MODEL in names and any(began < until and ended > since for began, ended in self._model):
            yield since, "plan", {"what": MODEL}
            return
        for name in names:
            holder = self._holder(name, call, since, until)
            if holder is not None:
                while holder is not None:  # the one that let it go, the one before that, and so on
                    before = self._holder(name, call, since, _began(holder))
                    first = since if before is None else _began(holder)
                    yield first, "limit", {"on": holder.id, "what": name}
                    holder = before
                return
        # Held by another run of the process, a rate, or reserved for a call that waited longer.
        shared = ", ".join(name for name in names if name != _CPU)
        yield since, ("limit" if shared else "start"), ({"what": shared} if shared else {})

    def _holder(self, name: str, call: Call, since: float, until: float) -> Call | None:
        """The last call to end by ``until``, and after ``since``, of those that had this."""
        holders, ends = self._holders[name], self._ends[name]
        for index in range(bisect_right(ends, until + _EPSILON) - 1, -1, -1):
            if ends[index] <= since + _EPSILON:
                return None
            if holders[index] is not call and _began(holders[index]) < until - _EPSILON:
                return holders[index]
        return None

    def _ended(self, call: Call) -> float:
        return self.end if call.completed is None else call.completed


def _names(call: Call) -> list[str]:
    """What it shares with other calls; processors only where it takes more than the one that is idle."""
    named = [name for name in call.resources if name != _CPU]
    return [*call.limits, *named, *([_CPU] if len(call.processors) > 1 else [])]


def _began(call: Call) -> float:
    return call.dispatched or 0.0


def _longest_chain(calls: Iterable[Call]) -> tuple[tuple[str, ...], float]:
    """The calls that waited for one another and took longest together, and how long that was."""
    longest: dict[str, tuple[float, str | None]] = {}
    for call in calls:
        ways = ((longest[id_][0], id_) for id_ in call.before if id_ in longest)
        seconds, before = max(ways, default=(0.0, None))
        longest[call.id] = (seconds + call.seconds, before)
    at = max(longest, key=lambda id_: longest[id_][0], default=None)
    seconds = 0.0 if at is None else longest[at][0]
    chain: list[str] = []
    while at is not None:
        chain.append(at)
        at = longest[at][1]
    return tuple(reversed(chain)), seconds
