"""The hourly drift checks: runs the check that is due, records it with all that follows, and acts on answers about incidents.

Check, state, retraining request, approval request, labels and alerts are written in one transaction, and only if no other monitor
has recorded the check. `bgpdrift.monitor.check_schedule` decides which check is due, `bgpdrift.monitor.drift_judgement` what it
finds, and `bgpdrift.monitor.retraining_requests` what becomes of a request.
"""

import logging
from contextlib import suppress

from msgspec.structs import replace

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.detector_registry import MODELS
from bgpdrift.drift import rule
from bgpdrift.drift.constants import HOUR_S
from bgpdrift.drift.report import DriftReport
from bgpdrift.errors import StoreFileError, TransientError
from bgpdrift.monitor.check_records import (
    build_check,
    build_drift_alert,
    build_hold_alert,
    build_hold_approval,
    build_report,
    build_request,
    build_signals,
    build_state,
    describe_state,
    from_hold_state,
    from_persistence_state,
    to_hold_state,
    to_persistence_state,
)
from bgpdrift.monitor.check_schedule import CheckSchedule, DueCheck
from bgpdrift.monitor.drift_judgement import DecideRule, DriftJudge, Judgement
from bgpdrift.monitor.hold_answers import HoldAnswers
from bgpdrift.monitor.report_files import report_path, write_report
from bgpdrift.monitor.request_approvals import ANSWERED_BY_TIMEOUT
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.cursor_states import DriftState, drift_cursor
from bgpdrift.store.database import StateCursor
from bgpdrift.store.drift import DriftUpdate
from bgpdrift.store.request_records import ApprovalAnswer

REPORTED_VERDICTS = frozenset({"drift", "held"})

DriftCursor = StateCursor[DriftState]


