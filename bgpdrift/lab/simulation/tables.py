"""The current route of each peer, and the effect of an action on it.

This is the whole routing state: one row of paths per peer, ``None`` without a route. The effect is the path to announce,
`WITHDRAWN`, or `NOTHING` if the collector sees no change.
"""

from bgpdrift.lab.simulation import actions as do
from bgpdrift.lab.simulation.topology import Path
from bgpdrift.lab.simulation.world import Atom, Peer, World

WITHDRAWN: Path = ()
"""The route is withdrawn."""

NOTHING: Path = (-1,)
"""No message is sent."""

_UNTOUCHED: Path = (-2,)


class Tables:
    """The routes of all peers; a route without an action is the best path of the peer."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rows: list[list[Path | None]] = [[_UNTOUCHED] * len(world.atoms) for _ in world.peers]
        self._before: dict[tuple[int, int], Path] = {}
        self._held: dict[tuple[int, int], bool] = {}
        self.stretch: Path = ()
        """Hops that a path regime inserts after the peer."""

    def clear(self, atom: Atom) -> None:
        """Remove the routes of all peers to an atom."""
        for row in self._rows:
            row.extend([_UNTOUCHED] * (atom.index + 1 - len(row)))
            row[atom.index] = None

    def apply(self, what: int, peer: Peer, atom: Atom, argument: object) -> Path:
        """Apply one action, and give what the peer sends."""
        row, index = self._rows[peer.index], atom.index
        held = self._held
        if held and (peer.index, index) in held:
            return self._apply_held(what, peer, atom, argument)
        path = row[index]
        if path is _UNTOUCHED:
            path = row[index] = self._best(peer, atom)
        if what == do.CHANGE:
            paths = self._world.paths(peer, atom)
            assert isinstance(argument, int)
            chosen = self._stretched(paths[argument % len(paths)])
            if chosen == path:
                chosen = self._stretched(paths[(argument + 1) % len(paths)])
        elif what == do.BEST:
            chosen = self._best(peer, atom)
        elif what == do.EXPLORE:
            assert isinstance(argument, int)
            chosen = self._detour(peer, atom, argument)
        elif what == do.BACK:
            if path is not None:
                return NOTHING
            chosen = self._before.pop((peer.index, index), ()) or self._best(peer, atom)
        elif what == do.WITHDRAW:
            if path is None:
                return NOTHING
            self._before[peer.index, index] = path
            row[index] = None
            return WITHDRAWN
        elif what in (do.DUPLICATE, do.TRANSFER):
            return NOTHING if path is None else path
        elif what == do.REWITHDRAW:
            row[index] = None
            return WITHDRAWN
        elif what == do.FORCE:
            assert isinstance(argument, tuple)
            held[peer.index, index] = path is not None
            chosen = self._stretched(argument)
        elif what == do.HOLD:
            held[peer.index, index] = path is not None
            row[index] = None
            return NOTHING if path is None else WITHDRAWN
        else:  # RELEASE, REFORCE of what is not held
            return NOTHING
        if chosen == path:
            return NOTHING
        row[index] = chosen
        return chosen

    def _apply_held(self, what: int, peer: Peer, atom: Atom, argument: object) -> Path:
        row, index = self._rows[peer.index], atom.index
        path = row[index]
        if what in (do.REFORCE, do.FORCE):
            assert isinstance(argument, tuple)
            chosen = self._stretched(argument)
            row[index] = chosen
            return NOTHING if chosen == path else chosen
        if what == do.RELEASE:
            had_route = self._held.pop((peer.index, index))
            row[index] = self._best(peer, atom) if had_route else None
            if row[index] == path:
                return NOTHING
            return row[index] or WITHDRAWN
        if what in (do.DUPLICATE, do.TRANSFER):
            return path or NOTHING
        return NOTHING

    def _best(self, peer: Peer, atom: Atom) -> Path:
        return self._stretched(self._world.paths(peer, atom)[0])

    def _stretched(self, path: Path) -> Path:
        return path if not self.stretch or len(path) < 2 else path[:1] + self.stretch + path[1:]

    def _detour(self, peer: Peer, atom: Atom, number: int) -> Path:
        """Extend one of the longer paths by a few ASes that are not on it."""
        paths, cores = self._world.paths(peer, atom), self._world.topology.cores
        path = paths[-1 - number % min(3, len(paths))]
        extra = []
        for step in range(1 + number // 7 % 4):
            asn = cores[(number // 31 + 37 * step) % len(cores)].asn
            if asn not in path:
                extra.append(asn)
        return self._stretched(path[:1] + tuple(extra) + path[1:])
