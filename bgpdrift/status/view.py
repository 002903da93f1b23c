"""Builds the status document from store, files, supervisor and settings at one instant. Pure.

This module decides the state of each model and which measures are drawn as series. A value that is missing is shown as
missing. `bgpdrift.status.decision` decides what needs a person.
"""

from collections.abc import Mapping
from typing import Any

from bgpdrift.detector_registry import MODELS
from bgpdrift.settings import Settings
from bgpdrift.status.decision import decide
from bgpdrift.status.facts import Facts
from bgpdrift.status.files import Files, ModelHeader
from bgpdrift.status.records import MINUTE_S, WEEK_S, Records
from bgpdrift.status.snapshot import (
    SCHEMA,
    ApprovalRequest,
    FirstTraining,
    Incident,
    IncidentHold,
    MeasureRow,
    Model,
    ModelEvent,
    Probation,
    Report,
    RetrainRequest,
    Series,
    Status,
)
from bgpdrift.status.supervised import Supervised
from bgpdrift.store import request_records
from bgpdrift.store.cursor_states import IncidentHoldState
from bgpdrift.store.drift_records import DriftSignal, split_signal
from bgpdrift.store.model_records import ModelVersion, RetrainEvent

HOUR_S = 3_600
MAX_REPORTS = 10
SERIES_MEASURES = ("psi", "ks", "js", "wasserstein")
"""Columns of ``drift_metrics`` that become series."""
EXIT_VERDICTS = {1: "failed", 2: "failed", 3: "rejected", 4: "not enough data", 5: "another ran", 6: "timed out"}
"""Verdicts by exit code of a retrainer (docs/retraining.md)."""
KIND_VERDICTS = {
    "promote": "published",
    "publish_default": "packaged model",
    "rollback": "rolled back",
    "reject": "rejected",
    "recover": "recovered",
}
"""Verdicts of events that are not retrainings."""


def build(
    records: Records, files: Files, supervised: Supervised, settings: Settings, now: float, disk_problem: str = ""
) -> Status:
    """Build the document.

    Parameters
    ----------
    records, files, supervised
        What was read.
    settings : Settings
        Thresholds, switches and waiting times.
    now : float
        Wall-clock time, epoch seconds; one instant for the whole document.
    disk_problem : str
        Why the disk is too full; empty if it is not.
    """
    facts = build_facts(records, files, settings, now)
    decision = decide(facts, supervised, disk_problem, settings, now)
    return Status(
        SCHEMA,
        now,
        decision.attention.exit_code,
        decision.attention.headline,
        decision.attention.actions,
        decision.monitor,
        facts.models,
        facts.incidents,
        facts.approvals,
        files.running,
        facts.history,
        _build_reports(records),
    )


def build_facts(records: Records, files: Files, settings: Settings, now: float) -> Facts:
    """Build the part of the document that comes from the store and the artifact directory."""
    warming_s = settings.windows.warming_minutes * MINUTE_S
    return Facts(
        at=now,
        store="missing" if records.missing else records.problem or "ok",
        data_from=records.data_from,
        data_until=records.data_until,
        data_written_at=records.data_written_at,
        checked_at=max((cursor.written_at or 0.0 for cursor in records.drift.values()), default=None),
        models=tuple(_build_model(name, records, files, settings, now) for name in MODELS),
        incidents=tuple(_build_incident(row) for row in records.incidents),
        approvals=tuple(_build_approval(row, settings) for row in records.approvals),
        history=tuple(build_event(event) for event in records.events),
        warming_until={name: start + warming_s for name, start in records.warming_since.items()},
        collectors=records.collectors,
    )


def build_event(event: RetrainEvent) -> ModelEvent:
    """Build an event of the document from an event of the store.

    Examples
    --------
    >>> from bgpdrift.store.model_records import EventReason
    >>> shown = build_event(RetrainEvent(model="lstm", started_at=0, finished_at=60, exit_code=3,
    ...                                  reason=EventReason(summary="drift"), notes="alarms: 40 per day, at most 10"))
    >>> shown.verdict, shown.reason, shown.result
    ('rejected', 'drift', 'alarms: 40 per day, at most 10')
    """
    return ModelEvent(
        event.model,
        event.kind,
        event.version,
        event.started_at,
        event.finished_at,
        _choose_event_verdict(event),
        event.reason.summary,
        event.notes,
        event.exit_code,
    )


def _choose_event_verdict(event: RetrainEvent) -> str:
    if event.kind in KIND_VERDICTS:
        return "failed" if event.notes.startswith("failed") else KIND_VERDICTS[event.kind]
    if event.promoted:
        return "published"
    if event.finished_at is None:
        return "running"
    if event.exit_code is None:
        return "ended"
    return EXIT_VERDICTS.get(event.exit_code, "kept as candidate" if event.exit_code == 0 else "failed")


