"""Random graphs of unequal durations, and how the policies compare on them."""

from __future__ import annotations

from benchmarks import schedule
from benchmarks.schedule import FIFO, OURS, RANKS
from benchmarks.timed import SHAPES, random_plans
from llmorch import render


def test_the_same_seed_gives_the_same_graphs_of_every_shape() -> None:
    graphs, again = random_plans(12, seed=3), random_plans(12, seed=3)
    assert [(render(graph.plan), graph.durations) for graph in graphs] == [
        (render(graph.plan), graph.durations) for graph in again
    ]
    assert len({render(graph.plan) for graph in graphs}) == 12 == 2 * len(SHAPES)
    assert render(random_plans(1, seed=4)[0].plan) != render(graphs[0].plan)


def test_ours_is_hardly_ever_worse_than_fifo_or_the_ranks_where_durations_are_known_and_better_on_the_mean() -> (
    None
):
    rows = schedule.unequal_rows(random_plans(24, seed=7), processors=[2, 4, 8])
    figures = schedule.unequal_figures(rows)
    assert len(figures) == 12
    assert [figure.name for figure in figures if not figure.met] == []
    means = {(row["policy"], row["processors"]): row["mean_to_bound"] for row in rows}
    for count in (2, 4):
        assert means[OURS, count] < means[schedule.LEARNED, count] < means[FIFO, count]
        assert means[OURS, count] < means[RANKS, count]


def test_a_worse_graph_is_a_missed_figure() -> None:
    row = schedule.unequal_rows(random_plans(6), processors=[2])[0] | {
        "worst_to_fifo": 1.2,
        "mean_to_ranks": 1.001,
    }
    missed = [figure.name for figure in schedule.unequal_figures([row]) if not figure.met]
    assert missed == [
        "unequal durations, 2: worst against fifo",
        "unequal durations, 2: mean against the paper's ranks",
    ]


def test_the_table_has_a_line_for_each_policy_and_what_it_knows() -> None:
    lines = schedule.unequal_markdown(schedule.unequal_rows(random_plans(6), processors=[2])).splitlines()
    assert lines[0] == "**Unequal durations**, 6 random graphs of inout and compute calls"
    assert [line.split(" | ")[1] for line in lines[4:]] == list(schedule.NAMES)
