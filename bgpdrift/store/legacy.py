# ruff: noqa: D102
"""Queries on mappings that `bgpdrift.monitor` still uses; each goes as soon as its callers use typed values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Table, func, select, update

from bgpdrift.store.codec import rename_fields
from bgpdrift.store.database import Cursor
from bgpdrift.store.drift import DriftQueries
from bgpdrift.store.models import ModelQueries
from bgpdrift.store.request_records import OPEN_REQUEST_STATES, ApprovalAnswer
from bgpdrift.store.rows import Row, partial, prepared
from bgpdrift.store.schema import alerts, approvals, drift_metrics, drift_signals, retrain_requests

OLD_REQUEST = {"refusal_reason": "refused_because"}
OLD_APPROVAL = {"requested_at": "asked_at"}


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
        A row of ``retrain_requests``; ``reason["check_id"]`` is filled in. Not written beside one that is open, unless a
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


class LegacyQueries(DriftQueries, ModelQueries):
    """Mappings instead of typed values."""

    def triggers(self, model: str | None = None, states: Sequence[str] = (), limit: int | None = None) -> list[Row]:
        table = retrain_requests
        query = select(table).order_by(table.c.id.desc())
        if model is not None:
            query = query.where(table.c.model == model)
        if states:
            query = query.where(table.c.state.in_(list(states)))
        rows = self.rows(query if limit is None else query.limit(limit))
        return [rename_fields(row, OLD_REQUEST) for row in rows]

    def add_trigger(self, row: Mapping[str, Any], *, newest: int | None = None) -> int | None:
        table = retrain_requests
        (ready,) = prepared(table, [rename_fields(row, _reverse(OLD_REQUEST))], self._clock.now())
        with self.writing(durable=True) as connection:
            if newest is not None:
                found = connection.execute(select(func.max(table.c.id)).where(table.c.model == row["model"])).scalar()
                if found != newest:
                    return None
            return int(connection.execute(table.insert().values(ready).returning(table.c.id)).scalar_one())

    def change_trigger(
        self,
        trigger_id: int,
        before: str,
        after: str,
        *,
        reason: Mapping[str, Any] | None = None,
        refused_because: str | None = None,
        cursor: Cursor | None = None,
        asked: Mapping[str, Any] | None = None,
        answered: tuple[int, str, str, int] | None = None,
        notices: Sequence[Mapping[str, Any]] = (),
    ) -> bool:
        table = retrain_requests
        values: dict[str, Any] = {"state": after}
        if reason is not None:
            values["reason"] = dict(reason)
        if refused_because is not None:
            values["refusal_reason"] = refused_because
        with self.writing(durable=True) as connection:
            change = update(table).where(table.c.id == trigger_id, table.c.state == before)
            if connection.execute(change.values(partial(table, values))).rowcount != 1:
                return False
            self.write_cursor(connection, cursor)
            if asked is not None:
                self._ask(connection, asked)
            if answered is not None:
                self._answer_approval(connection, ApprovalAnswer(*answered))  # type: ignore[arg-type]
            self._notify(connection, notices)
            return True

    def approvals(
        self, state: str | None = None, kind: str | None = None, subject: str | None = None, limit: int | None = None
    ) -> list[Row]:
        query = select(approvals).order_by(approvals.c.id.desc())
        for column, value in ((approvals.c.state, state), (approvals.c.kind, kind), (approvals.c.subject, subject)):
            if value is not None:
                query = query.where(column == value)
        return [rename_fields(row, OLD_APPROVAL) for row in self.rows(query if limit is None else query.limit(limit))]

    def approval(self, approval_id: int) -> Row | None:
        rows = self.rows(select(approvals).where(approvals.c.id == approval_id))
        return rename_fields(rows[0], OLD_APPROVAL) if rows else None

    def ask_approval(self, row: Mapping[str, Any]) -> int:
        with self.writing(durable=True) as connection:
            return self._ask(connection, row)

    def newest_id(self, table: Table) -> int | None:
        return self.newest(table, "id")

    def set_model_state(self, model: str, version: str, state: str, at: float) -> bool:
        with self.writing() as connection:
            return self._set_state(connection, model, version, state, at)

    def notify(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            with self.writing() as connection:
                self._notify(connection, rows)

    def notifications(self, limit: int = 50, state: str | None = None) -> list[Row]:
        query = select(alerts).order_by(alerts.c.id.desc()).limit(limit)
        return self.rows(query if state is None else query.where(alerts.c.state == state))

    def drift_checks(
        self, model: str | None = None, start: int = 0, end: int = 2**62, limit: int | None = None
    ) -> list[Row]:
        table = drift_metrics
        query = select(table).where(table.c.timestamp >= start, table.c.timestamp < end)
        if model is not None:
            query = query.where(table.c.model == model)
        query = query.order_by(table.c.timestamp.desc(), table.c.model, table.c.id)
        return self.rows(query if limit is None else query.limit(limit))

    def drift_signals(self, check_id: int) -> list[Row]:
        return self.rows(select(drift_signals).where(drift_signals.c.check_id == check_id).order_by(drift_signals.c.id))

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
                self._answer_approval(connection, ApprovalAnswer(*write.answered))  # type: ignore[arg-type]
            for row in write.labels:
                self._label_once(connection, row, write.cursor.position)
            self._notify(connection, write.notices)
            self.write_cursor(connection, replace(write.cursor, details=details))
        return True

    def _wish(self, connection: Connection, row: Mapping[str, Any], check_id: Any) -> None:
        table = retrain_requests
        reason = {**row["reason"], "check_id": check_id}
        if not reason.get("consented"):
            there = select(table.c.id).where(table.c.model == row["model"], table.c.state.in_(OPEN_REQUEST_STATES))
            if connection.execute(there.limit(1)).first() is not None:
                return
        (ready,) = prepared(table, [{**row, "reason": reason}], self._clock.now())
        connection.execute(table.insert(), [ready])

    def _ask_once(self, connection: Connection, row: Mapping[str, Any]) -> int:
        query = select(approvals.c.id).where(approvals.c.kind == row["kind"], approvals.c.subject == row["subject"])
        found = connection.execute(query.order_by(approvals.c.id.desc()).limit(1)).scalar()
        return int(found) if found is not None else self._ask(connection, row)

    def _ask(self, connection: Connection, row: Mapping[str, Any]) -> int:
        (ready,) = prepared(approvals, [rename_fields(row, _reverse(OLD_APPROVAL))], self._clock.now())
        return int(connection.execute(approvals.insert().values(ready).returning(approvals.c.id)).scalar_one())

    def _notify(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in prepared(alerts, rows, self._clock.now()):
            if connection.execute(select(alerts.c.id).where(alerts.c.key == row["key"])).first() is None:
                connection.execute(alerts.insert(), [row])


def _reverse(names: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in names.items()}


def _plain(cursor: Cursor | None) -> tuple[int, dict[str, Any]]:
    """A state to compare; one that was only ever locked is none."""
    return (0, {}) if cursor is None else (cursor.position, dict(cursor.details))
