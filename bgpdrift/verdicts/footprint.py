"""Decides what an anomaly concerns, and which anomalies belong together: a shared AS, prefix, collector or rule links them.

A shared rule links two collectors that see one cause without a named AS or prefix, such as a worm or a leak. Time and the
states of incidents are left to `bgpdrift.verdicts.correlation`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network

from bgpdrift.detectors.rules import changes_of_rule
from bgpdrift.features.suspects import find_culprits, merge_windows
from bgpdrift.store.evidence_records import ChangeKind, FiredRule, RouteChange, WindowEvidence

MAX_NAMES = 50
"""Origins, prefixes or peers kept with a verdict."""
_MIN_COVER_BITS = {4: 8, 6: 16}
"""Shorter prefixes by IP version link nothing; otherwise ::/0 would link everything."""


def collect_changes(
    windows: Sequence[tuple[int, WindowEvidence]], fired: Iterable[FiredRule], min_minutes: int
) -> tuple[RouteChange, ...]:
    """Collect the route changes that fired some rules: those of the minutes over which each rule was smoothed.

    Parameters
    ----------
    windows : sequence of (window_start, WindowEvidence)
        The latest windows of a collector, oldest first, the present one last.
    fired : iterable of FiredRule
        Rules that fired in the present one and that nothing explains.
    min_minutes : int
        Least minutes to collect, so that those that the debounce waited for are among them.

    Examples
    --------
    >>> from bgpdrift.store.evidence_records import Suspect
    >>> hijack = RouteChange(change="second_origin", first_at=0, suspects=(Suspect(64666, 9),))
    >>> minutes = [(0, WindowEvidence(changes=(hijack,))), (60, WindowEvidence())]
    >>> [change.suspects[0].asn for change in collect_changes(minutes, [FiredRule(rule="moas_new")], min_minutes=3)]
    [64666]
    >>> collect_changes(minutes, [FiredRule(rule="moas_new")], min_minutes=1)
    ()
    """
    minutes: dict[ChangeKind, int] = {}
    for rule in fired:
        for kind in changes_of_rule(rule.rule):
            minutes[kind] = max(minutes.get(kind, min_minutes), rule.minutes)
    collected = []
    for kind, span in minutes.items():
        begin = windows[-1][0] - 60 * (span - 1) if windows else 0
        parts = [part for start, window in windows if start >= begin for part in window.changes if part.change == kind]
        if parts:
            collected.append(merge_windows(parts))
    return tuple(collected)


def is_named(change: RouteChange) -> bool:
    """Whether the prefixes of a change may be named: they have a cause, or what happened to them needs none.

    Routes that only moved have many causes, and the prefixes of an ordinary minute would be named.

    Examples
    --------
    >>> is_named(RouteChange(change="moved", n_routes=9)), is_named(RouteChange(change="lost", n_routes=9))
    (False, True)
    """
    return change.change in ("lost", "flapping") or bool(find_culprits(change))


def name_changes(changes: Iterable[RouteChange]) -> tuple[tuple[int, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the ASes that caused some changes, the prefixes that they concern, and the peers that saw them."""
    named = [change for change in changes if is_named(change)]
    origins = dict.fromkeys(asn for change in named for asn in find_culprits(change))
    prefixes = dict.fromkeys(prefix.prefix for change in named for prefix in change.prefixes)
    peers = dict.fromkeys(peer.address for change in named for peer in change.peers)
    return tuple(origins)[:MAX_NAMES], tuple(prefixes)[:MAX_NAMES], tuple(peers)[:MAX_NAMES]


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
