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

This package is imported in the peers' environments too: it must import nothing but the
standard library.
"""

from __future__ import annotations

from benchmarks.peers.measuring import measure
from benchmarks.peers.table import PeerRow, load, markdown

__all__ = ["PeerRow", "load", "markdown", "measure"]
