"""A run as it was saved: what ``--json`` prints, as far as it says when calls ran, and why not earlier."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, FiniteFloat, ValidationError

_Time = Annotated[FiniteFloat, Field(ge=0, le=1e9)]
_Processor = Annotated[int, Field(ge=0, lt=1024)]


class SavedCall(BaseModel):
    """What has to be known of one call of a run."""

    id: str
    function: str
    kind: Literal["inout", "compute"]
    uses: tuple[str, ...]
    after: tuple[str, ...]
    same_as: str | None
    batch: str | None
    processors: tuple[_Processor, ...]
    resources: dict[str, int]
    limits: tuple[str, ...]
    known: _Time | None
    submitted: _Time | None
    dispatched: _Time | None
    completed: _Time | None

    @property
    def seconds(self) -> float:
        """How long it ran."""
        if self.dispatched is None or self.completed is None:
            return 0.0
        return max(0.0, self.completed - self.dispatched)


class SavedPlanning(BaseModel):
    """When a local model worked on the plan."""

    began: _Time
    ended: _Time | None
    processors: tuple[_Processor, ...]


class SavedRun(BaseModel):
    """A run as ``--json`` prints it, as far as it says when calls ran, and why not earlier."""

    processors: Annotated[int, Field(ge=1, le=1024)]
    makespan: _Time
    planning: Annotated[tuple[SavedPlanning, ...], Field(max_length=1_000)]
    calls: Annotated[tuple[SavedCall, ...], Field(max_length=100_000)]


def saved_run(data: object) -> SavedRun:
    """Check what was read. Raises ``ValueError``, whose one line says what is missing or wrong."""
    if not isinstance(data, dict) or not {"calls", "processors", "makespan"} <= data.keys():
        raise ValueError("it is no run: a run is the object that llmorch run --json prints")
    try:
        return SavedRun.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise ValueError(f"{where} is missing: the run was saved by another version of llmorch") from None
        raise ValueError(f"{where}: {first['msg']}") from None
