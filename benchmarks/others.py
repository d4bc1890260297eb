"""The benchmarks that need no model: policies, effects, limits, other executors, what is recovered and stopped."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.asking import Settings
    from benchmarks.graphs import Graph


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
    from benchmarks import schedule, timed_graphs, unequal
    from benchmarks.report import verdicts

    counts = [settings.processors] if settings.processors else []
    plans = schedule.plans(settings.data)[: settings.limit]
    made = schedule.rows(plans, *counts)
    graphs = timed_graphs.timed_graphs(settings.limit or unequal.GRAPHS, settings.seed)
    random = unequal.rows(graphs, *counts)
    return "\n\n".join(
        [
            schedule.markdown(made),
            verdicts(schedule.figures(made)),
            unequal.markdown(random),
            verdicts(unequal.figures(random)),
        ]
    )


def _scaling(settings: Settings) -> str:
    from benchmarks.graphs import GRAPHS

    there = [graph for graph in GRAPHS if (settings.data / graph.name).is_dir()]
    return "\n\n".join(_scaling_of(graph, settings) for graph in there or GRAPHS[:1])


def _scaling_of(graph: Graph, settings: Settings) -> str:
    from benchmarks import charts, scaling
    from benchmarks.report import verdicts

    counts = settings.processors or (1, 2)
    floors = {count: graph.bare(settings.data, count) for count in counts}
    with tempfile.TemporaryDirectory() as work:
        runs = scaling.measured(
            settings.data,
            Path(work),
            repeats=settings.repeats,
            processors=settings.processors or None,
            graph=graph,
        )
    floors = {count: (floors[count] + graph.bare(settings.data, count)) / 2 for count in counts}
    simulated = scaling.simulated(scaling.durations_of(runs), graph=graph)
    charts.speedups(
        scaling.speedups(simulated),
        settings.out / f"scaling-{graph.name}",
        title=f"{graph.title}: speed-up by processors",
    )
    name = graph.title.replace("*", "\\*")
    return "\n\n".join(
        [
            f"**{name}, simulated** with the durations that were measured",
            scaling.markdown(simulated),
            f"**{name}, run for real**",
            scaling.markdown(scaling.rows(runs)),
            f"**{name}, the simulation checked against the real runs**",
            scaling.markdown_checked(scaling.checked(runs, graph)) + "\n",
            verdicts(scaling.figures(runs, floors, simulated, graph)),
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
