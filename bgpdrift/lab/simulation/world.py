"""The static part of a simulated Internet: origins with their prefixes, peers of collectors, and the paths of each peer.

Prefixes of one origin that share attributes and always travel together form a policy atom (Broido and claffy, 2001). Routes
change in units of atoms. `engine` decides which routes are announced.
"""

import bisect
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from bgpdrift.lab.simulation.topology import VARIANTS, Path, Topology

BEACON_ASN = 12654
"""The AS of RIPE NCC's routing beacons."""

MAX_PATHS = 6
"""Paths kept for a peer and an atom, best first."""


@dataclass(frozen=True)
class Peer:
    """A session with a route collector.

    Attributes
    ----------
    index : int
        Position in `World.peers`.
    collector, address, next_hop : str
        ``rrc00``; the peer's address; its next hop, for IPv6 ``global,link-local`` as RIS Live writes it.
    asn : int
        AS number.
    core : int
        Its index among the transit ASes.
    family : int
        4 or 6: what the session carries.
    position : int
        Index at its collector, from 0.
    """

    index: int
    collector: str
    address: str
    next_hop: str
    asn: int
    core: int
    family: int
    position: int


@dataclass(frozen=True)
class Atom:
    """Prefixes that always travel together.

    Attributes
    ----------
    index : int
        Position in `World.atoms`.
    origin : int
        AS number of the origin.
    family : int
        4 or 6.
    prefixes : tuple of str
        In canonical form.
    providers : tuple of int
        Transit ASes the origin buys from, as indices; the first is preferred.
    attribute : str
        Origin attribute: ``IGP``, ``EGP`` or ``INCOMPLETE``.
    prepend : int
        How often the origin repeats itself, beyond once.
    second : tuple of int
        ``(asn, provider)`` of a second legitimate origin, as anycast has; empty for most.
    """

    index: int
    origin: int
    family: int
    prefixes: tuple[str, ...]
    providers: tuple[int, ...]
    attribute: str = "IGP"
    prepend: int = 0
    second: tuple[int, ...] = ()


class Weighted:
    """Draw items by weight with one uniform number.

    Examples
    --------
    >>> Weighted(["a", "b"], [1.0, 3.0]).draw(0.3)
    'b'
    """

    def __init__(self, items: Sequence[object], weights: Sequence[float]) -> None:
        self.items = list(items)
        self._sums = list(itertools.accumulate(weights))

    def draw(self, uniform: float) -> object:
        """Return the item at this share of the whole weight."""
        return self.items[min(bisect.bisect(self._sums, uniform * self._sums[-1]), len(self.items) - 1)]


