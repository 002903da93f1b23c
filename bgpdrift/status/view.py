"""Puts together what is shown from what was read: store, files, supervisor, settings, one instant. Pure.

Decides what a model's state is called, which figures are drawn as series, and that whatever a row lacks is shown as missing
rather than guessed. What needs a person is decided in `todo`.
"""

from collections.abc import Mapping
from typing import Any

from bgpdrift.detector_registry import MODELS
from bgpdrift.monitor.approvals import ATTACK_OR_NEW_NORMAL
from bgpdrift.settings import Settings
from bgpdrift.status.files import Files, ModelHeader
from bgpdrift.status.records import REPORTS, WEEK_S, Records
from bgpdrift.status.retrainings import retraining
from bgpdrift.status.snapshot import (
    SCHEMA,
    Holding,
    MeasureRow,
    Model,
    Monitor,
    Probation,
    Question,
    Report,
    Series,
    Status,
    Wish,
)
from bgpdrift.status.supervised import Supervised
from bgpdrift.status.todo import MISSING, exit_code_of, headline_of, todo_of
from bgpdrift.store.cursor_states import IncidentHoldState
from bgpdrift.store.drift_records import DriftCheck, DriftSignal
from bgpdrift.store.request_records import ApprovalRequest, RetrainRequest

HOUR_S = 3_600
DRAWN = ("psi", "ks", "js", "wasserstein")
"""Columns of ``drift_metrics`` that become series."""


def build(records: Records, files: Files, supervised: Supervised, settings: Settings, now: float) -> Status:
    """Put the document together.

    Parameters
    ----------
    records, files, supervised
        What was read.
    settings : Settings
        For thresholds, switches and how long silence lasts.
    now : float
        Wall clock, epoch seconds: one instant for all that is said.
    """
    models = tuple(_model(name, records, files, settings, now) for name in MODELS)
    monitor = _monitor(records, supervised, settings, models, now)
    questions = tuple(_question(request, settings) for request in records.approvals)
    history = tuple(retraining(row) for row in records.events)
    todo = todo_of(monitor, models, questions, history, settings, supervised.others_down)
    return Status(
        SCHEMA,
        now,
        exit_code_of(todo),
        headline_of(todo, models, records.problem),
        todo,
        monitor,
        models,
        questions,
        files.running,
        history,
        _reports(records),
    )


def _monitor(
    records: Records, supervised: Supervised, settings: Settings, models: tuple[Model, ...], now: float
) -> Monitor:
    written_at = max((cursor.written_at or 0.0 for cursor in records.drift.values()), default=None)
    state, message = supervised.state, supervised.message
    if not settings.drift.enabled:
        state, message = "off", "switched off (drift.enabled)"
    elif state == "not_running" and written_at is not None and abs(now - written_at) < _patience_s(settings):
        state, message = "elsewhere", "checks are made without this supervisor"
    return Monitor(
        state,
        supervised.supervisor,
        message,
        supervised.pid,
        supervised.uptime_s,
        max((model.checked_at for model in models if model.checked_at is not None), default=None),
        written_at,
        min((model.next_check_at for model in models if model.next_check_at is not None), default=None),
        records.data_until,
        None if records.data_until is None else max(0.0, now - records.data_until),
        MISSING if records.missing else records.problem or "ok",
    )


def _patience_s(settings: Settings) -> float:
    """How old a check may be while somebody without a supervisor makes them."""
    return 2.5 * settings.drift.check_every_h * HOUR_S


