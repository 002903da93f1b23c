"""Drift checks, and what follows from a check, written together or not at all.

This module ensures that a check is recorded once: its row, its signals, the state of its model, the retraining request,
the approval request and the labels that follow from an answer are one transaction, and only from the state that the
reader saw. A kill loses all of it or nothing, and of two monitors one acts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select

from bgpdrift.store.codec import decode_row, encode_row
from bgpdrift.store.cursor_states import DriftState, drift_cursor
from bgpdrift.store.database import StateCursor
from bgpdrift.store.drift_records import CheckDetails, DriftCheck, DriftSignal
from bgpdrift.store.outcomes import Outcome, OutcomeQueries
from bgpdrift.store.request_records import OPEN_REQUEST_STATES, Alert, ApprovalAnswer, ApprovalRequest, RetrainRequest
from bgpdrift.store.retrain_requests import RetrainRequestQueries
from bgpdrift.store.rows import prepared
from bgpdrift.store.schema import approvals, drift_metrics, drift_signals, outcomes, retrain_requests

KEY = ("model", "window", "timestamp")
ASSUMED_DRIFT_S = 3600
"""Duration of a drift, before the check that found it, whose change point is not known."""


@dataclass(frozen=True, slots=True)
class DriftUpdate:
    """What one check, or one answer, changes.

    Attributes
    ----------
    expected : StateCursor or None
        The model's state as it was read; None if there was none.
    cursor : StateCursor
        Its new state. The store fills in ``check_id``, and the id of an approval request that is written with it.
    check : DriftCheck, optional
        A check of the same model, window and time is overwritten.
    signals : sequence of DriftSignal
        Signals of the check.
    request : RetrainRequest, optional
        The store fills in ``reason.check_id``. It is not written beside an open one unless it is consented.
    approval : ApprovalRequest, optional
        An approval request of the same kind and subject that exists takes its place.
    answer : ApprovalAnswer, optional
        Answer to an approval request, which is then no longer pending.
    labels : sequence of Outcome
        The label that a person gave the same incident stays.
    alerts : sequence of Alert
        Alerts; an alert whose key is known is not written.
    """

    expected: StateCursor[DriftState] | None
    cursor: StateCursor[DriftState]
    check: DriftCheck | None = None
    signals: Sequence[DriftSignal] = ()
    request: RetrainRequest | None = None
    approval: ApprovalRequest | None = None
    answer: ApprovalAnswer | None = None
    labels: Sequence[Outcome] = ()
    alerts: Sequence[Alert] = ()


class DriftQueries(OutcomeQueries, RetrainRequestQueries):
    """Queries on ``drift_metrics`` and ``drift_signals``."""

    def read_drift_state(self, model: str) -> StateCursor[DriftState] | None:
        """Read the state of a model's drift checks; None before the first check."""
        return self.read_state(drift_cursor(model), DriftState)

    def update_drift(self, update: DriftUpdate) -> bool:
        """Write the result of a check; False, and nothing, if the model's state is not the expected one any more."""
        name, state = update.cursor.name, update.cursor.state
        with self.writing(durable=update.request is not None) as connection:
            if self.lock_state(connection, name, DriftState) != update.expected:
                return False
            if update.check is not None:
                signals = [encode_row(signal) for signal in update.signals]
                check_id = self._write_check(connection, encode_row(update.check), signals)
                state = msgspec.structs.replace(state, check_id=check_id)
            if update.approval is not None and state.incident_hold.state != "free":
                approval_id = self._request_approval_once(connection, update.approval)
                hold = msgspec.structs.replace(state.incident_hold, approval_id=approval_id)
                state = msgspec.structs.replace(state, incident_hold=hold)
            if update.request is not None:
                self._add_request(connection, update.request, state.check_id)
            if update.answer is not None:
                self._answer_approval(connection, update.answer)
            for label in update.labels:
                self._label_once(connection, label, update.cursor.position)
            self._raise_alerts(connection, update.alerts)
            self.write_cursor(connection, replace(update.cursor, state=state))
        return True

    def drift_checks_between(
        self, start: int = 0, end: int = 2**62, model: str | None = None, limit: int | None = None
    ) -> list[DriftCheck]:
        """Read checks of event time ``[start, end)``, newest first, of one model or of all."""
        table = drift_metrics
        query = select(table).where(table.c.timestamp >= start, table.c.timestamp < end)
        if model is not None:
            query = query.where(table.c.model == model)
        query = query.order_by(table.c.timestamp.desc(), table.c.model, table.c.id)
        rows = self.rows(query if limit is None else query.limit(limit))
        return [decode_row(DriftCheck, row, "drift_metrics", {"details": CheckDetails}) for row in rows]

    def signals_of_check(self, check_id: int) -> list[DriftSignal]:
        """Read the signals of one check, in the order in which they were written."""
        query = select(drift_signals).where(drift_signals.c.check_id == check_id).order_by(drift_signals.c.id)
        return [decode_row(DriftSignal, row, "drift_signals") for row in self.rows(query)]

    def flagged_spans(self, model: str, version: str, start: int, end: int) -> list[tuple[int, int]]:
        """Read the spans of drift, held or not, that checks in ``[start, end)`` found, each from change point to check."""
        table = drift_metrics
        query = select(table.c.timestamp, table.c.details).where(
            table.c.model == model,
            table.c.model_version == version,
            table.c.timestamp >= start,
            table.c.timestamp < end,
            table.c.verdict.in_(("drift", "held")),
        )
        with self.reading() as connection:
            return [
                (int((details or {}).get("change_point") or at - ASSUMED_DRIFT_S), int(at))
                for at, details in connection.execute(query.order_by(table.c.timestamp))
            ]

    def _write_check(self, connection: Connection, row: Mapping[str, Any], signals: Sequence[Mapping[str, Any]]) -> int:
        table = drift_metrics
        self.upsert(connection, table, [row], KEY)
        query = select(table.c.id).where(*(table.c[name] == row[name] for name in KEY))
        check_id = int(connection.execute(query).scalar_one())
        connection.execute(delete(drift_signals).where(drift_signals.c.check_id == check_id))
        ready = prepared(drift_signals, [{**signal, "check_id": check_id} for signal in signals], self._clock.now())
        if ready:
            connection.execute(drift_signals.insert(), ready)
        return check_id

    def _add_request(self, connection: Connection, request: RetrainRequest, check_id: int | None) -> None:
        table = retrain_requests
        if not request.reason.consented:
            open_one = select(table.c.id).where(table.c.model == request.model, table.c.state.in_(OPEN_REQUEST_STATES))
            if connection.execute(open_one.limit(1)).first() is not None:
                return
        reason = msgspec.structs.replace(request.reason, check_id=check_id)
        row = encode_row(msgspec.structs.replace(request, reason=reason))
        connection.execute(table.insert(), prepared(table, [row], self._clock.now()))

    def _request_approval_once(self, connection: Connection, approval: ApprovalRequest) -> int:
        query = select(approvals.c.id).where(approvals.c.kind == approval.kind, approvals.c.subject == approval.subject)
        newest = connection.execute(query.order_by(approvals.c.id.desc()).limit(1)).scalar()
        return self._request_approval(connection, approval) if newest is None else int(newest)

    def _label_once(self, connection: Connection, label: Outcome, at: int) -> None:
        (ready,) = prepared(outcomes, [encode_row(label)], self._clock.now())
        if ready["incident_id"] is not None:
            same = select(outcomes.c.id).where(outcomes.c.incident_id == ready["incident_id"])
        else:
            names = ("starts_at", "collector", "label", "labelled_by")
            same = select(outcomes.c.id).where(
                outcomes.c.incident_id.is_(None), *(outcomes.c[name] == ready[name] for name in names)
            )
        if connection.execute(same.limit(1)).first() is not None:
            return
        connection.execute(outcomes.insert(), [ready])
        self._add_to_history(connection, label, at)
