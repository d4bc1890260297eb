"""Turns of calls on stateful systems: as fast as their effects allow, and never otherwise than in sequence.

Every turn of two calls or more is run from the state that the turns before it leave, with a
random latency for each call, once for each seed: by our executor with the effects that are
declared in ``declared.py``, and once more with effects ignored. What it returns and what it
leaves is compared with the same calls one after the other, and the time with the ideal: a
graph that orders only those pairs of calls of which a test shows that they don't commute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.effects.measuring import measure
from benchmarks.effects.systems import installed
from benchmarks.effects.table import figures, markdown
from benchmarks.effects.traces import tasks
from benchmarks.progress import Progress
from benchmarks.report import verdicts

if TYPE_CHECKING:
    from benchmarks.asking import Settings

SEEDS = 20
QUICK = 2


def run(settings: Settings, *, quick: bool) -> str:
    """The table and what was wanted. Raises ``DataMissing``, also where the systems' code is missing."""
    found = tasks(settings.data)[: settings.limit]
    seeds = range(settings.seed, settings.seed + (QUICK if quick else SEEDS))
    with installed({name for task in found for name in task.systems}) as systems, Progress("effects") as bar:
        measured = measure(found, systems, seeds, told=bar.counted)
    return f"{markdown(measured)}\n\n{verdicts(figures(measured))}"
