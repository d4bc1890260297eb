"""What a run came to: one value that Python code, the command line and files read."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

from llmorch import records
from llmorch.declare.plain import NotHeldError, TooMuchError, plain
from llmorch.declare.previews import is_long, preview
from llmorch.declare.text import interrupted, kind_name, shortened
from llmorch.errors import CallError
from llmorch.places.handles import Unopened
from llmorch.plan import render
from llmorch.records import rounded
from llmorch.relations import lower_bound
from llmorch.runtime.store import Released
from llmorch.story import fields_of_calls, things, why_unresolved
from llmorch.techniques import Recovery
from llmorch.values import short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmorch.calls import CallId, Plan
    from llmorch.relations import RelationGraph
    from llmorch.requests import Usage
    from llmorch.runtime.retries import Retried
    from llmorch.schedule import Orchestration, Planning
    from llmorch.techniques import Answer

MAX_TEXT = 1_000
"""Characters of a value that JSON can't hold, in its place."""
MAX_MODEL = 5_000_000
"""Characters of a model of pydantic's that is written as JSON."""


class _WhenRead:
    """A field that is opened when it is first read. Raises ``CallError`` if that can't be done."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, record: Any, owner: type) -> Any:
        if record is None:
            raise AttributeError(self._name)  # so it has no default
        value = vars(record)[self._name]
        if type(value) is Unopened:
            value = vars(record)[self._name] = value.open()
        return value

    def __set__(self, record: Any, value: Any) -> None:
        vars(record)[self._name] = value


class CallRecord(records.Call):
    """One call as it went, and its ``result`` as it is; times in seconds from the start of execution.

    A result that isn't plain data, of a call in another process, is opened when it is first read, which runs the
    code of its class. Raises ``CallError`` then if it can't be.
    """

    result: Any = _WhenRead()

    def as_json(self) -> dict[str, Any]:
        """The record as JSON has it; a result that JSON can't hold is described."""
        return {**self.to_json(), "result": json_value(vars(self)["result"])}


class Calls(Sequence[CallRecord]):
    """The records of a run in the plan's order; an id finds one as well as an index."""

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
        some = [f"{shortened(record.id, 20)}: {record.status}" for record in self._records[:8]]
        more = len(self) - len(some)
        return f"Calls({', '.join(some)}{f', and {more:,} more' if more else ''})"


class _Answered:
    answer: Any = _WhenRead()


@dataclass(frozen=True)
class Result(_Answered):
    """What a run came to.

    ``status`` is ``answered`` when the technique came to an answer, which is the result of
    the plan's last call or what the model wrote in the end; ``answer`` is ``None``
    otherwise. One that isn't plain data, of a call in another process, is opened when it is first read, as
    ``CallRecord`` says. ``plan`` has every call that was made, of a technique that thinks in turns
    as well. What finished is kept in ``calls`` either way.
    Times are in seconds; ``lower_bound`` is the larger of the critical path and the
    compute work shared by all processors, by the durations that were measured.
    """

    __repr__ = short

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

    def noted(self, note: str) -> Result:
        """The same with one more note; nothing of it is opened."""
        made = copy(self)
        object.__setattr__(made, "notes", (*self.notes, note))
        return made

    @property
    def record(self) -> records.Run:
        """What is kept of the run: values are those that JSON has, or descriptions of others."""
        return records.Run(
            query=self.query,
            technique=self.technique,
            status=self.status,
            answer=json_value(vars(self)["answer"]),
            error=self.error,
            plan=render(self.plan) if self.calls or self.status == "answered" else None,
            processors=self.processors,
            makespan=round(self.makespan, 6),
            lower_bound=round(self.lower_bound, 6),
            usage=records.Usage(**vars(self.usage) | {"seconds": round(self.usage.seconds, 6)}),
            planning=tuple(
                records.Planning(round(one.began, 6), rounded(one.ended), one.processors)
                for one in self.planning
            ),
            recoveries=tuple(
                records.Recovery(one.kind, one.why, one.failed, dict(one.changed), one.again)
                for one in self.recoveries
            ),
            notes=self.notes,
            things=things(self.graph),
            calls=tuple(
                records.Call(**vars(call) | {"result": json_value(vars(call)["result"])})
                for call in self.calls
            ),
        )

    def as_json(self) -> dict[str, Any]:
        """The result as the command line's ``--json`` prints it."""
        return self.record.to_json()


