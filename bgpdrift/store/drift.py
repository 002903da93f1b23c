"""Drift checks and what follows from one, written together or not at all.

Decides that a check is recorded once: its row, its signals, the state of its model, the wish to retrain, the question to a
person and the labels that follow from an answer are one transaction, and only from the state its reader saw. So a kill loses
all of it or nothing, and of two monitors one acts. What any of it says is decided elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, select

from bgpdrift.store.approvals import approval_row
from bgpdrift.store.codec import decode_row, encode_row
from bgpdrift.store.cursor_states import DriftState, drift_cursor
from bgpdrift.store.database import Cursor, StateCursor, typed_cursor
from bgpdrift.store.drift_records import CheckDetails, DriftCheck, DriftSignal, Outcome
from bgpdrift.store.outcomes import OutcomeQueries
from bgpdrift.store.request_records import Alert, ApprovalAnswer, ApprovalRequest, RetrainRequest
from bgpdrift.store.retrain_requests import TriggerQueries, request_row
from bgpdrift.store.rows import prepared
from bgpdrift.store.schema import approvals, drift_metrics, drift_signals, feature_windows, outcomes, retrain_triggers

KEY = ("model", "window", "timestamp")
OPEN_TRIGGERS = ("requested", "postponed", "waiting_approval", "flagged", "claimed")
"""States of a wish beside which there is no second one."""
NEWEST_WINDOWS = 200
"""Windows looked at for the time it is: one with a wrong time among them moves nothing back."""


@dataclass(frozen=True, slots=True)
class DriftWrite:
    """What one check, or one answer, changes.

    Attributes
    ----------
    expected : Cursor or None
        The model's state as it was read; None if there was none.
    cursor : Cursor
        Its new state. ``details["check_id"]`` and the id of a question asked with it are filled in.
    check : mapping, optional
        A row of ``drift_metrics``; one of the same model, window and time is overwritten.
    signals : sequence of mapping
        Rows of ``drift_signals`` without ``check_id``.
    wish : mapping, optional
        A row of ``retrain_triggers``; ``reason["check_id"]`` is filled in. Not written beside one that is open, unless a
        person consented to it.
    question : mapping, optional
        A row of ``approvals``; one of the same kind and subject that is there already takes its place.
    answered : tuple of (approval, state, by, event time), optional
        A question that waits no more.
    labels : sequence of mapping
        Rows of ``outcomes``; what a person said of the same incident stays.
    notices : sequence of mapping
        Rows of ``notifications``.
    """

    expected: Cursor | None
    cursor: Cursor
    check: Mapping[str, Any] | None = None
    signals: Sequence[Mapping[str, Any]] = ()
    wish: Mapping[str, Any] | None = None
    question: Mapping[str, Any] | None = None
    answered: tuple[int, str, str, int] | None = None
    labels: Sequence[Mapping[str, Any]] = ()
    notices: Sequence[Mapping[str, Any]] = ()


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
        Of the check.
    request : RetrainRequest, optional
        The store fills in ``reason.check_id``. It is not written beside an open one unless it is consented.
    approval : ApprovalRequest, optional
        An approval request of the same kind and subject that exists takes its place.
    answer : ApprovalAnswer, optional
        Of an approval request that is no longer pending.
    labels : sequence of Outcome
        The label that a person gave the same incident stays.
    alerts : sequence of Alert
        Those whose key is known are not written.
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


class DriftQueries(OutcomeQueries, TriggerQueries):
    """Queries on ``drift_metrics`` and ``drift_signals``."""

    def record_drift(self, write: DriftWrite) -> bool:
        """Write what follows from a check; False, and nothing, if the model's state is not as expected any more."""
        with self.writing(durable=write.wish is not None) as connection:
            found = self.locked_cursor(connection, write.cursor.name)
            if _plain(found) != _plain(write.expected):
                return False
            details = dict(write.cursor.details)
            if write.check is not None:
                details["check_id"] = self._write_check(connection, write.check, write.signals)
            if write.question is not None and details.get("holding"):
                details["holding"] = {**details["holding"], "question_id": self._ask_once(connection, write.question)}
            if write.wish is not None:
                self._wish(connection, write.wish, details.get("check_id"))
            if write.answered is not None:
                self._answer(connection, *write.answered)
            for row in write.labels:
                self._label_once(connection, row, write.cursor.position)
            self._notify(connection, write.notices)
            self.write_cursor(connection, replace(write.cursor, details=details))
        return True

    def read_drift_state(self, model: str) -> StateCursor[DriftState] | None:
        """Read the state of a model's drift checks; None before the first check."""
        return self.read_state(drift_cursor(model), DriftState)

    def update_drift(self, update: DriftUpdate) -> bool:
        """Write the result of a check; False, and nothing, if the model's state is not the expected one any more."""
        name, state = update.cursor.name, update.cursor.state
        with self.writing(durable=update.request is not None) as connection:
            locked = self.locked_cursor(connection, name)
            stored = None if locked is None else typed_cursor(locked, DriftState)
            if stored != update.expected:
                return False
            if update.check is not None:
                signals = [encode_row(signal) for signal in update.signals]
                check_id = self._write_check(connection, encode_row(update.check), signals)
                state = msgspec.structs.replace(state, check_id=check_id)
            if update.approval is not None and state.incident_hold.state != "free":
                approval_id = self._ask_once(connection, approval_row(update.approval))
                hold = msgspec.structs.replace(state.incident_hold, approval_id=approval_id)
                state = msgspec.structs.replace(state, incident_hold=hold)
            if update.request is not None:
                self._add_request(connection, update.request, state.check_id)
            if update.answer is not None:
                self._answer(connection, *astuple(update.answer))
            for label in update.labels:
                self._label_once(connection, encode_row(label), update.cursor.position)
            self._notify(connection, [encode_row(alert) for alert in update.alerts])
            self.write_cursor(connection, replace(update.cursor, state=state))
        return True

    def drift_checks_between(
        self, start: int = 0, end: int = 2**62, model: str | None = None, limit: int | None = None
    ) -> list[DriftCheck]:
        """Read checks of event time ``[start, end)``, newest first, of one model or of all."""
        rows = self.drift_checks(model, start, end, limit)
        return [decode_row(DriftCheck, row, "drift_metrics", {"details": CheckDetails}) for row in rows]

    def signals_of_check(self, check_id: int) -> list[DriftSignal]:
        """Read the signals of one check, in the order in which they were written."""
        return [decode_row(DriftSignal, row, "drift_signals") for row in self.drift_signals(check_id)]

    def _add_request(self, connection: Connection, request: RetrainRequest, check_id: int | None) -> None:
        table = retrain_triggers
        if not request.reason.consented:
            open_one = select(table.c.id).where(table.c.model == request.model, table.c.state.in_(OPEN_TRIGGERS))
            if connection.execute(open_one.limit(1)).first() is not None:
                return
        reason = msgspec.structs.replace(request.reason, check_id=check_id)
        row = request_row(msgspec.structs.replace(request, reason=reason))
        connection.execute(table.insert(), prepared(table, [row], self._clock.now()))

    def drift_checks(
        self, model: str | None = None, start: int = 0, end: int = 2**62, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Read checks of event time ``[start, end)``, newest first, of one model or of all."""
        table = drift_metrics
        query = select(table).where(table.c.timestamp >= start, table.c.timestamp < end)
        if model is not None:
            query = query.where(table.c.model == model)
        query = query.order_by(table.c.timestamp.desc(), table.c.model, table.c.id)
        return self.rows(query if limit is None else query.limit(limit))

    def flagged_spans(self, model: str, version: str, start: int, end: int) -> list[tuple[int, int]]:
        """Spans that checks of ``[start, end)`` called drift, held or not: from the change, if one was found, to the check."""
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
                (int((details or {}).get("change_point") or at - 3600), int(at))
                for at, details in connection.execute(query.order_by(table.c.timestamp))
            ]

    def drift_signals(self, check_id: int) -> list[dict[str, Any]]:
        """Read the signals of one check, in the order in which they were written."""
        return self.rows(select(drift_signals).where(drift_signals.c.check_id == check_id).order_by(drift_signals.c.id))

    def label_of_incident(self, incident_id: int) -> str:
        """What somebody said an incident was; "" if nobody did."""
        query = select(outcomes.c.label).where(outcomes.c.incident_id == incident_id).order_by(outcomes.c.id.desc())
        found = self.rows(query.limit(1))
        return str(found[0]["label"]) if found else ""

    def latest_window_start(self) -> int | None:
        """Event time as the windows written last have it; None without windows.

        Not that of the newest window there is: a clock that went back leaves windows of a time that has not come.
        """
        table = feature_windows
        last = select(table.c.window_start).order_by(table.c.id.desc()).limit(NEWEST_WINDOWS).subquery()
        value = self.rows(select(func.max(last.c.window_start).label("value")))[0]["value"]
        return None if value is None else int(value)

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

    def _wish(self, connection: Connection, row: Mapping[str, Any], check_id: Any) -> None:
        table = retrain_triggers
        reason = {**row["reason"], "check_id": check_id}
        if not reason.get("consented"):
            there = select(table.c.id).where(table.c.model == row["model"], table.c.state.in_(OPEN_TRIGGERS))
            if connection.execute(there.limit(1)).first() is not None:
                return
        (ready,) = prepared(table, [{**row, "reason": reason}], self._clock.now())
        connection.execute(table.insert(), [ready])

    def _ask_once(self, connection: Connection, row: Mapping[str, Any]) -> int:
        query = select(approvals.c.id).where(approvals.c.kind == row["kind"], approvals.c.subject == row["subject"])
        found = connection.execute(query.order_by(approvals.c.id.desc()).limit(1)).scalar()
        return int(found) if found is not None else self._ask(connection, row)

    def _label_once(self, connection: Connection, row: Mapping[str, Any], at: int) -> None:
        (ready,) = prepared(outcomes, [row], self._clock.now())
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
        if ready["incident_id"] is not None:
            said = {name: ready[name] for name in ("label", "labelled_by", "notes")}
            self._note(connection, ready["incident_id"], at, said)


def _plain(cursor: Cursor | None) -> tuple[int, dict[str, Any]]:
    """A state to compare; one that was only ever locked is none."""
    return (0, {}) if cursor is None else (cursor.position, dict(cursor.details))
