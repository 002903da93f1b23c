"""Finds in the changed routes of a window which prefixes changed how, which ASes they have in common, and which peers saw it.

The route before the window is compared with the route after it, so that paths that a router only tried on the way count for
nothing. `bgpdrift.features.suspects` decides which of the common ASes is the cause.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bgpdrift.bgp.prefixes import describe_prefix
from bgpdrift.features.batch import Peers
from bgpdrift.features.hashing import I64, U64, BoolArray
from bgpdrift.features.route_changes import (
    LOST_HALF,
    NO_PATH,
    RESERVED,
    TOO_SPECIFIC,
    WAS_ANNOUNCED,
    Changes,
    PathList,
    RouteChanges,
)
from bgpdrift.features.suspects import MIN_EXCLUSIVE, MIN_OF_LARGEST, exclusiveness, find_culprits, rank_suspects
from bgpdrift.features.transitions import segment_starts
from bgpdrift.store.evidence_records import ChangedPrefix, ChangeKind, RouteChange, SeenBy, Suspect

MAX_WINDOW_PREFIXES, MAX_WINDOW_PEERS, MAX_WINDOW_SUSPECTS = 20, 20, 8
"""Names kept for one change of a window."""
MAX_CANDIDATES = 12
"""ASes on most changed routes, whose other routes are counted."""
MIN_CANDIDATE_SHARE = 0.2
"""Share of the moved routes on which an AS must be, and share of its routes that must have moved, to be kept as a suspect."""
MAX_CAUSES = 16
"""Causes of lost routes, for several regions that fail together."""
MIN_ROUTES = 3
"""Changed routes below which nothing can be common to them."""
MIN_LOST_ORIGINS = 2
"""Networks behind a cause that lost prefixes; a single one may have a fault of its own."""
MIN_WITNESSES, MIN_WITNESS_SHARE = 2, 0.25
"""Peers that must see routes move together, and their share of the peers; a few may share a fault of their own links."""
MIN_REPEATED_SHARE = 0.5
"""Share of the withdrawals of a window that repeat for one route from which prefixes are flapping."""
_SAMPLED_PATHS = 64

Through = Callable[[Sequence[int]], dict[int, int]]
"""Counts the routes of the collector through each of some ASes."""


class Causes(NamedTuple):
    """What the changed routes of a window have in common.

    Attributes
    ----------
    changes : list of RouteChange
        One for each kind of change that occurred.
    moved_together : int
        Prefixes that moved to paths through one AS, which did not carry most of them before, at two or more peers.
    lost_together : int
        Origin ASes whose prefixes were lost behind common ASes.
    """

    changes: list[RouteChange]
    moved_together: int = 0
    lost_together: int = 0


class _Net(NamedTuple):
    """Changes of a window by route: what it was before the first and is after the last change."""

    routes: Changes
    withdrawals: I64  # number of withdrawals of each route


class _Common(NamedTuple):
    """The ASes that many changed routes have in common, and on which of their distinct paths they are."""

    asns: I64  # candidates, those on most routes first; shape (n,)
    has: BoolArray  # shape (n, number of distinct paths, or pairs of paths)
    path_of: I64  # distinct path, or pair of paths, of each route
    weights: I64  # routes on each of them


def find_causes(changes: RouteChanges, peers: Peers, through: Through, *, start: int, is_warming: bool) -> Causes:
    """Find what the changed routes of a window have in common.

    Parameters
    ----------
    changes : RouteChanges
        Changes of the window.
    peers : Peers
        Peers of the collector.
    through : callable
        Counts the routes through ASes. It is called once for each AS of a window: at the end of the minute for those of
        its changes, later for those that only late messages bring.
    start : int
        Start of the window, epoch seconds.
    is_warming : bool
        The routing state is young: a route that is new to it may be an old one.
    """
    names = _Names(changes.paths, peers, start)
    found = _new_origins(changes, names)
    if len(changes) < MIN_ROUTES:
        return Causes(found)
    net = _net(changes.changes())
    scale = 1 << changes.shift
    lost = net.routes.select(_lost(net))
    moved = net.routes.select(_moved(net, changes, is_warming))
    common_lost, common_moved = _common_lost(lost, changes.paths), _common_moved(moved, changes.paths)
    leads = _find_leads(moved, common_moved, changes.paths)
    # Changes may follow the first call, for instance after a restart; their ASes are counted then.
    wanted = {*common_lost.asns.tolist(), *common_moved.asns.tolist(), *(pair for pair, _ in leads.values())}
    counted = changes.through or {}
    uncounted = sorted(wanted - counted.keys())
    changes.through = counted | through(uncounted) if uncounted else counted
    records_lost, lost_together = _describe_lost(lost, common_lost, changes, names, scale)
    records_moved, moved_together = _describe_moved(moved, common_moved, leads, changes, names, scale)
    found += [*records_lost, *records_moved, *_flapping(net, names), *_marked(net.routes, changes.paths, names)]
    return Causes(found, moved_together, lost_together)


def _net(changes: Changes) -> _Net:
    """Reduce the changes to one for each route: old path of the first, new path of the last, flags of both."""
    order = np.lexsort((np.arange(changes.key.size), changes.peer, changes.key))
    ordered = Changes._make(column[order] for column in changes)
    starts = segment_starts(ordered.key) | segment_starts(ordered.peer)
    first = np.flatnonzero(starts)
    last = np.append(first[1:], starts.size) - 1
    if not first.size:
        return _Net(ordered, np.zeros(0, np.int64))
    flags = np.bitwise_or.reduceat(ordered.flags & np.uint8(LOST_HALF), first)
    flags |= ordered.flags[first] & np.uint8(WAS_ANNOUNCED)
    flags |= ordered.flags[last] & np.uint8(RESERVED | TOO_SPECIFIC)
    withdrawals = np.add.reduceat((ordered.new == NO_PATH).astype(np.int64), first)
    routes = Changes(ordered.key[first], ordered.peer[first], ordered.old[first], ordered.new[last], flags)
    return _Net(routes, withdrawals)


def _lost(net: _Net) -> BoolArray:
    """Mark the routes that ended, of prefixes that fewer than half of the usual peers have now."""
    routes = net.routes
    fallen = np.unique(routes.key[(routes.flags & LOST_HALF) > 0])
    ended = ((routes.flags & WAS_ANNOUNCED) > 0) & (routes.new == NO_PATH)
    return np.asarray(ended & np.isin(routes.key, fallen))


def _moved(net: _Net, changes: RouteChanges, is_warming: bool) -> BoolArray:
    """Mark the routes with another path than before.

    A new route counts too, unless the state may not have known it. Prefixes with a new origin do not: they did not move.
    """
    routes = net.routes
    has_moved = (routes.new != NO_PATH) & (routes.new != routes.old) & ((routes.old != NO_PATH) | (not is_warming))
    return np.asarray(has_moved & ~np.isin(routes.key, changes.new_origins().key))


def _common_lost(lost: Changes, paths: PathList) -> _Common:
    """Return the ASes that the old paths have in common."""
    distinct, path_of = np.unique(lost.old, return_inverse=True)
    asns, owner = paths.members_of(distinct.astype(np.int64))
    return _common(asns.astype(np.int64), owner, path_of, distinct.size, MIN_ROUTES)


def _common_moved(moved: Changes, paths: PathList) -> _Common:
    """Return the ASes that the new paths have in common and the old ones have not.

    The first AS is the peer itself. The origin counts only if it is another one than before.
    """
    pairs, path_of = np.unique(moved.old.astype(np.int64) << 32 | moved.new, return_inverse=True)
    old, new = pairs >> 32, pairs & 0xFFFFFFFF
    asns, owner = paths.members_of(new)
    known = np.flatnonzero(old >= 0)
    old_asns, old_at = paths.members_of(old[known])
    origins = paths.origins
    origin, old_origin = origins[new], np.zeros(pairs.size, np.uint32)
    old_origin[known] = origins[old[known]]
    own = np.arange(pairs.size) << 32
    ignored = [known[old_at] << 32 | old_asns, own | paths.first_hops(new)]
    ignored.append((own | origin)[(old_origin == 0) | (old_origin == origin)])
    gained = np.setdiff1d(owner << 32 | asns, np.concatenate(ignored), assume_unique=False)
    at_least = max(MIN_ROUTES, int(MIN_CANDIDATE_SHARE * moved.key.size))
    return _common(gained & 0xFFFFFFFF, gained >> 32, path_of, pairs.size, at_least)


def _find_leads(moved: Changes, common: _Common, paths: PathList) -> dict[int, tuple[int, int]]:
    """For each common AS: the pair with the neighbour to which most moved routes pass from it now, and did not before.

    A network that leaks passes routes to a neighbour to which no route passed from it before; the networks around it pass
    them on as they always do.

    Returns
    -------
    dict
        AS → (pair as ``left << 32 | right``, number of moved routes with this pair).
    """
    if not common.asns.size:
        return {}
    pairs = np.unique(moved.old.astype(np.int64) << 32 | moved.new)  # in the order of `_Common.weights`
    old, new = pairs >> 32, pairs & 0xFFFFFFFF
    edges, owner = paths.edges_of(new)
    is_lead = np.isin(edges >> 32, common.asns)
    codes, at = np.unique(edges[is_lead], return_inverse=True)
    has = np.zeros((codes.size, pairs.size), dtype=np.bool_)
    has[at, owner[is_lead]] = True
    known = np.flatnonzero(old >= 0)
    old_edges, old_owner = paths.edges_of(old[known])
    place = np.minimum(np.searchsorted(codes, old_edges), max(codes.size - 1, 0))
    if codes.size:
        same = codes[place] == old_edges
        has[place[same], known[old_owner[same]]] = False
    leads: dict[int, tuple[int, int]] = {}
    for code, count in zip(codes.tolist(), (has @ common.weights).tolist(), strict=True):
        if count > leads.get(code >> 32, (0, 0))[1]:
            leads[code >> 32] = (code, int(count))
    return leads


def _common(asns: I64, owner: I64, path_of: I64, n_paths: int, at_least: int) -> _Common:
    """Choose the ASes on most routes, and on at least so many."""
    weights = np.bincount(path_of, minlength=n_paths)
    distinct, at = np.unique(asns, return_inverse=True)
    totals = np.bincount(at, weights=weights[owner], minlength=distinct.size)
    chosen = np.lexsort((distinct, -totals))[:MAX_CANDIDATES]
    chosen = chosen[totals[chosen] >= at_least]
    position = np.full(distinct.size, -1)
    position[chosen] = np.arange(chosen.size)
    has = np.zeros((chosen.size, n_paths), dtype=np.bool_)
    kept = position[at] >= 0
    has[position[at][kept], owner[kept]] = True
    return _Common(distinct[chosen], has, path_of, weights)


def _describe_lost(
    lost: Changes, common: _Common, changes: RouteChanges, names: "_Names", scale: int
) -> tuple[list[RouteChange], int]:
    if lost.key.size < MIN_ROUTES:
        return [], 0
    through = changes.through or {}
    origin_of = np.zeros(common.weights.size, dtype=np.uint32)
    origin_of[common.path_of] = changes.paths.origins[lost.old]
    covered = np.zeros(common.weights.size, dtype=np.bool_)
    candidates = [(at, asn) for at, asn in enumerate(common.asns.tolist()) if asn in through]
    suspects: list[Suspect] = []
    counted: set[int] = set()
    while candidates and len(suspects) < MAX_CAUSES:
        judged = []
        for at, asn in candidates:
            n_all, n_new = (
                int(common.weights[common.has[at]].sum()),
                int(common.weights[common.has[at] & ~covered].sum()),
            )
            share = n_all * scale / max(n_all * scale + through[asn], 1)
            if n_new >= MIN_ROUTES and share >= MIN_EXCLUSIVE:
                # What is still there when the minute is over did not change.
                other = int(through[asn] * n_new / n_all)
                judged.append((n_new * share, -at, Suspect(asn, n_new * scale, other)))
        if not judged:
            break
        _, position, suspect = max(judged, key=lambda one: one[:2])
        suspects.append(suspect)
        behind = common.has[-position] & ~covered
        lost_origins = np.unique(origin_of[behind])
        if lost_origins.size >= MIN_LOST_ORIGINS:
            counted |= set(lost_origins.tolist())
        covered |= behind
    n_routes = lost.key.size * scale
    if suspects:
        record = names.describe("lost", lost.select(covered[common.path_of]), n_routes, suspects)
        if find_culprits(record):
            return [record], len(counted)
    return [names.describe("lost", lost, n_routes, suspects)], 0


def _describe_moved(
    moved: Changes,
    common: _Common,
    leads: Mapping[int, tuple[int, int]],
    changes: RouteChanges,
    names: "_Names",
    scale: int,
) -> tuple[list[RouteChange], int]:
    through = changes.through or {}
    n_routes = moved.key.size * scale
    suspects = []
    for at, asn in enumerate(common.asns.tolist()):
        if asn in through:
            n_moved = int(common.weights[common.has[at]].sum()) * scale
            examples = np.flatnonzero(common.has[at])[:_SAMPLED_PATHS]
            numbers = moved.new[np.flatnonzero(np.isin(common.path_of, examples))[:_SAMPLED_PATHS]].tolist()
            distance = _distance_from_origin(changes.paths, numbers, asn)
            pair, n_next = leads.get(asn, (0, 0))
            n_next *= scale
            others = (max(through[asn] - n_moved, 0), max(through.get(pair, 0) - n_next, 0))
            suspects.append(Suspect(asn, n_moved, others[0], distance, n_next, others[1]))
    suspects = [suspect for suspect in suspects if exclusiveness(suspect) >= MIN_CANDIDATE_SHARE]
    if not suspects:
        return [], 0
    ranked = rank_suspects(suspects, n_routes)
    leading = common.has[common.asns.tolist().index(ranked[0].asn)][common.path_of]
    record = names.describe("moved", moved.select(leading), n_routes, ranked)
    witnesses = max(MIN_WITNESSES, MIN_WITNESS_SHARE * names.n_peers)
    is_common = bool(find_culprits(record)) and record.n_peers >= witnesses
    return [record], record.n_prefixes * scale if is_common else 0


def _distance_from_origin(paths: PathList, numbers: Sequence[int], asn: int) -> float:
    distances = []
    for number in dict.fromkeys(numbers):
        hops = paths.hops_of(number)
        if asn in hops:
            distances.append(len(dict.fromkeys(hops[len(hops) - hops[::-1].index(asn) :])))
    return round(sum(distances) / len(distances), 2) if distances else 0.0


def _new_origins(changes: RouteChanges, names: "_Names") -> list[RouteChange]:
    announced, routes = changes.new_origins(), changes.changes()
    found = []
    is_sub = announced.cover > 0
    kinds: tuple[tuple[ChangeKind, BoolArray], ...] = (("second_origin", ~is_sub), ("sub_prefix", is_sub))
    for kind, mask in kinds:
        if not mask.any():
            continue
        by_origin: dict[int, dict[int, int]] = {}  # origin -> key -> index of the announcement
        for at in np.flatnonzero(mask).tolist():
            by_origin.setdefault(int(announced.origin[at]), {}).setdefault(int(announced.key[at]), at)
        ordered = sorted(by_origin, key=lambda asn: (-len(by_origin[asn]), asn))
        suspects = [Suspect(asn, len(by_origin[asn])) for asn in ordered]
        prefixes: list[ChangedPrefix] = []
        seen: dict[int, None] = {}
        leading = [asn for asn in ordered if suspects and len(by_origin[asn]) >= MIN_OF_LARGEST * suspects[0].changed]
        for asn in leading:
            for key, at in by_origin[asn].items():
                if len(prefixes) == MAX_WINDOW_PREFIXES:
                    break
                # All peers that announce the new origin, not only the first one.
                same = (routes.key == np.uint64(key)) & (routes.new != NO_PATH)
                own = routes.select(same)
                own = own.select(changes.paths.origins[own.new] == np.uint32(asn))
                peers = dict.fromkeys([int(announced.peer[at]), *own.peer.tolist()])
                seen.update(peers)
                before = np.flatnonzero(own.old != NO_PATH)
                old, new = (int(own.old[before[0]]), int(own.new[before[0]])) if before.size else (NO_PATH, -1)
                prefixes.append(
                    ChangedPrefix(
                        describe_prefix(key),
                        int(announced.rival[at]),
                        asn,
                        changes.paths.hops_of(old),
                        changes.paths.hops_of(new if before.size else int(announced.path[at])),
                        len(peers),
                        describe_prefix(int(announced.cover[at])) if announced.cover[at] else "",
                    )
                )
        n_changed = sum(suspect.changed for suspect in suspects)
        found.append(names.record(kind, n_changed, suspects, list(seen), suspects[0].changed, prefixes))
    return found


def _flapping(net: _Net, names: "_Names") -> list[RouteChange]:
    is_repeated = net.withdrawals >= 2
    repeated, total = int(net.withdrawals[is_repeated].sum()), int(net.withdrawals.sum())
    if repeated < MIN_ROUTES or repeated < MIN_REPEATED_SHARE * total:
        return []
    return [names.describe("flapping", net.routes.select(is_repeated), total, [])]


def _marked(routes: Changes, paths: PathList, names: "_Names") -> list[RouteChange]:
    found = []
    kinds: tuple[tuple[ChangeKind, int], ...] = (("reserved", RESERVED), ("too_specific", TOO_SPECIFIC))
    for kind, flag in kinds:
        marked = routes.select(((routes.flags & flag) > 0) & (routes.new != NO_PATH))
        if marked.key.size:
            asns, counts = np.unique(paths.origins[marked.new], return_counts=True)
            order = np.lexsort((asns, -counts))[:MAX_WINDOW_SUSPECTS]
            suspects = [Suspect(int(asns[at]), int(counts[at])) for at in order.tolist()]
            found.append(names.describe(kind, marked, marked.key.size, suspects))
    return found


class _Names:
    """Turns keys, path numbers and peer numbers into names."""

    def __init__(self, paths: PathList, peers: Peers, start: int) -> None:
        self._paths, self._peers, self._start = paths, peers, start
        self._addresses = peers.addresses

    @property
    def n_peers(self) -> int:
        """Number of peers that the collector has had."""
        return len(self._addresses)

    def record(
        self,
        kind: ChangeKind,
        n_routes: int,
        suspects: Sequence[Suspect],
        peers: Sequence[int],
        n_prefixes: int,
        prefixes: Sequence[ChangedPrefix],
    ) -> RouteChange:
        """Build a record within its limits; ``peers`` are numbers, those that saw most first."""
        return RouteChange(
            change=kind,
            first_at=self._start,
            n_routes=n_routes,
            n_prefixes=n_prefixes,
            n_peers=len(peers),
            suspects=tuple(suspects[: MAX_CAUSES if kind == "lost" else MAX_WINDOW_SUSPECTS]),
            prefixes=tuple(prefixes),
            peers=tuple(SeenBy(self._addresses[at], self._peers.asns[at]) for at in peers[:MAX_WINDOW_PEERS]),
        )

    def describe(self, kind: ChangeKind, routes: Changes, n_routes: int, suspects: Sequence[Suspect]) -> RouteChange:
        """Describe changed routes: the prefixes that most peers saw change, and these peers."""
        keys, back, counts = np.unique(routes.key, return_inverse=True, return_counts=True)
        chosen = np.lexsort((keys, -counts))[:MAX_WINDOW_PREFIXES]
        first = np.full(keys.size, routes.key.size)
        np.minimum.at(first, back, np.arange(routes.key.size))
        prefixes = [self._prefix(keys[at], routes, int(first[at]), int(counts[at])) for at in chosen.tolist()]
        peers, seen = np.unique(routes.peer, return_counts=True)
        ordered = peers[np.lexsort((peers, -seen))].tolist()
        return self.record(kind, n_routes, suspects, ordered, int(keys.size), prefixes)

    def _prefix(self, key: U64, routes: Changes, at: int, n_peers: int) -> ChangedPrefix:
        old, new, origins = int(routes.old[at]), int(routes.new[at]), self._paths.origins
        return ChangedPrefix(
            describe_prefix(int(key)),
            int(origins[old]) if old >= 0 else 0,
            int(origins[new]) if new >= 0 else 0,
            self._paths.hops_of(old),
            self._paths.hops_of(new),
            n_peers,
        )
