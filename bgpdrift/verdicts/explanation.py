"""Describes an incident: its probable kind by the rules that fired, its severity, and a summary of one sentence."""

from collections.abc import Iterable, Mapping
from typing import Any

from bgpdrift.detectors.rules import INCIDENT_KINDS, RULES
from bgpdrift.features.suspects import find_culprits, merge_collectors
from bgpdrift.formatting import format_time
from bgpdrift.store.evidence_records import ChangedPrefix, ChangeKind, IncidentExplanation, RouteChange
from bgpdrift.verdicts.footprint import is_named

SEVERITIES = ("low", "medium", "high", "critical")
_BREADTH_STEPS = (30, 1_000)  # peers × collectors × prefixes
_PEAK_STEPS = (5.0, 8.0)  # combined −log10 p
MIN_CAUSE_PREFIXES = 3
"""Prefixes that changed by one cause, from which the cause decides the kind of an incident."""
_CHANGES_OF_KIND: Mapping[str, tuple[ChangeKind, ...]] = {
    "sub-prefix hijack": ("sub_prefix",),
    "origin hijack": ("second_origin",),
    "outage": ("lost",),
    "leak": ("moved",),
    "flapping": ("flapping",),
    "bogons": ("reserved", "too_specific"),
}
_HIJACKS: tuple[ChangeKind, ...] = ("second_origin", "sub_prefix")
_HIJACK_WEIGHT = 4.0
_WHO = {"outage": "behind", "leak": "through"}
_SHOWN = 3


def guess_kind(rules: Mapping[str, float], changes: Iterable[RouteChange] = ()) -> str:
    """Decide the kind of an incident from the rules that fired and the route changes that fired them.

    A rule whose routes changed by a known cause decides: that of the cause with most prefixes, where a hijack outweighs the
    path changes that accompany it. Otherwise the kind whose rules fired in most minutes is named.

    Parameters
    ----------
    rules : mapping of rule name to strength
        In how many minutes each rule fired.
    changes : iterable of RouteChange
        The changes that are evidence for these rules.

    Examples
    --------
    >>> from bgpdrift.store.evidence_records import Suspect
    >>> guess_kind({"update_storm": 12, "withdrawal_storm": 3})
    'update storm'
    >>> leak = RouteChange(change="moved", n_routes=900, n_prefixes=90, suspects=(Suspect(64666, 880, 20),))
    >>> guess_kind({"update_storm": 12, "moved_together": 3}, [leak]), guess_kind({"update_storm": 12}, [leak])
    ('leak', 'update storm')
    >>> guess_kind({})
    'unusual'
    """
    by_kind: dict[ChangeKind, list[RouteChange]] = {}
    for change in changes:
        by_kind.setdefault(change.change, []).append(change)
    best, most = "unusual", 0.0
    for kind in INCIDENT_KINDS:  # of two kinds with equal evidence the earlier one is named
        for of_kind in kinds_of_change(kind.name):
            parts = by_kind.get(of_kind)
            if parts and _may_decide(of_kind, rules):
                merged = merge_collectors(parts)
                strength = merged.n_prefixes * (_HIJACK_WEIGHT if of_kind in _HIJACKS else 1.0)
                if merged.n_prefixes >= MIN_CAUSE_PREFIXES and has_cause(merged) and strength > most + 1e-9:
                    best, most = kind.name, strength
    if most:
        return best
    for kind in INCIDENT_KINDS:
        strength = sum(rule.kind_weight * rules.get(rule.name, 0.0) for rule in RULES if rule.kind == kind.name)
        if strength > most + 1e-9:
            best, most = kind.name, strength
    return best


def _may_decide(change: ChangeKind, rules: Iterable[str]) -> bool:
    """Whether a sufficient rule that counts events fired on a kind of change; a storm has many changes and no such cause."""
    fired = [rule for rule in RULES if rule.name in rules and change in rule.changes]
    return any((rule.sufficient and rule.form == "events") or change == "flapping" for rule in fired)


def kinds_of_change(kind: str) -> tuple[ChangeKind, ...]:
    """Return the kinds of route changes that make up a kind of incident.

    Examples
    --------
    >>> kinds_of_change("origin hijack"), kinds_of_change("silence")
    (('second_origin',), ())
    """
    return _CHANGES_OF_KIND.get(kind, ())


