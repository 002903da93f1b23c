"""Decides which AS caused a change of routes: the one that the changed routes have in common and the unchanged have not.

After a route leak or a hijack, most moved routes pass through one AS, and most routes through this AS have just moved (compare
BEAM, Chen et al., USENIX Security 2024). After an outage, most lost routes passed through one AS, and few routes through it
remain. This module ranks the suspects of a change and merges the changes of several windows and collectors; it reads no routes.
"""

from collections.abc import Iterable, Sequence

import msgspec

from bgpdrift.store.evidence_records import ChangedPrefix, ChangeKind, RouteChange, SeenBy, Suspect

MAX_SUSPECTS, MAX_PREFIXES, MAX_PEERS = 20, 50, 50
"""Names kept for one change of an incident."""
MIN_EXCLUSIVE = 0.5
"""Share of the routes through a suspect that changed, below which it is not the cause."""
MIN_COMMON = {"moved": 0.3, "lost": 0.5}
"""Share of the changed routes that the causes have in common, below which there is no cause."""
MIN_OF_LARGEST = 0.3
"""Of several new origins, those with so many prefixes, as a share of the largest, are causes."""
_NEAR, _TIE = 0.7, 0.995
_NEW_ORIGIN: tuple[ChangeKind, ...] = ("second_origin", "sub_prefix")


def exclusiveness(suspect: Suspect) -> float:
    """Share of the routes through a suspect that changed.

    Examples
    --------
    >>> exclusiveness(Suspect(64500, changed=30, other=10))
    0.75
    """
    return suspect.changed / max(suspect.changed + suspect.other, 1)


def rank_suspects(suspects: Iterable[Suspect], n_routes: int) -> tuple[Suspect, ...]:
    """Order suspects by the share of the changed routes with them, times the share of their routes that changed.

    Several ASes lie on the same routes after a leak. Among those with nearly as high a share, the leaker is the one that passes
    the routes to a neighbour to which it passed none before; of equal ones, the one nearest to the origin: the others only pass
    its routes on.

    Examples
    --------
    >>> upstream, leaker = Suspect(1, 90, 60, 3.0, 90, 60), Suspect(2, 90, 5, 2.0, 90, 0)
    >>> provider = Suspect(3, 90, 4, 1.0, 40, 0)
    >>> [suspect.asn for suspect in rank_suspects([upstream, leaker, provider], n_routes=100)]
    [2, 3, 1]
    """
    scores = {s: s.changed / max(n_routes, 1) * exclusiveness(s) for s in suspects}
    ordered = sorted(scores, key=lambda s: (-scores[s], s.from_origin, s.asn))
    near = [s for s in ordered if scores[s] >= _NEAR * scores[ordered[0]]]
    leads = {
        s: s.next_changed / max(n_routes, 1) * s.next_changed / max(s.next_changed + s.next_other, 1) for s in near
    }
    best = max(leads.values(), default=0.0)
    tied = [s for s in near if leads[s] >= _TIE * best] if best else near[:1]
    first = min(tied, key=lambda s: (s.from_origin, -scores[s], s.asn), default=None)
    return tuple(sorted(ordered, key=lambda s: s != first))


def find_culprits(change: RouteChange) -> tuple[int, ...]:
    """Return the ASes that caused a change, the first one first; empty if the changed routes have no AS in common.

    Examples
    --------
    >>> hijack = RouteChange(change="second_origin", suspects=(Suspect(64666, 40), Suspect(64500, 1)))
    >>> leak = RouteChange(change="moved", n_routes=100, suspects=(Suspect(64666, 90, 5),))
    >>> churn = RouteChange(change="moved", n_routes=100, suspects=(Suspect(64666, 40, 900),))
    >>> find_culprits(hijack), find_culprits(leak), find_culprits(churn)
    ((64666,), (64666,), ())
    """
    suspects, n_routes = change.suspects, max(change.n_routes, 1)
    if not suspects:
        return ()
    if change.change == "moved":
        first = suspects[0]
        is_cause = exclusiveness(first) >= MIN_EXCLUSIVE and first.changed >= MIN_COMMON["moved"] * n_routes
        return (first.asn,) if is_cause else ()
    if change.change == "lost":
        causes = [s for s in suspects if exclusiveness(s) >= MIN_EXCLUSIVE]
        is_cause = sum(s.changed for s in causes) >= MIN_COMMON["lost"] * n_routes
        return tuple(s.asn for s in causes) if is_cause else ()
    return tuple(s.asn for s in suspects if s.changed >= MIN_OF_LARGEST * suspects[0].changed)


def concerns(prefix: ChangedPrefix, change: ChangeKind, culprits: Sequence[int]) -> bool:
    """Whether some ASes caused the change of a prefix; without culprits, whatever changed counts.

    Examples
    --------
    >>> moved = ChangedPrefix("192.0.2.0/24", 3, 3, (1, 2, 3), (1, 9, 2, 3))
    >>> concerns(moved, "moved", [9]), concerns(moved, "moved", [2])
    (True, False)
    """
    if not culprits:
        return True
    if change in _NEW_ORIGIN:
        return prefix.new_origin in culprits
    if change == "lost":
        return any(asn in prefix.old_path for asn in culprits)
    if change == "moved":
        return any(asn in prefix.new_path and asn not in prefix.old_path for asn in culprits)
    return True


