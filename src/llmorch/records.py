"""What is kept of a run: one schema, which the result, ``--json``, saved runs, the explanation, the
timeline and a simulation write or read; and of the messages to and from the core.

Records are values, and go to JSON and back without loss. What a function returned may be anything:
who makes a record of it makes it a JSON value.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    FiniteFloat,
    InstanceOf,
    NonNegativeInt,
    TypeAdapter,
    ValidationError,
)

from llmorch.declare.text import brief, shortened
from llmorch.values import short

T = TypeVar("T")

VERSION = 1
"""Of the schema. A run without one is of version 0, which had neither ``notes`` nor ``groups``."""
MAX_PAIRS = 50_000
"""Pairs of calls beyond which a relation is not listed call by call: it would grow with the square of the plan."""
_PART, _SAID = 100, 300
"""Characters of one key, and of what is said of a field that is wrong."""
_MOST_KEYS = 100_000

Text: TypeAlias = InstanceOf[str]
"""Any text, also one that is no Unicode text, such as the name of a file may be."""
Seconds: TypeAlias = Annotated[FiniteFloat, Field(ge=0, le=1e9)]
"""From the start of execution, to the microsecond: no clock here is finer."""
Texts: TypeAlias = Annotated[tuple[Text, ...], Field(fail_fast=True)]
"""Of what a file has too much of and all of it wrong, the first is enough to know."""
Status: TypeAlias = Literal[
    "planned", "submitted", "running", "completed", "failed", "skipped", "unused", "cancelled"
]
"""How a call stands."""
Processor: TypeAlias = Annotated[int, Field(ge=0, lt=1_000_000)]


def _few(value: object) -> object:
    """A dictionary as it is, unless it has more than anybody means: each wrong item of one would be an error."""
    if isinstance(value, dict) and len(value) > _MOST_KEYS:
        raise ValueError(f"it has more than {_MOST_KEYS:,} keys")
    return value


def rounded(seconds: float | None) -> float | None:
    """A time as records have it."""
    return None if seconds is None else round(seconds, 6)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call as it went."""

    __repr__ = short

    id: Text
    function: Text
    kind: Literal["inout", "compute"]
    rank: NonNegativeInt
    uses: Texts
    after: Texts | None
    """The calls whose effects it had to come after: the last to write each thing, for a writer also the readers since.

    ``None`` in a plan that has more than ``MAX_PAIRS`` of these: then ``things`` of the run tell.
    """
    same_as: Text | None = None
    """The earlier call that was made for this one too: this one has no time and processor of its own."""
    status: Status
    attempt: NonNegativeInt
    processors: Annotated[tuple[Processor, ...], Field(fail_fast=True)] = ()
    """All the processors that it occupied."""
    device: NonNegativeInt | None = None
    """The number of the GPU that it was given."""
    resources: Annotated[dict[Text, NonNegativeInt], BeforeValidator(_few)] = field(default_factory=dict)
    """What was declared that it takes while it runs."""
    limits: Texts = ()
    """The limits on its function's calls, and ``model`` if it takes its turn at a local one."""
    known: Seconds | None
    """When it was in the plan; ``submitted`` is when nothing that it comes after kept it waiting any more."""
    batch: Text | None = None
    """The first of the calls that were made as one with this, itself perhaps; ``None`` for a call made alone."""
    submitted: Seconds | None
    dispatched: Seconds | None
    completed: Seconds | None
    expected: Seconds | None = None
    """The seconds that it was expected to take, from calls of the function before this run."""
    result: Any
    error: Text | None
    traceback: Text | None = field(default=None, repr=False)
    """Where its function failed, as Python prints it; ``None`` where it didn't, or the call failed before it.

    It is for who wrote the function: neither ``error`` nor anything that a model reads has it.
    """
    outside: bool = False
    """Whether its result comes from outside, by declaration or by a call that it uses."""
    influenced: bool = False
    """Whether a model wrote it after it had read what comes from outside."""
    group: Texts = field(default=(), repr=False)
    """This call and those that it ``excludes``: one value, which is theirs too."""

    @property
    def excludes(self) -> tuple[str, ...]:
        """The calls in a control relation with this one."""
        return tuple(call for call in self.group if call != self.id)

    @property
    def before(self) -> tuple[str, ...]:
        """The calls that had to end before it: those that it uses, and those that it comes after."""
        return (*self.uses, *(self.after or ()))

    @property
    def processor(self) -> int | None:
        """The processor that it ran on, or the first of several; ``None`` for an inout call."""
        return self.processors[0] if self.processors else None

    @property
    def seconds(self) -> float:
        """How long it ran."""
        if self.dispatched is None or self.completed is None:
            return 0.0
        return max(0.0, self.completed - self.dispatched)

    def to_json(self, *, lists: bool = True) -> dict[str, Any]:
        """The record as JSON has it; ``lists`` says whether it lists what it excludes."""
        excludes = list(self.excludes) if lists else None
        data = {**_plain(self), "excludes": excludes, "processor": self.processor}
        return {name: data[name] for name in _ORDER}


