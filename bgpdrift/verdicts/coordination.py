"""Decides when the votes on a window are complete, and stores its verdict.

A window is decided when every running detector has passed it, or when a detector that is behind has not moved for
``ensemble.stale_s``. The coordinator waits for a detector that catches up, but not for one that hangs; the time of a
detector without work starts when there is work. Windows are decided in the order of their ids, and the position is stored
with the verdicts. `bgpdrift.verdicts.ensemble` decides the verdict itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from bgpdrift.clock import Clock
from bgpdrift.detector_registry import DETECTORS, MODELS
from bgpdrift.settings import Settings
from bgpdrift.store import ScoreRow, StateCursor, Store, WindowRow
from bgpdrift.store.codec import decode
from bgpdrift.store.cursor_states import DetectorState, EnsembleState
from bgpdrift.store.evidence_records import FiredRule, TopFeature, VerdictEvidence, WindowEvidence
from bgpdrift.verdicts.ensemble import (
    ABSENT,
    STALE,
    WAITING,
    Verdict,
    Vote,
    decide,
    ensemble_policy,
    needs_no_debounce,
    passes_debounce,
)
from bgpdrift.verdicts.footprint import collect_changes, name_changes

CURSOR = "ensemble_coordinator"
WINDOWS_PER_STEP = 500
MAX_GROUPS = 5_000
"""Groups whose recent minutes are kept in memory; names of collectors and peers come from the feed."""
Key = tuple[str, str, int]
Group = tuple[str, str]
"""(collector, peer)"""
RecentMinute = tuple[int, bool]
"""(window_start, exceeds)"""
RecentEvidence = tuple[int, WindowEvidence]
"""(window_start, evidence)"""
Firing = tuple[int, str, str]
"""(window_start, collector, name of a sufficient rule)"""
EVIDENCE_MINUTES = 60
"""Longest time scale of a rule."""


class _Judged(NamedTuple):
    """A window with its votes and its verdict before the debounce."""

    window: WindowRow
    votes: Mapping[str, Vote]
    verdict: Verdict


@dataclass(slots=True)
class Decided:
    """What follows from some windows; it becomes the memory of the coordinator when the rows are stored."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    """Verdicts."""
    recent: dict[Group, list[RecentMinute]] = field(default_factory=dict)
    """Latest minutes of each group, for the debounce."""
    firings: list[Firing] = field(default_factory=list)
    """Sufficient rules of the latest minutes of all collectors."""
    evidence: dict[Group, list[RecentEvidence]] = field(default_factory=dict)
    """Evidence of the latest minutes of each group."""
    abstaining: dict[str, str] = field(default_factory=dict)
    """Abstentions in the last verdict, by detector."""


class EnsembleCoordinator:
    """Worker of the ensemble coordinator; the module docstring states when a window is decided."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._store, self._clock, self._stale_s = store, clock, settings.ensemble.stale_s
        self._policy = ensemble_policy(settings)
        self._position = store.read_position(CURSOR)
        self._started = clock.monotonic()
        self._moved: dict[str, tuple[int, float]] = {}  # detector -> (position, time of its last move)
        self._recent: dict[Group, list[RecentMinute]] = {}
        self._evidence: dict[Group, list[RecentEvidence]] = {}
        self._firings: list[Firing] | None = None
        self._n_verdicts = self._n_anomalies = 0
        self._abstaining: Mapping[str, str] = {}

    def step(self) -> bool:
        """Decide the windows that are complete; True if more may follow at once."""
        newest = self._store.newest_window_id()
        reach = {record.name: self._reach(record.name, record.service, newest) for record in DETECTORS}
        limit = min((position for position, _ in reach.values() if position is not None), default=None)
        # Read only complete windows: the others would be read again in every step.
        ready = self._store.windows_after(self._position, WINDOWS_PER_STEP, limit)
        if not ready:
            return False
        decided = self._decide(ready, reach)
        position, rows = int(ready[-1]["id"]), decided.rows
        self._store.write_verdicts(rows, StateCursor(CURSOR, position, EnsembleState(abstaining=decided.abstaining)))
        # Memory moves only now: a write that the store refuses is decided again from the same minutes.
        self._position, self._abstaining = position, decided.abstaining
        for group, minutes in decided.recent.items():
            self._recent.pop(group, None)
            self._evidence.pop(group, None)
            self._recent[group], self._evidence[group] = minutes, decided.evidence[group]
        while len(self._recent) > MAX_GROUPS:  # the store has the minutes of those without a recent window
            oldest = next(iter(self._recent))
            del self._recent[oldest], self._evidence[oldest]
        self._firings = decided.firings
        self._n_verdicts += len(rows)
        self._n_anomalies += sum(bool(row["is_anomaly"]) for row in rows)
        return len(ready) == WINDOWS_PER_STEP

    def status(self) -> str:
        """Number of verdicts, and which detectors abstain."""
        abstentions = "".join(f"; {name} abstains: {reason}" for name, reason in self._abstaining.items())
        return f"{self._n_verdicts:,} verdicts, {self._n_anomalies:,} anomalous{abstentions}"

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _reach(self, name: str, service: str, newest: int) -> tuple[int | None, str]:
        """Position of a detector (None: do not wait for it), and the reason for its abstention beyond the position."""
        cursor, now = self._store.read_state(service, DetectorState), self._clock.monotonic()
        if cursor is None:
            # Services start one after the other, so that a missing cursor gets the time of a stale one.
            return (None, ABSENT) if now - self._started >= self._stale_s else (0, ABSENT)
        if not cursor.state.has_model:
            return None, WAITING
        position, since = self._moved.get(name, (-1, now))
        if cursor.position != position or cursor.position >= newest:
            since = now  # it has moved, or it has no work
        self._moved[name] = (cursor.position, since)
        if now - since >= self._stale_s:
            return None, STALE
        return cursor.position, STALE

    def _decide(self, windows: Sequence[WindowRow], reach: Mapping[str, tuple[int | None, str]]) -> Decided:
        """Decide windows; the latest minutes in memory do not change."""
        scores: dict[Key, dict[str, ScoreRow]] = {}
        for score in self._store.scores_for([_key(window) for window in windows]):
            scores.setdefault(_key(score), {})[str(score["model"])] = score
        judged = []
        for window in sorted(windows, key=lambda window: int(window["window_start"])):
            own_scores = scores.get(_key(window), {})
            votes = {name: _vote(own_scores.get(name), reach[name][1]) for name in MODELS}
            judged.append(_Judged(window, votes, decide(votes, self._policy, bool(window["peer_reset"]))))
        decided = Decided(firings=self._recent_firings(judged))
        for one in judged:
            decided.rows.append(self._finish(one, decided))
        newest = judged[-1].window["window_start"] if judged else 0
        decided.firings = [one for one in decided.firings if one[0] > newest - 60 * self._policy.debounce_n]
        return decided

    def _finish(self, judged: _Judged, decided: Decided) -> dict[str, Any]:
        """Build the verdict of a window: evidence and debounce."""
        window, votes, verdict = judged
        start, group = int(window["window_start"]), (str(window["collector"]), str(window["peer"]))
        recent = decided.recent.get(group) or self._recent_minutes(group, start)
        recent.append((start, verdict.exceeds))
        decided.recent[group] = recent[-4 * self._policy.debounce_n :]
        minutes = decided.evidence[group] if group in decided.evidence else self._recent_evidence(group, start)
        minutes.append((start, decode(WindowEvidence, window["evidence"], f"feature_windows.evidence of {group}")))
        # Most minutes of most groups hold no change, and need no place in memory.
        decided.evidence[group] = [one for one in minutes if one[1].changes and one[0] > start - 60 * EVIDENCE_MINUTES]
        evidence = VerdictEvidence()
        if verdict.exceeds or any(vote.rules_fired for vote in votes.values()):
            evidence = build_evidence(minutes, votes, self._policy.debounce_n)
        decided.abstaining = dict(verdict.abstaining)
        return {
            "window_start": start,
            "collector": window["collector"],
            "peer": window["peer"],
            "combined": verdict.combined,
            "p_values": dict(verdict.p_values),
            "votes": dict(verdict.votes),
            "abstaining": dict(verdict.abstaining),
            "majority": verdict.majority,
            "maximum": verdict.maximum,
            "exceeds": verdict.exceeds,
            "is_anomaly": passes_debounce(recent, start, self._policy)
            or self._is_confirmed(start, verdict, evidence, decided.firings),
            "explained_by": verdict.explained_by,
            "evidence": evidence,
            "decided_at": self._clock.now(),
        }

    def _is_confirmed(self, start: int, verdict: Verdict, evidence: VerdictEvidence, firings: Sequence[Firing]) -> bool:
        """Whether a sufficient rule of this minute fires at several collectors, or several peers saw what fired it."""
        collectors: dict[str, set[str]] = {}
        for at, collector, rule in firings:
            if abs(start - at) < 60 * self._policy.debounce_n:
                collectors.setdefault(rule, set()).add(collector)
        return needs_no_debounce(verdict.sufficient_rules, collectors, evidence.changes)

    def _recent_firings(self, judged: Sequence[_Judged]) -> list[Firing]:
        """Return the sufficient rules of these windows and of the minutes before, read from the store after a start."""
        before = self._firings
        if before is None:
            start = min((int(one.window["window_start"]) for one in judged), default=0)
            before = [
                (int(row["window_start"]), str(row["collector"]), rule.rule)
                for row in self._store.verdicts_between(start - 60 * self._policy.debounce_n, start)
                if row["exceeds"]
                for rule in row["evidence"].rules_fired
                if rule.sufficient and not rule.explained_by
            ]
        return before + [
            (int(one.window["window_start"]), str(one.window["collector"]), rule)
            for one in judged
            for rule in one.verdict.sufficient_rules
        ]

    def _recent_evidence(self, group: Group, start: int) -> list[RecentEvidence]:
        """Copy the evidence of the latest minutes of a group, read from the store after a start."""
        if group in self._evidence:
            return list(self._evidence[group])
        return [
            (int(row["window_start"]), decode(WindowEvidence, row["evidence"], f"feature_windows.evidence of {group}"))
            for row in self._store.recent_windows(*group, start, EVIDENCE_MINUTES)
        ]

    def _recent_minutes(self, group: Group, start: int) -> list[RecentMinute]:
        """Copy the latest minutes of a group, read from the store after a start."""
        if group in self._recent:
            return list(self._recent[group])
        before = self._store.verdicts_between(start - 60 * self._policy.debounce_n, start)
        return [
            (int(row["window_start"]), bool(row["exceeds"]))
            for row in before
            if (row["collector"], row["peer"]) == group
        ]


