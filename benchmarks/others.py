"""The benchmarks that need no model: policies, effects, limits, other executors, what is recovered and stopped."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.asking import Settings


def run(name: str, settings: Settings, *, quick: bool, peers: str | None, model: str | None = None) -> str:
    """Run one of them; its table as Markdown is returned, and kept in ``settings.out``.

    ``model`` is the one that was asked for, if any was.
    """
    settings.out.mkdir(parents=True, exist_ok=True)
    match name:
        case "peers":
            text = _peers(settings, peers, quick=quick)
        case "effects":
            from benchmarks import effects

            text = effects.run(settings, quick=quick)
        case "recovery":
            from benchmarks import recovery

            text = recovery.run(settings, model=model, quick=quick)
        case "stopping":
            from benchmarks import stopping

            text = stopping.run(quick=quick, seed=settings.seed)
        case "limits":
            from benchmarks import limits
            from benchmarks.report import verdicts

            text = verdicts(limits.figures(quick=quick, seed=settings.seed))
        case _:
            text = {"schedule": _schedule, "scaling": _scaling}[name](settings)
    (settings.out / f"{name}.md").write_text(text, encoding="utf-8")
    return text


def _schedule(settings: Settings) -> str:
    from benchmarks import schedule
    from benchmarks.report import verdicts

    plans = schedule.plans(settings.data)[: settings.limit]
    made = schedule.rows(plans, *([settings.processors] if settings.processors else []))
    return f"{schedule.markdown(made)}\n\n{verdicts(schedule.figures(made))}"


def _scaling(settings: Settings) -> str:
    from benchmarks import charts, scaling
    from benchmarks.report import verdicts

    counts = settings.processors or (1, 2)
    floors = {count: scaling.bare(settings.data, count) for count in counts}
    with tempfile.TemporaryDirectory() as work:
        runs = scaling.measured(
            settings.data, Path(work), repeats=settings.repeats, processors=settings.processors or None
        )
    floors = {count: (floors[count] + scaling.bare(settings.data, count)) / 2 for count in counts}
    simulated = scaling.simulated(scaling.durations_of(runs))
    charts.speedups(
        scaling.speedups(simulated), settings.out / "scaling", title="KITTI*: speed-up by processors"
    )
    return "\n\n".join(
        [
            "**Simulated**, with the durations that were measured",
            scaling.markdown(simulated),
            "**Run for real**",
            scaling.markdown(scaling.rows(runs)),
            "**The simulation checked against the real runs**",
            scaling.markdown_checked(scaling.checked(runs)) + "\n",
            verdicts(scaling.figures(runs, floors, simulated)),
        ]
    )


def _peers(settings: Settings, peers: str | None, *, quick: bool) -> str:
    from benchmarks.peers import markdown, measure

    def told(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    rows = measure(
        peers.split(",") if peers else None, settings.repeats, settings.out / "peers", told, quick=quick
    )
    return f"{markdown(rows)}\n"