class DriftChecks:
    """Checks every detector that scores; one step is at most one check.

    Parameters
    ----------
    settings, store, clock
        Settings, store and clock of the monitor.
    decide : callable
        See `bgpdrift.monitor.drift_judgement.DriftJudge`.
    """

    def __init__(self, settings: Settings, store: Store, clock: Clock, decide: DecideRule = rule.decide) -> None:
        self._settings, self._store, self._clock, self._drift = settings, store, clock, settings.drift
        self._answers = HoldAnswers(store)
        self._judge = DriftJudge(settings, store, clock, self._answers, decide)
        self._schedule = CheckSchedule(store, settings.drift.check_every_h)
        self._interval_s = self._drift.check_every_h * HOUR_S
        self._log = logs.get_logger()
        self._problem = ""

    def step(self) -> bool:
        """Act on answers, then run the oldest check that is due; return whether another one may be due."""
        changed = self.handle_answers()
        now = self._store.latest_window_start()
        due = None if now is None else self.find_due(now + 60)
        if due is None:
            return changed
        self.check(due)
        return True

    def status(self) -> str:
        """Describe the last verdict of each model, the next check, and what is missing."""
        parts = [self._problem] if self._problem else []
        unchecked = []
        for model in MODELS:
            with suppress(TransientError, StoreFileError):
                cursor = self._store.read_drift_state(model)
                if cursor is None or not cursor.state.is_checked:
                    unchecked.append(model)
                else:
                    parts.append(describe_state(model, cursor.state))
        if unchecked:
            parts.append(f"no check yet: {', '.join(unchecked)}")
        return "; ".join(parts)

    def find_due(self, now: int) -> DueCheck | None:
        """Find the oldest check that is due at an event time; None if there is none."""
        return self._schedule.find_due(now)

    def judge_newest(self, model: str, current_h: int | None = None) -> Judgement | None:
        """Judge the newest hour of a model and write nothing; None without scores in the last day of data.

        Parameters
        ----------
        model : str
            Name of the model.
        current_h : int, optional
            Hours of the current window, instead of those of the preset.
        """
        at, cursor = self._schedule.find_newest_end(model), self._store.read_drift_state(model)
        return None if at is None else self.judge(model, at, cursor, current_h)

    def judge(self, model: str, at: int, cursor: DriftCursor | None, current_h: int | None = None) -> Judgement | None:
        """Judge a model at an event time and write nothing; None without scores."""
        return self._judge.judge(model, at, cursor.state if cursor else DriftState(), current_h)

    def read_last_report(self, model: str) -> DriftReport | None:
        """Read the last recorded check of a model; None if there is none."""
        cursor = self._store.read_drift_state(model)
        if cursor is None:
            return None
        checks = self._store.drift_checks_between(cursor.position, cursor.position + 1, model)
        return build_report(checks[0], self._store.signals_of_check(checks[0].id)) if checks else None

    def check(self, due: DueCheck) -> Judgement | None:
        """Run one check and record what follows; None if another monitor did, or there are no scores."""
        judgement = self.judge(due.model, due.at, due.cursor)
        if judgement is None:
            # The scores were removed by retention, or belong to a version that no longer exists.
            state = replace(due.cursor.state if due.cursor else DriftState(), at=due.at)
            self._store.update_drift(DriftUpdate(due.cursor, StateCursor(drift_cursor(due.model), due.at, state)))
            return None
        report = judgement.report
        update = self._build_update(due, judgement, self._write_report(report))
        if not self._store.update_drift(update):
            return None
        self._log.log(
            logging.WARNING if report.verdict in REPORTED_VERDICTS else logging.INFO,
            "drift.checked",
            model=report.model,
            version=report.model_version,
            at=report.at,
            verdict=report.verdict,
            severity=report.severity,
            persistence_checks=judgement.persistence.checks,
            requests_retraining=judgement.requests_retraining,
            reason=report.reason,
        )
        return judgement

    def handle_answers(self) -> bool:
        """Act on what people answered since the last check; return whether a state changed."""
        changed = False
        for model in MODELS:
            cursor = self._store.read_drift_state(model)
            if cursor is None or cursor.state.incident_hold.state == "free":
                continue
            before = from_hold_state(cursor.state.incident_hold)
            after = self._answers.apply(before)
            if after == before:
                continue
            at, state = cursor.position, replace(cursor.state, at=cursor.position)
            if state.verdict == "held" and not after.holds:
                state = replace(state, verdict="drift")
            persistence, requests_retraining = self._judge.decide_request(
                model, from_persistence_state(state.persistence), after, state
            )
            state = replace(state, incident_hold=to_hold_state(after), persistence=to_persistence_state(persistence))
            update = DriftUpdate(
                cursor,
                StateCursor(cursor.name, at, state),
                request=build_request(model, at, state, consented=True) if requests_retraining else None,
                labels=self._answers.build_labels(before, after, at),
                alerts=[build_drift_alert(model, at, state, self._clock.now())] if requests_retraining else [],
            )
            if not self._store.update_drift(update):
                continue  # another monitor acted on the answer
            changed = True
            self._log.info(
                "drift.answered",
                model=model,
                incident=after.incident_id,
                answer=after.answer,
                requests_retraining=requests_retraining,
            )
        return changed

    def _write_report(self, report: DriftReport) -> str:
        if report.verdict not in REPORTED_VERDICTS:
            return ""
        self._problem = ""
        try:
            return str(write_report(self._settings.artifacts_path, report, self._drift.keep_reports))
        except TransientError as error:
            # The check is recorded without a report file; the next check writes its own.
            name = report_path(self._settings.artifacts_path, report.model, report.at).name
            self._problem = f"{name} was not written: {error}"
            self._log.error("drift.report_not_written", model=report.model, at=report.at, reason=str(error))
            return ""

    def _build_update(self, due: DueCheck, judgement: Judgement, path: str) -> DriftUpdate:
        report, hold, at, now = judgement.report, judgement.hold, due.at, self._clock.now()
        before = from_hold_state((due.cursor.state if due.cursor else DriftState()).incident_hold)
        state = build_state(report, judgement.context, judgement.persistence, hold, path, self._interval_s)
        is_new = before.state != "asked" or before.incident_id != hold.incident_id
        asks = hold.state == "asked" and is_new
        alerts = [build_hold_alert(hold, report, now)] if asks else []
        if judgement.requests_retraining:
            alerts.append(build_drift_alert(due.model, at, state, now))
        answer = None
        if before.state == "asked" and (asks or hold.state != "asked") and before.approval_id:
            answer = ApprovalAnswer(before.approval_id, "expired", ANSWERED_BY_TIMEOUT, at)
        consented = hold.is_new_normal
        return DriftUpdate(
            due.cursor,
            StateCursor(drift_cursor(due.model), at, state),
            check=build_check(report, self._drift.preset, path, judgement.context),
            signals=build_signals(report),
            request=build_request(due.model, at, state, consented) if judgement.requests_retraining else None,
            approval=build_hold_approval(hold, report) if asks else None,
            answer=answer,
            labels=self._answers.build_labels(before, hold, at),
            alerts=alerts,
        )
