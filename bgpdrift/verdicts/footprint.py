"""Decides what an anomaly concerns, and which anomalies belong together: a shared AS, prefix, collector or rule links them.

A shared rule links two collectors that see one cause without a named AS or prefix, such as a worm or a leak. Time and the
states of incidents are left to `bgpdrift.verdicts.correlation`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

MAX_NAMES = 50
"""Origins, prefixes or peers kept with a verdict."""
_SOURCES: Mapping[str, tuple[str, int, int]] = {
    "moas_new": ("moas", 0, 2),
    "subprefix_new": ("subprefix", 0, 1),
    "origin_change": ("origin_change", 0, 2),
    "visibility_loss": ("visibility", 0, 1),
}
"""Rule → list in the window's evidence, index of the prefix and of the AS that caused it in each entry."""
_MIN_COVER_BITS = {4: 8, 6: 16}
"""Shorter prefixes by IP version link nothing; otherwise ::/0 would link everything."""


def collect_concerned(evidence: Mapping[str, Any], rules: Iterable[str]) -> dict[str, list[Any]]:
    """Collect the origins, prefixes and peers that the fired rules of a window concern.

    Evidence without a fired rule is left out: the busiest origin of every minute would link unrelated anomalies.

    Parameters
    ----------
    evidence : mapping
        Evidence of the window, as in ``feature_windows``.
    rules : iterable of str
        Rules that fired and that nothing explains.

    Examples
    --------
    >>> window = {"moas": [["192.0.2.0/24", 64500, 64666]], "peers": [["10.0.0.1", 64501, 7]]}
    >>> collect_concerned(window, ["moas_new"])
    {'origins': [64666], 'prefixes': ['192.0.2.0/24'], 'peers': ['10.0.0.1']}
    >>> collect_concerned(window, ["update_storm"])["origins"]
    []
    """
    origins: dict[int, None] = {}
    prefixes: dict[str, None] = {}
    fired = list(rules)
    for rule in fired:
        name, prefix, origin = _SOURCES.get(rule, ("", 0, 0))
        for entry in evidence.get(name, ()):
            prefixes[str(entry[prefix])] = None
            if entry[origin]:
                origins[int(entry[origin])] = None
    kind = "sessions" if "session_storm" in fired else "peers"
    peers = dict.fromkeys(str(entry[0]) for entry in evidence.get(kind, ())) if fired else {}
    return {
        "origins": list(origins)[:MAX_NAMES],
        "prefixes": list(prefixes)[:MAX_NAMES],
        "peers": list(peers)[:MAX_NAMES],
    }


@dataclass(frozen=True, slots=True)
class Footprint:
    """Collectors, origin ASes, prefixes and rules that a verdict or an incident concerns."""

    collectors: frozenset[str] = frozenset()
    origins: frozenset[int] = frozenset()
    prefixes: frozenset[str] = frozenset()
    rules: frozenset[str] = frozenset()


class UnionFind:
    """Disjoint sets of 0 … n−1 with path halving; the smallest member is the root of its set.

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
        """Return the root of the set that holds an item."""
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, one: int, other: int) -> None:
        """Join the sets of two items."""
        low, high = sorted((self.root(one), self.root(other)))
        self._parent[high] = low


def are_linked(one: Footprint, other: Footprint, is_same_time: bool = True) -> bool:
    """Whether two footprints share an AS or an overlapping prefix or, at the same time, a collector or a rule.

    Examples
    --------
    >>> half = Footprint(frozenset({"rrc00"}), prefixes=frozenset({"192.0.2.0/25"}))
    >>> are_linked(half, Footprint(frozenset({"rrc01"}), prefixes=frozenset({"192.0.2.0/24"})))
    True
    """
    if one.origins & other.origins or one.prefixes & other.prefixes:
        return True
    if is_same_time and (one.collectors & other.collectors or one.rules & other.rules):
        return True
    return bool(_nets(one.prefixes) & _with_covering(other.prefixes)) or bool(
        _nets(other.prefixes) & _with_covering(one.prefixes)
    )


def group_linked(footprints: Sequence[Footprint]) -> list[list[int]]:
    """Group the indices of footprints that are linked directly or through others; groups and indices are in order."""
    sets = UnionFind(len(footprints))
    for i, one in enumerate(footprints):
        for j in range(i):
            if sets.root(i) != sets.root(j) and are_linked(one, footprints[j]):
                sets.join(i, j)
    groups: dict[int, list[int]] = {}
    for i in range(len(footprints)):
        groups.setdefault(sets.root(i), []).append(i)
    return list(groups.values())


def merge_footprints(footprints: Iterable[Footprint]) -> Footprint:
    """Merge footprints into one that concerns everything any of them concerns."""
    parts = list(footprints)
    return Footprint(
        frozenset().union(*(part.collectors for part in parts)),
        frozenset().union(*(part.origins for part in parts)),
        frozenset().union(*(part.prefixes for part in parts)),
        frozenset().union(*(part.rules for part in parts)),
    )


Net = tuple[int, int, int]
"""IP version, network address, prefix length."""


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
    """Return each net and every net that covers it, down to `_MIN_COVER_BITS`."""
    nets: set[Net] = set()
    for version, address, length in _nets(prefixes):
        bits = 32 if version == 4 else 128
        for shorter in range(_MIN_COVER_BITS[version], length + 1):
            nets.add((version, address >> (bits - shorter) << (bits - shorter), shorter))
    return nets