class World:
    """Topology, peers and atoms of one seed.

    Parameters
    ----------
    seed : int
        The world follows from it alone; incidents do not change it.
    collectors : sequence of str
        Route collectors.
    peers : int
        Sessions a collector, ``extra`` more are prepared for regimes that add some.
    prefixes : int
        Size of the table, both families together, about.
    """

    def __init__(self, seed: int, collectors: Sequence[str], peers: int, prefixes: int, extra: int = 0) -> None:
        self.seed = seed
        self.topology = Topology(seed)
        self.peers = self._make_peers(collectors, peers + extra)
        self.atoms: list[Atom] = []
        self._paths: dict[tuple[int, int], list[Path]] = {}
        self._make_origins(random.Random(f"{seed}/origins"), prefixes)
        self.ordinary = len(self.atoms)
        self.beacons = self._make_beacons(random.Random(f"{seed}/beacons"))
        rng = random.Random(f"{seed}/popularity")
        # Lognormal: the busiest 1 % of prefixes make 12 to 25 % of updates in the real files.
        self.atom_weights = [rng.lognormvariate(0.0, 1.5) for _ in range(self.ordinary)]
        self.peer_weights = [rng.lognormvariate(0.0, 0.6) for _ in self.peers]
        self.by_family = {
            family: Weighted(
                [a.index for a in self.atoms[: self.ordinary] if a.family == family],
                [w for a, w in zip(self.atoms, self.atom_weights, strict=False) if a.family == family],
            )
            for family in (4, 6)
        }

    def add_atom(self, origin: int, family: int, prefixes: tuple[str, ...], providers: tuple[int, ...]) -> Atom:
        """Add an atom (of a hijacker); no peer has a route to it until an action announces one."""
        atom = Atom(len(self.atoms), origin, family, prefixes, providers)
        self.atoms.append(atom)
        return atom

    def paths(self, peer: Peer, atom: Atom) -> list[Path]:
        """Return the paths a peer can have to an atom, best first; always at least one."""
        key = (peer.index, atom.index)
        found = self._paths.get(key)
        if found is None:
            found = self._paths[key] = self._find_paths(peer, atom)
        return found

    def path_to_core(self, peer: Peer, core: int, variant: int = 0) -> Path:
        """Return a peer's path to a transit AS."""
        path = self.topology.tree(peer.core, variant)[core]
        assert path is not None, "tier 1 is a full mesh and all others buy transit"
        return path

    def _find_paths(self, peer: Peer, atom: Atom) -> list[Path]:
        tails = [
            (p, (atom.origin,) * (1 + atom.prepend + (2 if n and atom.prepend else 0)))
            for n, p in enumerate(atom.providers)
        ]
        if atom.second:
            tails.append((atom.second[1], (atom.second[0],)))
        ranked: dict[Path, tuple[float, int]] = {}
        for variant in range(VARIANTS):
            for position, (provider, tail) in enumerate(tails):
                head = self.path_to_core(peer, provider, variant)
                if tail[0] in head:  # a peer that is the origin itself
                    head = head[: head.index(tail[0])]
                path = head + tail
                ranked.setdefault(path, (len(path) + 0.4 * (variant > 0) + 0.3 * position, len(ranked)))
        return sorted(ranked, key=ranked.__getitem__)[:MAX_PATHS]

    def _make_peers(self, collectors: Sequence[str], count: int) -> list[Peer]:
        rng = random.Random(f"{self.seed}/peers")
        tiers = [self.topology.indices(tier) for tier in (1, 2, 3)]
        peers: list[Peer] = []
        for number, collector in enumerate(collectors):
            for position in range(count):
                core = rng.choice(rng.choices(tiers, (1, 4, 6))[0])
                # One session in five carries IPv6; spread, so that small collectors have both.
                family = 6 if position % 5 == 3 else 4
                high, low = divmod(position + 1, 250)
                if family == 4:
                    address = hop = f"185.{number + 1}.{high}.{low}"
                else:
                    address = f"2001:7f8:{number + 1:x}::{position + 1:x}:1"
                    hop = f"{address},fe80::{position + 1:x}:{number + 1:x}:1"
                asn = self.topology.cores[core].asn
                peers.append(Peer(len(peers), collector, address, hop, asn, core, family, position))
        return peers

    def _make_origins(self, rng: random.Random, prefixes: int) -> None:
        space4, space6 = _Space4(), _Space6()
        made = 0
        pools = [self.topology.indices(tier) for tier in (1, 2, 3)]
        while made < prefixes:
            # Most origins are stubs.
            asn = self.topology.new_asn()
            count = rng.choices((1, 2, 3), (4, 5, 1))[0]
            providers = tuple(dict.fromkeys(rng.choice(rng.choices(pools, (1, 5, 9))[0]) for _ in range(count)))
            for family, chance in ((4, 1.0), (6, 0.55)):
                if rng.random() >= chance:
                    continue
                block = (space4 if family == 4 else space6).origin(rng)
                for _ in range(min(1 + int(rng.paretovariate(1.4) - 1), 12)):
                    size = 1 if rng.random() < 0.68 else 2 + min(int(rng.expovariate(1 / 5.5)), 58)
                    names = tuple(block() for _ in range(size))
                    prepend = min(int(rng.paretovariate(1.05)), 15) if rng.random() < 0.22 else 0
                    attribute = rng.choices(("IGP", "INCOMPLETE", "EGP"), (845, 150, 5))[0]
                    second = (self.topology.new_asn(), rng.choice(pools[2])) if rng.random() < 0.02 else ()
                    order = tuple(rng.sample(providers, len(providers)))
                    self.atoms.append(Atom(len(self.atoms), asn, family, names, order, attribute, prepend, second))
                    made += size

    def _make_beacons(self, rng: random.Random) -> list[Atom]:
        pool = self.topology.indices(2)
        for number in range(4):
            providers = tuple(rng.sample(pool, 2))
            self.add_atom(BEACON_ASN, 4, (f"84.205.{64 + number}.0/24",), providers)
            self.add_atom(BEACON_ASN, 6, (f"2001:7fb:fe{number:02x}::/48",), providers)
        return self.atoms[-8:]


class _Space4:
    """Allocates blocks of 16 /24s of public IPv4 space, and prefixes inside them."""

    _RESERVED = frozenset({0, 10, 84, 100, 127, 169, 172, 185, 192, 193, 198, 203})

    def __init__(self) -> None:
        self._next = 2 << 24

    def origin(self, rng: random.Random) -> Callable[[], str]:
        """Return a source of this origin's prefixes; it opens another block when one is used up."""
        fresh: list[str] = []

        def draw() -> str:
            if not fresh:
                fresh.extend(self._block(rng))
            return fresh.pop()

        return draw

    def _block(self, rng: random.Random) -> list[str]:
        while self._next >> 24 in self._RESERVED:
            self._next += 1 << 24
        base = self._next
        self._next += 1 << 12
        if self._next >> 24 >= 224:
            raise AssertionError("a million prefixes fit the public space")
        names = [_net4(base, 20)] if rng.random() < 0.45 else []
        names += [_net4(base + (n << 10), 22) for n in range(4) if rng.random() < 0.35]
        names += [_net4(base + (n << 9), 23) for n in range(8) if rng.random() < 0.18]
        names += [_net4(base + (n << 8), 24) for n in range(16) if rng.random() < 0.6]
        names = names or [_net4(base, 24)]
        # The aggregate is what an origin announces first; draw() takes from the end.
        return names[::-1] if rng.random() < 0.5 else rng.sample(names, len(names))


class _Space6:
    """Allocates /32 blocks below 2a00::/12, and prefixes inside them."""

    def __init__(self) -> None:
        self._next = 0

    def origin(self, rng: random.Random) -> Callable[[], str]:
        """Return a source of this origin's prefixes."""
        base = (0x2A00 << 112) + (self._next << 96)
        self._next += 1
        count = itertools.count()

        def draw() -> str:
            number = next(count)
            if number == 0 and rng.random() < 0.6:
                return str(IPv6Network((base, 32)))
            length = rng.choices((36, 40, 44, 48), (1, 1, 2, 6))[0]
            if number >= 1 << (length - 32):
                length = 48
            # Numbered within its length, so no two are equal; prefixes of one origin may cover each other.
            return str(IPv6Network((base + (number << (128 - length)), length)))

        return draw


def _net4(base: int, length: int) -> str:
    return str(IPv4Network((base, length)))
