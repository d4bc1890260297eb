"""Jobs made by hand, as a driver would make them, and what comes of them in a place."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmorch.calls import Constant, FunctionCall, Reference
from llmorch.declare.functions import declaration_of
from llmorch.errors import CallError
from llmorch.places.port import End, Job
from llmorch.testing import sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmorch.calls import CallId
    from llmorch.declare.functions import Function
    from llmorch.places.port import Handle, Place

PATIENCE = 30.0
"""Seconds that a job of these tests may take until its end is reported."""
SOON = 5.0
"""Seconds in which a job that was stopped ends."""
A_WHILE = 0.6
"""Seconds after which a call that wasn't stopped does what it shouldn't have."""

WAYS = ("async", "sync", "sync with a timeout", "compute")
"""How a function may be: each may run elsewhere."""


class Begun:
    """A job that was begun, and the ends that it reported."""

    def __init__(self, place: Place, job: Job) -> None:
        self.reported: list[Sequence[End]] = []
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self.work = place.begin(job, self._ended)
        assert not self.reported, "ended was called before begin had returned"

    def _ended(self, ends: Sequence[End]) -> None:
        self.reported.append(ends)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._over.set)

    async def ends(self, within: float = PATIENCE) -> Sequence[End]:
        """What its calls came to."""
        async with asyncio.timeout(within):
            await self._over.wait()
        assert len(self.reported) == 1, "ended is called once"
        return self.reported[0]


def function(name: str, way: str = "sync", **said: Any) -> Function:
    """A function of ``sample``, as it is in one of the ``WAYS``."""
    target = getattr(sample, f"async_{name}" if way == "async" else name)
    if way == "sync with a timeout":
        said.setdefault("timeout", PATIENCE)
    made = declaration_of(target, kind="compute" if way == "compute" else "inout", **said)
    return replace(made, name=name)


def job(
    function: Function, *calls: Mapping[str, Any], inputs: Mapping[CallId, Handle] | None = None, on: int = 0
) -> Job:
    """Calls of a function with these arguments, of which those named in ``inputs`` are results."""
    known = inputs or {}

    def expression(value: Any) -> Any:
        return Reference(value) if isinstance(value, str) and value in known else Constant(value)

    made = tuple(
        FunctionCall(f"c{number}", function.name, {name: expression(value) for name, value in args.items()})
        for number, args in enumerate(calls)
    )
    return Job(function, made, known, (on,) if function.kind == "compute" else ())


async def ends_of(place: Place, function: Function, *calls: Mapping[str, Any], **more: Any) -> Sequence[End]:
    """Begin a job, and what came of it."""
    return await Begun(place, job(function, *calls, **more)).ends()


async def value_of(place: Place, function: Function, **args: Any) -> Any:
    """What a call returns."""
    (end,) = await ends_of(place, function, args)
    return opened(end)


def opened(end: End) -> Any:
    assert end.error is None, f"the call failed: {end.error}\n{end.error and end.error.detail}"
    assert end.value is not None, "an end is a value or an error"
    return end.value.open()


def error_of(end: End) -> CallError:
    assert end.value is None
    assert isinstance(end.error, CallError), "the call should have failed with a CallError"
    return end.error
