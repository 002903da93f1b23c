"""The watch over versions that came into force, however they did: the shell around `bgpdrift.monitor.probation_rule`.

Hour by hour of event time the version in force and the one it replaced are given the same windows (`shadow_scoring`); what
was counted stands in the row ``probation:<model>`` of ``cursors``, together with the shadow's histograms, so that a restart
counts no hour twice. A version that is accepted is recorded as accepted; one that disappoints is taken back, which begins a
cooldown and is said. One that came back by a rollback was in force before, and is accepted at once. Decides nothing itself.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import ArtifactError, BgpdriftError, InputError, PublishRefusedError
from bgpdrift.models.model_files import list_model_files
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.paths import current_path
from bgpdrift.models.publication import active_version
from bgpdrift.models.retention import RetentionPolicy
from bgpdrift.models.rollback import choose_rollback
from bgpdrift.monitor.probation_rule import Decision, ProbationPolicy, Provenance, Tally, decide
from bgpdrift.monitor.retraining_requests import ActiveVersions, loop_cursor
from bgpdrift.monitor.shadow_scoring import HOUR_S, Hour, ShadowScoring, Version, load_version
from bgpdrift.settings import Settings
from bgpdrift.store import Cursor, Store
from bgpdrift.store.schema import scores

WAITS_H = 6
"""So long an hour waits for the detectors to have scored it; then it is looked at as it is."""
MOVES = ("retrain", "promote", "rollback", "recover", "publish_default")

FORCED_NOTE = "forced"
"""How the note on a publication begins that the gate had refused."""


def probation_cursor(model: str) -> str:
    """Name of the row of ``cursors`` with the state of a probation."""
    return f"probation:{model}"


class Probation:
    """Watches.

    Parameters
    ----------
    settings, store, clock
        Of the monitor.
    active_versions : ActiveVersions
        Versions.
    registry : ModelRegistry, optional
        What puts versions in and out of force.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        active_versions: ActiveVersions,
        registry: ModelRegistry | None = None,
    ) -> None:
        kept, self._history = settings.models, settings.detectors.history_minutes
        keep = RetentionPolicy(kept.keep_backups, kept.keep_candidates, kept.keep_rejected)
        self._store, self._clock, self._active_versions, self._log = store, clock, active_versions, logs.get_logger()
        self._folder, self._policy = settings.artifacts_path, ProbationPolicy.from_settings(settings)
        self._registry = registry or ModelRegistry(self._folder, store, clock, keep, self._history)
        self._scoring = ShadowScoring(settings, store)
        self._done: dict[str, str] = {}
        """Version by model that needs no more watching."""
        self._loaded: dict[str, Version | None] = {}

    def step(self, at: int) -> bool:
        """Look at most at one hour of each model; True if more hours wait."""
        more = [self._look(model, at) for model in MODELS]  # each has its turn
        return any(more)

    def _look(self, model: str, at: int) -> bool:
        version = self._active_versions(model)
        if not version or self._done.get(model) == version:
            return False
        state = {str(row["version"]): str(row["state"]) for row in self._store.model_versions(model)}.get(version)
        cursor = self._store.read_cursor(probation_cursor(model))
        ours = cursor is not None and cursor.details.get("version") == version
        if state is None:
            return False  # not recorded yet: whoever published it, or the detector, does
        if state != "active":
            self._finish(model, version, cursor if ours else None, state)
            return False
        if cursor is None or not ours:
            return self._begin(model, version, at, cursor)
        if cursor.details.get("verdict") == "rolled_back":
            return self._take_back(model, cursor, at)  # we died before, or while, it was done
        return self._next_hour(model, cursor, at)

    def _begin(self, model: str, version: str, at: int, before: Cursor | None) -> bool:
        self._done.pop(model, None)  # the version that was done with may come back, and is to settle again
        self._loaded = {name: loaded for name, loaded in self._loaded.items() if not name.startswith(f"{model}:")}
        if before is not None and before.details.get("verdict") == "rolled_back":
            self._say_taken_back(model, before, at)
        moves = [row for row in self._store.retrain_events(model, 50) if row["kind"] in MOVES and row["promoted"]]
        last = moves[0] if moves else None
        came_back = last is not None and last["kind"] == "rollback" and last["version"] == version
        parent = self._parent(model)
        details = {
            "version": version,
            "parent": parent[0] if parent else "",
            "started_at": at,
            "ends_at": at + round(self._policy.hours * HOUR_S),
            "past_gate": came_past_gate(moves, version),
            "checks": 0,
            "tally": msgspec.to_builtins(Tally()),
            **Tally().figures(parent is not None),
            "verdict": "watching",
            "reason": "",
        }
        cursor = Cursor(probation_cursor(model), at - at % HOUR_S, details)
        self._log.info("probation.begun", model=model, version=version, parent=details["parent"])
        if came_back or self._policy.hours <= 0:
            reason = "it was in force before, and came back" if came_back else "probation is switched off"
            return self._conclude(model, cursor, Decision("accepted", reason), at)
        self._store.upsert_histograms([], cursor)
        return True

    def _next_hour(self, model: str, cursor: Cursor, at: int) -> bool:
        start, details = cursor.position, cursor.details
        end = start + HOUR_S
        if at < end or (at < end + WAITS_H * HOUR_S and not self._is_scored(end)):
            return False
        version = str(details["version"])
        new = self._load(model, version, current_path(self._folder, model))
        if new is None:
            return False
        parent = self._parent(model)
        old = self._load(model, *parent) if parent else None
        try:
            hour = self._scoring.hour(model, new, old, start)
        except ArtifactError as error:
            self._log.warning("probation.hour_lost", model=model, version=version, reason=str(error))
            hour = Hour(Tally(), {})
        counted = msgspec.convert(details["tally"], Tally) + hour.tally
        counted = self._with_labels(counted, new, old, int(details["started_at"]), at)
        passed_h = (end - int(details["started_at"])) / HOUR_S
        past_gate = bool(details.get("past_gate", False)) or new.forced
        provenance = Provenance(
            bypassed_gate=past_gate,
            trained_detection=new.promised,
            shadow_trained_detection=old.promised if old else None,
        )
        decision = decide(
            counted, passed_h=passed_h, has_shadow=old is not None, policy=self._policy, provenance=provenance
        )
        longest_s = round(self._policy.max_hours * HOUR_S)
        after = {
            **details,
            "ends_at": int(details["started_at"]) + longest_s if decision.extends else details["ends_at"],
            "parent": old.version if old else "",
            "checks": int(details["checks"]) + 1,
            "tally": msgspec.to_builtins(counted),
            **counted.figures(old is not None),
        }
        return self._conclude(model, Cursor(cursor.name, end, after), decision, at, _rows(model, old, start, hour))

    def _conclude(
        self, model: str, cursor: Cursor, decision: Decision, at: int, histograms: list[dict[str, Any]] | None = None
    ) -> bool:
        """Write what was decided, then do it: should we die in between, the row says what is still to be done."""
        details = {**cursor.details, "verdict": decision.verdict, "reason": decision.reason}
        cursor = Cursor(cursor.name, cursor.position, details)
        self._store.upsert_histograms(histograms or [], cursor)
        version = str(details["version"])
        if decision.verdict == "accepted":
            self._registry.accept(model, version)
            self._done[model] = version
        elif decision.verdict == "rolled_back":
            return self._take_back(model, cursor, at)
        elif decision.verdict == "needs_review":
            self._log.error("probation.alone", model=model, version=version, reason=decision.reason)
            self._store.notify(
                [self._notice(f"probation:{model}:{version}", f"{model} {version} is bad", decision.reason)]
            )
        return True

    def _take_back(self, model: str, cursor: Cursor, at: int) -> bool:
        version, reason = str(cursor.details["version"]), str(cursor.details["reason"])

        def require_active() -> None:
            if active_version(self._folder, model) != version:
                raise PublishRefusedError(f"{model}: version {version} is not in force any more")

        try:
            require_active()
            self._registry.roll_back(model, f"on probation: {reason}", guard=require_active)
        except PublishRefusedError as error:
            self._log.info("probation.not_taken_back", model=model, version=version, reason=str(error))
            return False
        except InputError as error:
            details = {**cursor.details, "verdict": "needs_review", "reason": f"{reason}; {error}"}
            self._store.upsert_histograms([], Cursor(cursor.name, cursor.position, details))
            self._log.error("probation.alone", model=model, version=version, reason=str(error))
            return False
        self._say_taken_back(model, cursor, at)
        return True

    def _say_taken_back(self, model: str, cursor: Cursor, at: int) -> None:
        """Tell people, and begin the cooldown; said once, however often we come here."""
        version, reason = str(cursor.details["version"]), str(cursor.details["reason"])
        key = f"rolled_back:{model}:{version}"
        if any(row["key"] == key for row in self._store.notifications(limit=200)):
            return
        self._store.upsert_histograms(
            [], Cursor(loop_cursor(model), at, {"because": f"version {version} was taken back"})
        )
        self._store.notify([self._notice(key, f"{model}: version {version} was taken back", reason)])
        self._log.warning("probation.rolled_back", model=model, version=version, reason=reason)

    def _finish(self, model: str, version: str, cursor: Cursor | None, state: str) -> None:
        """It needs no watching; one that somebody else accepted is written down as that."""
        if cursor is not None and cursor.details.get("verdict") in ("watching", "needs_review"):
            details = {**cursor.details, "verdict": "accepted", "reason": f"it is {state}"}
            self._store.upsert_histograms([], Cursor(cursor.name, cursor.position, details))
        self._done[model] = version

    def _with_labels(self, tally: Tally, new: Version, old: Version | None, since: int, at: int) -> Tally:
        """Count labels given since it came into force; asked only where they are enough and others than before."""
        rows = [row for row in self._store.outcomes_between(since, at) if int(row["starts_at"]) >= since]
        if old is None or len(rows) < self._policy.min_labels or len(rows) == tally.labels:
            return tally
        said = self._scoring.labels(new, old, rows)
        return msgspec.structs.replace(tally, labels=said.labels, right=said.right, shadow_right=said.shadow_right)

    def _is_scored(self, end: int) -> bool:
        newest = self._store.newest(scores)
        return newest is not None and newest >= end

    def _parent(self, model: str) -> tuple[str, Path] | None:
        """Version and file a rollback would go back to; None if there is none."""
        states = {str(row["version"]): str(row["state"]) for row in self._store.model_versions(model)}
        try:
            chosen = choose_rollback(list_model_files(self._folder, model), states)[0]
        except InputError:
            return None
        return chosen.version, chosen.path

    def _load(self, model: str, version: str, path: Path) -> Version | None:
        name = f"{model}:{version}"
        if name not in self._loaded:
            try:
                self._loaded[name] = load_version(path, model, self._history)
            except BgpdriftError as error:
                self._log.warning("probation.unusable", model=model, version=version, reason=str(error))
                self._loaded[name] = None
        return self._loaded[name]

    def _notice(self, key: str, title: str, body: str) -> dict[str, Any]:
        notice = {"at": self._clock.now(), "key": key, "severity": "high", "title": title}
        return {**notice, "body": body, "state": "pending"}


