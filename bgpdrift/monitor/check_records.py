"""Records of a drift check: the check, its signals, the state, the retraining request, the approval request, the alerts. Pure.

This module decides what is kept of a check, and how a recorded check becomes a report again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import msgspec

from bgpdrift.drift.incident_hold import IncidentHold
from bgpdrift.drift.measure_registry import find_measure
from bgpdrift.drift.persistence import Persistence
from bgpdrift.drift.report import Comparison, DriftReport, LeftOut, Measure
from bgpdrift.formatting import format_time
from bgpdrift.monitor.approvals import ATTACK_OR_NEW_NORMAL
from bgpdrift.monitor.request_situation import MONITOR
from bgpdrift.store.cursor_states import DriftState, IncidentHoldState, PersistenceState
from bgpdrift.store.drift_records import (
    CheckContext,
    CheckDetails,
    ComparisonRecord,
    DriftCheck,
    DriftSignal,
    ExcludedHours,
    MeasureDetails,
    join_signal,
    split_signal,
)
from bgpdrift.store.request_records import Alert, ApprovalRequest, HoldApproval, RequestReason, RetrainRequest

MAX_ALERT_KEY_LENGTH = 128
_COPIED = tuple(name for name in ComparisonRecord.__struct_fields__ if name != "left_out")
"""Fields that a comparison and its record share."""


def to_persistence_state(persistence: Persistence) -> PersistenceState:
    """Convert a persistence to its stored form."""
    return PersistenceState(**asdict(persistence))


def from_persistence_state(state: PersistenceState) -> Persistence:
    """Convert a stored persistence."""
    return Persistence(**msgspec.structs.asdict(state))


def to_hold_state(hold: IncidentHold) -> IncidentHoldState:
    """Convert an incident hold to its stored form."""
    return IncidentHoldState(**asdict(hold))


def from_hold_state(state: IncidentHoldState) -> IncidentHold:
    """Convert a stored incident hold."""
    return IncidentHold(**msgspec.structs.asdict(state))


def build_check(report: DriftReport, window: str, path: str, context: CheckContext) -> DriftCheck:
    """Build the record of a check: the figures of the first comparison, the verdict of all."""
    accuracy = next((signal for signal in report.signals if signal.name == "accuracy"), None)
    current = accuracy.value if accuracy else None
    change = accuracy.effect if accuracy else None
    return DriftCheck(
        timestamp=report.at,
        model=report.model,
        model_version=report.model_version,
        window=window,
        kl_divergence=_find_value(report, "kl"),
        psi=_find_value(report, "psi"),
        ks=_find_value(report, "ks"),
        js=_find_value(report, "js"),
        wasserstein=_find_value(report, "wasserstein"),
        p_value=report.p_value,
        current_accuracy=current,
        baseline_accuracy=None if current is None or change is None else current - change,
        drift_detected=report.verdict in ("drift", "held"),
        verdict=report.verdict,
        severity=report.severity,
        report_path=path,
        details=CheckDetails(
            reason=report.reason,
            policy=report.policy,
            smallest_shift=report.smallest_shift,
            change_point=report.change_point,
            persistence_checks=context.persistence_checks,
            persistence_needed=context.persistence_needed,
            comparisons=tuple(_build_comparison_record(comparison) for comparison in report.comparisons),
            measures={
                name: details for name, measure in _name_measures(report) if (details := _build_details(measure))
            },
            context=context,
        ),
    )


def build_signals(report: DriftReport) -> list[DriftSignal]:
    """Build the signals: ``<window>:<measure>`` of each comparison, then the other signals by name."""
    return [
        DriftSignal(
            signal=name,
            value=measure.value,
            threshold=measure.threshold,
            p_value=measure.p_value,
            severity=measure.severity,
        )
        for name, measure in _name_measures(report)
    ]


def _name_measures(report: DriftReport) -> Iterator[tuple[str, Measure]]:
    """Name each measure of a report as its signal."""
    for comparison in report.comparisons:
        for measure in comparison.measures:
            yield join_signal(comparison.window, measure.name), measure
    for signal in report.signals:
        yield join_signal("", signal.name), signal


def _build_details(measure: Measure) -> MeasureDetails | None:
    if measure.by_chance is None and measure.effect is None and not measure.note:
        return None
    return MeasureDetails(measure.by_chance, measure.effect, measure.note)


def build_state(
    report: DriftReport, context: CheckContext, persistence: Persistence, hold: IncidentHold, path: str, every_s: int
) -> DriftState:
    """Build the state of a model after a check."""
    return DriftState(
        model_version=report.model_version,
        verdict=report.verdict,
        severity=report.severity,
        p_value=report.p_value,
        reason=report.reason,
        at=report.at,
        next_check_at=report.at + every_s,
        change_point=report.change_point,
        collectors=context.collectors,
        waiting_for=report.reason if report.verdict == "not_enough_data" else "",
        report_path=path,
        persistence=to_persistence_state(persistence),
        persistence_checks=context.persistence_needed,
        incident_hold=to_hold_state(hold),
    )


def build_request(model: str, at: int, state: DriftState, consented: bool) -> RetrainRequest:
    """Build the retraining request that follows from a state."""
    reason = RequestReason(
        summary=state.reason,
        severity=state.severity,
        verdict=state.verdict,
        model_version=state.model_version,
        change_point=state.change_point,
        report_path=state.report_path,
        collectors=state.collectors,
        consented=consented,
    )
    return RetrainRequest(model=model, requested_at=at, requested_by=MONITOR, reason=reason)


def build_drift_alert(model: str, at: int, state: DriftState, wall_now: float) -> Alert:
    """Build the alert about a persistent drift."""
    return Alert(
        at=wall_now,
        key=f"drift_found:{model}:{state.model_version}:{at}"[:MAX_ALERT_KEY_LENGTH],
        severity=state.severity,
        title=f"{model}, version {state.model_version}, has persistent drift",
        body=state.reason,
    )


def build_hold_approval(hold: IncidentHold, report: DriftReport) -> ApprovalRequest:
    """Build the approval request that asks whether an incident is an attack or the new normal."""
    details = HoldApproval(
        summary=_describe_hold(hold),
        since=hold.since,
        model=report.model,
        model_version=report.model_version,
        p_value=report.p_value,
        psi=_find_value(report, "psi"),
        median_shift=_find_value(report, "median_shift"),
        change_point=report.change_point,
        reason=report.reason,
    )
    return ApprovalRequest(
        kind=ATTACK_OR_NEW_NORMAL, subject=str(hold.incident_id), requested_at=hold.asked_at, details=details
    )


def build_hold_alert(hold: IncidentHold, report: DriftReport, wall_now: float) -> Alert:
    """Build the alert about the approval request."""
    return Alert(
        at=wall_now,
        key=f"attack_or_new_normal:{hold.incident_id}",
        severity="high",
        title=_describe_hold(hold),
        body=f"`bgpdrift approve` means new normal, `bgpdrift reject` means attack. {report.reason}",
    )


def describe_state(model: str, state: DriftState) -> str:
    """Describe the state of a model in a few words.

    Examples
    --------
    >>> count = PersistenceState(checks=2)
    >>> state = DriftState(verdict="drift", severity="high", at=7200, persistence=count, persistence_checks=6)
    >>> describe_state("lstm", msgspec.structs.replace(state, next_check_at=10_800))
    'lstm drift (high, 2 of 6 checks) 1970-01-01 02:00 UTC, next 03:00'
    """
    text = f"{model} {state.verdict.replace('_', ' ')}"
    if state.verdict in ("drift", "held"):
        text += f" ({state.severity}, {state.persistence.checks} of {state.persistence_checks} checks)"
    following = f", next {format_time(state.next_check_at)[11:]}" if state.next_check_at else ""
    waiting = f": {state.waiting_for}" if state.waiting_for else ""
    return f"{text} {format_time(state.at)} UTC{following}{waiting}"


def build_report(check: DriftCheck, signals: Sequence[DriftSignal]) -> DriftReport:
    """Build a report from a recorded check."""
    by_window: dict[str, list[Measure]] = {record.window: [] for record in check.details.comparisons}
    others: list[Measure] = []
    for signal in signals:
        window, name = split_signal(signal.signal)
        if window not in by_window:
            name = signal.signal
        record, details = find_measure(name), check.details.measures.get(signal.signal, MeasureDetails())
        measure = Measure(
            name,
            signal.value,
            signal.threshold,
            details.by_chance,
            signal.p_value,
            details.effect,
            signal.severity,
            record.unit if record else "",
            details.note,
        )
        by_window.get(window, others).append(measure)
    return DriftReport(
        check.model,
        check.model_version,
        check.timestamp,
        check.verdict,
        check.severity,
        check.details.reason,
        check.details.policy,
        check.p_value,
        tuple(_build_comparison(record, by_window[record.window]) for record in check.details.comparisons),
        tuple(others),
        check.details.smallest_shift,
        check.details.change_point,
        msgspec.to_builtins(check.details.context),
    )


def _build_comparison_record(comparison: Comparison) -> ComparisonRecord:
    left_out = tuple(ExcludedHours(part.start, part.hours, part.window, part.reason) for part in comparison.left_out)
    return ComparisonRecord(**{name: getattr(comparison, name) for name in _COPIED}, left_out=left_out)


def _build_comparison(record: ComparisonRecord, measures: Sequence[Measure]) -> Comparison:
    left_out = tuple(LeftOut(part.start, part.hours, part.window, part.reason) for part in record.left_out)
    fields = {name: getattr(record, name) for name in _COPIED}
    return Comparison(**fields, left_out=left_out, measures=tuple(measures))


def _describe_hold(hold: IncidentHold) -> str:
    since = format_time(hold.since)
    return f"incident {hold.incident_id}, open and stable since {since} UTC: attack or new normal?"


def _find_value(report: DriftReport, name: str) -> float | None:
    measure = report.measure(name)
    return None if measure is None else measure.value
