"""One row a peer: each column in fresh processes that may hang, what an outcome means, and the rows as a table."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from benchmarks.peers.adapters import PEERS
from benchmarks.peers.columns import COLUMNS
from benchmarks.peers.environments import ROOT, NotInstalledError, python_of, reason_in, surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HANGING = 60.0
"""The seconds after which a column hangs; the longest of them takes half of it."""
SHARE = 0.9  # how much of the speed-up of two bare processes is right
FREE = 1.5
"""How much faster than one two bare processes are, at least, where there was room for two."""
AT_ONCE = 2.0
"""How many times the sleep of one call all of them may take to be at once."""
SLACK = 0.5  # how many seconds after its limit a call is still reported in time

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


def measure(
    peers: Sequence[str],
    repeats: int,
    folder: Path,
    told: Callable[[str], None],
    *,
    quick: bool = False,
    columns: Sequence[str] = COLUMNS,
) -> list[PeerRow]:
    """A row for each of these peers, or for all, each column measured ``repeats`` times.

    ``folder`` gets the environments, each removed once its row is there, and the rows so far as ``peers.json``.
    Runs of ``cpu`` on a busy machine say nothing: they are kept in the row, and made up for as long as they are
    no more than the others.
    """
    rows: list[PeerRow] = []
    folder.mkdir(parents=True, exist_ok=True)
    for name in peers or PEERS:
        peer, environment = PEERS[name], folder / "environments" / name.replace(" ", "-")
        told(f"{name}: {peer.package or 'this checkout'}")
        row = PeerRow(name, peer.package, options=dict(peer.options), limit=peer.limit)
        rows.append(row)
        try:
            python = python_of(peer.package, environment) if peer.package else Path(sys.executable)
            for column in columns:
                _measure(row, column, repeats, python, told, quick=quick)
        except NotInstalledError as error:
            row.problem = f"not installed: {error}"
        finally:
            shutil.rmtree(environment, ignore_errors=True)
        saved = json.dumps([asdict(row) for row in rows], indent=2)
        (folder / "peers.json").write_text(f"{saved}\n", encoding="utf-8")
    return rows


def _measure(
    row: PeerRow, column: str, repeats: int, python: Path, told: Callable[[str], None], *, quick: bool
) -> None:
    for option in (False, True) if column in row.options else (False,):
        outcomes = (row.with_option if option else row.outcomes).setdefault(column, [])
        for _ in range(2 * repeats if column == "cpu" else repeats):
            line = _column(row.name, column, python, option=option, quick=quick)
            row.version = line.get("version", row.version)
            outcomes.append(line["outcome"])
            if column == "cpu" and sum(can_be_judged("cpu", [one]) for one in outcomes) == repeats:
                break
        told(f"{row.name}: {column}{f' with {row.options[column]}' if option else ''}")


def _column(name: str, column: str, python: Path, *, option: bool, quick: bool) -> dict[str, Any]:
    """One column in a process of its own: what it printed, or why it printed nothing."""
    flags = [flag for flag, wanted in (("--option", option), ("--quick", quick)) if wanted]
    with tempfile.TemporaryDirectory() as work:
        process = subprocess.Popen(
            [str(python), "-m", "benchmarks.peers", name, column, work, *flags],
            cwd=ROOT,
            env=surroundings(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # to end with it whatever it has started
        )
        try:
            output, errors = process.communicate(timeout=HANGING)
        except subprocess.TimeoutExpired:
            return {"outcome": {"hangs": HANGING}}
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    try:
        line: dict[str, Any] = json.loads(output.splitlines()[-1])
        return line
    except (IndexError, ValueError):
        return {"outcome": {"failed": reason_in(errors)}}


def says_something(outcome: Outcome) -> bool:
    """Whether both processors were free: bare processes next to it, before and after, ran at once.

    Otherwise whoever calls one by one looks as good as they do. Only the floor decides it.
    """
    return "floors" in outcome and outcome["serial"] / max(outcome["floors"]) >= FREE


def can_be_judged(column: str, outcomes: Sequence[Outcome]) -> bool:
    """Whether there are outcomes, and not only of a machine too busy for them."""
    return any(column != "cpu" or "together" not in one or says_something(one) for one in outcomes)


_RIGHT: dict[str, Callable[[Outcome], bool]] = {
    "sleep": lambda one: bool(one["complete"]) and one["seconds"] <= AT_ONCE * one["sleep"],
    "order": lambda one: all(text == "new" for text in one["reads"]),
    "failure": lambda one: bool(one["ended"] == "answered" and one["kept"] == one["wanted"]),
    "timeout": lambda one: (
        one["refused"] is None
        and one["begun"]
        and not one["file"]
        and one["reported"] <= one["limit"] + SLACK
    ),
}


def is_right(column: str, outcomes: Sequence[Outcome]) -> bool:
    """Whether the outcome is what a user wants, in every repeat; a speed-up, in the middle of them."""
    if not outcomes or any("hangs" in outcome or "failed" in outcome for outcome in outcomes):
        return False
    if column != "cpu":
        return all(_RIGHT[column](outcome) for outcome in outcomes)
    shares = [mean(one["floors"]) / one["together"] for one in outcomes if says_something(one)]
    return all(one["complete"] for one in outcomes) and bool(shares) and median(shares) >= SHARE


def words(column: str, outcomes: Sequence[Outcome], limit: str = "") -> str:
    """What a cell of the table says."""
    for outcome in outcomes:
        if "hangs" in outcome:
            return f"hangs: nothing after {outcome['hangs']:.0f} s"
        if "failed" in outcome:
            return f"failed: {outcome['failed']}"
        if not outcome.get("complete", True):
            return f"incomplete: {outcome['ended']}"
    if not outcomes:
        return "not measured"
    if column == "cpu":
        if not can_be_judged(column, outcomes):
            return f"not judged: the machine was busy in each of {len(outcomes)} runs"
        free = [outcome for outcome in outcomes if says_something(outcome)]
        ratios = [outcome["serial"] / outcome["together"] for outcome in free]
        floors = [outcome["serial"] / mean(outcome["floors"]) for outcome in free]
        return f"{_spread(ratios)}x; two processes {_spread(floors)}x"
    if column == "sleep":
        return f"{_spread([outcome['seconds'] for outcome in outcomes])} s"
    told = {"order": _order_words, "failure": _failure_words, "timeout": _timeout_words}[column]
    return " / ".join(dict.fromkeys(told(outcome, limit) for outcome in outcomes))


def _order_words(outcome: Outcome, _: str) -> str:
    reads = outcome["reads"]
    if None in reads:
        return f"no value: {outcome['ended']}"
    return " and ".join(f"{text} {reads.count(text)} of {len(reads)}" for text in dict.fromkeys(reads))


def _failure_words(outcome: Outcome, _: str) -> str:
    kept = f"{outcome['kept']} of {outcome['wanted']} kept"
    if outcome["ended"] == "answered":
        return f"goes on, {kept}"
    left = f", {outcome['left']} left to the caller" if outcome["left"] else ""
    return f"ends, {kept}{left}"


def _timeout_words(outcome: Outcome, limit: str) -> str:
    if outcome["refused"] is not None:
        return "refused for a synchronous function"
    if not outcome["offered"]:
        return "no limit offered"
    if not outcome["begun"]:
        return f"never called: {outcome['ended']}"
    # What is late by less than this is late by the machine's doing.
    in_time = outcome["reported"] <= outcome["limit"] + SLACK
    when = f"after {outcome['limit']:g} s" if in_time else f"only after {outcome['reported']:.1f} s"
    after = "runs on" if in_time else "has run to its end"
    return f"reported {when}{f' ({limit})' if limit else ''}, {after if outcome['file'] else 'stopped'}"


_HEADINGS = ("compute at once", "sleep at once", "write, then read", "one call raises", "past its limit")


def markdown(rows: Sequence[PeerRow]) -> str:
    """The rows as a Markdown table; what is right is marked, and counted at the end."""
    lines = [f"| executor | {' | '.join(_HEADINGS)} | right |", f"|---|{'---|' * len(COLUMNS)}---:|"]
    for row in rows:
        name = _cell(f"{row.name} {row.version}".rstrip())
        if row.problem:
            lines.append(f"| {name} | {_cell(row.problem)} |{' |' * len(COLUMNS)}")
            continue
        cells = [_described(row, column) for column in COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} | {len(row.right)} of {len(row.judged)} |")
    return "\n".join(lines)


def _described(row: PeerRow, column: str) -> str:
    def marked(outcomes: Sequence[Outcome]) -> str:
        return _cell(f"{words(column, outcomes, row.limit)}{' **✓**' if is_right(column, outcomes) else ''}")

    text = marked(row.outcomes.get(column, []))
    if column in row.with_option:
        text += f"<br>with {_cell(row.options[column])}: {marked(row.with_option[column])}"
    return text


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _spread(values: Sequence[float]) -> str:
    middle = f"{median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f}-{max(values):.2f})"
