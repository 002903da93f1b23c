"""Probation of the active versions: counts hour by hour, then accepts a version or rolls it back.

Each hour of event time the active version and the version it replaced score the same windows (`bgpdrift.monitor.shadow_scoring`).
The counts are written together with the shadow's histograms, so that a restart counts no hour twice.
`bgpdrift.monitor.probation_rule` decides. A rollback begins a cooldown and raises an alert. A version that is active again
because of a rollback is accepted at once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import ArtifactError, BgpdriftError, InputError, PublishRefusedError
from bgpdrift.intervals import has_enough_labels
from bgpdrift.models.model_files import list_model_files
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.paths import current_path
from bgpdrift.models.publication import active_version
from bgpdrift.models.retention import RetentionPolicy
from bgpdrift.models.selection import choose_rollback
from bgpdrift.monitor.active_versions import ActiveVersions
from bgpdrift.monitor.probation_rule import (
    Decision,
    ProbationPolicy,
    Provenance,
    add_tallies,
    decide,
    set_tally,
)
from bgpdrift.monitor.shadow_scoring import HOUR_S, ShadowHour, ShadowScoring, Version, load_version
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.cursor_states import (
    CooldownState,
    ProbationState,
    ProbationTally,
    cooldown_cursor,
    probation_cursor,
)
from bgpdrift.store.database import StateCursor
from bgpdrift.store.model_records import ModelState, RetrainEvent
from bgpdrift.store.request_records import Alert
from bgpdrift.verdicts.outcomes import IS_ANOMALY

MAX_SCORE_DELAY_H = 6
"""An hour is examined this long after its end even if the detectors have not scored it completely."""
RECONCILE_AFTER_S = 60.0
"""Time in which a publisher records its version, or the detector does."""
ACTIVATING_KINDS = ("retrain", "promote", "rollback", "recover", "publish_default")
"""Kinds of events that make a version active."""
FORCED_NOTE = "forced"
"""Beginning of the note on a publication that the gate had rejected."""

ProbationCursor = StateCursor[ProbationState]


class Probation:
    """Examines active versions.

    Parameters
    ----------
    settings, store, clock
        Settings, store and clock of the monitor.
    active_versions : ActiveVersions
        Active version of each model.
    registry : ModelRegistry, optional
        Accepts and rolls back versions.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        active_versions: ActiveVersions,
        registry: ModelRegistry | None = None,
    ) -> None:
        self._history, retention = settings.detectors.history_minutes, RetentionPolicy.from_settings(settings)
        self._store, self._clock, self._active_versions, self._log = store, clock, active_versions, logs.get_logger()
        self._folder, self._policy = settings.artifacts_path, ProbationPolicy.from_settings(settings)
        self._registry = registry or ModelRegistry(self._folder, store, clock, retention, self._history)
        self._scoring = ShadowScoring(settings, store)
        self._finished: dict[str, str] = {}
        """By model: the version that needs no more examination."""
        self._unrecorded_since: dict[str, tuple[str, float]] = {}
        """By model: the active version that is not recorded, and the monotonic time since when."""
        self._loaded: dict[tuple[str, str], Version | None] = {}

    def step(self, at: int) -> bool:
        """Examine at most one hour of each model; return whether more hours wait."""
        self._registry.write_unwritten()
        changed = [self._examine(model, at) for model in MODELS]  # a list, so that every model is examined
        return any(changed)

    def _examine(self, model: str, at: int) -> bool:
        version = self._active_versions.get(model)
        if not version or self._finished.get(model) == version:
            return False
        state = self._read_states(model).get(version)
        cursor = self._store.read_state(probation_cursor(model), ProbationState)
        is_current = cursor is not None and cursor.state.version == version
        if state not in ("active", "accepted"):
            return self._reconcile(model, version, cursor)
        self._unrecorded_since.pop(model, None)
        if state != "active":
            self._finish(model, version, cursor if is_current else None, state)
            return False
        if cursor is None or not is_current:
            return self._begin(model, version, at, cursor)
        if cursor.state.verdict == "rolled_back":
            return self._roll_back(model, cursor, at)  # the monitor died before the rollback was complete
        if cursor.state.verdict == "accepted":
            return self._accept(model, version)  # the monitor died, or the store refused the record
        return self._examine_next_hour(model, cursor, at)

    def _reconcile(self, model: str, version: str, cursor: ProbationCursor | None) -> bool:
        """Record an active version that its publisher has not recorded, once the publisher has had enough time for it."""
        known, since = self._unrecorded_since.setdefault(model, (version, self._clock.monotonic()))
        if known != version:
            del self._unrecorded_since[model]
        elif self._clock.monotonic() - since >= RECONCILE_AFTER_S:
            was_rolled_back = cursor is not None and cursor.state.verdict == "rolled_back"
            return self._registry.reconcile(model, cursor.state.version if cursor and was_rolled_back else "")
        return False

    def _begin(self, model: str, version: str, at: int, previous: ProbationCursor | None) -> bool:
        self._finished.pop(model, None)  # a version that was examined before may be active again
        self._unload(model)
        if previous is not None and previous.state.verdict == "rolled_back":
            self._report_rollback(model, previous.state, at)
        events = self._store.retrain_events(model, 50)
        activations = [event for event in events if event.kind in ACTIVATING_KINDS and event.promoted]
        last = activations[0] if activations else None
        is_restored = last is not None and last.kind == "rollback" and last.version == version
        parent = self._find_rollback_target(model)
        state = ProbationState(
            version=version,
            parent_version=parent[0] if parent else "",
            started_at=at,
            ends_at=at + round(self._policy.hours * HOUR_S),
            past_gate=bypassed_gate(activations, version),
        )
        state = set_tally(state, ProbationTally(), parent is not None)
        cursor = StateCursor(probation_cursor(model), at - at % HOUR_S, state)
        self._log.info("probation.started", model=model, version=version, parent_version=state.parent_version)
        if is_restored or self._policy.hours <= 0:
            reason = "a rollback made it active again" if is_restored else "probation is off (retrain.probation_h)"
            return self._conclude(model, cursor, Decision("accepted", reason), at)
        self._store.put_cursor(cursor)
        return True

    def _examine_next_hour(self, model: str, cursor: ProbationCursor, at: int) -> bool:
        start, state = cursor.position, cursor.state
        end = start + HOUR_S
        if at < end or (at < end + MAX_SCORE_DELAY_H * HOUR_S and not self._is_scored(end)):
            return False
        new = self._load(model, state.version, current_path(self._folder, model))
        if new is None:
            return False
        parent = self._find_rollback_target(model)
        shadow = self._load(model, *parent) if parent else None
        try:
            hour = self._scoring.score_hour(model, new, shadow, start)
        except ArtifactError as error:
            self._log.warning("probation.hour_skipped", model=model, version=state.version, reason=str(error))
            hour = ShadowHour(ProbationTally(), {})
        tally = self._count_labels(add_tallies(state.tally, hour.tally), new, shadow, state.started_at, at)
        decision = decide(
            tally,
            passed_h=(end - state.started_at) / HOUR_S,
            has_shadow=shadow is not None,
            policy=self._policy,
            provenance=Provenance(
                bypassed_gate=state.past_gate or new.is_forced,
                trained_detection=new.trained_detection,
                shadow_trained_detection=shadow.trained_detection if shadow else None,
            ),
        )
        state = replace(
            state,
            ends_at=state.started_at + round(self._policy.max_hours * HOUR_S) if decision.extends else state.ends_at,
            parent_version=shadow.version if shadow else "",
            checks=state.checks + 1,
        )
        state = set_tally(state, tally, shadow is not None)
        histograms = _build_histogram_rows(model, shadow, start, hour)
        return self._conclude(model, StateCursor(cursor.name, end, state), decision, at, histograms)

    def _conclude(
        self,
        model: str,
        cursor: ProbationCursor,
        decision: Decision,
        at: int,
        histograms: Sequence[Mapping[str, Any]] = (),
    ) -> bool:
        """Write the decision, then carry it out. If the monitor dies in between, the next one carries it out."""
        state = replace(cursor.state, verdict=decision.verdict, reason=decision.reason)
        cursor = StateCursor(cursor.name, cursor.position, state)
        if decision.verdict == "needs_review":
            # The alert is written first: nothing would raise it again after the hour counts as examined.
            title = f"{model}: version {state.version} failed its probation and needs review"
            self._raise_alert(f"probation:{model}:{state.version}", title, decision.reason)
        self._store.upsert_histograms(histograms, cursor)
        if decision.verdict == "accepted":
            return self._accept(model, state.version)
        if decision.verdict == "rolled_back":
            return self._roll_back(model, cursor, at)
        if decision.verdict == "needs_review":
            self._log.error("probation.needs_review", model=model, version=state.version, reason=decision.reason)
        return True

    def _accept(self, model: str, version: str) -> bool:
        self._registry.accept(model, version)
        self._mark_finished(model, version)
        return True

    def _roll_back(self, model: str, cursor: ProbationCursor, at: int) -> bool:
        version, reason = cursor.state.version, cursor.state.reason

        def require_active() -> None:
            if active_version(self._folder, model) != version:
                raise PublishRefusedError(f"{model}: version {version} is no longer active")

        try:
            require_active()
            self._registry.roll_back(model, f"probation: {reason}", guard=require_active)
        except PublishRefusedError as error:
            self._log.info("probation.not_rolled_back", model=model, version=version, reason=str(error))
            return False
        except InputError as error:
            state = replace(cursor.state, verdict="needs_review", reason=f"{reason}; {error}")
            self._store.put_cursor(StateCursor(cursor.name, cursor.position, state))
            self._log.error("probation.needs_review", model=model, version=version, reason=str(error))
            return False
        self._report_rollback(model, cursor.state, at)
        return True

    def _report_rollback(self, model: str, state: ProbationState, at: int) -> None:
        """Raise the alert and begin the cooldown, once for each version."""
        version, key = state.version, f"rolled_back:{model}:{state.version}"
        if any(alert.key == key for alert in self._store.alerts(limit=200)):
            return
        cooldown = CooldownState(reason=f"version {version} was rolled back")
        self._store.put_cursor(StateCursor(cooldown_cursor(model), at, cooldown))
        self._raise_alert(key, f"{model}: version {version} was rolled back", state.reason)
        self._log.warning("probation.rolled_back", model=model, version=version, reason=state.reason)

    def _finish(self, model: str, version: str, cursor: ProbationCursor | None, model_state: str) -> None:
        """End the probation of a version that another process accepted or replaced."""
        if cursor is not None and cursor.state.verdict in ("watching", "needs_review"):
            state = replace(cursor.state, verdict="accepted", reason=f"the version is {model_state}")
            self._store.put_cursor(StateCursor(cursor.name, cursor.position, state))
        self._mark_finished(model, version)

    def _mark_finished(self, model: str, version: str) -> None:
        self._finished[model] = version
        self._unload(model)

    def _unload(self, model: str) -> None:
        """Free the versions of a model, which only a probation needs."""
        self._loaded = {key: loaded for key, loaded in self._loaded.items() if key[0] != model}

    def _count_labels(
        self, tally: ProbationTally, new: Version, shadow: Version | None, since: int, at: int
    ) -> ProbationTally:
        """Count the labels given since the probation began, if they are enough and their number has changed."""
        labels = [label for label in self._store.outcomes_between(since, at) if label.starts_at >= since]
        anomalous = sum(IS_ANOMALY[label.label] for label in labels)
        enough = has_enough_labels(anomalous, len(labels) - anomalous, self._policy.min_labels)
        if shadow is None or not enough or len(labels) == tally.labels:
            return tally
        counts = self._scoring.compare_with_labels(new, shadow, labels)
        return replace(tally, labels=counts.labels, correct=counts.correct, shadow_correct=counts.shadow_correct)

    def _is_scored(self, end: int) -> bool:
        newest = self._store.newest_score_start()
        return newest is not None and newest >= end

    def _find_rollback_target(self, model: str) -> tuple[str, Path] | None:
        """Return version and file to which a rollback would return; None if there is none."""
        try:
            target = choose_rollback(list_model_files(self._folder, model), self._read_states(model))[0]
        except InputError:
            return None
        return target.version, target.path

    def _read_states(self, model: str) -> dict[str, ModelState]:
        return {version.version: version.state for version in self._store.model_versions(model)}

    def _load(self, model: str, version: str, path: Path) -> Version | None:
        key = (model, version)
        if key not in self._loaded:
            try:
                self._loaded[key] = load_version(path, model, self._history)
            except BgpdriftError as error:
                self._log.warning("probation.version_unusable", model=model, version=version, reason=str(error))
                self._loaded[key] = None
        return self._loaded[key]

    def _raise_alert(self, key: str, title: str, body: str) -> None:
        self._store.raise_alerts([Alert(at=self._clock.now(), key=key, severity="high", title=title, body=body)])


def bypassed_gate(activations: Sequence[RetrainEvent], version: str) -> bool:
    """Return whether a person promoted a version, or it was published although the gate rejected it.

    Parameters
    ----------
    activations : sequence of RetrainEvent
        Events that made a version active, newest first.
    version : str
        Version in question.

    Examples
    --------
    >>> bypassed_gate([RetrainEvent(model="lstm", version="3", started_at=0, notes="every check passed")], "3")
    False
    """
    event = next((event for event in activations if event.version == version), None)
    return event is not None and (event.kind == "promote" or event.notes.startswith(FORCED_NOTE))


def _build_histogram_rows(model: str, shadow: Version | None, start: int, hour: ShadowHour) -> list[dict[str, Any]]:
    if shadow is None:
        return []
    return [
        {
            "hour_start": start,
            "series": f"shadow:{model}",
            "model_version": shadow.version,
            "collector": collector,
            "n": scores.n,
            "alarms": alarms,
            "value_sum": scores.total,
            "value_sum_squares": scores.squares,
            "bins": scores.to_bytes(),
        }
        for collector, (scores, alarms) in hour.shadow.items()
        if scores.n
    ]