def unplanned(query: str | None, technique: str | None, error: Exception, processors: int) -> records.Run:
    """What is kept of a run that never began."""
    return records.Run(
        query=query,
        technique=technique,
        status="unresolved",
        answer=None,
        error=str(error),
        plan=None,
        processors=processors,
        makespan=0.0,
        lower_bound=0.0,
    )


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
    tracebacks: Mapping[tuple[CallId, int], str],
    retried: Sequence[Retried],
    notes: Sequence[str],
) -> Result:
    """Read a finished execution into a ``Result``."""
    graph, states = core.graph, core.states
    calls = []
    first: dict[int, CallId] = {}
    for known in fields_of_calls(plan, graph, states, core.function):
        id_ = known["id"]
        state = states[id_]
        calls.append(
            CallRecord(
                **known,
                expected=rounded(core.expected(id_)),
                batch=None if state.shared is None else first.setdefault(id(state.shared), id_),
                result=results.get(id_) if state.status == "completed" else None,
                traceback=tracebacks.get(states[state.same_as or id_].key),
            )
        )
    durations = {
        call.id: 0.0 if state.dispatched is None else state.completed - state.dispatched
        for call in plan
        if (state := states[call.id]).completed is not None
    }
    parts = {call: core.parts(call) for call in durations}
    return Result(
        query=query,
        technique=technique,
        status="answered" if answer.answered else "unresolved",
        answer=answer.value,
        error=None if answer.answered else answer.error or why_unresolved(calls),
        plan=plan,
        graph=graph,
        processors=processors,
        makespan=makespan,
        lower_bound=lower_bound(graph, durations, processors, parts=parts),
        usage=usage,
        calls=Calls(calls),
        recoveries=(*map(_retry, retried), *answer.recoveries),
        notes=(*notes, *_left_out(calls)),
        planning=tuple(core.planning),
    )


def _left_out(records: Sequence[CallRecord]) -> list[str]:
    ids = [record.id for record in records if record.status == "unused"]
    if not ids:
        return []
    what, whose = ("is", "its result") if len(ids) == 1 else ("are", "their results")
    advice = "--no-optimize, or optimize=False, executes all calls"
    return [f"{', '.join(ids)} {what} not executed: nothing uses {whose} ({advice})"]


def _retry(retried: Retried) -> Recovery:
    why = f"{retried.call} ({retried.function}) failed: {retried.error}"
    call = (retried.call,)
    return Recovery("retry", f"{why}; made again after {round(retried.pause, 2):g} s", call, again=call)


def json_value(value: Any) -> Any:
    """The value where JSON can hold it, as it comes out of it again; else a bounded description of it."""
    if type(value) is Unopened:
        try:
            value = value.open()
        except CallError as error:
            return f"<{value.what}: {error}>"
    try:
        return plain(value)
    except TooMuchError as error:
        return f"{preview(value, MAX_TEXT)} (cut: {error})"
    except NotHeldError:
        pass
    try:
        dumped = getattr(type(value), "model_dump", None)
        if callable(dumped) and not is_long(value, MAX_MODEL):
            return json_value(dumped(value, mode="json"))
        if is_long(value, MAX_TEXT):  # its repr would be longer still
            return preview(value, MAX_TEXT)
        text = str.__str__(repr(value))
    except BaseException as error:  # a value's own __repr__ may raise anything
        if interrupted(error):
            raise
        return f"{kind_name(value)}: it can't be shown"
    text = text if type(value) is Released else f"{kind_name(value)}: {text}"
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."
