"""Groups anomalous verdicts into incidents: one incident for one cause, from its first anomalous minute to its last.

This module is pure: it receives verdicts in order and returns the rows to write. Time is the event time of the collectors
concerned. Calm verdicts advance it too, so that an incident closes when nothing else happens. The state consists of the
recent incidents in the store and `Correlator.clock_fields`; both are committed together.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from bgpdrift.features.suspects import keep_strongest, merge_collectors
from bgpdrift.store.evidence_records import IncidentExplanation, RouteChange, VerdictEvidence
from bgpdrift.store.incidents import IncidentChanges
from bgpdrift.verdicts.explanation import guess_kind, kinds_of_change, rate_severity, summarize
from bgpdrift.verdicts.footprint import (
    Footprint,
    are_linked,
    group_linked,
    is_named,
    merge_footprints,
    name_changes,
)
from bgpdrift.verdicts.lifecycle import INCIDENT_LIFECYCLE, RECORDED

MAX_ITEMS = 200
"""Peers, origins or prefixes kept with an incident; a leak concerns thousands, and people read the first few."""
MAX_CHANGES = 40
"""Kinds of changes and collectors kept with an incident."""
LOST_COLLECTOR_MIN = 60
"""Minutes without verdicts after which a collector no longer keeps an incident open, while others advance."""
MAX_LAG_S = 86_400
"""A collector that is further behind the newest one does not keep closed incidents in memory."""


@dataclass(frozen=True, slots=True)
class CorrelationPolicy:
    """Time limits of correlation.

    Attributes
    ----------
    link_minutes : int
        Anomalies this close in time may belong together.
    quiet_minutes : int
        An incident closes after so many minutes without an anomaly.
    reopen_minutes : int
        An incident may reopen for so many minutes after it closed.
    """

    link_minutes: int = 10
    quiet_minutes: int = 15
    reopen_minutes: int = 60


def incident_horizon(clocks: Mapping[str, int], policy: CorrelationPolicy) -> int:
    """Event time before which a closed incident can no longer reopen, also for collectors that are behind.

    Parameters
    ----------
    clocks : mapping of collector to epoch seconds
        Newest window of each collector.
    policy : CorrelationPolicy
        For the reopening and linking time.

    Examples
    --------
    >>> incident_horizon({"rrc00": 100_000, "rrc01": 99_000}, CorrelationPolicy(link_minutes=10, reopen_minutes=60))
    94800
    """
    slowest, newest = min(clocks.values(), default=0), max(clocks.values(), default=0)
    return max(slowest, newest - MAX_LAG_S) - 60 * (policy.reopen_minutes + policy.link_minutes)


class Correlator:
    """Open and recently closed incidents, and the event time of each collector.

    Parameters
    ----------
    policy : CorrelationPolicy
        Time limits.
    recent : sequence of mapping
        Incident rows that may still change: open ones, and those closed within the reopening time.
    clocks : mapping of collector to epoch seconds
        Value of `clock_fields` when the incidents were stored.
    next_id : int
        Id of the next new incident.
    """

    def __init__(
        self,
        policy: CorrelationPolicy,
        recent: Sequence[Mapping[str, Any]] = (),
        clocks: Mapping[str, int] | None = None,
        next_id: int = 1,
    ) -> None:
        self._policy = policy
        self._incidents = {int(row["id"]): dict(row) for row in recent if row.get("merged_into") is None}
        self._clocks = dict(clocks or {})
        self._next_id = next_id
        self._inserts: dict[int, dict[str, Any]] = {}
        self._updates: dict[int, dict[str, Any]] = {}
        self._events: list[dict[str, Any]] = []

    @property
    def clock_fields(self) -> dict[str, int]:
        """Newest window of each collector; stored with the cursor."""
        return dict(self._clocks)

    @property
    def open_count(self) -> int:
        """Number of incidents that are not closed."""
        return sum(row["state"] != "closed" for row in self._incidents.values())

    def add(self, verdicts: Sequence[Mapping[str, Any]]) -> IncidentChanges:
        """Correlate verdicts; return all changes since the last call.

        The verdicts of one minute are processed together and minutes in order of event time, so that an anomaly at
        several collectors is one incident from the start.
        """
        by_minute: dict[int, list[Mapping[str, Any]]] = {}
        for verdict in verdicts:
            by_minute.setdefault(int(verdict["window_start"]), []).append(verdict)
        for minute in sorted(by_minute):
            anomalies = [verdict for verdict in by_minute[minute] if verdict["is_anomaly"]]
            for verdict in by_minute[minute]:
                collector = str(verdict["collector"])
                self._clocks[collector] = max(self._clocks.get(collector, minute), minute)
            self._close_quiet()
            footprints = [_footprint(verdict) for verdict in anomalies]
            for members in group_linked(footprints):
                self._place(minute, [anomalies[i] for i in members], merge_footprints(footprints[i] for i in members))
        self._forget()
        changes = IncidentChanges(list(self._inserts.values()), list(self._updates.values()), list(self._events))
        self._inserts, self._updates, self._events = {}, {}, []
        return changes

    def _place(self, minute: int, verdicts: Sequence[Mapping[str, Any]], footprint: Footprint) -> None:
        """Add linked anomalies of one minute to their incident, and merge incidents that they show to be one."""
        rules = _rules(verdicts)
        changes = [change for verdict in verdicts for change in verdict["evidence"].changes]
        matches = sorted(
            (row for row in self._incidents.values() if self._belongs(row, minute, footprint, rules, changes)),
            key=lambda row: (row["state"] == "closed", row["started_at"], row["id"]),
        )
        if not matches:
            self._open(minute, verdicts, footprint)
            return
        survivor = matches[0]
        for other in matches[1:]:
            if other["state"] != "closed":
                self._merge(other, survivor, minute)
        self._grow(survivor, minute, verdicts, footprint)

    def _belongs(
        self,
        row: Mapping[str, Any],
        minute: int,
        footprint: Footprint,
        rules: Mapping[str, float],
        changes: Sequence[RouteChange],
    ) -> bool:
        policy, own = self._policy, _incident_footprint(row)
        if row["state"] != "closed":
            # A late verdict may lie before the incident, and one of a faster collector after it.
            starts_near = row["started_at"] - 60 * policy.link_minutes <= minute
            ends_near = minute - row["last_seen_at"] <= 60 * max(policy.link_minutes, policy.quiet_minutes)
            return bool(starts_near and ends_near and are_linked(own, footprint))
        since_closed = minute - int(row["closed_at"] or row["last_seen_at"])
        if since_closed > 60 * policy.reopen_minutes or minute < row["started_at"]:
            return False
        kind = guess_kind(rules, changes)
        if kind != row["kind"] and kinds_of_change(kind) and kinds_of_change(row["kind"]):
            return False  # a known cause of another kind
        if are_linked(own, footprint, is_same_time=False):
            return True
        # Over an hour, a shared collector alone is not enough: the incident must also be of the same kind.
        return bool(own.collectors & footprint.collectors) and kind == row["kind"]

    def _open(self, minute: int, verdicts: Sequence[Mapping[str, Any]], footprint: Footprint) -> None:
        row: dict[str, Any] = {
            "id": self._next_id,
            "state": "",
            "started_at": minute,
            "last_seen_at": minute,
            "closed_at": None,
            "peak": 0.0,
            "collectors": [],
            "peers": [],
            "origins": [],
            "prefixes": [],
            "explanation": IncidentExplanation(),
            "merged_into": None,
        }
        self._next_id += 1
        self._incidents[row["id"]] = row
        self._inserts[row["id"]] = row
        self._grow(row, minute, verdicts, footprint)

    def _grow(
        self, row: dict[str, Any], minute: int, verdicts: Sequence[Mapping[str, Any]], footprint: Footprint
    ) -> None:
        row["state"] = INCIDENT_LIFECYCLE.next_state(row["state"], "anomaly")
        row["closed_at"] = None
        row["started_at"] = min(row["started_at"], minute)
        row["last_seen_at"] = max(row["last_seen_at"], minute)
        _add_items(row, "collectors", sorted(footprint.collectors))
        _add_items(row, "peers", [peer for verdict in verdicts for peer in verdict["evidence"].peers])
        row["explanation"] = _explain(row["explanation"], row["peak"], verdicts)
        row["peak"] = max([row["peak"], *(float(verdict["combined"]) for verdict in verdicts)])
        before = row.get("severity", "")
        self._describe(row)
        changed = {"severity_before": before} if before not in ("", row["severity"]) else None
        self._record(row, minute, RECORDED[row["state"]], changed)

    def _merge(self, row: dict[str, Any], survivor: dict[str, Any], minute: int) -> None:
        row["state"] = INCIDENT_LIFECYCLE.next_state(row["state"], "merged")
        row["closed_at"], row["merged_into"] = minute, survivor["id"]
        for name in ("collectors", "peers"):
            _add_items(survivor, name, row[name])
        survivor["started_at"] = min(survivor["started_at"], row["started_at"])
        survivor["last_seen_at"] = max(survivor["last_seen_at"], row["last_seen_at"])
        merged, own = row["explanation"], survivor["explanation"]
        strongest = row if row["peak"] > survivor["peak"] else survivor
        survivor["explanation"] = msgspec.structs.replace(
            strongest["explanation"],
            rule_minutes=dict(Counter(own.rule_minutes) + Counter(merged.rule_minutes)),
            changes=_keep_changes([*own.changes, *merged.changes]),
        )
        survivor["peak"] = strongest["peak"]
        self._mark_changed(row)
        self._record(row, minute, "merged", {"into": survivor["id"]})
        del self._incidents[row["id"]]

    def _close_quiet(self) -> None:
        newest = max(self._clocks.values(), default=0)
        for row in self._incidents.values():
            if row["state"] == "closed":
                continue
            quiet_at = row["last_seen_at"] + 60 * self._policy.quiet_minutes
            clocks = [self._clocks.get(collector, newest) for collector in row["collectors"]]
            if min(clocks, default=newest) >= quiet_at or newest >= quiet_at + 60 * LOST_COLLECTOR_MIN:
                row["state"] = INCIDENT_LIFECYCLE.next_state(row["state"], "quiet")
                row["closed_at"] = quiet_at
                self._mark_changed(row)
                self._record(row, quiet_at, RECORDED["closed"])

    def _forget(self) -> None:
        """Drop incidents that can no longer reopen."""
        horizon = incident_horizon(self._clocks, self._policy)
        for row in list(self._incidents.values()):
            if row["state"] == "closed" and int(row["closed_at"] or 0) < horizon:
                del self._incidents[row["id"]]

    def _describe(self, row: dict[str, Any]) -> None:
        explanation: IncidentExplanation = row["explanation"]
        row["kind"] = guess_kind(explanation.rule_minutes, explanation.changes)
        own = [change for change in explanation.changes if change.change in kinds_of_change(row["kind"])]
        change = merge_collectors(own) if own else None
        if explanation.changes:  # an incident of an earlier version keeps its names
            origins, prefixes, peers = name_changes([change] if change else [])
            row["origins"], row["prefixes"] = list(origins), list(prefixes)
            row["peers"] = list(peers) if change else row["peers"]
        row["severity"] = rate_severity(
            peers=max(len(row["peers"]), change.n_peers if change and is_named(change) else 0),
            collectors=len(row["collectors"]),
            prefixes=max(len(row["prefixes"]), change.n_prefixes if change and is_named(change) else 0),
            peak=row["peak"],
        )
        row["summary"] = summarize(row["kind"], row, explanation)
        self._mark_changed(row)

    def _mark_changed(self, row: dict[str, Any]) -> None:
        if row["id"] not in self._inserts:
            self._updates[row["id"]] = {
                name: value for name, value in row.items() if name not in ("acknowledged_by", "acknowledged_at")
            }

    def _record(self, row: Mapping[str, Any], at: int, kind: str, details: Mapping[str, Any] | None = None) -> None:
        if kind == "updated" and row["last_seen_at"] != at and details is None:
            return
        figures = {"peak": row["peak"], "severity": row["severity"], "kind": row["kind"]}
        self._events.append(
            {"incident_id": row["id"], "at": at, "kind": kind, "details": {**figures, **(details or {})}}
        )


def _footprint(verdict: Mapping[str, Any]) -> Footprint:
    evidence: VerdictEvidence = verdict["evidence"]
    return Footprint(
        frozenset({str(verdict["collector"])}),
        frozenset(evidence.origins),
        frozenset(evidence.prefixes),
        frozenset(_rules([verdict])),
    )


def _incident_footprint(row: Mapping[str, Any]) -> Footprint:
    explanation: IncidentExplanation = row["explanation"]
    origins, prefixes, _ = name_changes(explanation.changes)
    return Footprint(
        frozenset(row["collectors"]),
        frozenset([*row["origins"], *origins]),
        frozenset([*row["prefixes"], *prefixes]),
        frozenset(explanation.rule_minutes),
    )


def _rules(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Rules that fired in some verdicts and that nothing explains, each with the weight of one minute."""
    fired = (rule for verdict in verdicts for rule in verdict["evidence"].rules_fired)
    return dict.fromkeys(sorted({rule.rule for rule in fired if not rule.explained_by}), 1.0)