def came_past_gate(moves: Sequence[Mapping[str, Any]], version: str) -> bool:
    """Whether a version came into force by a person's hand, or although the gate refused it.

    Parameters
    ----------
    moves : sequence of mapping
        Rows of ``model_retrain_events`` that put a version in force, newest first.
    version : str
        Which.

    Examples
    --------
    >>> came_past_gate([{"version": "3", "kind": "retrain", "notes": "every check passed"}], "3")
    False
    """
    row = next((row for row in moves if row["version"] == version), None)
    return row is not None and (row["kind"] == "promote" or str(row["notes"] or "").startswith(FORCED_NOTE))


def _rows(model: str, old: Version | None, start: int, hour: Hour) -> list[dict[str, Any]]:
    if old is None:
        return []
    return [_row(model, old.version, start, place, *found) for place, found in hour.shadow.items() if found[0].n]


def _row(model: str, version: str, start: int, collector: str, histogram: Any, alarms: int) -> dict[str, Any]:
    return {
        "hour_start": start,
        "series": f"shadow:{model}",
        "model_version": version,
        "collector": collector,
        "n": histogram.n,
        "alarms": alarms,
        "value_sum": histogram.total,
        "value_sum_squares": histogram.squares,
        "bins": histogram.to_bytes(),
    }