def _model(name: str, records: Records, files: Files, settings: Settings, now: float) -> Model:
    header = files.models.get(name, ModelHeader(exists=False))
    known = {row["version"]: row for row in records.versions if row["model"] == name}
    row = known.get(header.version, {})
    cursor = records.drift.get(name)
    state = cursor.state if cursor is not None and cursor.state.is_checked else None
    checks = [check for check in records.checks if check.model == name]
    last = checks[-1] if checks else None
    newest = state or last
    active_since = row.get("activated_at") or header.created_at or None
    probation = _probation(records, name, header.version)
    request = records.requests.get(name)
    return Model(
        model=name,
        version=header.version,
        state=_state(header, row, probation),
        created_at=header.created_at or None,
        active_since=active_since,
        age_s=max(0.0, now - active_since) if active_since else None,
        parent_version=header.parent_version,
        file_problem=header.problem,
        verdict=newest.verdict if newest else _unchecked(records),
        severity=newest.severity if newest else "none",
        reason=(state.reason if state else "") or (last.details.reason if last else ""),
        p_value=newest.p_value if newest else None,
        checked_at=cursor.position if cursor else last.timestamp if last else None,
        next_check_at=(state.next_check_at if state else 0) or None,
        lasting=state.persistence.checks if state else 0,
        needed=state.persistence_checks if state else settings.drift.persistence_checks,
        waiting_for=state.waiting_for if state else "",
        smallest_shift=last.details.smallest_shift if last else None,
        change_point=state.change_point if state else last.details.change_point if last else None,
        collectors=state.collectors if state else (),
        report_path=newest.report_path if newest else "",
        measures=tuple(_measure(signal) for signal in records.signals.get(name, ())),
        series=tuple(_series(name, checks, records, settings)),
        holding=_holding(state.incident_hold) if state else None,
        wish=_wish(request) if request else None,
        flag=files.flags.get(name),
        probation=probation,
    )


def _unchecked(records: Records) -> str:
    return "unknown" if records.problem else "not_checked"


def _state(header: ModelHeader, row: Mapping[str, Any], probation: Probation | None) -> str:
    if header.problem:
        return "damaged"
    if not header.exists:
        return "none"
    if probation is not None and probation.goes_on:
        return "probation"
    return str(row.get("state") or "active")


def _probation(records: Records, model: str, version: str) -> Probation | None:
    state = records.probations.get(model)
    if state is None or not version or state.version != version:
        return None
    return Probation(
        version,
        state.parent_version,
        state.started_at or None,
        state.ends_at or None,
        state.alarms_per_day,
        state.shadow_alarms_per_day,
        state.verdict,
        state.reason,
    )


def _series(model: str, checks: list[DriftCheck], records: Records, settings: Settings) -> list[Series]:
    ends = [check.timestamp for check in records.checks] or [hour + HOUR_S for _, hour, _, _ in records.hours]
    if not ends:
        return []
    start = (max(ends) - WEEK_S) // HOUR_S * HOUR_S
    thresholds = {"psi": settings.drift.psi_threshold}
    drawn = [
        Series(
            name,
            start,
            _hourly({_hour(check.timestamp - 1): getattr(check, name) for check in checks}, start),
            thresholds.get(name),
        )
        for name in DRAWN
    ]
    rates = {hour: alarms / n if n else None for series, hour, n, alarms in records.hours if series == f"score:{model}"}
    return [*drawn, Series("alarm_rate", start, _hourly(rates, start))]


def _hourly(found: Mapping[int, float | None], start: int) -> tuple[float | None, ...]:
    return tuple(found.get(start + hour * HOUR_S) for hour in range(WEEK_S // HOUR_S))


def _hour(at: int) -> int:
    return at // HOUR_S * HOUR_S


def _measure(signal: DriftSignal) -> MeasureRow:
    # "24h/7d:psi" belongs to a window, "volume" and "feature:withdrawals" to none.
    head, _, tail = signal.signal.partition(":")
    window, name = (head, tail) if "/" in head else ("", signal.signal)
    return MeasureRow(name, window, signal.value, signal.threshold, signal.p_value, signal.severity)


def _question(request: ApprovalRequest, settings: Settings) -> Question:
    ends = settings.drift.unanswered == "drift"
    means = "it counts as the new normal" if request.kind == ATTACK_OR_NEW_NORMAL else "the model is retrained"
    return Question(
        request.id,
        request.kind,
        request.subject,
        request.requested_at,
        request.summary,
        request.requested_at + round(settings.drift.unanswered_h * HOUR_S) if ends else None,
        means if ends else "nothing happens",
    )


def _holding(hold: IncidentHoldState) -> Holding | None:
    if hold.state == "free":
        return None
    return Holding(hold.state, hold.incident_id, hold.since or None, hold.approval_id or None, hold.answer)


def _wish(request: RetrainRequest) -> Wish:
    return Wish(
        request.id,
        request.state,
        request.requested_at,
        request.requested_by,
        request.reason.severity,
        request.refusal_reason,
    )


def _reports(records: Records) -> tuple[Report, ...]:
    checks = [check for check in reversed(records.checks) if check.report_path][:REPORTS]
    return tuple(
        Report(check.model, check.timestamp, check.verdict, check.severity, check.report_path) for check in checks
    )