def _explain(previous: IncidentExplanation, peak: float, verdicts: Sequence[Mapping[str, Any]]) -> IncidentExplanation:
    """Return the evidence of the strongest minute so far, all that changed, and in how many minutes each rule fired."""
    minutes = dict(Counter(previous.rule_minutes) + Counter(_rules(verdicts).keys()))
    changes = _keep_changes([*previous.changes, *(c for verdict in verdicts for c in verdict["evidence"].changes)])
    strongest = max(verdicts, key=lambda verdict: float(verdict["combined"]))
    if previous.window_start and float(strongest["combined"]) <= peak:
        return msgspec.structs.replace(previous, rule_minutes=minutes, changes=changes)
    evidence: VerdictEvidence = strongest["evidence"]
    return IncidentExplanation(
        window_start=strongest["window_start"],
        collector=strongest["collector"],
        rules_fired=evidence.rules_fired,
        top_features=evidence.top_features,
        p_values=dict(strongest["p_values"]),
        abstaining=dict(strongest["abstaining"]),
        rule_minutes=minutes,
        changes=changes,
    )


def _keep_changes(changes: Sequence[RouteChange]) -> tuple[RouteChange, ...]:
    """Keep the strongest change of each kind and collector: the verdicts of an incident share the minutes that fired it."""
    parts: dict[tuple[str, str], list[RouteChange]] = {}
    for change in changes:
        parts.setdefault((change.change, change.collector), []).append(change)
    return tuple(keep_strongest(parts[key]) for key in sorted(parts))[:MAX_CHANGES]


def _add_items(row: dict[str, Any], name: str, items: Sequence[Any]) -> None:
    row[name] = list(dict.fromkeys([*row[name], *items]))[:MAX_ITEMS]
