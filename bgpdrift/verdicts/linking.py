"""What belongs together: things that share an AS, an overlapping prefix, a collector or a rule, by union-find.

A shared rule ties what two collectors see of a cause that names no AS and no prefix, as a worm or a leak.

Knows nothing of time or of incidents' lives; `bgpdrift.verdicts.correlation` asks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network

_LARGEST_NET = {4: 8, 6: 16}


@dataclass(frozen=True, slots=True)
class Footprint:
    """Whom and what something concerns."""

    collectors: frozenset[str] = frozenset()
    origins: frozenset[int] = frozenset()
    prefixes: frozenset[str] = frozenset()
    rules: frozenset[str] = frozenset()


class UnionFind:
    """Disjoint sets of 0 … n−1 with path halving; the smallest member names its set.

    Examples
    --------
    >>> sets = UnionFind(4)
    >>> sets.join(3, 1)
    >>> sets.root(3), sets.root(2)
    (1, 2)
    """

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def root(self, item: int) -> int:
        """Name of the set that holds an item."""
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, one: int, other: int) -> None:
        """Make one set of two."""
        low, high = sorted((self.root(one), self.root(other)))
        self._parent[high] = low


def linked(one: Footprint, other: Footprint, at_once: bool = True) -> bool:
    """Whether two footprints share an AS, an overlapping prefix or, if they are of one time, a collector or a rule.

    Examples
    --------
    >>> half = Footprint(frozenset({"rrc00"}), prefixes=frozenset({"192.0.2.0/25"}))
    >>> linked(half, Footprint(frozenset({"rrc01"}), prefixes=frozenset({"192.0.2.0/24"})))
    True
    """
    if one.origins & other.origins or (at_once and (one.collectors & other.collectors or one.rules & other.rules)):
        return True
    if one.prefixes & other.prefixes:
        return True
    return bool(_nets(one.prefixes) & _with_covering(other.prefixes)) or bool(
        _nets(other.prefixes) & _with_covering(one.prefixes)
    )


def groups(footprints: Sequence[Footprint]) -> list[list[int]]:
    """Indices of footprints that are linked, directly or through others; each group and the list in order."""
    sets = UnionFind(len(footprints))
    for i, one in enumerate(footprints):
        for j in range(i):
            if sets.root(i) != sets.root(j) and linked(one, footprints[j]):
                sets.join(i, j)
    found: dict[int, list[int]] = {}
    for i in range(len(footprints)):
        found.setdefault(sets.root(i), []).append(i)
    return list(found.values())


def union(footprints: Iterable[Footprint]) -> Footprint:
    """Everything that any of them concerns."""
    parts = list(footprints)
    return Footprint(
        frozenset().union(*(part.collectors for part in parts)),
        frozenset().union(*(part.origins for part in parts)),
        frozenset().union(*(part.prefixes for part in parts)),
        frozenset().union(*(part.rules for part in parts)),
    )


Net = tuple[int, int, int]


@lru_cache(maxsize=4096)
def _net(prefix: str) -> Net | None:
    try:
        network = ip_network(prefix, strict=False)
    except ValueError:
        return None
    return network.version, int(network.network_address), network.prefixlen


def _nets(prefixes: Iterable[str]) -> set[Net]:
    return {net for net in map(_net, prefixes) if net is not None}


def _with_covering(prefixes: Iterable[str]) -> set[Net]:
    """Each net and every net that covers it; what covers more than a /8 (/16) links nothing, or ::/0 would link all."""
    found: set[Net] = set()
    for version, address, length in _nets(prefixes):
        bits = 32 if version == 4 else 128
        for shorter in range(_LARGEST_NET[version], length + 1):
            found.add((version, address >> (bits - shorter) << (bits - shorter), shorter))
    return found
