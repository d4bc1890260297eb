"""What a run came to: one value that Python code, the command line and files read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

from llmorch.declare.previews import is_long, preview
from llmorch.plan import render
from llmorch.relations import lower_bound
from llmorch.runtime.store import Released
from llmorch.techniques import Recovery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import CallId, Plan
    from llmorch.declare.functions import Kind
    from llmorch.relations import RelationGraph
    from llmorch.requests import Usage
    from llmorch.runtime.retrying import Retried
    from llmorch.schedule import Orchestration, Planning, Status
    from llmorch.techniques import Answer

MAX_SHOWN = 1_000
"""Characters of a value that JSON can't hold, in its place."""


@dataclass(frozen=True)
class CallRecord:
    """One call as it went; times in seconds from the start of execution."""

    id: CallId
    function: str
    kind: Kind
    rank: int
    uses: tuple[CallId, ...]
    status: Status
    attempt: int
    processor: int | None
    submitted: float | None
    dispatched: float | None
    completed: float | None
    result: Any
    error: str | None
    _graph: RelationGraph = field(repr=False, compare=False)
    processors: tuple[int, ...] = ()
    """All the processors that it occupied; ``processor`` is the first."""
    device: int | None = None
    """The number of the GPU that it was given."""
    resources: Mapping[str, int] = field(default_factory=dict)
    """What was declared that it takes while it runs."""
    limits: tuple[str, ...] = ()
    """The limits on its function's calls, and ``model`` if it takes its turn at a local one."""
    known: float | None = None
    """When it was in the plan; ``submitted`` is when nothing that it comes after held it any more."""
    expected: float | None = None
    """The seconds that it was expected to take, from calls of the function before this run."""
    batch: CallId | None = None
    """The first of the calls that were made as one with this, itself perhaps; ``None`` for a call made alone."""
    traceback: str | None = field(default=None, repr=False)
    """Where its function failed, as Python prints it; ``None`` where it didn't, or the call failed before it.

    It is for who wrote the function: neither ``error`` nor anything that a model reads has it.
    """

    @property
    def excludes(self) -> tuple[CallId, ...]:
        """The calls in a control relation with this one."""
        return self._graph.excludes(self.id)

    @property
    def after(self) -> tuple[CallId, ...]:
        """The earlier calls whose effects this one had to come after."""
        return self._graph.after(self.id)

    @property
    def same_as(self) -> CallId | None:
        """The earlier call that was made for this one too: this one has no time and place of its own."""
        return self._graph.same_as(self.id)

    def as_json(self) -> dict[str, Any]:
        """The record as JSON has it; a result that JSON can't hold is described."""
        return {
            "id": self.id,
            "function": self.function,
            "kind": self.kind,
            "rank": self.rank,
            "uses": list(self.uses),
            "excludes": list(self.excludes),
            "after": list(self.after),
            "same_as": self.same_as,
            "status": self.status,
            "attempt": self.attempt,
            "processor": self.processor,
            "processors": list(self.processors),
            "device": self.device,
            "resources": dict(self.resources),
            "limits": list(self.limits),
            "known": _rounded(self.known),
            "batch": self.batch,
            "submitted": _rounded(self.submitted),
            "dispatched": _rounded(self.dispatched),
            "completed": _rounded(self.completed),
            "expected": _rounded(self.expected),
            "result": json_value(self.result),
            "error": self.error,
            "traceback": self.traceback,
        }


class Calls(Sequence[CallRecord]):
    """The records of a run in the plan's order; an id finds one as well as a place."""

    def __init__(self, records: Sequence[CallRecord]) -> None:
        self._records = tuple(records)
        self._by_id = {record.id: record for record in self._records}

    @overload
    def __getitem__(self, at: int | str) -> CallRecord: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[CallRecord]: ...
    def __getitem__(self, at: int | str | slice) -> CallRecord | Sequence[CallRecord]:
        return self._by_id[at] if isinstance(at, str) else self._records[at]

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"Calls({', '.join(f'{record.id}: {record.status}' for record in self._records)})"


@dataclass(frozen=True)
class Result:
    """What a run came to.

    ``status`` is ``answered`` when the technique came to an answer, which is the result of
    the plan's last call or what the model wrote in the end; ``answer`` is ``None``
    otherwise. ``plan`` has every call that was made, of a technique that thinks in turns
    as well. What finished is kept in ``calls`` either way.
    Times are in seconds; ``lower_bound`` is the larger of the critical path and the
    compute work shared by all processors, by the durations that were measured.
    """

    query: str | None
    technique: str | None
    status: Literal["answered", "unresolved"]
    answer: Any
    error: str | None
    plan: Plan
    graph: RelationGraph = field(repr=False)
    processors: int
    makespan: float
    lower_bound: float
    usage: Usage
    calls: Calls
    recoveries: tuple[Recovery, ...] = ()
    """The calls that were made again, then how the technique went on."""
    notes: tuple[str, ...] = ()
    """What the run noticed and somebody should know."""
    planning: tuple[Planning, ...] = ()
    """When a local model worked on the plan, and on which processor."""

    def as_json(self) -> dict[str, Any]:
        """The result as the command line's ``--json`` prints it."""
        return {
            "query": self.query,
            "technique": self.technique,
            "status": self.status,
            "answer": json_value(self.answer),
            "error": self.error,
            "plan": render(self.plan) if self.calls or self.status == "answered" else None,
            "processors": self.processors,
            "makespan": _rounded(self.makespan),
            "lower_bound": _rounded(self.lower_bound),
            "usage": _spent(self.usage),
            "planning": [
                {
                    "began": _rounded(one.began),
                    "ended": _rounded(one.ended),
                    "processors": list(one.processors),
                }
                for one in self.planning
            ],
            "recoveries": [asdict(recovery) for recovery in self.recoveries],
            "calls": [record.as_json() for record in self.calls],
        }


