"""What a collector recorded: the one shape from which JSON frames and MRT records are written."""

from typing import Final

from bgpdrift.lab.simulation.topology import Path
from bgpdrift.lab.simulation.world import Atom, Peer

ANNOUNCED: Final = 0
WITHDREW: Final = 1
SESSION: Final = 2

Record = tuple[int, int, int, Peer, Path, tuple[Atom, ...], int, object]
"""(milliseconds since the epoch, running number, kind, peer, path, atoms, action, argument).

A plain tuple, as a million of them are made a minute. ``kind`` is `ANNOUNCED`, `WITHDREW`, or `SESSION` for all that is
no UPDATE; ``action`` is what led to it (`actions.STATE` …). The argument is that of the action; of an announcement it is
the number that picks communities.
"""
