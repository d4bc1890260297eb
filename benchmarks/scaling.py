"""How two graphs scale with processors: simulated, run for real, and beside bare processes.

They are the paper's Figure 3 (KITTI*) and its example of AGNews*. Only what techniques do with a finished plan
is compared; what they ask the model for it is not.
"""

from __future__ import annotations

import asyncio
import tempfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

from benchmarks import charts
from benchmarks.calls import answered
from benchmarks.figures import Figure, Series, shown, table, verdicts
from benchmarks.questions import DataMissing
from benchmarks.schedule import FIFO, OURS, POLICIES
from benchmarks.sets import agnews, kitti
from examples.tools.driving import images_of, turn_in, turns_of
from llmorch import Orchestrator, function, simulate
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.asking import Settings
    from benchmarks.figures import Row

IMAGES = 8
REMOTE = 2.0
"""Seconds that a remote model takes to answer ``chatbot``."""
PROCEDURE = "Clean the texts. Count their words. Place them in a plane by t-SNE. Find topics by LDA."
PROCESSORS = range(1, 9)
LOWER_BOUND = "lower bound"
TECHNIQUES = {
    "react": "sequential",
    "parallel": "barrier",
    "llmcompiler": "greedy",
    "llmorch by ranks": "exclusive",
    "llmorch": "critical",
}
"""By their way with a plan; ``exclusive`` is the paper's own, by ranks."""
ON_ONE_THREAD = {"parallel on one thread": "barrier", "llmcompiler on one thread": "greedy"}
"""How the published baselines run what computes: on their event loop's thread, whatever processors there are."""
_SEVERAL = 60  # rows that make every process import what it needs


@dataclass(frozen=True)
class Graph:
    """A plan that is run on more and more processors.

    ``stand_ins`` are like the functions where only time is wanted; ``share`` is what is wanted of a speed-up by as
    many times as there are processors. ``real(data, work, processors)`` has what is run: functions, a small plan
    before the clock starts, and the plan. ``bare(data, processors)`` tells the seconds that its calls take on so
    many bare processes: what the machine itself gives.
    """

    name: str
    title: str
    plan: str
    stand_ins: Sequence[Callable[..., Any]]
    share: float
    real: Callable[[Path, Path, int], tuple[list[Callable[..., Any]], str, str]]
    bare: Callable[[Path, int], float]

    @cached_property
    def _orchestrator(self) -> Orchestrator:
        return Orchestrator(list(self.stand_ins), model=remote_model(), processors=1)

    def simulated(self, durations: Mapping[str, float], policy: str, processors: int) -> tuple[float, float]:
        """The makespan under a policy, and the lower bound of any."""
        plan, functions = self._orchestrator.check(self.plan), self._orchestrator.functions
        done = simulate(plan, functions, durations, processors=processors, policy=policy, optimize=False)
        return done.makespan, done.lower_bound


@dataclass(frozen=True)
class Run:
    """One real run: its makespan, and each call's seconds."""

    policy: str
    processors: int
    makespan: float
    durations: Mapping[str, float]


def remote_model() -> ScriptedModel:
    """A model elsewhere: it takes its time and none of the processors."""
    return ScriptedModel(lambda _: PROCEDURE, delay=REMOTE, chunk=len(PROCEDURE))


def run(settings: Settings) -> str:
    """The tables of the graphs that there is data of."""
    there = [graph for graph in GRAPHS if (settings.data / graph.name).is_dir()]
    return "\n\n".join(_run(graph, settings) for graph in there or GRAPHS[:1])


