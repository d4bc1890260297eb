"""Runs as a benchmark records them, for what tests make of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.records import Job, Run


def run(technique: str, question: str, repeat: int = 0, **changes: Any) -> Run:
    """A run that answered, but for the changes."""
    job = Job("set", technique, "p", "local", 2, question, "asked", repeat)
    made = Run(
        job=job,
        status="answered",
        right=True,
        answer="x",
        error=None,
        seconds=2.0,
        executing=1.0,
        model_seconds=1.0,
        lower_bound=1.0,
        requests=2,
        input_tokens=80,
        output_tokens=20,
        errors=0,
        recoveries=0,
        began="2026-01-01T00:00:00+00:00",
    )
    return replace(made, **changes)