_ORDER = (
    *("id", "function", "kind", "rank", "uses", "excludes", "after", "same_as", "status", "attempt"),
    *("processor", "processors", "device", "resources", "limits", "known", "batch", "submitted"),
    *("dispatched", "completed", "expected", "result", "error", "traceback", "outside", "influenced"),
)
"""The fields of a call in JSON."""


@dataclass(frozen=True)
class Usage:
    """What was asked of the model; ``seconds`` is the time spent waiting for it."""

    __repr__ = short

    requests: NonNegativeInt = 0
    input_tokens: NonNegativeInt = 0
    output_tokens: NonNegativeInt = 0
    seconds: Seconds = 0.0


@dataclass(frozen=True)
class Planning:
    """When a local model worked on the plan, and on which processor."""

    __repr__ = short

    began: Seconds
    ended: Seconds | None
    processors: Annotated[tuple[Processor, ...], Field(fail_fast=True)]


@dataclass(frozen=True)
class Recovery:
    """One attempt to go on after something went wrong; ``changed`` has the new text of calls by their ids."""

    __repr__ = short

    kind: Literal["retry", "repair", "recover", "replan"]
    why: Text
    failed: Texts = ()
    changed: Annotated[dict[Text, Text], BeforeValidator(_few)] = field(default_factory=dict)
    again: Texts = ()


