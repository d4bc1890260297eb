"""What is noticed and mended when something goes wrong: one table for each thing that can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import caught, faults, repairing
from benchmarks.mutations import KINDS
from benchmarks.progress import Progress
from benchmarks.report import verdicts
from benchmarks.right_plans import right_plans
from llmorch import model_named

if TYPE_CHECKING:
    from benchmarks.asking import Settings

QUICK = 60


def run(settings: Settings, *, model: str | None, quick: bool) -> str:
    """All tables; those that ask a model only where one is named."""
    parts = [("Mutations: one mistake in a right plan", _mutations(settings, quick=quick))]
    parts.append(("Calls that fail, and are recovered", _faults(settings, quick=quick)))
    if model is not None:
        parts.append(("Compile-time repair", _repairs(settings, model, quick=quick)))
    return "\n\n".join(f"**{title}**\n\n{table}" for title, table in parts)


def _mutations(settings: Settings, *, quick: bool) -> str:
    count = settings.limit or (QUICK if quick else caught.PLANS)
    rows = caught.rows(caught.measured(right_plans(count, settings.seed), settings.seed))
    return f"{caught.markdown(rows)}\n\n{verdicts(caught.figures(rows))}"


def _faults(settings: Settings, *, quick: bool) -> str:
    runs = faults.measured(settings.limit or (QUICK if quick else faults.PLANS), settings.seed)
    return f"{faults.markdown(runs)}\n\n{verdicts(faults.figures(runs))}"


def _repairs(settings: Settings, model: str, *, quick: bool) -> str:
    count = settings.limit or (len(KINDS) if quick else repairing.PLANS)
    with Progress("recovery") as progress:
        repairs = repairing.compile_time_repair(
            model_named(model), count, settings.seed, told=progress.counted
        )
    return f"{repairing.markdown(model, repairs)}\n"