def has_cause(change: RouteChange) -> bool:
    """Whether a change has a cause that decides the kind of the incident; withdrawals that repeat are their own cause."""
    return change.change == "flapping" or bool(find_culprits(change))


def rate_severity(peers: int, collectors: int, prefixes: int, peak: float) -> str:
    """Rate the severity by breadth (peers × collectors × prefixes) and strength, one level for each step reached.

    Parameters
    ----------
    peers, collectors, prefixes : int
        Numbers concerned.
    peak : float
        Largest combined −log10 p.

    Examples
    --------
    >>> rate_severity(peers=2, collectors=1, prefixes=3, peak=3.5)
    'low'
    >>> rate_severity(peers=20, collectors=3, prefixes=400, peak=11.0)
    'critical'
    """
    breadth = max(peers, 1) * max(collectors, 1) * max(prefixes, 1)
    steps = sum(breadth >= step for step in _BREADTH_STEPS) + sum(peak >= step for step in _PEAK_STEPS)
    return SEVERITIES[min(steps, len(SEVERITIES) - 1)]


def summarize(kind: str, incident: Mapping[str, Any], explanation: IncidentExplanation) -> str:
    """Summarize an incident in one sentence: kind, who, where, since when, two figures, and what changed from what to what."""
    meaning = next(
        (known.meaning for known in INCIDENT_KINDS if known.name == kind), "routing differs from the baseline"
    )
    changes = [change for change in explanation.changes if change.change in kinds_of_change(kind) and is_named(change)]
    since = min([incident["started_at"], *(change.first_at for change in changes if change.first_at)])
    who = f" {_WHO.get(kind, 'by')} AS{_few(incident['origins'], '')}" if incident["origins"] else ""
    figures = "; ".join(
        f"{rule.value:g} {rule.unit}, baseline {rule.baseline:g}" for rule in explanation.rules_fired[:2] if rule.unit
    )
    what = ""
    if changes:
        change = merge_collectors(changes)
        shown = [describe_change(prefix) for prefix in change.prefixes[: 1 if change.change == "moved" else _SHOWN]]
        n_more = max(change.n_prefixes - len(shown), 0)
        more = f" and {n_more} more" if n_more else ""
        what = f"; {', '.join(shown)}{more}; seen by {change.n_peers} peers"
    return (
        f"{kind.capitalize()}{who} at {_few(incident['collectors'], 'collector')} since {format_time(since)} UTC: {meaning} "
        f"({figures or 'no single rule'}){what}."
    )


def describe_change(prefix: ChangedPrefix) -> str:
    """Describe what happened to a prefix: from which origin or path to which.

    Examples
    --------
    >>> describe_change(ChangedPrefix("192.0.2.0/24", 64500, 64666))
    '192.0.2.0/24 (AS64500 -> AS64666)'
    >>> describe_change(ChangedPrefix("192.0.2.0/25", 64500, 64666, covering="192.0.2.0/24"))
    '192.0.2.0/25 in 192.0.2.0/24 (AS64500 -> AS64666)'
    >>> describe_change(ChangedPrefix("192.0.2.0/24", 3, 3, (1, 3), (1, 9, 3)))
    '192.0.2.0/24 (path 1 3 -> 1 9 3)'
    >>> describe_change(ChangedPrefix("192.0.2.0/24", 3, 0, (1, 3)))
    '192.0.2.0/24 (AS3 -> withdrawn)'
    """
    name = prefix.prefix + (f" in {prefix.covering}" if prefix.covering else "")
    old = f"AS{prefix.old_origin}" if prefix.old_origin else "unknown"
    if not prefix.new_origin:
        return f"{name} ({old} -> withdrawn)"
    if prefix.old_origin in (0, prefix.new_origin) and prefix.new_path:
        return f"{name} (path {_path(prefix.old_path) or 'unknown'} -> {_path(prefix.new_path)})"
    return f"{name} ({old} -> AS{prefix.new_origin})"


def _path(hops: Iterable[Any]) -> str:
    return " ".join(str(hop) if hop else "{}" for hop in hops)


def _few(items: Iterable[Any], noun: str, most: int = 3) -> str:
    names = [str(item) for item in items]
    shown = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    return f"{noun} {shown}".strip()
