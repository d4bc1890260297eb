"""Our executor beside installed ones: one turn of a fake model, in five columns.

``cpu``      four pure-Python calls of a second each, against the same four one after the other
``sleep``    forty calls that sleep half a second each
``order``    a call that writes a value, then one that reads it
``failure``  four calls, one of which raises
``timeout``  a call that takes longer than its limit, and then writes a file

Every function is synchronous, as most people's tools are, and the same for everyone. A peer
is installed from its package into an environment of its own, and run as it comes; where it
documents a setting for a column, that is measured beside. A setting that runs all calls of
every turn one by one is not counted: it gives up the first two columns for the third.

This package is imported in the peers' environments too: but for ``measuring`` it must import
nothing but the standard library.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.asking import Settings


def run(settings: Settings) -> str:
    """The table of those that were asked for. What a peer gets wrong is a result, not an error."""
    from benchmarks.peers.measuring import markdown, measure

    told = partial(print, file=sys.stderr, flush=True)
    folder = settings.out / "peers"
    rows = measure(settings.peers, settings.repeats, folder, told, quick=settings.quick)
    return f"{markdown(rows)}\n"