def _run(graph: Graph, settings: Settings) -> str:
    data, asked, counts = settings.data, settings.processors, settings.processors or (1, 2)
    floors = {count: graph.bare(data, count) for count in counts}
    with tempfile.TemporaryDirectory() as work:
        runs = measured(data, Path(work), repeats=settings.repeats, processors=asked, graph=graph)
    floors = {count: (floors[count] + graph.bare(data, count)) / 2 for count in counts}
    fewest = min(run.processors for run in runs)  # where they are disturbed least
    quiet = [run.durations for run in runs if run.processors == fewest]
    durations = {call: median(one[call] for one in quiet) for call in quiet[0]}
    made = simulated(durations, graph=graph)
    lines: dict[str, dict[int, float]] = {}
    for row in made:  # the paper's Figure 4
        lines.setdefault(row["technique"], {})[row["processors"]] = row["speedup"]
    title, path = f"{graph.title}: speed-up by processors", settings.out / f"scaling-{graph.name}"
    charts.speedups(lines, path, bound=LOWER_BOUND, title=title)
    name = graph.title.replace("*", "\\*")
    return "\n\n".join(
        [
            f"**{name}, simulated** with the durations that were measured",
            markdown(made),
            f"**{name}, run for real**",
            markdown(rows(runs)),
            f"**{name}, the simulation checked against the real runs**",
            table(_CHECKED, checked(runs, graph)) + "\n",
            verdicts(figures(runs, floors, made, graph)),
        ]
    )


def simulated(
    durations: Mapping[str, float],
    processors: Sequence[int] = PROCESSORS,
    techniques: Mapping[str, str] = ON_ONE_THREAD | TECHNIQUES,
    graph: Graph | None = None,
) -> list[Row]:
    """Makespans on a virtual clock; ``durations`` are seconds by call id or function.

    Speed-ups are against one call after the other, which is ReAct on any number of processors.
    """
    graph = graph or KITTI
    base, _ = graph.simulated(durations, "sequential", 1)
    made = []
    for name, policy in techniques.items():
        for count in processors:
            makespan, _ = graph.simulated(durations, policy, 1 if name in ON_ONE_THREAD else count)
            made.append(_row(name, count, makespan, base))
    bounds = {count: graph.simulated(durations, "sequential", count)[1] for count in processors}
    return made + [_row(LOWER_BOUND, count, bound, base) for count, bound in bounds.items()]


def _row(technique: str, processors: int, makespan: float, base: float) -> Row:
    speedup = base / makespan if makespan else 1.0
    return {"technique": technique, "processors": processors, "makespan": makespan, "speedup": speedup}


def markdown(rows: Sequence[Row]) -> str:
    """The paper's Table III: a line a technique, a column a number of processors."""
    cells = {(row["technique"], row["processors"]): row for row in rows}

    def cell(line: Row, count: int) -> str:
        row = cells.get((line["technique"], count))
        return "" if row is None else f"{shown(row['makespan'])} s, {row['speedup']:.2f}x"

    columns: dict[str, Any] = {"processors": "technique"}
    for count in dict.fromkeys(row["processors"] for row in rows):
        columns[str(count)] = partial(cell, count=count)
    return table(columns, [{"technique": name} for name in dict.fromkeys(row["technique"] for row in rows)])


def measured(
    data: Path,
    work: Path,
    *,
    repeats: int,
    processors: Sequence[int] = (),
    policies: Sequence[str] = POLICIES,
    graph: Graph | None = None,
) -> list[Run]:
    """Run the plan over what is below ``data``, in turn under each policy. Raises ``DataMissing``.

    By default on every number of processors that this process may use, up to eight.
    """
    most = Orchestrator([], model=ScriptedModel([])).processors
    counts = processors or range(1, min(PROCESSORS[-1], most) + 1)
    return [
        run
        for count in counts
        for run in asyncio.run(_measured((graph or KITTI).real(data, work, count), count, policies, repeats))
    ]


async def _measured(real: Any, processors: int, policies: Sequence[str], repeats: int) -> list[Run]:
    functions, before, plan = real
    runs = []
    for policy in policies:
        options: Any = {"policy": policy, "processors": processors, "optimize": False, "learn": False}
        async with Orchestrator(functions, model=remote_model(), **options) as orchestrator:
            # So that every process is up and has imported what it needs.
            answered(await orchestrator.execute(before))
            for _ in range(repeats):
                result = answered(await orchestrator.execute(plan))
                seconds = {call.id: call.completed - call.dispatched for call in result.calls}  # type: ignore[operator]
                runs.append(Run(policy, processors, result.makespan, seconds))
    return runs


