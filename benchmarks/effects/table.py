"""What the turns came to, as a table and as figures."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.effects.measuring import Turn, Way

OF_IDEAL = 0.9


def markdown(turns: Sequence[Turn]) -> str:
    """A line a way of running the turns, and what the declarations order more than they had to."""
    runs = sum(len(turn.sequential) for turn in turns)
    sequential = sum(sum(turn.sequential) for turn in turns)
    lines = [
        f"{len(turns)} turns of {sum(len(turn.methods) for turn in turns)} calls, each {runs // len(turns)} times with "
        "random latencies; a run is wrong if a result or the state at its end is not that of one call "
        "after the other",
        "",
        "| way | speed-up | of the ideal | runs that end wrong | turns that ever do |",
        "|---|---|---|---|---|",
        f"| one after the other | 1.00 | {_ideal_seconds(turns) / sequential:.0%} | 0 of {runs} | 0 of {len(turns)} |",
    ]
    for name, ways in (
        ("effects declared", [turn.ours for turn in turns]),
        ("effects ignored", [turn.ignored for turn in turns]),
        ("ideal: only what does not commute", [turn.ideal for turn in turns]),
    ):
        seconds = sum(way.seconds for of_one in ways for way in of_one)
        wrong = [sum(not way.right for way in of_one) for of_one in ways]
        lines.append(
            f"| {name} | {sequential / seconds:.2f} | {_ideal_seconds(turns) / seconds:.0%} | "
            f"{sum(wrong)} of {runs} | {sum(map(bool, wrong))} of {len(turns)} |"
        )
    for title, pairs in (
        ("Kept in order though they commute here", [turn.needless for turn in turns]),
        ("**Not kept in order though they don't commute**", [turn.missed for turn in turns]),
    ):
        counted = Counter(pair for of_one in pairs for pair in of_one)
        if counted:
            named = ", ".join(f"{one} and {two} ({count})" for (one, two), count in counted.most_common())
            lines += ["", f"{title}: {named}."]
    return "\n".join(lines)


def figures(turns: Sequence[Turn]) -> list[Figure]:
    """What is wanted: every run right, and nearly as fast as the ideal; by seed."""
    return [
        Figure(
            "right",
            "share of the runs that end as in sequence",
            "",
            Series([_share_right([turn.ours for turn in turns])]),
            {"effects ignored": Series([_share_right([turn.ignored for turn in turns])])},
            at_least=1.0,
        ),
        Figure(
            "speed-up",
            "share of what the pairs that don't commute leave possible, by seed",
            "",
            Series(
                [
                    sum(turn.ideal[at].seconds for turn in turns)
                    / sum(turn.ours[at].seconds for turn in turns)
                    for at in range(len(turns[0].ours))
                ]
            ),
            at_least=OF_IDEAL,
        ),
    ]


def _ideal_seconds(turns: Sequence[Turn]) -> float:
    return sum(way.seconds for turn in turns for way in turn.ideal)


def _share_right(ways: Sequence[Sequence[Way]]) -> float:
    every = [way.right for of_one in ways for way in of_one]
    return sum(every) / len(every)
