"""Records of a collector, from which JSON frames and MRT records are written."""

from typing import Final

from bgpdrift.lab.simulation.topology import Path
from bgpdrift.lab.simulation.world import Atom, Peer

ANNOUNCED: Final = 0
WITHDREW: Final = 1
SESSION: Final = 2

Record = tuple[int, int, int, Peer, Path, tuple[Atom, ...], int, object]
"""(milliseconds since the epoch, running number, kind, peer, path, atoms, action, argument).

A plain tuple, because a million of them are created per minute. ``kind`` is `ANNOUNCED`, `WITHDREW`, or `SESSION` for all that
is not an UPDATE. ``action`` is the action that caused it (`actions.STATE` …), ``argument`` the argument of that action; for
an announcement it selects the communities.
"""