def _by_way(runs: Sequence[Run]) -> dict[tuple[str, int], list[Run]]:
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.policy, run.processors), []).append(run)
    return groups


def figures(
    runs: Sequence[Run], floors: Mapping[int, float], simulated: Sequence[Row], graph: Graph
) -> list[Figure]:
    """What is wanted of our policy: real speed-ups beside bare processes', all of them beside the bound."""
    made: list[Figure] = []

    def add(name: str, what: str, values: Sequence[float], **bounds: float) -> None:
        made.append(Figure(f"{graph.title}: {name}", what, "x", Series(values), **bounds))  # type: ignore[arg-type]

    groups = _by_way(runs)
    one = [run.makespan for run in groups.get(("sequential", 1), ())]
    for (policy, count), found in groups.items():
        if policy == OURS and count > 1 and one and {1, count} <= floors.keys():
            floor = floors[1] / floors[count]
            against = f"against one call after the other; bare processes {shown(floor)}"
            faster = [median(one) / run.makespan for run in found]
            least = min(graph.share * count, 0.95 * floor)
            add(f"speed-up on {count} processors", against, faster, at_least=least)
            of = "of the lower bound of the durations that its calls took"
            near = [run.makespan / graph.simulated(run.durations, policy, count)[1] for run in found]
            add(f"run for real on {count} processors", of, near, at_most=1.1)
    best = {row["processors"]: row["makespan"] for row in simulated if row["technique"] == LOWER_BOUND}
    for row in simulated:
        if row["technique"] == "llmorch" and (count := row["processors"]) in (4, 8):
            near = [row["makespan"] / best[count]]
            add(f"simulated on {count} processors", "of the lower bound", near, at_most=1.05)
    return made


def rows(runs: Sequence[Run]) -> list[Row]:
    """Medians of real runs, in the form of ``simulated``; the base is sequential on the fewest processors."""
    spans = {way: median(run.makespan for run in found) for way, found in _by_way(runs).items()}
    base = spans.get(("sequential", min(count for _, count in spans))) or max(spans.values())
    return [
        _row(name, count, span, base)
        for name, own in TECHNIQUES.items()
        for (policy, count), span in spans.items()
        if policy == own
    ]


def checked(runs: Sequence[Run], graph: Graph) -> list[Row]:
    """Real makespans against the simulation with the durations that the same calls took.

    A run doesn't know durations ahead as a simulation does: calls of one function are alike
    to it, so that on these graphs our policy takes them in the plan's order, as fifo does.
    """
    made: list[Row] = []
    for (policy, count), found in _by_way(runs).items():
        known = FIFO if policy == OURS else policy
        expected = [graph.simulated(run.durations, known, count)[0] for run in found]
        errors = [span / run.makespan - 1 for span, run in zip(expected, found, strict=True)]
        real, error = median(run.makespan for run in found), max(errors, key=abs)
        way = {"policy": policy, "processors": count, "runs": len(found)}
        made.append(way | {"real": real, "simulated": median(expected), "error": error})
    return made


_CHECKED: Mapping[str, Callable[[Row], str] | str] = {
    "policy": "policy",
    "processors": "processors",
    "real": lambda row: f"{shown(row['real'])} s",
    "simulated": lambda row: f"{shown(row['simulated'])} s",
    "worst error": lambda row: f"{row['error']:+.2%}",
}


def turns(images: Sequence[str]) -> str:
    """The paper's Figure 3 over any even number of images, the first half of system A."""
    half, count = len(images) // 2, len(images)
    ids = [f"s{number}" for number in range(1, count + 4)]
    lines = [f'{id_} = turn_angle(image="{image}")' for id_, image in zip(ids, images, strict=False)]
    a, b, last = ids[-3:]
    lines += [f"{a} = average(values=[{', '.join(ids[:half])}])"]
    lines += [f"{b} = average(values=[{', '.join(ids[half:count])}])", f"{last} = difference(a={a}, b={b})"]
    return "\n".join(lines)


