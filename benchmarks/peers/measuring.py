"""One row a peer: its environment, and each column in fresh processes that may hang.

Decides what runs where and for how long; what an outcome means is in ``table.py``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from benchmarks.peers.columns import COLUMNS
from benchmarks.peers.environments import (
    PEERS,
    ROOT,
    NotInstalledError,
    Peer,
    python_of,
    reason_in,
    remove,
    surroundings,
)
from benchmarks.peers.table import Outcome, PeerRow, can_be_judged, save

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

HANGING = 60.0
"""The seconds after which a column hangs; the longest of them takes half of it."""
RESULTS = "peers.json"


def measure(
    peers: Sequence[str] | None,
    repeats: int,
    folder: Path,
    progress: Callable[[str], None],
    *,
    keep: bool = False,
    quick: bool = False,
    columns: Sequence[str] = COLUMNS,
) -> list[PeerRow]:
    """A row for each of these peers, or for all, each column measured ``repeats`` times.

    ``folder`` gets the environments, each removed once its row is there unless ``keep``, and
    the rows so far as ``peers.json``. Runs of ``cpu`` on a busy machine say nothing: they are
    kept in the row, and made up for as long as they are no more than the others. Raises
    ``ValueError`` for a peer or column that there isn't.
    """
    for column in columns:
        if column not in COLUMNS:
            raise ValueError(f"there is no column {column!r}; there are {', '.join(COLUMNS)}")
    for name in peers or ():
        if name not in PEERS:
            raise ValueError(f"there is no peer {name!r}; there are {', '.join(PEERS)}")
    environments = folder / "environments"
    rows: list[PeerRow] = []
    for name in peers or PEERS:
        peer = PEERS[name]
        progress(f"{name}: {peer.package or 'this checkout'}")
        try:
            rows.append(_row(peer, columns, repeats, environments, progress, quick=quick))
        finally:
            if not keep:
                remove(peer, environments)
        save(rows, folder / RESULTS)
    return rows


def _row(
    peer: Peer,
    columns: Sequence[str],
    repeats: int,
    environments: Path,
    progress: Callable[[str], None],
    *,
    quick: bool,
) -> PeerRow:
    row = PeerRow(peer.name, peer.package, options=dict(peer.options), limit=peer.limit)
    try:
        python = python_of(peer, environments)
    except NotInstalledError as error:
        row.problem = f"not installed: {error}"
        return row
    for column in columns:
        for option in (False, True) if column in peer.options else (False,):
            outcomes = row.with_option if option else row.outcomes
            for _ in range(2 * repeats if column == "cpu" else repeats):
                line = _column(peer, column, python, option=option, quick=quick)
                row.version = line.pop("version", row.version)
                outcomes.setdefault(column, []).append(line["outcome"])
                if column == "cpu" and _counted(outcomes[column]) == repeats:
                    break
            progress(f"{peer.name}: {column}{' with ' + peer.options[column] if option else ''}")
    return row


def _counted(outcomes: Sequence[Outcome]) -> int:
    return sum(can_be_judged("cpu", [outcome]) for outcome in outcomes)


def _column(peer: Peer, column: str, python: Path, *, option: bool, quick: bool) -> dict[str, Any]:
    """One column in a process of its own: what it printed, or why it printed nothing."""
    command = [str(python), "-m", f"{__package__}.{peer.adapter}", column]
    with tempfile.TemporaryDirectory() as work:
        process = subprocess.Popen(
            [*command, work, *(["--option"] if option else []), *(["--quick"] if quick else [])],
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
        line = json.loads(output.splitlines()[-1])
        return {"version": line["version"], "outcome": dict(line["outcome"])}
    except (IndexError, KeyError, TypeError, ValueError):
        return {"outcome": {"failed": reason_in(errors)}}
