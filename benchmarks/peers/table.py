"""What an outcome means: its words, whether it is right, and the rows as a table.

Reads what ``columns.py`` measured; knows neither packages nor processes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from benchmarks.peers.columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SHARE = 0.9
"""How much of the speed-up of two bare processes is right."""
FREE = 1.5
"""How much faster than one two bare processes are, at least, where there was room for two."""
AT_ONCE = 2.0
"""How many times the sleep of one call all of them may take to be at once."""
SLACK = 0.5
"""How many seconds after its limit a call is still reported in time."""

Outcome = dict[str, Any]


@dataclass
class PeerRow:
    """What one executor came to: for each column, the outcome of each repeat."""

    name: str
    package: str | None = None
    version: str = ""
    problem: str = ""
    """Why there are no outcomes, if there are none."""
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    """For a column, the setting with which ``with_option`` was measured."""
    with_option: dict[str, list[Outcome]] = field(default_factory=dict)
    limit: str = ""

    @property
    def judged(self) -> list[str]:
        """The columns of which something can be said."""
        return [column for column in COLUMNS if can_be_judged(column, self.outcomes.get(column, []))]

    @property
    def right(self) -> list[str]:
        """The columns whose outcome is right as the executor comes."""
        return [column for column in COLUMNS if is_right(column, self.outcomes.get(column, []))]


def can_be_judged(column: str, outcomes: Sequence[Outcome]) -> bool:
    """Whether there are outcomes, and not only of a machine too busy for them."""
    return any(
        column != "cpu" or "together" not in outcome or says_something(outcome) for outcome in outcomes
    )


def is_right(column: str, outcomes: Sequence[Outcome]) -> bool:
    """Whether the outcome is what a user wants, in every repeat; a speed-up, in the middle of them."""
    if not outcomes or any("hangs" in outcome or "failed" in outcome for outcome in outcomes):
        return False
    if column == "cpu":
        complete = all(outcome["complete"] for outcome in outcomes)
        shares = [_floor(outcome) / outcome["together"] for outcome in outcomes if says_something(outcome)]
        return complete and bool(shares) and median(shares) >= SHARE
    return all(_RIGHT[column](outcome) for outcome in outcomes)


def says_something(outcome: Outcome) -> bool:
    """Whether both processors were free: bare processes next to it, before and after, ran at once.

    Otherwise whoever calls one by one looks as good as they do. Only the floor decides it.
    """
    return "floors" in outcome and outcome["serial"] / max(outcome["floors"]) >= FREE


def _floor(outcome: Outcome) -> float:
    return float(mean(outcome["floors"]))


def _slept_at_once(outcome: Outcome) -> bool:
    return bool(outcome["complete"]) and outcome["seconds"] <= AT_ONCE * outcome["sleep"]


def _read_the_new(outcome: Outcome) -> bool:
    return all(text == "new" for text in outcome["reads"])


def _kept_the_others(outcome: Outcome) -> bool:
    return bool(outcome["ended"] == "answered" and outcome["kept"] == outcome["wanted"])


def _stopped(outcome: Outcome) -> bool:
    if outcome["refused"] is not None or not outcome["begun"] or outcome["file"]:
        return False
    return bool(outcome["reported"] <= outcome["limit"] + SLACK)


_RIGHT = {
    "sleep": _slept_at_once,
    "order": _read_the_new,
    "failure": _kept_the_others,
    "timeout": _stopped,
}


def words(column: str, outcomes: Sequence[Outcome], limit: str = "") -> str:
    """What a cell of the table says."""
    if not outcomes:
        return "not measured"
    for outcome in outcomes:
        if "hangs" in outcome:
            return f"hangs: nothing after {outcome['hangs']:.0f} s"
        if "failed" in outcome:
            return f"failed: {outcome['failed']}"
    if column in ("cpu", "sleep"):
        incomplete = [outcome for outcome in outcomes if not outcome["complete"]]
        if incomplete:
            return f"incomplete: {incomplete[0]['ended']}"
    if column == "cpu":
        free = [outcome for outcome in outcomes if says_something(outcome)]
        if not can_be_judged(column, outcomes):
            return f"not judged: the machine was busy in each of {len(outcomes)} runs"
        ratios = [outcome["serial"] / outcome["together"] for outcome in free]
        floors = [outcome["serial"] / _floor(outcome) for outcome in free]
        return f"{_spread(ratios)}x; two processes {_spread(floors)}x"
    if column == "sleep":
        return f"{_spread([outcome['seconds'] for outcome in outcomes])} s"
    told = list(dict.fromkeys(_WORDS[column](outcome, limit) for outcome in outcomes))
    return " / ".join(told)


def _order_words(outcome: Outcome, _: str) -> str:
    reads = outcome["reads"]
    if None in reads:
        return f"no value: {outcome['ended']}"
    return " and ".join(f"{text} {reads.count(text)} of {len(reads)}" for text in dict.fromkeys(reads))


def _failure_words(outcome: Outcome, _: str) -> str:
    of = f"{outcome['kept']} of {outcome['wanted']} kept"
    if outcome["ended"] == "answered":
        return f"goes on, {of}"
    left = f", {outcome['left']} left to the caller" if outcome["left"] else ""
    return f"ends, {of}{left}"


def _timeout_words(outcome: Outcome, limit: str) -> str:
    if outcome["refused"] is not None:
        return "refused for a synchronous function"
    if not outcome["offered"]:
        return "no limit offered"
    if not outcome["begun"]:
        return f"never called: {outcome['ended']}"
    by = f" ({limit})" if limit else ""
    # What is late by less than this is late by the machine's doing.
    in_time = outcome["reported"] <= outcome["limit"] + SLACK
    when = f"after {outcome['limit']:g} s" if in_time else f"only after {outcome['reported']:.1f} s"
    after = "runs on" if in_time else "has run to its end"
    return f"reported {when}{by}, {after if outcome['file'] else 'stopped'}"


_WORDS = {"order": _order_words, "failure": _failure_words, "timeout": _timeout_words}


def markdown(rows: Sequence[PeerRow]) -> str:
    """The rows as a Markdown table; what is right is marked, and counted at the end."""
    lines = [
        "| executor | " + " | ".join(_HEADINGS[column] for column in COLUMNS) + " | right |",
        "|---|" + "---|" * len(COLUMNS) + "---:|",
    ]
    for row in rows:
        name = f"{row.name} {row.version}".rstrip()
        if row.problem:
            lines.append(f"| {_cell(name)} | {_cell(row.problem)} |{' |' * len(COLUMNS)}")
            continue
        cells = [_described(row, column) for column in COLUMNS]
        lines.append(f"| {_cell(name)} | {' | '.join(cells)} | {len(row.right)} of {len(row.judged)} |")
    return "\n".join(lines)


_HEADINGS: Mapping[str, str] = {
    "cpu": "compute at once",
    "sleep": "sleep at once",
    "order": "write, then read",
    "failure": "one call raises",
    "timeout": "past its limit",
}


def _described(row: PeerRow, column: str) -> str:
    outcomes = row.outcomes.get(column, [])
    text = _cell(_marked(column, outcomes, row.limit))
    if column in row.with_option:
        option = _marked(column, row.with_option[column], row.limit)
        text += f"<br>with {_cell(row.options[column])}: {_cell(option)}"
    return text


def _marked(column: str, outcomes: Sequence[Outcome], limit: str) -> str:
    return f"{words(column, outcomes, limit)}{' **✓**' if is_right(column, outcomes) else ''}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _spread(values: Sequence[float]) -> str:
    middle = f"{median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f}-{max(values):.2f})"


def save(rows: Sequence[PeerRow], path: Path) -> None:
    """Write the rows as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")


def load(path: Path) -> list[PeerRow]:
    """Read what ``save`` wrote. Raises ``ValueError`` with one line for a file that can't be that."""
    try:
        rows = [PeerRow(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
        markdown(rows)  # whatever is missing in it is missed here
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no rows of peers: {type(error).__name__}: {error}") from None
    return rows
