"""What calls took before: the last samples of each function, and what they lead one to expect.

This module must not know where that is kept, nor any clock.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import astuple, dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmorch.functions import Function

VERSION = 1
SAMPLES = 32
"""Calls of one function that are kept, the last ones."""
MOST = 300
"""Functions that are kept, those that were called last."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one call took, in seconds; and what it asked of the model, if it did."""

    seconds: float
    requests: float = 0
    input_tokens: float = 0
    output_tokens: float = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """The medians of so many samples, each number's by itself."""

    median: Sample
    samples: int


def known_as(function: Function, model: str) -> str:
    """What tells a function from one of the same name in another file; one that asks is known by its model too."""
    call: Any = function.call
    while isinstance(call, partial):
        call = call.func
    call = inspect.unwrap(getattr(call, "__func__", call))
    if not hasattr(call, "__qualname__"):
        call = type(call).__call__
    code = getattr(call, "__code__", None)
    place = str(getattr(call, "__module__", "") if code is None else code.co_filename)
    if code is not None and place.startswith("<"):  # typed in, or handed to python -c
        place = f"{place} {crc32(code.co_code):x}"
    asked = f", asking {model}" if function.asks_model else ""
    return f"{function.name} ({call.__qualname__} in {place}){asked}"


class Learned:
    """Samples by the name that ``known_as`` gives a function; bounded in all directions."""

    def __init__(self) -> None:
        self._samples: dict[str, list[Sample]] = {}
        """What was called last comes last."""
        self._estimates: dict[str, Estimate] = {}

    def __len__(self) -> int:
        return len(self._samples)

    def take(self, name: str, samples: Iterable[Sample]) -> None:
        """Add samples of one function; the oldest are forgotten."""
        kept = [*self._samples.pop(name, ()), *samples][-SAMPLES:]
        self._estimates.pop(name, None)
        if kept:
            self._samples[name] = kept
        while len(self._samples) > MOST:
            oldest = next(iter(self._samples))
            del self._samples[oldest]
            self._estimates.pop(oldest, None)

    def add(self, other: Learned) -> None:
        """Add all that another one has."""
        for name, samples in other._samples.items():
            self.take(name, samples)

    def estimate(self, name: str) -> Estimate | None:
        """What a call of this function takes, if one was ever measured."""
        samples = self._samples.get(name)
        if samples is None:
            return None
        if name not in self._estimates:
            medians = map(median, zip(*map(astuple, samples), strict=True))
            self._estimates[name] = Estimate(Sample(*medians), len(samples))
        return self._estimates[name]

    def as_json(self) -> dict[str, Any]:
        """All of it, as JSON has it: a call that asked nothing is its seconds."""
        return {
            "version": VERSION,
            "functions": {
                name: [_written(sample) for sample in samples] for name, samples in self._samples.items()
            },
        }

    @classmethod
    def from_json(cls, data: Any) -> Learned:
        """What ``as_json`` gave. Anything in it that can't be is left out."""
        made = cls()
        if not isinstance(data, dict) or data.get("version") != VERSION:
            return made
        functions = data.get("functions")
        for name, written in functions.items() if isinstance(functions, dict) else ():
            if isinstance(written, list):
                made.take(name, [sample for item in written if (sample := _read(item)) is not None])
        return made


def durations(learned: Learned, names: Mapping[str, str]) -> dict[str, float]:
    """Expected seconds by function name; ``names`` is what each function is known as."""
    found = ((name, learned.estimate(known)) for name, known in names.items())
    return {name: estimate.median.seconds for name, estimate in found if estimate is not None}


def _written(sample: Sample) -> Any:
    seconds = float(f"{sample.seconds:.4g}")
    if not sample.requests:
        return seconds
    return [seconds, sample.requests, sample.input_tokens, sample.output_tokens]


def _read(item: Any) -> Sample | None:
    values = item if isinstance(item, list) else [item]
    good = len(values) in (1, 4) and all(
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value < 1e12
        and math.isfinite(value)
        for value in values
    )
    return Sample(*values) if good else None