def merge_windows(changes: Sequence[RouteChange]) -> RouteChange:
    """Merge one kind of change of several windows of a collector: the strongest window, with the names of the others.

    New origins of several windows add up, because each announcement of a second origin counts once.
    """
    base = max(changes, key=lambda change: (_strength(change), -change.first_at))
    if base.change in _NEW_ORIGIN:
        return _merge(base, changes, _add_up(changes), sum(change.n_routes for change in changes))
    return _merge(base, changes, base.suspects, base.n_routes)


def keep_strongest(changes: Sequence[RouteChange]) -> RouteChange:
    """Merge changes that may contain the same windows: the strongest, with the names of the others."""
    base = max(changes, key=lambda change: (_strength(change), -change.first_at))
    return _merge(base, changes, base.suspects, base.n_routes)


def merge_collectors(changes: Sequence[RouteChange]) -> RouteChange:
    """Merge one kind of change at several collectors; the routes with each suspect add up.

    Examples
    --------
    >>> one = RouteChange(change="moved", n_routes=9, suspects=(Suspect(3, 9, 0, 1.0, 9), Suspect(2, 9, 0, 2.0, 9)))
    >>> other = RouteChange(change="moved", n_routes=9, suspects=(Suspect(2, 9, 0, 2.0, 9), Suspect(3, 9, 4, 1.0, 9, 4)))
    >>> merge_collectors([one, other]).suspects[0].asn
    2
    """
    base = max(changes, key=lambda change: (_strength(change), -change.first_at))
    if len(changes) == 1:
        return base
    if base.change in _NEW_ORIGIN:  # the collectors see the same prefixes
        merged = _merge(base, changes, _largest(changes), base.n_routes)
    else:
        merged = _merge(base, changes, _add_up(changes), sum(change.n_routes for change in changes))
    return msgspec.structs.replace(merged, collector="")


def _strength(change: RouteChange) -> tuple[bool, int]:
    return bool(find_culprits(change)), change.suspects[0].changed if change.suspects else change.n_routes


def _add_up(changes: Sequence[RouteChange]) -> tuple[Suspect, ...]:
    totals: dict[int, Suspect] = {}
    for suspect in (suspect for change in changes for suspect in change.suspects):
        have = totals.get(suspect.asn, Suspect(suspect.asn, 0))
        changed = have.changed + suspect.changed
        distance = (have.from_origin * have.changed + suspect.from_origin * suspect.changed) / max(changed, 1)
        totals[suspect.asn] = Suspect(
            suspect.asn,
            changed,
            have.other + suspect.other,
            round(distance, 2),
            have.next_changed + suspect.next_changed,
            have.next_other + suspect.next_other,
        )
    return rank_suspects(totals.values(), sum(change.n_routes for change in changes))[:MAX_SUSPECTS]


def _largest(changes: Sequence[RouteChange]) -> tuple[Suspect, ...]:
    largest: dict[int, Suspect] = {}
    for suspect in (suspect for change in changes for suspect in change.suspects):
        if suspect.changed > largest.get(suspect.asn, Suspect(suspect.asn, 0)).changed:
            largest[suspect.asn] = suspect
    return tuple(sorted(largest.values(), key=lambda s: (-s.changed, s.asn)))[:MAX_SUSPECTS]


def _merge(
    base: RouteChange, changes: Sequence[RouteChange], suspects: tuple[Suspect, ...], n_routes: int
) -> RouteChange:
    merged = msgspec.structs.replace(base, suspects=suspects, n_routes=n_routes)
    culprits = find_culprits(merged)
    ordered = [base, *(change for change in changes if change is not base)]
    prefixes: dict[str, ChangedPrefix] = {}
    peers: dict[SeenBy, None] = {}
    first_at = base.first_at
    for change in ordered:
        own = [prefix for prefix in change.prefixes if concerns(prefix, base.change, culprits)]
        for prefix in own:
            known = prefixes.setdefault(prefix.prefix, prefix)
            if prefix.peers > known.peers:
                prefixes[prefix.prefix] = msgspec.structs.replace(known, peers=prefix.peers)
        if own:
            peers.update(dict.fromkeys(change.peers))
            first_at = min(first_at, change.first_at)
    n_prefixes = max(len(prefixes), *(change.n_prefixes for change in changes))
    if base.change in _NEW_ORIGIN and suspects:
        n_prefixes = max(len(prefixes), suspects[0].changed)
    return msgspec.structs.replace(
        merged,
        first_at=first_at,
        n_prefixes=n_prefixes,
        n_peers=max(len(peers), base.n_peers),
        prefixes=tuple(prefixes.values())[:MAX_PREFIXES],
        peers=tuple(peers)[:MAX_PEERS],
    )