@dataclass(frozen=True)
class Thing:
    """A name that calls touch, with a star at its end if it stands for all that begins so."""

    __repr__ = short

    name: Text
    readers: Texts
    writers: Texts


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run came to; times in seconds from the start of execution.

    ``lower_bound`` is the larger of the critical path and the compute work shared by all
    processors, by the durations that were measured. ``things`` are what calls with effects touch.
    """

    __repr__ = short

    query: Text | None
    technique: Text | None
    status: Literal["answered", "unresolved"]
    answer: Any
    error: Text | None
    plan: Text | None
    processors: Annotated[int, Field(ge=1, le=1_000_000)]
    makespan: Seconds
    lower_bound: Seconds
    usage: Usage = Usage()
    planning: Annotated[tuple[Planning, ...], Field(max_length=100_000, fail_fast=True)] = ()
    recoveries: Annotated[tuple[Recovery, ...], Field(fail_fast=True)] = ()
    notes: Texts = ()
    things: Annotated[tuple[Thing, ...], Field(fail_fast=True)] = ()
    calls: Annotated[tuple[Call, ...], Field(max_length=100_000, fail_fast=True)] = ()

    def to_json(self) -> dict[str, Any]:
        """The run as the command line's ``--json`` prints it.

        ``groups`` tell each relation once, however large: calls that exclude one another, and
        who touches what. Each call lists those that it excludes in a plan of few such pairs.
        """
        # A call is in one group, so its first member tells the groups apart.
        groups = {call.group[0]: list(call.group) for call in self.calls if len(call.group) > 1}
        lists = sum(len(group) * (len(group) - 1) for group in groups.values()) <= MAX_PAIRS
        data = {"version": VERSION, **_plain(self)}
        data["groups"] = {"excludes": list(groups.values()), "things": data.pop("things")}
        data["calls"] = [call.to_json(lists=lists) for call in self.calls]
        return data

    @classmethod
    def from_json(cls, data: object) -> Run:
        """The run that ``to_json`` gave. Raises ``ValueError``, whose one line says what is missing or wrong."""
        _check_version(data)
        if not isinstance(data, dict) or not {"calls", "processors", "makespan"} <= data.keys():
            raise ValueError("it is no run: a run is the object that llmorch run --json prints")
        groups = _read(_Groups, data.get("groups", {}), "groups.")
        run = _read(cls, {**data, "things": ()})
        _check_calls(run)
        excludes = groups.excludes if "version" in data else _by_rank(run.calls)
        of = {call: group for group in excludes for call in group}
        calls = tuple(replace(call, group=of.get(call.id, ())) for call in run.calls)
        return replace(run, calls=calls, things=groups.things)


@dataclass(frozen=True)
class _Groups:
    excludes: Annotated[tuple[Texts, ...], Field(fail_fast=True)] = ()
    things: Annotated[tuple[Thing, ...], Field(fail_fast=True)] = ()


@dataclass(frozen=True)
class Message:
    """An event or a command: its name, the run that it is of, when it was, and its fields as JSON values."""

    __repr__ = short

    name: Text
    run: Text
    at: Seconds
    fields: dict[Text, Any]

    def to_json(self) -> dict[str, Any]:
        """The message as a journal keeps it."""
        return {"version": VERSION, **_plain(self)}

    @classmethod
    def from_json(cls, data: object) -> Message:
        """The message that ``to_json`` gave. Raises ``ValueError``, in one line."""
        _check_version(data)
        if not isinstance(data, dict) or not {"version", "name", "run", "at", "fields"} <= data.keys():
            raise ValueError("it is no message: a message has a version, a name, a run, at and fields")
        return _read(cls, data)


def _by_rank(calls: tuple[Call, ...]) -> list[tuple[str, ...]]:
    """The groups of version 0, which lists pairs: compute calls of equal rank that are made."""
    found: dict[int, list[str]] = {}
    for call in calls:
        if call.kind == "compute" and call.same_as is None:
            found.setdefault(call.rank, []).append(call.id)
    return [tuple(group) for group in found.values()]


def _plain(record: Any) -> dict[str, Any]:
    """The fields as JSON has them; calls and groups are for ``to_json`` to tell, and what calls returned is JSON."""

    def plain(name: str, value: Any) -> Any:
        if name in ("result", "answer"):
            return value
        if isinstance(value, tuple):
            return [plain("", item) for item in value]
        if isinstance(value, Usage | Planning | Recovery | Thing):
            return _plain(value)
        return dict(value) if isinstance(value, dict) else value

    return {
        name: plain(name, value) for name, value in vars(record).items() if name not in ("calls", "group")
    }


def _check_version(data: object) -> None:
    """Look at the version before all else: a later one may have other fields."""
    if not isinstance(data, dict) or "version" not in data:
        return
    version = data["version"]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"version: {brief(version)} is no version of llmorch's records")
    if version > VERSION:
        raise ValueError(
            f"version: it is of version {version}, and this llmorch reads up to {VERSION}: use a newer llmorch"
        )


def _check_calls(run: Run) -> None:
    """Refuse calls that no run can have: ids must be unique, and lead to calls and processors that there are."""
    seen: set[str] = set()
    ids = {call.id for call in run.calls}
    for at, call in enumerate(run.calls):
        where = f"calls.{at}"
        if call.id in seen:
            raise ValueError(f"{where}.id: another call is {brief(call.id)} too")
        seen.add(call.id)
        same_as = () if call.same_as is None else (call.same_as,)
        named = {"uses": call.uses, "after": call.after or (), "same_as": same_as}
        for name, others in named.items():
            if unknown := [other for other in others if other not in ids]:
                raise ValueError(f"{where}.{name}: there is no call {brief(unknown[0])}")
        if beyond := [number for number in call.processors if number >= run.processors]:
            raise ValueError(
                f"{where}.processors: there is no processor {beyond[0]}: the run has {run.processors}, from 0 on"
            )


_READERS: dict[type[Any], TypeAdapter[Any]] = {}
"""Made when they are first needed, which takes a while."""


def _read(kind: type[T], data: object, within: str = "") -> T:
    if kind not in _READERS:
        _READERS[kind] = TypeAdapter(kind)
    try:
        read: T = _READERS[kind].validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        # Keys and texts of what was read may be as long as they like.
        where = shortened(
            within + ".".join(shortened(str(part)[:_PART], _PART) for part in first["loc"]), _SAID
        )
        if first["type"] == "missing":
            raise ValueError(f"{where} is missing: the run was saved by another version of llmorch") from None
        raise ValueError(f"{where}: {shortened(first['msg'][: 2 * _SAID], _SAID)}") from None
    return read
