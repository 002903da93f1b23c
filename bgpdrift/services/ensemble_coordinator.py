"""The ensemble coordinator: waits until every detector has spoken on a window, then stores the verdict.

A window is decided when all detectors that are up have passed it, or when one that is behind has not moved for
``ensemble.stale_s``: a detector that catches up is waited for, one that hangs is not, and one that had nothing to do
has not hung: its time runs from when there was something. Windows are decided in the order
of their ids, and the position is stored with the verdicts. What a verdict is, `bgpdrift.verdicts.ensemble` decides.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bgpdrift.clock import Clock
from bgpdrift.services import runtime
from bgpdrift.settings import Settings
from bgpdrift.store import Cursor, ScoreRow, Store, WindowRow, open_store
from bgpdrift.verdicts.ensemble import ABSENT, STALE, WAITING, EnsemblePolicy, Opinion, debounced, decide
from bgpdrift.verdicts.evidence import concerned

NAME = "ensemble_coordinator"
DETECTORS: Mapping[str, str] = {
    "lstm": "lstm_detector",
    "isolation_forest": "isolation_forest_detector",
    "heuristic": "heuristic_detector",
}
"""Detector → service, whose cursor says how far it is."""
WINDOWS_A_STEP = 500
Key = tuple[str, str, int]


class EnsembleCoordinator:
    """Worker; see the module for when a window is decided."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        ensemble = settings.ensemble
        self._store, self._clock, self._stale_s = store, clock, ensemble.stale_s
        self._policy = EnsemblePolicy(
            {
                "lstm": ensemble.weight_lstm,
                "isolation_forest": ensemble.weight_isolation_forest,
                "heuristic": ensemble.weight_heuristic,
            },
            ensemble.false_alarms_per_day,
            settings.detectors.false_alarms_per_day,
            ensemble.debounce_k,
            ensemble.debounce_n,
        )
        cursor = store.read_cursor(NAME)
        self._position = cursor.position if cursor else 0
        self._started = clock.monotonic()
        self._moved: dict[str, tuple[int, float]] = {}
        self._recent: dict[tuple[str, str], list[tuple[int, bool]]] = {}
        self._decided = self._anomalies = 0
        self._abstaining: Mapping[str, str] = {}

    def step(self) -> bool:
        """Decide what can be decided; True if more windows wait and progress was made."""
        newest = self._store.newest_window_id()
        reach = {name: self._reach(name, service, newest) for name, service in DETECTORS.items()}
        limit = min((position for position, _ in reach.values() if position is not None), default=None)
        # Only what can be decided is read: what waits for the slowest detector would be read anew in each step.
        ready = self._store.windows_after(self._position, WINDOWS_A_STEP, limit)
        if not ready:
            return False
        rows = self._decide(ready, reach)
        position = int(ready[-1]["id"])
        self._store.write_verdicts(rows, Cursor(NAME, position, {"abstaining": dict(self._abstaining)}))
        self._position = position
        self._decided += len(rows)
        self._anomalies += sum(bool(row["is_anomaly"]) for row in rows)
        return len(ready) == WINDOWS_A_STEP

    def status(self) -> str:
        """Verdicts given and who has no say."""
        silent = "; ".join(f"{name} abstains: {reason}" for name, reason in self._abstaining.items())
        return f"{self._decided:,} verdicts, {self._anomalies:,} anomalous" + (f"; {silent}" if silent else "")

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _reach(self, name: str, service: str, last: int) -> tuple[int | None, str]:
        """How far a detector has got (None: no limit, nobody waits for it) and why it would have no opinion beyond."""
        cursor, now = self._store.read_cursor(service), self._clock.monotonic()
        if cursor is None:
            # At the very start services come up one after the other: give it the time a stale one gets.
            return (None, ABSENT) if now - self._started >= self._stale_s else (0, ABSENT)
        if cursor.details.get("state") == WAITING:
            return None, WAITING
        position, since = self._moved.get(name, (-1, now))
        if cursor.position != position or cursor.position >= last:
            since = now  # it moved, or nobody waits for it
        self._moved[name] = (cursor.position, since)
        if now - since >= self._stale_s:
            return None, STALE
        return cursor.position, STALE

    def _decide(
        self, windows: Sequence[WindowRow], reach: Mapping[str, tuple[int | None, str]]
    ) -> list[dict[str, Any]]:
        scores: dict[Key, dict[str, ScoreRow]] = {}
        for score in self._store.scores_for([_key(window) for window in windows]):
            scores.setdefault(_key(score), {})[str(score["model"])] = score
        now = self._clock.now()
        rows = []
        for window in sorted(windows, key=lambda window: int(window["window_start"])):
            found = scores.get(_key(window), {})
            opinions = {name: _opinion(found.get(name), reach[name][1]) for name in DETECTORS}
            verdict = decide(opinions, self._policy, bool(window["peer_reset"]))
            start = int(window["window_start"])
            recent = self._recent_of(window)
            recent.append((start, verdict.exceeds))
            fired = [rule for opinion in opinions.values() for rule in opinion.rules_fired]
            counting = [str(rule["rule"]) for rule in fired if not rule.get("explained_by")]
            rows.append(
                {
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
                    "is_anomaly": debounced(recent, start, self._policy),
                    "explained_by": verdict.explained_by,
                    "evidence": _evidence(window, opinions, fired, counting) if fired or verdict.exceeds else {},
                    "decided_at": now,
                }
            )
            self._abstaining = verdict.abstaining
            del recent[: -4 * self._policy.debounce_n]
        return rows

    def _recent_of(self, window: WindowRow) -> list[tuple[int, bool]]:
        key = (str(window["collector"]), str(window["peer"]))
        if key not in self._recent:
            start = int(window["window_start"])
            before = self._store.verdicts_between(start - 60 * self._policy.debounce_n, start)
            self._recent[key] = [
                (int(row["window_start"]), bool(row["exceeds"]))
                for row in before
                if (row["collector"], row["peer"]) == key
            ]
        return self._recent[key]


def _opinion(score: ScoreRow | None, otherwise: str) -> Opinion:
    if score is None:
        return Opinion(abstained=otherwise)
    return Opinion(
        float(score["p_value"]),
        bool(score["is_alarm"]),
        str(score["abstained"]),
        alarm_p=float(score["alarm_p"] or 0.0),
        rules_fired=score["rules_fired"],
        top_features=score["top_features"],
    )


def _evidence(
    window: WindowRow, opinions: Mapping[str, Opinion], fired: Sequence[Mapping[str, Any]], counting: Sequence[str]
) -> dict[str, Any]:
    top = [{"detector": name, **entry} for name, opinion in opinions.items() for entry in opinion.top_features]
    return {"rules_fired": list(fired), "top_features": top, **concerned(window["evidence"], counting)}


def _key(row: Mapping[str, Any]) -> Key:
    return str(row["collector"]), str(row["peer"]), int(row["window_start"])


def build(settings: Settings, clock: Clock) -> EnsembleCoordinator:
    """Make the worker."""
    store = open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s)
    return EnsembleCoordinator(settings, store, clock)


if __name__ == "__main__":
    runtime.run(NAME, build, lambda settings: settings.detectors.poll_s)