def _vote(score: ScoreRow | None, reason_without: str) -> Vote:
    if score is None:
        return Vote(abstained=reason_without)
    return Vote(
        p_value=float(score["p_value"]),
        is_alarm=bool(score["is_alarm"]),
        abstained=str(score["abstained"]),
        alarm_p=float(score["alarm_p"] or 0.0),
        rules_fired=score["rules_fired"],
        top_features=score["top_features"],
    )


def build_evidence(minutes: Sequence[RecentEvidence], votes: Mapping[str, Vote], min_minutes: int) -> VerdictEvidence:
    """Build the evidence of a verdict: the rules that fired, and the route changes that fired them.

    Parameters
    ----------
    minutes : sequence of (window_start, WindowEvidence)
        Evidence of the latest windows of the group, oldest first; the last one is that of the verdict.
    votes : mapping of detector to Vote
        Votes with the rules that fired.
    min_minutes : int
        Least minutes whose changes are evidence.
    """
    fired = [msgspec.convert(rule, FiredRule) for vote in votes.values() for rule in vote.rules_fired]
    unexplained = [rule for rule in fired if not rule.explained_by]
    top = [
        msgspec.convert({"detector": name, **entry}, TopFeature)
        for name, vote in votes.items()
        for entry in vote.top_features
    ]
    changes = collect_changes(minutes, unexplained, min_minutes)
    origins, prefixes, peers = name_changes(changes)
    if any(rule.rule == "session_storm" for rule in unexplained):
        peers = tuple(dict.fromkeys([*(address for address, *_ in minutes[-1][1].sessions), *peers]))
    return VerdictEvidence(
        rules_fired=tuple(fired),
        top_features=tuple(top),
        changes=changes,
        origins=origins,
        prefixes=prefixes,
        peers=peers,
    )


def _key(row: Mapping[str, Any]) -> Key:
    return str(row["collector"]), str(row["peer"]), int(row["window_start"])
