"""The two graphs whose scaling is measured: the paper's Figure 3 and its example of AGNews*.

Decides what is run for real, what stands for it where only time is wanted, and what bare
processes do of the same work.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import cycle, islice
from multiprocessing import get_context
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

from benchmarks.questions import DataMissing
from benchmarks.sets import agnews, kitti
from llmorch import Orchestrator, function
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from llmorch.calls import Plan
    from llmorch.declare.functions import Function

IMAGES = 8
REMOTE = 2.0
"""Seconds that a remote model takes to answer ``chatbot``."""
PROCEDURE = (
    "Clean the texts. Count their words, weighted. Place them in a plane by t-SNE. Find topics by LDA."
)
_SEVERAL = 60
"""Rows that make every process import what it needs."""


@dataclass(frozen=True)
class Real:
    """What is run: functions, a small plan before the clock starts, and the plan."""

    functions: list[Callable[..., Any]]
    before: str
    plan: str


@dataclass(frozen=True)
class Graph:
    """A plan that is run on more and more processors.

    ``stand_ins`` have the functions' names and kinds; ``share`` is what is wanted of a
    speed-up by as many times as there are processors.
    """

    name: str
    title: str
    plan: str
    stand_ins: Sequence[Callable[..., Any]]
    share: float
    real: Callable[[Path, Path, int], Real]
    bare: Callable[[Path, int], float]
    """Seconds that its calls take on so many bare processes: what the machine itself gives."""

    @cached_property
    def _orchestrator(self) -> Orchestrator:
        return Orchestrator(list(self.stand_ins), model=remote_model(), processors=1)

    @property
    def functions(self) -> Mapping[str, Function]:
        """The stand-ins, as declared."""
        return self._orchestrator.functions

    @cached_property
    def checked(self) -> Plan:
        """The plan."""
        return self._orchestrator.check(self.plan)


def remote_model() -> ScriptedModel:
    """A model elsewhere: it takes its time and none of the processors."""
    return ScriptedModel(lambda _: PROCEDURE, delay=REMOTE, chunk=len(PROCEDURE))


def turns(images: Sequence[str]) -> str:
    """The paper's Figure 3 over any even number of images, the first half of system A."""
    half = len(images) // 2
    ids = [f"s{number}" for number in range(1, len(images) + 4)]
    lines = [f'{id_} = turn_angle(image="{image}")' for id_, image in zip(ids, images, strict=False)]
    a, b, last = ids[-3:]
    lines.append(f"{a} = average(values=[{', '.join(ids[:half])}])")
    lines.append(f"{b} = average(values=[{', '.join(ids[half : len(images)])}])")
    lines.append(f"{last} = difference(a={a}, b={b})")
    return "\n".join(lines)


def report(file: str, rows: int) -> str:
    """The plan of the paper's AGNews* over the first rows of a file."""
    return "\n".join(
        [
            f's1 = read(file="{file}", start=0, rows={rows})',
            "s2 = tsne(rows=s1)",
            "s3 = lda(rows=s1)",
            's4 = chatbot(prompt="Write a sample procedure for t-SNE and LDA on texts.")',
            's5 = write(path="report.txt", text="{s4}\\n\\n{s2}\\n\\n{s3}")',
        ]
    )


@function(kind="compute", pure=True)
def turn_angle(image: str) -> float:
    """Stands for the real function where only its time is wanted."""
    raise NotImplementedError


@function(kind="inout", pure=True)
def read(file: str, start: int, rows: int) -> str:
    """Stands for the real function where only its time is wanted."""
    raise NotImplementedError


@function(kind="compute", pure=True)
def tsne(rows: str) -> str:
    """Stands for the real function where only its time is wanted."""
    raise NotImplementedError


@function(kind="compute", pure=True)
def lda(rows: str) -> str:
    """Stands for the real function where only its time is wanted."""
    raise NotImplementedError


@function(kind="inout", pure=True)
def write(path: str, text: str) -> str:
    """Stands for the real function where only its time is wanted."""
    raise NotImplementedError


def _real_turns(data: Path, work: Path, processors: int) -> Real:
    functions = kitti.SET.functions(data, work)
    images = list(kitti.turns_of(data / "kitti"))
    if not images:
        raise DataMissing(f"{data / 'kitti'}: no image has a pose and a neighbour; {kitti.PUBLISHED}")
    plan = turns(list(islice(cycle(images), IMAGES)))
    return Real(functions, "\n".join(plan.splitlines()[:processors]), plan)


def _bare_turns(data: Path, processors: int) -> float:
    images = list(islice(cycle(kitti.images_of(data / "kitti")), IMAGES))
    turn = partial(kitti.turn_in, data / "kitti")
    with ProcessPoolExecutor(processors, get_context("spawn")) as pool:
        list(pool.map(turn, images[:processors]))  # so that every process is up
        began = perf_counter()
        list(pool.map(turn, images))
        return perf_counter() - began


def _news(data: Path) -> tuple[str, int]:
    """A file of news, and how many rows of it are analysed."""
    first = agnews.SET.questions(data)[0]
    name = next(path.name for path in sorted((data / "agnews").glob("*.csv")) if path.name in first.text)
    return name, min(agnews.ROWS, len(agnews.news_in(data / "agnews" / name)))


def _real_report(data: Path, work: Path, processors: int) -> Real:
    del processors
    file, rows = _news(data)
    return Real(agnews.SET.functions(data, work), report(file, min(_SEVERAL, rows)), report(file, rows))


def _bare_report(data: Path, processors: int) -> float:
    import tempfile
    from pathlib import Path

    file, rows = _news(data)
    news = agnews.news_in(data / "agnews" / file)[:rows]
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(processors, get_context("spawn")) as pool,
        ThreadPoolExecutor(1) as elsewhere,
    ):
        analyses = [partial(draw, Path(folder)) for draw in (_drawn_scatter, _drawn_topics)]
        wait([pool.submit(analysis, news[:_SEVERAL]) for analysis in analyses])
        began = perf_counter()
        asked = elsewhere.submit(sleep, REMOTE)
        if processors == 1:  # one call after the other
            asked.result()
        for made in [pool.submit(analysis, news) for analysis in analyses]:
            made.result()
        asked.result()
        return perf_counter() - began


def _drawn_scatter(folder: Path, news: agnews.News) -> None:
    from benchmarks.sets.topics import scatter

    scatter(agnews.texts_of(news), [item["class"] for item in news], folder / "tsne.png", "")


def _drawn_topics(folder: Path, news: agnews.News) -> None:
    from benchmarks.sets.topics import topics

    topics(agnews.texts_of(news), folder / "lda.png", "")


KITTI = Graph(
    "kitti",
    "KITTI*",
    turns([f"{number:06}.png" for number in range(1, IMAGES + 1)]),
    (turn_angle, kitti.average, kitti.difference),
    0.95,
    _real_turns,
    _bare_turns,
)
AGNEWS = Graph(
    "agnews",
    "AGNews*",
    report("news.csv", agnews.ROWS),
    (read, tsne, lda, agnews.chatbot, write),
    0.9,
    _real_report,
    _bare_report,
)
GRAPHS = (KITTI, AGNEWS)
