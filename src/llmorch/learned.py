"""What calls took before: the last samples of each function, and what they lead one to expect.

This module must not know where that is kept, nor any clock.
"""

from __future__ import annotations

import inspect
from dataclasses import astuple, dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmorch.declare.functions import Function

VERSION = 1
SAMPLES = 32
"""Calls of one function that are kept, the last ones."""
MOST = 200
"""Functions that are kept, those that were called last."""
MOST_OF_ALL = 1e12
"""No number of seconds or tokens is as large: it was not written by this module."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one call took, in seconds; and what it asked of the model, if it did."""

    seconds: float
    requests: float = 0
    input_tokens: float = 0
    output_tokens: float = 0


@dataclass(frozen=True, slots=True)
class Estimate(Sample):
    """The medians of so many samples, each number's by itself."""

    samples: int = 0


def known_as(function: Function, model: str) -> str:
    """What tells a function from one of the same name in another file; one that asks is known by its model too."""
    target: Any = function.call
    while isinstance(target, partial):
        target = target.func
    target = inspect.unwrap(getattr(target, "__func__", target))
    if not hasattr(target, "__qualname__"):
        target = type(target).__call__
    code = getattr(target, "__code__", None)
    file = str(getattr(target, "__module__", "") if code is None else code.co_filename)
    if code is not None and file.startswith("<"):  # typed in, or handed to python -c
        file = f"{file} {crc32(code.co_code):x}"
    asked = f", asking {model}" if function.asks_model else ""
    return f"{function.name} ({target.__qualname__} in {file}){asked}"


class Learned:
    """Samples by the name that ``known_as`` gives a function; bounded in all directions."""

    def __init__(self) -> None:
        self._samples: dict[str, list[Any]] = {}
        """As JSON has them, and read only when they are asked for. What was called last comes last."""
        self._seconds: dict[str, float | None] = {}

    def __len__(self) -> int:
        return len(self._samples)

    def take(self, name: str, samples: Iterable[Sample]) -> None:
        """Add samples of one function; the oldest are forgotten."""
        self._take(name, [_as_item(sample) for sample in samples])

    def _take(self, name: str, items: Sequence[Any]) -> None:
        self._samples[name] = [*self._samples.pop(name, ()), *items][-SAMPLES:]
        self._seconds.pop(name, None)
        while len(self._samples) > MOST:
            oldest = next(iter(self._samples))
            del self._samples[oldest]
            self._seconds.pop(oldest, None)

    def add(self, other: Learned) -> None:
        """Add all that another one has."""
        for name, items in other._samples.items():
            self._take(name, items)

    def seconds(self, name: str) -> float | None:
        """The median of what calls of this function took, if one was ever measured."""
        if name not in self._seconds:
            items = self._samples.get(name, ())
            seconds = [item for item in items if isinstance(item, float) and 0 <= item < MOST_OF_ALL]
            if len(seconds) < len(items):
                seconds = [sample.seconds for sample in self._read(name)]
            self._seconds[name] = median(seconds) if seconds else None
        return self._seconds[name]

    def estimate(self, name: str) -> Estimate | None:
        """What a call of this function takes and asks, if one was ever measured."""
        samples = self._read(name)
        if not samples:
            return None
        seconds, requests, inputs, outputs = map(median, zip(*map(astuple, samples), strict=True))
        return Estimate(seconds, requests, inputs, outputs, len(samples))

    def _read(self, name: str) -> list[Sample]:
        return [sample for item in self._samples.get(name, ()) if (sample := _read(item)) is not None]

    def as_json(self) -> dict[str, Any]:
        """All of it, as JSON has it: a call that asked nothing is its seconds."""
        return {"version": VERSION, "functions": self._samples}

    @classmethod
    def from_json(cls, data: Any) -> Learned:
        """What ``as_json`` gave. Anything in it that can't be is left out."""
        made = cls()
        functions = data.get("functions") if isinstance(data, dict) and data.get("version") == VERSION else {}
        for name, items in functions.items() if isinstance(functions, dict) else ():
            if isinstance(items, list):
                made._take(name, items)
        return made


def durations(learned: Learned, names: Mapping[str, str]) -> dict[str, float]:
    """Expected seconds by function name; ``names`` is what each function is known as."""
    found = ((name, learned.seconds(known)) for name, known in names.items())
    return {name: seconds for name, seconds in found if seconds is not None}


def _as_item(sample: Sample) -> Any:
    seconds = float(f"{sample.seconds:.4g}")
    if not sample.requests:
        return seconds
    return [seconds, sample.requests, sample.input_tokens, sample.output_tokens]


def _read(item: Any) -> Sample | None:
    values = item if isinstance(item, list) else [item]
    good = len(values) in (1, 4) and all(
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MOST_OF_ALL
        for value in values
    )
    return Sample(*values) if good else None