def unplanned(
    query: str | None, technique: str | None, error: Exception, processors: int, usage: Usage
) -> dict[str, Any]:
    """The JSON of a run that never began: the same fields, with nothing in them."""
    return {
        "query": query,
        "technique": technique,
        "status": "unresolved",
        "answer": None,
        "error": str(error),
        "plan": None,
        "processors": processors,
        "makespan": 0.0,
        "lower_bound": 0.0,
        "usage": _spent(usage),
        "planning": [],
        "recoveries": [],
        "calls": [],
    }


def _spent(usage: Usage) -> dict[str, Any]:
    return asdict(usage) | {"seconds": _rounded(usage.seconds)}


def collect(
    answer: Answer,
    plan: Plan,
    core: Orchestration,
    results: Mapping[CallId, Any],
    *,
    query: str | None,
    technique: str | None,
    processors: int,
    makespan: float,
    usage: Usage,
    tracebacks: Mapping[tuple[CallId, int], str] | None = None,
    retried: Sequence[Retried] = (),
    notes: Sequence[str] = (),
) -> Result:
    """Read a finished execution into a ``Result``."""
    graph, states = core.graph, core.states
    records = []
    first: dict[int, CallId] = {}
    for call in plan:
        state = states[call.id]
        shared = state.shared
        records.append(
            CallRecord(
                id=call.id,
                function=call.function,
                kind=graph.kind(call.id),
                rank=graph.rank(call.id),
                uses=graph.uses(call.id),
                status=state.status,
                attempt=state.attempt,
                processor=state.processor,
                submitted=state.submitted,
                dispatched=state.dispatched,
                completed=state.completed,
                result=results.get(call.id) if state.status == "completed" else None,
                error=state.error,
                _graph=graph,
                processors=state.lease.processors,
                device=state.lease.device,
                resources=core.function(call.id).resources,
                limits=core.limits(call.id),
                known=state.known,
                expected=core.expected(call.id),
                batch=None if shared is None else first.setdefault(id(shared), call.id),
                traceback=(tracebacks or {}).get(states[state.same_as or call.id].key),
            )
        )
    durations = {
        record.id: 0.0 if record.dispatched is None else record.completed - record.dispatched
        for record in records
        if record.completed is not None
    }
    parts = {call: core.parts(call) for call in durations}
    return Result(
        query=query,
        technique=technique,
        status="answered" if answer.answered else "unresolved",
        answer=answer.value,
        error=None if answer.answered else answer.error or _why(records),
        plan=plan,
        graph=graph,
        processors=processors,
        makespan=makespan,
        lower_bound=lower_bound(graph, durations, processors, parts=parts),
        usage=usage,
        calls=Calls(records),
        recoveries=(*map(_retry, retried), *answer.recoveries),
        notes=(*notes, *_left_out(records)),
        planning=tuple(core.planning),
    )


def _left_out(records: Sequence[CallRecord]) -> list[str]:
    ids = [record.id for record in records if record.status == "unused"]
    if not ids:
        return []
    what, whose = (
        ("is not executed", "its result") if len(ids) == 1 else ("are not executed", "their results")
    )
    return [
        f"{', '.join(ids)} {what}: nothing uses {whose} (--no-optimize, or optimize=False, executes all calls)"
    ]


def _retry(retried: Retried) -> Recovery:
    why = f"{retried.call} ({retried.function}) failed: {retried.error}"
    call = (retried.call,)
    return Recovery("retry", f"{why}; made again after {round(retried.pause, 2):g} s", call, again=call)


def _why(records: Sequence[CallRecord]) -> str:
    failed = [
        f"{record.id} ({record.function}) failed: {record.error}"
        for record in records
        if record.status == "failed"
    ]
    cancelled = [
        f"{record.id} ({record.function}) was {record.error}"
        for record in records
        if record.status == "cancelled" and record.error
    ]
    return "; ".join([*failed, *cancelled]) or f"{records[-1].id} was {records[-1].status}"


def json_value(value: Any) -> Any:
    """The value itself where JSON can hold it, else a bounded description of it."""
    try:
        json.dumps(value, allow_nan=False)
    except Exception:
        try:
            dumped = getattr(value, "model_dump", None)
            if callable(dumped):
                return json_value(dumped(mode="json"))
            if is_long(value, MAX_SHOWN):  # its repr would be longer still
                return preview(value, MAX_SHOWN)
            text = repr(value) if isinstance(value, Released) else f"{type(value).__name__}: {value!r}"
        except Exception:  # a value's own __repr__ may raise anything
            text = f"{type(value).__name__}: it can't be shown"
        return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
    return value


def _rounded(seconds: float | None) -> float | None:
    """Microseconds are as fine as the clock is true."""
    return None if seconds is None else round(seconds, 6)
