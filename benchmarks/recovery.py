"""What is noticed and mended when something goes wrong: one table for each thing that can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import caught, faults, repairing, short_page, streams
from benchmarks.comparing import RECORDED
from benchmarks.mutations import KINDS
from benchmarks.progress import Progress
from benchmarks.report import verdicts
from benchmarks.right_plans import right_plans
from llmorch import model_named
from llmorch.testing import RecordedModel

if TYPE_CHECKING:
    from benchmarks.asking import Settings

QUICK = 60


def run(settings: Settings, *, model: str | None, quick: bool) -> str:
    """All tables; the last one, which asks a model, only where one is named."""
    parts = [
        ("Mutations: one mistake in a right plan", _mutations(settings, quick=quick)),
        ("Replies that break off, turn to garbage or never end", _streams(settings, quick=quick)),
        ("Calls that fail, and are recovered", _faults(settings, quick=quick)),
        ("A search that returns too few words (the paper's question 83)", _short_page(model)),
    ]
    if model is not None:
        parts.append(("Compile-time repair", _repairs(settings, model, quick=quick)))
    return "\n\n".join(f"**{title}**\n\n{table}" for title, table in parts)


def _mutations(settings: Settings, *, quick: bool) -> str:
    count = settings.limit or (QUICK if quick else caught.PLANS)
    rows = caught.rows(caught.measured(right_plans(count, settings.seed), settings.seed))
    return f"{caught.markdown(rows)}\n\n{verdicts(caught.figures(rows))}"


def _streams(settings: Settings, *, quick: bool) -> str:
    runs = streams.measured(settings.limit or (QUICK if quick else streams.PLANS), settings.seed)
    return f"{streams.markdown(runs)}\n\n{verdicts(streams.figures(runs))}"


def _faults(settings: Settings, *, quick: bool) -> str:
    runs = faults.measured(settings.limit or (QUICK if quick else faults.PLANS), settings.seed)
    return f"{faults.markdown(runs)}\n\n{verdicts(faults.figures(runs))}"


def _short_page(name: str | None) -> str:
    """With what the local model said when it was recorded, where no model is named."""
    model = RecordedModel(RECORDED / "parallelqa.jsonl") if name is None else model_named(name)
    result, right = short_page.recovered(model)
    return f"{short_page.markdown(name or 'recorded', result, right=right)}\n"


def _repairs(settings: Settings, name: str, *, quick: bool) -> str:
    count = settings.limit or (len(KINDS) if quick else repairing.PLANS)
    kept = repairing.Repairs(settings.out / "repairs.jsonl", name)
    with Progress("recovery") as progress:
        repairs = repairing.compile_time_repair(
            model_named(name), count, settings.seed, kept=kept, told=progress.counted
        )
    return f"{repairing.markdown(name, repairs)}\n"