def report(file: str, rows: int) -> str:
    """The plan of the paper's AGNews* over the first rows of a file."""
    return (
        f's1 = read(file="{file}", start=0, rows={rows})\ns2 = tsne(rows=s1)\ns3 = lda(rows=s1)\n'
        's4 = chatbot(prompt="Write a sample procedure for t-SNE and LDA on texts.")\n'
        's5 = write(path="report.txt", text="{s4}\\n\\n{s2}\\n\\n{s3}")'
    )


@function(kind="compute", pure=True)
def turn_angle(image: str) -> float: ...


@function(kind="inout", pure=True)
def read(file: str, start: int, rows: int) -> str: ...


@function(kind="compute", pure=True)
def tsne(rows: str) -> str: ...


@function(kind="compute", pure=True)
def lda(rows: str) -> str: ...


@function(kind="inout", pure=True)
def write(path: str, text: str) -> str: ...


def _real_turns(data: Path, work: Path, processors: int) -> tuple[list[Callable[..., Any]], str, str]:
    functions = kitti.SET.functions(data, work)
    images = list(turns_of(data / "kitti"))
    if not images:
        raise DataMissing(f"{data / 'kitti'}: no image has a pose and a neighbour; {kitti.PUBLISHED}")
    plan = turns(list(islice(cycle(images), IMAGES)))
    return functions, "\n".join(plan.splitlines()[:processors]), plan


def _bare_turns(data: Path, processors: int) -> float:
    images = list(islice(cycle(images_of(data / "kitti")), IMAGES))
    turn = partial(turn_in, data / "kitti")
    with ProcessPoolExecutor(processors, get_context("spawn")) as pool:
        list(pool.map(turn, images[:processors]))  # so that every process is up
        began = perf_counter()
        list(pool.map(turn, images))
        return perf_counter() - began


def _news(data: Path) -> tuple[Path, int]:
    """A file of news, and how many rows of it are analysed."""
    first = agnews.SET.questions(data)[0]
    path = next(path for path in sorted((data / "agnews").glob("*.csv")) if path.name in first.text)
    return path, min(agnews.ROWS, len(agnews.news_in(path)))


def _real_report(data: Path, work: Path, _: int) -> tuple[list[Callable[..., Any]], str, str]:
    path, rows = _news(data)
    before = report(path.name, min(_SEVERAL, rows))
    return agnews.SET.functions(data, work), before, report(path.name, rows)


def _bare_report(data: Path, processors: int) -> float:
    path, rows = _news(data)
    news = agnews.news_in(path)[:rows]
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(processors, get_context("spawn")) as pool,
        ThreadPoolExecutor(1) as elsewhere,
    ):
        analyses = [partial(draw, Path(folder)) for draw in (agnews.draw_scatter, agnews.draw_topics)]
        wait([pool.submit(analysis, news[:_SEVERAL]) for analysis in analyses])
        began = perf_counter()
        asked = elsewhere.submit(sleep, REMOTE)
        if processors == 1:  # one call after the other
            asked.result()
        for made in [asked, *(pool.submit(analysis, news) for analysis in analyses)]:
            made.result()
        return perf_counter() - began


_NAMES = [f"{number:06}.png" for number in range(1, IMAGES + 1)]
_TURNS = (turn_angle, kitti.average, kitti.difference)
_REPORT = (read, tsne, lda, agnews.chatbot, write)
KITTI = Graph("kitti", "KITTI*", turns(_NAMES), _TURNS, 0.95, _real_turns, _bare_turns)
AGNEWS = Graph("agnews", "AGNews*", report("news.csv", agnews.ROWS), _REPORT, 0.9, _real_report, _bare_report)
GRAPHS = (KITTI, AGNEWS)