def _build_model(name: str, records: Records, files: Files, settings: Settings, now: float) -> Model:
    header = files.models.get(name, ModelHeader(exists=False))
    versions = {version.version: version for version in records.versions if version.model == name}
    recorded = versions.get(header.version)
    active_since = (recorded.activated_at if recorded else None) or header.created_at or None
    probation = _build_probation(records, name, header.version)
    cursor = records.drift.get(name)
    state = cursor.state if cursor is not None and cursor.state.is_checked else None
    last = next((check for check in reversed(records.checks) if check.model == name), None)
    unchecked = "unknown" if records.problem else "not_checked"
    newest = state or last
    return Model(
        model=name,
        version=header.version,
        state=_choose_state(header, recorded, probation),
        created_at=header.created_at or None,
        active_since=active_since,
        age_s=max(0.0, now - active_since) if active_since else None,
        parent_version=header.parent_version,
        file_problem=header.problem,
        verdict=newest.verdict if newest else unchecked,
        severity=newest.severity if newest else "none",
        reason=(state.reason if state else last.details.reason if last else ""),
        p_value=newest.p_value if newest else None,
        checked_at=state.at if state else last.timestamp if last else None,
        next_check_at=(state.next_check_at or None) if state else None,
        persistence=state.persistence.checks if state else 0,
        persistence_checks=state.persistence_checks if state else settings.drift.persistence_checks,
        waiting_for=state.waiting_for if state else "",
        smallest_shift=last.details.smallest_shift if last else None,
        change_point=state.change_point if state else last.details.change_point if last else None,
        collectors=state.collectors if state else (),
        report_path=newest.report_path if newest else "",
        measures=tuple(_build_measure(signal) for signal in records.signals.get(name, ())),
        series=tuple(_build_series(name, records, settings)),
        incident_hold=_build_hold(state.incident_hold) if state else None,
        retrain_request=_build_request(records.requests.get(name)),
        flag=files.flags.get(name),
        probation=probation,
        first_training=_build_first_training(records, name, header),
    )


def _build_first_training(records: Records, model: str, header: ModelHeader) -> FirstTraining | None:
    state = records.first_trainings.get(model)
    if state is None or header.exists:
        return None
    return FirstTraining(state.phase, state.expected_at or None, state.reason)


def _choose_state(header: ModelHeader, recorded: ModelVersion | None, probation: Probation | None) -> str:
    if header.problem:
        return "damaged"
    if not header.exists:
        return "none"
    if probation is not None and probation.is_running:
        return "probation"
    return recorded.state if recorded else "active"


def _build_probation(records: Records, model: str, version: str) -> Probation | None:
    state = records.probations.get(model)
    if state is None or not version or state.version != version:
        return None
    return Probation(
        state.version,
        state.parent_version,
        state.started_at or None,
        state.ends_at or None,
        state.alarms_per_day,
        state.shadow_alarms_per_day,
        state.verdict,
        state.reason,
    )


def _build_series(model: str, records: Records, settings: Settings) -> list[Series]:
    ends = [check.timestamp for check in records.checks] or [hour.hour_start + HOUR_S for hour in records.hours]
    if not ends:
        return []
    start = _hour_of(max(ends) - WEEK_S)
    thresholds = {"psi": settings.drift.psi_threshold}
    checks = {_hour_of(check.timestamp - 1): check for check in records.checks if check.model == model}
    series = [
        Series(
            name,
            start,
            _by_hour({hour: getattr(check, name) for hour, check in checks.items()}, start),
            thresholds.get(name),
        )
        for name in SERIES_MEASURES
    ]
    rates = {
        hour.hour_start: hour.alarms / hour.scores for hour in records.hours if hour.model == model and hour.scores
    }
    return [*series, Series("alarm_rate", start, _by_hour(rates, start))]


def _by_hour(values: Mapping[int, float | None], start: int) -> tuple[float | None, ...]:
    return tuple(values.get(start + hour * HOUR_S) for hour in range(WEEK_S // HOUR_S))


def _hour_of(at: int) -> int:
    return at // HOUR_S * HOUR_S


def _build_measure(signal: DriftSignal) -> MeasureRow:
    window, name = split_signal(signal.signal)
    return MeasureRow(name, window, signal.value, signal.threshold, signal.p_value, signal.severity)


def _build_approval(request: request_records.ApprovalRequest, settings: Settings) -> ApprovalRequest:
    expires = settings.drift.unanswered == "drift"
    is_first = isinstance(request.details, request_records.RetrainApproval) and request.details.is_first
    effect = "the first model is trained" if is_first else "the model is retrained"
    if request.kind == "attack_or_new_normal":
        effect = "it counts as the new normal"
    return ApprovalRequest(
        request.id,
        request.kind,
        request.subject,
        request.requested_at,
        request.summary,
        request.requested_at + round(settings.drift.unanswered_h * HOUR_S) if expires else None,
        effect if expires else "nothing happens",
        is_first,
    )


def _build_incident(row: Mapping[str, Any]) -> Incident:
    return Incident(
        int(row["id"]),
        str(row["severity"]),
        str(row["summary"]),
        int(row["started_at"]),
        int(row["last_seen_at"]) + MINUTE_S,
        str(row["acknowledged_by"] or ""),
    )


def _build_hold(hold: IncidentHoldState) -> IncidentHold | None:
    if hold.state == "free":
        return None
    return IncidentHold(hold.state, hold.incident_id, hold.since or None, hold.approval_id or None, hold.answer)


def _build_request(request: request_records.RetrainRequest | None) -> RetrainRequest | None:
    if request is None:
        return None
    return RetrainRequest(
        request.id,
        request.state,
        request.requested_at,
        request.requested_by,
        request.reason.severity,
        request.refusal_reason,
        request.state in request_records.OPEN_REQUEST_STATES,
    )


def _build_reports(records: Records) -> tuple[Report, ...]:
    checks = [check for check in reversed(records.checks) if check.report_path][:MAX_REPORTS]
    return tuple(
        Report(check.model, check.timestamp, check.verdict, check.severity, check.report_path) for check in checks
    )
